"""Steps on files that change nothing: how they are, what stands in a folder, whether something may be done.

Synchronous; each opens the root anew, for a thread that has the rights of whoever asks. account: whose these are; where
the thread may not have them, owner and mode are asked (files/guarded.py). All raise UsageError, FileError and OSError.
"""

import errno
import heapq
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from headrace_daemon.api.places import Place
from headrace_daemon.files.account import Account
from headrace_daemon.files.acting import has_rights_of, may_act
from headrace_daemon.files.names import AlreadyThere, Blocked, DestinationFull, is_temp_name, raw_name, trial_name
from headrace_daemon.files.quota import room_left
from headrace_daemon.files.reading import OpenSource
from headrace_daemon.files.room import Room
from headrace_daemon.files.root import LinkPolicy, Root
from headrace_daemon.standing import Standing
from headrace_queue.free_space import Need

_TYPES: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}

_TRIAL: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Entry(NamedTuple):
    """status: of the entry itself, a link is not followed."""

    name: str
    status: os.stat_result

    @property
    def type(self) -> str:
        return type_of(self.status)


def type_of(status: os.stat_result) -> str:
    """file, folder, link, pipe, socket or device."""
    return _TYPES.get(stat.S_IFMT(status.st_mode), "device")


def top_of(place: Place, account: Account | None, links: LinkPolicy) -> Root:
    """The root of a place, to be closed by the caller."""
    guarded = account is not None and not may_act() and not has_rights_of(account)
    return Standing(account, place.root, guarded).open_top(links)


def status(place: Place, account: Account | None, *, follow: bool) -> os.stat_result:
    with _top(place, account) as root:
        if not place.relative:
            return os.fstat(root.fd)
        found = root.status(place.relative)
        return root.status_beyond(place.relative) if follow and stat.S_ISLNK(found.st_mode) else found


def open_file(place: Place, account: Account | None) -> OpenSource:
    """A regular file, for reading."""
    with _top(place, account) as root:
        if not place.relative:
            raise Blocked(place.path, "it is a folder")
        try:
            return OpenSource(root, place.relative)
        except Blocked as error:
            if stat.S_ISDIR(root.status_beyond(place.relative).st_mode):
                raise Blocked(place.relative, "it is a folder") from error
            raise


def entries(place: Place, account: Account | None, after: str, limit: int) -> list[Entry]:
    """The `limit` names behind `after`. Of a folder with a million names no more than these are in memory."""
    with _folder(place, account, "follow") as (_, fd):
        with os.scandir(fd) as found:
            names = (entry.name for entry in found if entry.name > after and not is_temp_name(entry.name))
            chosen = heapq.nsmallest(limit, names)
        return [entry for name in chosen if (entry := _entry(fd, name)) is not None]


def check_folder(place: Place, account: Account | None) -> None:
    """It is a folder that they may list."""
    with _folder(place, account, "follow"):
        pass


def check_upload(
    place: Place, account: Account | None, room: Room, token: bytes, size: int, *, no_clobber: bool
) -> None:
    """A file of `size` bytes may be made there and fits. No link is followed on the way, as nothing that is written
    beneath a root follows any. token: 16 bytes of chance."""
    if not place.relative:
        raise Blocked(place.path, "it is a folder")
    inside, _, name = place.relative.rpartition("/")
    folder = Place(place.system, place.root, inside)
    with _folder(folder, account, "skip") as (root, fd):
        root.about_to_change(inside, raw_name(name))
        _check_target(fd, place, no_clobber=no_clobber)
        room.check(fd, folder.path, Need(size, 1), "make room first")
        _check_quota(fd, account, place, size)
        prove_writable(fd, token)


def prove_writable(folder: int, token: bytes) -> None:
    """A file can be made in this open folder, by whoever the thread acts for. Leaves nothing. Raises OSError.

    access(2) would not know of quotas, nor of a file server's own opinion.
    """
    try:
        os.close(os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder))
    except OSError as error:
        # file systems that have no files without a name, and kernels that take the flag for O_DIRECTORY (open(2))
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
    else:
        return
    name = trial_name(0, token)
    os.close(os.open(name, _TRIAL, 0o600, dir_fd=folder))
    os.unlink(name, dir_fd=folder)


def _check_target(folder: int, place: Place, *, no_clobber: bool) -> None:
    try:
        found = os.stat(os.path.basename(place.relative), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise Blocked(place.relative, "it is a folder; name the file in it")
    if no_clobber:
        raise AlreadyThere(place.relative, "it exists, and was not to be replaced")


def _check_quota(folder: int, account: Account | None, place: Place, size: int) -> None:
    uid, gid = (os.geteuid(), os.getegid()) if account is None else (account.uid, account.gid)
    left = room_left(folder, uid, gid)
    if left is not None and left < size:
        raise DestinationFull(place.relative, f"{size} bytes are needed and the quota leaves {left}; make room first")


def _entry(folder: int, name: str) -> Entry | None:
    try:
        return Entry(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None  # gone meanwhile
        raise


@contextmanager
def _folder(place: Place, account: Account | None, links: LinkPolicy) -> Iterator[tuple[Root, int]]:
    with _top(place, account, links) as root:
        fd = root.open_folder(place.relative)
        try:
            yield root, fd
        finally:
            os.close(fd)


@contextmanager
def _top(place: Place, account: Account | None, links: LinkPolicy = "follow") -> Iterator[Root]:
    """Links that stay beneath the root are followed. Nothing is kept: what is cached was resolved with one user's
    rights."""
    root = top_of(place, account, links)
    try:
        yield root
    finally:
        root.close()
