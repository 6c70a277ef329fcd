"""What runs in the process that handles small files: takes requests from a socket, does each in a thread, answers.

It ends when the daemon does, however that ends: the kernel kills it with its parent, and an end of the socket ends it.
A rename that was under way then is as safe as one of a worker that lost its lease (files/taking_names).
"""

import ctypes
import errno
import gc
import os
import pickle
import signal
import socket
import threading
import traceback
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, NoReturn

from headrace_daemon.apart.arena import Arena
from headrace_daemon.apart.messages import LENGTH, PACKET, Close, Discard, Found, Got, Open, Read, Settle, Write
from headrace_daemon.files.landing import Landing, Pending
from headrace_daemon.files.names import FileError
from headrace_daemon.files.posix import NOTHING
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import DaemonPool
from headrace_daemon.orphan import end_with
from headrace_daemon.transfer.summed import Summed, read_group

_THREADS: Final = 8
_PR_SET_NAME: Final = 15


@dataclass(slots=True, eq=False)
class _Tree:
    """One root, and what was written beneath it and has not taken its name yet."""

    root: Root
    landing: Landing | None
    written: dict[int, Pending] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=count)

    def close(self) -> None:
        """What has not taken its name is left: another worker may write under the same temporary names by now."""
        if self.landing is not None:
            self.landing.close()
        self.root.close()


def run(requests: socket.socket, answers: socket.socket, arena: Arena, parent: int) -> NoReturn:
    """Until the other end of `requests` is closed. parent: the daemon's process id."""
    code = 1
    try:
        _prepare(parent)
        _Child(requests, answers, arena).serve()
        code = 0
    except Exception:  # noqa: BLE001 - there is nobody above: what went wrong is shown, and the daemon hears of the end
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing of the daemon's, whose copy this is, may be tidied up twice


def _prepare(parent: int) -> None:
    """The daemon alone decides when this ends: a signal to the whole group must not end steps under way."""
    gc.freeze()  # what is shared with the daemon stays shared: a look for cycles would touch every page of it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"headraced-files", 0, 0, 0)
    end_with(parent, signal.SIGKILL)


class _Child:
    """Requests come in one thread; steps run in others, for one may wait for a disk while the next need not."""

    def __init__(self, requests: socket.socket, answers: socket.socket, arena: Arena) -> None:
        self._requests = requests
        self._answers = answers
        self._arena = arena
        self._trees: dict[int, _Tree] = {}
        self._pool = DaemonPool(_THREADS, "apart")
        self._answering = threading.Lock()

    def serve(self) -> None:
        while True:
            data, fds, _, _ = socket.recv_fds(self._requests, PACKET, 1)
            if not data:
                return
            number, request = pickle.loads(data)
            if isinstance(request, Open):
                self._open(request, fds)
            elif isinstance(request, Close):
                self._trees.pop(request.tree).close()
            else:
                self._pool.submit(self._answer, number, request)

    def _open(self, asked: Open, fds: list[int]) -> None:
        if not fds:
            raise OSError(errno.EMFILE, "no descriptor came along")
        (fd,) = fds
        root = Root(asked.path, fd, follow_links=asked.follow_links, links=asked.links, openat2=asked.openat2)
        landing = None
        if (wanted := asked.landing) is not None:
            root.making = wanted.making
            landing = Landing(root, wanted.job_id, wanted.fsync, created=wanted.created)
        self._trees[asked.tree] = _Tree(root, landing)

    def _answer(self, number: int, request: Read | Write | Settle | Discard) -> None:
        value: Any = None
        error: Exception | None = None
        try:
            value = self._do(self._trees[request.tree], request)
        except Exception as raised:  # noqa: BLE001 - handed to whoever waits, whatever it is
            error = raised
        try:
            text = pickle.dumps((number, value, error), pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 - an error that does not travel must not leave anybody waiting
            text = pickle.dumps((number, None, RuntimeError(repr(error))), pickle.HIGHEST_PROTOCOL)
        with self._answering:
            self._answers.sendall(LENGTH.pack(len(text)) + text)

    def _do(self, tree: _Tree, request: Read | Write | Settle | Discard) -> Any:
        match request:
            case Read():
                return self._read(tree.root, request)
            case Write():
                return self._write(tree, request)
            case Settle():
                return _settle(tree, request)
            case Discard():
                _landing_of(tree).discard([tree.written.pop(number) for number in request.numbers])
        return None

    def _read(self, root: Root, asked: Read) -> Got:
        start, end = asked.start, asked.start + asked.size
        reads, waited = read_group(root, asked.keys, asked.limit)
        found: list[Found | FileError | None] = []
        for one in reads:
            if isinstance(one, FileError):
                found.append(one)
            elif start + len(one[0].data) > end:
                found.append(None)  # it has grown since it was listed
            else:
                found.append(self._put(start, one))
                start += len(one[0].data)
        return Got(found, waited)

    def _put(self, start: int, one: Summed) -> Found:
        read, crc = one
        size = len(read.data)
        self._arena.view[start : start + size] = read.data
        return Found(start, size, read._replace(data=b""), crc)

    def _write(self, tree: _Tree, asked: Write) -> list[int | FileError]:
        landing, answers = _landing_of(tree), list[int | FileError]()
        for file in asked.files:
            data = self._arena.view[file.start : file.start + file.size]
            try:
                pending = landing.write_whole(
                    file.key, data, file.mtime_ns, file.posix or NOTHING, no_clobber=asked.no_clobber
                )
            except FileError as error:
                answers.append(error)
            else:
                number = next(tree.numbers)
                tree.written[number] = pending
                answers.append(number)
        return answers


def _settle(tree: _Tree, asked: Settle) -> list[FileError | None]:
    return _landing_of(tree).settle([tree.written.pop(number) for number in asked.numbers])


def _landing_of(tree: _Tree) -> Landing:
    if tree.landing is None:
        raise AssertionError("it was opened for reading")
    return tree.landing
