"""A small file on its way in: written as it comes, under a name of its own, and then given its name.

Two that are sent under one name at once do not mix: each has its own temporary file, and the last to finish stays.
"""

import contextlib
import os
import stat
from threading import Lock
from typing import Final

from headrace_daemon.api.looking import top_of
from headrace_daemon.api.places import Place
from headrace_daemon.files import landing
from headrace_daemon.files.account import Account
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.names import Blocked, raw_name, split_key, trial_name
from headrace_daemon.files.posix import NOTHING
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import SharedFd, write_at
from headrace_queue.free_space import Need

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_JOB: Final = 0


class Incoming:
    """Synchronous; every method is one step for a thread that has the rights of whoever sends.

    Exactly one of finish() and discard() ends it; discard() after finish() does no harm.
    """

    def __init__(self, folder: Place, name: str, account: Account | None, room: Room, token: bytes) -> None:
        """The folder has to be there. account, token: see looking.py. Raises UsageError, FileError, OSError."""
        self.key = f"{folder.relative}/{name}" if folder.relative else name
        self.size = 0
        self._gate = Lock()
        self._ended = False
        inside, plain = split_key(self.key)
        self._root = top_of(folder, account, "skip")
        try:
            self._root.about_to_change(inside, raw_name(plain))
            self._landing = Landing(self._root, _NO_JOB, "file", "off", room)
            self._place = landing.Place(self.key, inside, trial_name(_NO_JOB, token).encode(), raw_name(plain))
            self._shared = SharedFd(self._root.within(inside, self._create))
        except BaseException:
            self._root.close()
            raise

    def add(self, data: bytes) -> None:
        """Raises OSError."""
        with self._gate:
            if self._ended:
                return
            write_at(self._shared.fd, self.size, data)
            self.size += len(data)

    def finish(self) -> None:
        """On return it is on disk under its name. Raises FileError, OSError."""
        with self._gate:
            if self._ended:
                return
            pending = self._landing.seal(self._place, self._shared, None, NOTHING, no_clobber=False, generation=None)
            (error,) = self._landing.settle([pending])
            if error is not None:
                raise error
            self._end()

    def discard(self) -> None:
        """Nothing of it stays."""
        with self._gate:
            if not self._ended:
                self._landing.throw_away(self._place, self._shared)
                self._end()

    def _end(self) -> None:
        self._ended = True
        self._landing.close()
        with contextlib.suppress(OSError):
            self._root.close()

    def _create(self, folder: int) -> int:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(self._place.name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise Blocked(self.key, "it is a folder")
        fd = os.open(self._place.temp, _CREATE, 0o666, dir_fd=folder)
        try:
            self._landing.room.check(fd, self.key, Need(0, 0))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(self._place.temp, dir_fd=folder)
            os.close(fd)
            raise
        return fd
