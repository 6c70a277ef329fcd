"""`headrace`, loaded once and forked for every call: for tests that bring something about with it, over and over.

Loading is nine tenths of what a short command costs. A call is still a process of its own, with its own arguments,
environment, folder, streams and exit code, and it runs what the installed command runs. What is wrong with the start
itself shows in the many tests that start the installed command.

    test process --(socket)-- the loaded one --fork-- a keeper, which tells how it ended --fork-- the command
"""

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import headrace_queue
from headrace_daemon.demo.s3_server import program
from headrace_queue.start import main


class Ended(NamedTuple):
    """code: the exit code; negative: the signal that ended it."""

    code: int
    output: str
    errors: str


class LoadedCommand:
    """Ends with the test process, whatever happens to it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import stand_by; stand_by({theirs.fileno()})"],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float) -> Ended:
        """One call to its end. Raises TimeoutError; the command is killed then."""
        talk, theirs = socket.socketpair()
        with talk, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            with theirs:
                socket.send_fds(self._control, [b"."], [theirs.fileno(), output.fileno(), errors.fileno()])
            with talk.makefile("rw") as words:
                words.write(json.dumps([list(arguments), dict(environment), str(folder)]) + "\n")
                words.flush()
                pid = int(words.readline())
                talk.settimeout(seconds)
                try:
                    code = int(words.readline())
                except BaseException:
                    os.kill(pid, signal.SIGKILL)
                    raise
            return Ended(code, _text(output), _text(errors))

    def close(self) -> None:
        self._control.close()
        self._process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


# -- in the loaded process ----------------------------------------------------------------------------------------


def stand_by(control: int) -> NoReturn:
    """control: a socket, by which calls come until the test process ends."""
    for module in pkgutil.iter_modules(headrace_queue.__path__):
        importlib.import_module(f"{headrace_queue.__name__}.{module.name}")
    take_calls(socket.socket(fileno=control))
    sys.exit(main())


def take_calls(control: socket.socket) -> None:
    """Returns in a process that is to become the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    while True:
        word, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        if not word:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            keep(*descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def keep(talk: int, output: int, errors: int) -> None:
    """Returns in the command's own process; the one before it waits for that, and tells."""
    words = os.fdopen(talk, "r+b", buffering=0)
    arguments, environment, folder = json.loads(words.readline())
    pid = os.fork()
    if pid:
        words.write(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        words.write(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    words.close()
    for stream, number in ((output, 1), (errors, 2)):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = [program("headrace"), *arguments]
