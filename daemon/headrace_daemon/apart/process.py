"""The daemon's end of the process that handles small files.

Python runs one thread at a time. A thread that reads or writes small files lets its lock go at every call of the
kernel, some seven times a file, and the event loop takes it: both wait for each other, which costs more than the files.
In a process of its own neither waits. What is too large to be copied cheaply, or finds no room, is done in threads as
ever, so nobody waits to hand something over.
"""

import asyncio
import os
import pickle
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeAlias

from headrace_daemon.apart import child
from headrace_daemon.apart.arena import Arena
from headrace_daemon.apart.messages import LENGTH, PACKET, Request
from headrace_queue.errors import HeadraceError

ARENA: Final = 16 << 20
LARGEST: Final = 64 << 10
"""Bytes of a file above which two copies cost more than the lock."""

REAP_SECONDS: Final = 0.1
"""Between looks whether the process is gone that was ended."""

_AT_ONCE: Final = 256 << 10
"""Bytes of answers that are read at once."""


class ProcessEnded(HeadraceError):
    """The process ended by itself, or was killed: what it had under way has to be done again, in threads."""


def _end_of_first(received: bytearray) -> int:
    """Of the first answer, or of its length where that has not come whole."""
    return LENGTH.size + (LENGTH.unpack_from(received)[0] if len(received) >= LENGTH.size else 0)


Answered: TypeAlias = Callable[[Any, Exception | None], None]
"""Takes the value of an answer, or why there is none."""


class FileProcess:
    """One child process. start() while this process has a single thread; attach() once there is a loop; close()."""

    def __init__(self, requests: socket.socket, answers: socket.socket, arena: Arena, pid: int) -> None:
        self.arena: Final = arena
        self.pid: Final = pid
        self._requests = requests
        self._answers = answers
        self._received = bytearray()
        self._numbers = count()
        self._waiting: dict[int, tuple[Answered, float]] = {}  # since when, by the clock of the loop; the oldest first
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: Callable[[str], None] = lambda _: None

    @classmethod
    def start(cls) -> "FileProcess":
        """By fork alone: it takes milliseconds, and both see the same arena. Raises OSError."""
        requests, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        answers, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        arena, parent = Arena(ARENA), os.getpid()
        pid = os.fork()
        if pid == 0:
            requests.close()
            answers.close()
            child.run(asked, answering, arena, parent)
        asked.close()
        answering.close()
        requests.setblocking(False)
        answers.setblocking(False)
        return cls(requests, answers, arena, pid)

    def attach(self, told: Callable[[str], None]) -> None:
        """From the loop that asks from now on. told: hears, once, that the process ended before close()."""
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._loop.add_reader(self._answers.fileno(), self._read)

    @property
    def alive(self) -> bool:
        """Whether it can be asked at all."""
        return self._loop is not None

    def tell(self, request: Request, fds: Sequence[int] = ()) -> bool:
        """A request that has no answer; whether it could be handed over."""
        return self._send(next(self._numbers), request, fds)

    def ask(self, request: Request, answered: Answered) -> bool:
        """Whether the request could be handed over at once. answered: is called on the loop, with what the step gave or
        raised, or with ProcessEnded, whoever else has gone meanwhile."""
        number = next(self._numbers)
        if not self._send(number, request, ()):
            return False
        self._waiting[number] = answered, asyncio.get_running_loop().time()
        return True

    def _send(self, number: int, request: Request, fds: Sequence[int]) -> bool:
        packet = pickle.dumps((number, request), pickle.HIGHEST_PROTOCOL)
        if self._loop is None or len(packet) > PACKET:
            return False
        try:
            if fds:
                socket.send_fds(self._requests, [packet], fds)
            else:
                self._requests.send(packet)
        except OSError:  # full, or ended, which the reader finds out
            return False
        return True

    def _read(self) -> None:
        try:
            data = self._answers.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        received = self._received
        received += data
        while len(received) >= (end := _end_of_first(received)):
            number, value, error = pickle.loads(received[LENGTH.size : end])
            del received[:end]
            answered, _ = self._waiting.pop(number)
            answered(value, error)

    def end_if_silent(self, patience: float) -> None:
        """Ends it, and tells of that, where something asked of it has had no answer for so many seconds: it hangs in a
        disk that does not answer, or was stopped. Its last request may be seen as late while the loop itself stood
        still; then small files are slower, and nothing is lost."""
        if self._loop is None or not self._waiting:
            return
        _, since = next(iter(self._waiting.values()))
        if self._loop.time() - since >= patience:
            self._lost(f"has not answered for {patience:.0f} s and was ended")

    def _lost(self, why: str = "ended") -> None:
        self._told(f"the process for small files {why}; they are handled in threads until the daemon starts again")
        self._leave()

    def _leave(self) -> None:
        """Ends it, whatever it has under way."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._answers.fileno())
        self._requests.close()
        self._answers.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap(loop)
        waiting, self._waiting = self._waiting, {}
        for answered, _ in waiting.values():
            answered(None, ProcessEnded("the process for small files ended"))

    def _reap(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """It is not gone yet when its socket closes. One that hangs in the kernel when this process ends is left to
        whoever reaps orphans."""
        with suppress(ChildProcessError):
            pid, _ = os.waitpid(self.pid, os.WNOHANG)
            if not pid and loop is not None:
                loop.call_later(REAP_SECONDS, self._reap, loop)

    def close(self) -> None:
        """Ends it; nothing that it has under way counts any more. Returns at once."""
        if self.alive:
            self._leave()
