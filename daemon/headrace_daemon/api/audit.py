"""The audit log: one line of JSON for each thing that somebody did or was refused.

Noting never waits and never fails: lines are kept in memory, bounded, and written once a second and at the end, by a
thread. A disk that is full costs lines only once the memory for them is full, and both is told.
"""

import asyncio
import errno
import json
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

from headrace_daemon.facts import Facts

WRITE_SECONDS: Final = 1.0
MOST_KEPT: Final = 16 * 2**20
"""Bytes of lines that wait for a disk that takes none; then the oldest are dropped, and their number is told."""
MOST_OF_A_TEXT: Final = 4096
"""Characters of one field: as much as a path may have. The rest is cut off."""


class Audit:
    """path: of the log. now: seconds since the epoch. kept: see MOST_KEPT.

    `run` writes once a second, `close` what is left. Lines of several daemons in one file do not mix.
    """

    def __init__(
        self, path: Path, facts: Facts | None = None, now: Callable[[], float] = time.time, *, kept: int = MOST_KEPT
    ) -> None:
        self._path = path.expanduser()
        self._file = _LogFile(self._path)
        self._facts = facts or Facts()
        self._now = now
        self._waiting = _Waiting(kept)
        self._writing = Lock()
        self._trouble = ""

    def note(
        self,
        action: str,
        status: int,
        *,
        request: str = "",
        user: str = "",
        by: str = "",
        address: str = "",
        system: str = "",
        path: str = "",
        size: int | None = None,
        transfer: int | None = None,
        job: int | None = None,
        error: str = "",
    ) -> None:
        """action: the name of the route. status: of the answer. request: its id. by: how the user proved who they are.

        path, error: as people wrote them; never a URL with a signature, nor anything else that is secret. What is empty
        is left out of the line.
        """
        texts = {
            "time": datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds"),
            "request": request,
            "user": user,
            "by": by,
            "address": address,
            "action": action,
            "system": system,
            "path": path,
            "error": error,
        }
        numbers = {"size": size, "transfer": transfer, "job": job, "status": status}
        told: dict[str, str | int] = {name: text[:MOST_OF_A_TEXT] for name, text in texts.items() if text}
        told.update({name: number for name, number in numbers.items() if number is not None})
        # json escapes control characters and everything outside ASCII: one line stays one line
        self._waiting.add(json.dumps(told).encode())

    async def run(self) -> None:
        """Writes what was noted, every second, until it is cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Writes what was noted; what the disk does not take is kept for the next time. Blocks; never raises."""
        with self._writing:
            lines = self._waiting.take()
            try:
                self._write(lines)
            except OSError as error:
                self._tell(f"{self._path}: {error.strerror or error}")
            else:
                self._trouble = ""
            dropped = self._waiting.put_back(lines)
            if dropped:
                self._facts.api_problem("audit", f"{self._path}: {dropped} lines are lost")

    def close(self) -> None:
        """Writes what is left."""
        self.flush()
        with self._writing:
            self._file.close()

    def _write(self, lines: deque[bytes]) -> None:
        """Takes away what is written. Raises OSError."""
        if not lines:
            return
        self._file.open()
        while lines:
            self._file.append(lines[0])
            lines.popleft()
        self._file.sync()

    def _tell(self, trouble: str) -> None:
        """Once, not every second."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._facts.api_problem("audit", f"{trouble}; what is noted waits in memory")


class _Waiting:
    """Lines for the disk, of `most` bytes together. Used by the event loop and by the thread that writes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._guard = Lock()

    def add(self, line: bytes) -> None:
        with self._guard:
            self._lines.append(line)
            self._bytes += len(line)
            self._bound()

    def take(self) -> deque[bytes]:
        """All of them."""
        with self._guard:
            taken, self._lines, self._bytes = self._lines, deque(), 0
            return taken

    def put_back(self, lines: deque[bytes]) -> int:
        """In front of what came since; how many were dropped since the last time."""
        with self._guard:
            self._lines.extendleft(reversed(lines))
            self._bytes += sum(map(len, lines))
            self._bound()
            dropped, self._dropped = self._dropped, 0
            return dropped

    def _bound(self) -> None:
        while self._bytes > self._most:
            self._bytes -= len(self._lines.popleft())
            self._dropped += 1


class _LogFile:
    """A file that several daemons may append to and that may be moved away at any time. Every method raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._torn = False  # the file ends in the middle of a line

    def open(self) -> None:
        """Opens it, or opens a new one where another file or none is at its path now."""
        if self._fd >= 0:
            if self._still_there():
                return
            self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self._path, flags, 0o600)
        try:
            self._torn = _refuse_foreign(fd, self._path)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def append(self, line: bytes) -> None:
        """One write for a line: what other processes write does not come between."""
        whole = (b"\n" if self._torn else b"") + line + b"\n"
        written = os.write(self._fd, whole)
        if written < len(whole):
            self._torn = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _still_there(self) -> bool:
        try:
            there, ours = os.stat(self._path, follow_symlinks=False), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _refuse_foreign(fd: int, path: Path) -> bool:
    """Whether the file ends within a line. The state directory may be writable for a group: a file that somebody else
    laid there would show them the log. Raises OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        raise OSError(errno.EPERM, "it is no file of the daemon's own; move it away", str(path))
    if stat.S_IMODE(found.st_mode) & 0o137:
        os.fchmod(fd, 0o600)
    return found.st_size > 0 and os.pread(fd, 1, found.st_size - 1) != b"\n"
