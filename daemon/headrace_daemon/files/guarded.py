"""A root for a daemon that may not act for others: it asks owner, group and mode before the daemon's own rights count.

Access control lists are not seen, nor what a file server decides by itself; and between the question and the act
somebody may change a mode. Where users must be kept apart, give the daemon the capabilities (docs/api-rights.md).
"""

import errno
import os
import stat
from typing import Final

from headrace_daemon.files.account import Account
from headrace_daemon.files.acting import Want, permits
from headrace_daemon.files.names import Blocked
from headrace_daemon.files.root import LinkPolicy, Root

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class GuardedRoot(Root):
    """Refuses with PermissionError what `account` could not do. Links are never followed: what is on their way is
    hidden from us."""

    def __init__(
        self, path: str, fd: int, account: Account, *, links: LinkPolicy, writable: bool | None = None
    ) -> None:
        """Takes fd over. writable: whether the account may make names in this folder; None: as its own mode says."""
        super().__init__(path, fd, follow_links=False, links="skip" if links == "follow" else links)
        self._account: Final = account
        self._writable: Final = permits(os.fstat(fd), account, "write") if writable is None else writable

    def open_folder(self, folder: str) -> int:
        self._search(folder)
        fd = super().open_folder(folder)
        try:
            for want in ("read", "search"):
                self._demand(permits(os.fstat(fd), self._account, want), folder)
        except OSError:
            os.close(fd)
            raise
        return fd

    def open(self, key: str, flags: int, mode: int = 0o666) -> int:
        fd = super().open(key, flags, mode)
        want: Want = "read" if flags & os.O_ACCMODE == os.O_RDONLY else "write"
        try:
            self._demand(permits(os.fstat(fd), self._account, want), key)
        except OSError:
            os.close(fd)
            raise
        return fd

    def about_to_change(self, folder: str, name: bytes | None = None) -> None:
        """Raises PermissionError. A folder that is still missing is made in one that is asked in its turn."""
        try:
            self._demand(self._may_write(folder), folder)
            if name is not None:
                self._demand(self._may_replace(folder, name), folder)
        except (FileNotFoundError, Blocked):
            return

    def _at(self, path: str, fd: int) -> Root:
        folder = os.path.relpath(path, self.path)
        writable = self._may_write("" if folder == "." else folder)
        return GuardedRoot(path, fd, self._account, links=self.links, writable=writable)

    def _may_write(self, folder: str) -> bool:
        """What the daemon made for somebody is its own: it counts as the folder that it lies in."""
        while folder:
            status = self._folder_status(folder)
            if permits(status, self._account, "write"):
                return True
            if status.st_uid != os.geteuid():
                return False
            folder = folder.rpartition("/")[0]
        return self._writable

    def _may_replace(self, folder: str, name: bytes) -> bool:
        """The sticky bit: only the owner of a file, or of the folder, may remove it (unlink(2))."""
        status = self._folder_status(folder)
        if not status.st_mode & stat.S_ISVTX or self._account.uid in (0, status.st_uid):
            return True
        try:
            found = self.within(folder, lambda fd: os.stat(name, dir_fd=fd, follow_symlinks=False))
        except FileNotFoundError:
            return True
        return found.st_uid == self._account.uid

    def _search(self, folder: str) -> None:
        """The folders on the way, this one not among them."""
        while folder:
            folder = folder.rpartition("/")[0]
            self._demand(permits(self._folder_status(folder), self._account, "search"), folder)

    def _folder_status(self, folder: str) -> os.stat_result:
        """Raises Blocked, OSError."""
        if not folder:
            return os.fstat(self.fd)
        try:
            fd = self._open_beneath(folder, _LOOK)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
                raise self._obstacle(folder, error) from error
            raise
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _demand(self, allowed: bool, name: str) -> None:
        if not allowed:
            raise PermissionError(errno.EACCES, f"{self._account.name} may not", name or self.path)


def on_the_way(path: str, account: Account) -> bool:
    """Whether the account may go through every folder above `path`. Raises OSError."""
    folder = os.path.dirname(path.rstrip("/") or "/")
    while True:
        if not permits(os.stat(folder), account, "search"):
            return False
        if folder in ("/", ""):
            return True
        folder = os.path.dirname(folder)
