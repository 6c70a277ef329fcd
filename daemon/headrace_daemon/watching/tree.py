"""A tree of folders as it is watched: which watch is which folder, and the walk that finds what no event told.

A watch is of one folder. A new folder is watched first and read then: what was made in it before the watch is found by
reading, what is made after by an event. Names are relative to the root, as os.fsdecode gives them; folders end in `/`.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.names import is_temp_name
from headrace_daemon.watching.inotify import (
    CHANGED,
    GONE,
    IN_DELETE,
    IN_IGNORED,
    IN_ISDIR,
    IN_Q_OVERFLOW,
    LOST,
    Event,
    Inotify,
)
from headrace_daemon.watching.settling import Seen

OWN: Final = frozenset({"ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlayfs"})
"""File systems that only this host changes: every change is an event here. On others (Lustre, NFS, CIFS, FUSE, CephFS)
what another host changes is none."""

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
_HIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG})


class RootGone(Exception):
    """The watched folder is not there, or another one is there now."""


class Unwatchable(Exception):
    """Events cannot be relied on here; the message says why, and what would help."""


class Found(NamedTuple):
    """A file that a walk met."""

    name: str
    seen: Seen


class What(NamedTuple):
    """What an event says: files that changed or are gone, and folders to be covered."""

    changed: str | None = None
    gone: str | None = None
    folder: str | None = None
    overflow: bool = False


NOTHING: Final = What()


def root_identity(root: str) -> tuple[int, int]:
    """Device and inode of the folder. Raises RootGone."""
    try:
        status = os.stat(root)
    except OSError as error:
        raise RootGone(f"{root}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise RootGone(f"{root}: it is no folder")
    return status.st_dev, status.st_ino


def foreign(root: str) -> str | None:
    """The name of the root's file system where others may change it unheard; None where only this host does."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootGone(f"{root}: {error.strerror}") from error
    try:
        name = file_system(fd)
    finally:
        os.close(fd)
    return None if name in OWN else name


class Tree:
    """The folders below a root. inotify: None where nothing is watched, and walks alone tell."""

    def __init__(self, root: str, inotify: Inotify | None) -> None:
        self._root = root
        self._inotify = inotify
        self._names: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._own: set[int] = set()  # devices that were found to be watchable

    @property
    def folders(self) -> int:
        return len(self._names)

    def walk(self, folder: str, wanted: Callable[[os.stat_result], bool] | None) -> Iterator[list[Found]]:
        """Everything below a folder that is wanted, one list for each folder; None wants all. Folders are watched on
        the way.

        Raises Unwatchable, RootGone, OSError where the root itself cannot be read.
        """
        todo = [folder]
        while todo:
            name = todo.pop()
            try:
                fd = self._open(name)
            except OSError as error:
                if not name:
                    raise RootGone(f"{self._root}: {error.strerror}") from error
                if error.errno in _GONE or error.errno in _HIDDEN:
                    continue  # gone again, or not for us to see, which the sync of everything reports
                raise
            try:
                found, below = _read(fd, name, wanted)
            except OSError:
                if not name:
                    raise
                continue
            finally:
                os.close(fd)
            todo += below
            yield found

    def _open(self, name: str) -> int:
        """The folder, watched before anything of it is read."""
        path = os.path.join(self._root, name)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        fd = os.open(path, flags | os.O_NOFOLLOW if name else flags)
        try:
            self._watch(fd, name, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _watch(self, fd: int, name: str, path: str) -> None:
        if self._inotify is None:
            return
        device = os.fstat(fd).st_dev
        if device not in self._own:
            if (kind := file_system(fd)) not in OWN:
                raise Unwatchable(f"{path} is on {kind}, where changes by other hosts make no events here")
            self._own.add(device)
        try:
            watch = self._inotify.add(os.fsencode(path), follow=not name)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Unwatchable(too_many_folders(len(self._names))) from error
            raise
        # the number that it had under another name, if it was moved
        if (old := self._names.get(watch)) is not None and self._watches.get(old) == watch:
            del self._watches[old]
        self._names[watch] = name
        self._watches[name] = watch

    def take(self, event: Event) -> What:
        """What it means. Raises RootGone."""
        if event.mask & IN_Q_OVERFLOW:
            return What(overflow=True)
        folder = self._names.get(event.watch)
        if folder is None:
            return NOTHING
        if event.mask & (LOST | IN_IGNORED):
            return self._lost(event, folder)
        text = os.fsdecode(event.name)
        name = folder + text
        if event.mask & IN_ISDIR:
            if event.mask & GONE:
                self._forget(name + "/", watched=not event.mask & IN_DELETE)
                return NOTHING
            return What(folder=name + "/") if event.mask & CHANGED else NOTHING
        if is_temp_name(text):
            return NOTHING
        if event.mask & GONE:
            return What(gone=name)
        return What(changed=name) if event.mask & CHANGED else NOTHING

    def _lost(self, event: Event, folder: str) -> What:
        if not folder:
            raise RootGone(f"{self._root}: it was moved, removed or unmounted")
        if event.mask & IN_IGNORED:
            del self._names[event.watch]
            if self._watches.get(folder) == event.watch:
                del self._watches[folder]
        return NOTHING

    def _forget(self, folder: str, *, watched: bool) -> None:
        """A folder that went elsewhere, with all below it: their events would come under names that are not theirs."""
        for name in [name for name in self._watches if name.startswith(folder)]:
            watch = self._watches.pop(name)
            self._names.pop(watch, None)
            if watched and self._inotify is not None:
                self._inotify.remove(watch)


def too_many_folders(count: int) -> str:
    return (
        f"the kernel's limit of watches is reached after {count:,} folders, so that the tree is walked instead; "
        "raise it to have changes heard at once: sysctl fs.inotify.max_user_watches"
    )


def look(root: str, name: str) -> Seen | None:
    """A file, or a link, as it is now; None where there is none. Raises OSError where that cannot be told."""
    try:
        status = os.lstat(os.path.join(root, name))
    except OSError as error:
        if error.errno in _GONE or error.errno in _HIDDEN:
            return None
        raise
    return None if stat.S_ISDIR(status.st_mode) else seen_of(status)


def seen_of(status: os.stat_result) -> Seen:
    return Seen(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _read(fd: int, folder: str, wanted: Callable[[os.stat_result], bool] | None) -> tuple[list[Found], list[str]]:
    """The wanted files of a folder, and the folders in it."""
    found, below = [], []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                below.append(name + "/")
                continue
            if is_temp_name(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since the folder was read
            if wanted is None or wanted(status):
                found.append(Found(name, seen_of(status)))
    return found, below
