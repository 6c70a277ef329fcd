"""Child processes that cannot outlive their owner, and the ports they listen on."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from headrace_queue.errors import HeadraceError

# Below the range from which Linux takes the ports of outgoing connections: a server that is stopped finds its port
# free when it comes back, and nothing takes a port between choosing it and listening on it.
_PORTS = range(20_000, 32_000)

# The kernel sends the parent-death signal when the *thread* that started the child ends, so one thread that lives as
# long as this process starts them all.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

# Runs in the child: ask for SIGKILL at the parent's death, make sure that it did not die before, become the command.
_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class StartFailed(HeadraceError):
    """A child process ended, or stayed silent, before it was ready: its log says why."""


class OwnedProcess:
    """A running child. It gets SIGKILL when this process dies, however it dies.

    command: absolute path of the program, then its arguments. log: takes its standard output and error, appended.
    environment: all of it; None is this process's own.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
        self.log = log
        with log.open("ab") as output:
            self._popen: subprocess.Popen[bytes] = _SPAWNER.submit(
                subprocess.Popen,
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            ).result()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll()

    def stop(self, grace: float = 5.0) -> int:
        """SIGTERM, SIGKILL after `grace` seconds (at once where it is 0); its exit code. Harmless when it has ended."""
        if grace and self._popen.poll() is None:
            self._popen.terminate()
            try:
                return self._popen.wait(grace)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        elif self._popen.poll() is None:
            self._popen.kill()
        return self._popen.wait()

    def log_tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> "OwnedProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PortClaim:
    """Ports on 127.0.0.1 that no other process using this class takes until `release`.

    Two test workers that start at the same moment would otherwise now and then choose the same port. The claim is a
    socket in the abstract namespace: it leaves no file, and the kernel frees it with the process.
    """

    def __init__(self, count: int) -> None:
        self._claims: dict[int, socket.socket] = {}
        for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
            if len(self._claims) == count:
                break
            self._try(port)
        self.ports = list(self._claims)

    def _try(self, port: int) -> None:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0headrace-port-{port}")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()  # taken: the next one will do
        else:
            self._claims[port] = claim

    def release(self) -> None:
        for claim in self._claims.values():
            claim.close()
        self._claims.clear()


def wait_until_ready(process: OwnedProcess, ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until `ready`. Raises StartFailed when the process ends first or the time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.exit_code is not None:
            raise StartFailed(f"{what} ended with exit code {process.exit_code}:\n{process.log_tail()}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{what} was not ready after {seconds:g} s:\n{process.log_tail()}")
        time.sleep(0.02)
    if process.exit_code is not None:  # something else answered on its port
        raise StartFailed(f"{what} ended with exit code {process.exit_code}:\n{process.log_tail()}")
