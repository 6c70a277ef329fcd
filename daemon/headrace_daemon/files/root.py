"""The doorway to a tree: every open, rename and unlink beneath one root directory, and never elsewhere.

Paths are resolved by the kernel with openat2 (RESOLVE_BENEATH and, below destinations, RESOLVE_NO_SYMLINKS). Where that
call is missing (old kernels, some containers) each component is opened on its own with O_NOFOLLOW. Both end in
descriptors of folders, kept in a small cache, so that a thousand files of one folder walk its path once.
"""

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias, TypeVar

from headrace_daemon.files import mounts
from headrace_daemon.files.making import AS_ANY, Making
from headrace_daemon.files.names import (
    Blocked,
    FileError,
    FileFault,
    RootLost,
    RootRemoved,
    check_key,
    file_error,
    is_marker,
    raw_name,
    shown,
    split_key,
)
from headrace_daemon.files.opening_folders import FOLDER, has_openat2, make_durably, open_root, sync_names
from headrace_daemon.files.threads import SharedFd, fan_out
from headrace_queue.advice import with_advice
from headrace_queue.errors import UsageError

T = TypeVar("T")
LinkPolicy: TypeAlias = Literal["follow", "skip", "store"]

_STALE: Final = frozenset({errno.ENOENT, errno.ESTALE})
_OBSTACLES: Final = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


class Root:
    """A directory that was opened once. Synchronous; safe to use from many threads.

    links: `follow` those that stay inside (sources; absolute targets count as outside, wherever they point), `skip`
    them, or `store`: each is an object of its own. Below destinations, and unless followed, no link is ever resolved.
    """

    def __init__(
        self,
        path: str,
        fd: int,
        *,
        follow_links: bool,
        links: LinkPolicy | None = None,
        openat2: bool = True,
        cache: int = 256,
    ) -> None:
        """Takes fd over. openat2=False forces the walk by components. cache: folders kept open."""
        self.path = path
        self.fd = fd
        status = os.fstat(fd)
        self.device = status.st_dev
        self.identity = f"{status.st_dev}:{status.st_ino}"
        self.links: Final[LinkPolicy] = links or ("follow" if follow_links else "skip")
        self.follow_links = follow_links
        self.openat2: Final = openat2 and has_openat2(fd)
        self._cache: OrderedDict[str, SharedFd] = OrderedDict()
        self._cache_size = cache
        self._gate = threading.Lock()
        self._new_folders: set[str] = set()
        self.making: Making = AS_ANY

    @classmethod
    def source(cls, path: str, *, links: LinkPolicy = "follow") -> "Root":
        """Raises UsageError where there is no such directory."""
        return cls(path, open_root(path), follow_links=links == "follow", links=links)

    @classmethod
    def destination(
        cls, path: str, *, create: bool = True, links: LinkPolicy = "skip", making: Making = AS_ANY
    ) -> "Root":
        """create: make it with its parents where it is missing. links: `store` shows them as objects. making: what it
        and whatever is made beneath it gets.

        Raises UsageError.
        """
        if create:
            try:
                make_durably(path, making)
            except OSError as error:
                raise UsageError(
                    path, f"cannot be made: {error.strerror}", "Name a directory you may write to."
                ) from error
        root = cls(path, open_root(path), follow_links=False, links=links)
        root.making = making
        return root

    def below(self, folder: str, *, make: bool = False) -> "Root":
        """A root of its own at this folder, reached without leaving this one; '' is this one. Links count as here.

        make: make it, durable, with its parents where it is missing. Raises NameRefused, Blocked, OSError.
        """
        if not folder:
            return self._at(self.path, self.open_folder(""))
        check_key(folder)
        try:
            fd = self.open_folder(folder)
        except FileNotFoundError:
            if not make:
                raise
            self.make_folder(folder)
            for lost in self.sync_folders([folder]).values():
                raise lost from None
            fd = self.open_folder(folder)
        return self._at(os.path.join(self.path, folder), fd)

    def _at(self, path: str, fd: int) -> "Root":
        return Root(path, fd, follow_links=self.follow_links, links=self.links, openat2=self.openat2)

    def about_to_change(self, folder: str, name: bytes | None = None) -> None:
        """Called before a name in this folder is made, given to another file or taken away. Here the kernel alone
        decides whether it may be."""

    def check(self) -> None:
        """Raises RootLost where `path` is not the directory that was opened: unmounted, replaced, unreachable."""
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise RootLost(self.path, f"the directory is gone ({error.strerror})") from error
        if f"{status.st_dev}:{status.st_ino}" != self.identity:
            raise RootLost(self.path, "another directory is there now; was a file system unmounted?")

    def write_error(self, error: OSError, key: str) -> FileError:
        """What an error of the kernel means for something that is made here. Where a file that is read has vanished,
        it need not be moved any more; one that is written has nowhere to go."""
        if error.errno != errno.ENOENT:
            return file_error(error, key)
        return self.removed() or FileFault(key, "its folder was removed while it was written")

    def removed(self) -> RootRemoved | None:
        """Where what is written here is no longer found under `path`: the directory was removed, moved away, or another
        one stands in its place. None where it is there, or where nobody can tell."""
        try:
            self.check()
        except RootLost as lost:
            # a file server that does not answer, or rights, say nothing of the kind
            if isinstance(lost.__cause__, OSError) and lost.__cause__.errno not in (errno.ENOENT, errno.ENOTDIR):
                return None
            why = f"it was removed while the job wrote to it ({lost.reason})"
            advice = "What had arrived went with it: enqueue the sync anew."
            return RootRemoved(self.path, with_advice(why, advice))
        return None

    def close(self) -> None:
        """Closes everything; steps under way end first."""
        with self._gate:
            folders = list(self._cache.values())
            self._cache.clear()
        for folder in folders:
            folder.close()
        os.close(self.fd)

    # -- folders --------------------------------------------------------------------------------------------------

    def within(self, folder: str, step: Callable[[int], T], *, make: bool = False, fresh: bool = False) -> T:
        """step(descriptor of the folder). make: make the folder and its parents first where they are missing.

        The descriptor may come from the cache. Where the folder was removed meanwhile, the step is run once more in
        what is there now; fresh=True resolves the path anew at once. Raises Blocked, OSError.
        """
        if make:
            self.about_to_change(folder)
        if not fresh:
            try:
                return self._step_in(folder, step, make=make)
            except OSError as error:
                if error.errno not in _STALE or not self._forget(folder):
                    raise
        self._forget(folder)
        return self._step_in(folder, step, make=make)

    def make_folder(self, folder: str) -> None:
        """Makes a folder and its parents. Raises Blocked, OSError."""
        self.within(folder, _nothing, make=True, fresh=True)

    def open_folder(self, folder: str) -> int:
        """A descriptor of its own, to be closed by the caller. Raises Blocked, OSError."""
        if not folder:
            return os.open(".", FOLDER, dir_fd=self.fd)
        try:
            return self._open_beneath(folder, FOLDER)
        except OSError as error:
            if error.errno not in _OBSTACLES:
                raise
            raise self._obstacle(folder, error) from error

    def sync_folders(self, folders: Iterable[str]) -> dict[str, OSError]:
        """Makes the names in these folders durable, and the names of the folders where they were made here.

        Returns those for which it failed. A sync that failed is not tried again: the next one would hide the loss.
        """
        asked = list(folders)
        with self._gate:
            new = {folder: {name for name in _ancestry(folder) if name in self._new_folders} for folder in asked}
        wanted = sorted({*asked, *(_parent(name) for names in new.values() for name in names)})
        failed = {name: error for name, error in zip(wanted, fan_out(self._sync_one, wanted), strict=True) if error}
        with self._gate:
            # only those seen above: another thread may have made one after our sync of its parent
            self._new_folders -= {name for names in new.values() for name in names if _parent(name) not in failed}
        causes = {folder: [folder, *map(_parent, new[folder])] for folder in asked}
        return {folder: failed[c] for folder, cause in causes.items() for c in cause if c in failed}

    def _sync_one(self, folder: str) -> OSError | None:
        try:
            return self.within(folder, sync_names)
        except OSError as error:
            return error
        except FileError as error:
            return OSError(errno.ENOTDIR, error.reason)

    def _step_in(self, folder: str, step: Callable[[int], T], *, make: bool) -> T:
        shared = self._cached(folder) or self._keep(folder, self._open(folder, make=make))
        try:
            return step(shared.fd)
        finally:
            shared.release()

    def _cached(self, folder: str) -> SharedFd | None:
        """From the cache, retained under its lock: what another thread drops now stays open until we let go."""
        with self._gate:
            shared = self._cache.get(folder)
            if shared is not None:
                self._cache.move_to_end(folder)
                shared.retain()
            return shared

    def _keep(self, folder: str, fd: int) -> SharedFd:
        shared = SharedFd(fd)
        shared.retain()
        dropped: list[SharedFd] = []
        with self._gate:
            if (old := self._cache.pop(folder, None)) is not None:
                dropped.append(old)
            self._cache[folder] = shared
            while len(self._cache) > self._cache_size:
                dropped.append(self._cache.popitem(last=False)[1])
        for old in dropped:
            old.close()
        return shared

    def _open(self, folder: str, *, make: bool) -> int:
        try:
            return self.open_folder(folder)
        except FileNotFoundError:
            if not make:
                raise
        self._make_parents(folder)
        return self.open_folder(folder)

    def _forget(self, folder: str) -> bool:
        with self._gate:
            shared = self._cache.pop(folder, None)
        if shared is not None:
            shared.close()
        return shared is not None

    def _make_parents(self, folder: str) -> None:
        missing = [folder]
        while parent := _parent(missing[-1]):
            try:
                self.within(parent, _nothing, fresh=True)
            except FileNotFoundError:
                missing.append(parent)
            else:
                break
        for name in reversed(missing):
            self.make_one(name)

    def make_one(self, folder: str) -> bool:
        """Makes a folder whose parent is there; whether it was missing. Raises Blocked, OSError."""
        parent, _, name = folder.rpartition("/")
        self.about_to_change(parent)
        try:
            self.within(parent, lambda fd: os.mkdir(raw_name(name), self.making.folder_mode, dir_fd=fd))
        except FileExistsError:
            return False  # somebody else made it, or something that is no folder is there: opening it will tell
        with self._gate:
            self._new_folders.add(folder)
        self.within(parent, lambda fd: self.making.give_folder(raw_name(name), fd))
        return True

    def _obstacle(self, folder: str, error: OSError) -> Blocked:
        """Names what stands in the way of a folder."""
        for name in reversed(_ancestry(folder)):
            try:
                mode = self.status(name).st_mode
            except (OSError, FileError):
                break
            if not stat.S_ISDIR(mode) and not (self.follow_links and stat.S_ISLNK(mode) and name != folder):
                what = "a symbolic link" if stat.S_ISLNK(mode) else "a file"
                return Blocked(f"{folder}/", f"{shown(name)} is {what} here, and a folder is needed")
        return Blocked(f"{folder}/", f"a symbolic link on the way leads outside ({error.strerror})")

    # -- files ----------------------------------------------------------------------------------------------------

    def open(self, key: str, flags: int, mode: int = 0o666) -> int:
        """A descriptor of the file. Links are followed as the root says. Raises NameRefused, Blocked, OSError."""
        folder, name = split_key(key)
        raw = raw_name(name)
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return self.within(folder, lambda fd: os.open(raw, flags, mode, dir_fd=fd))
        except OSError as error:
            if error.errno != errno.ELOOP or not self.follow_links:
                raise
        return self._open_beneath(key, flags & ~os.O_NOFOLLOW)

    def status(self, key: str) -> os.stat_result:
        """lstat: a link is described, not followed. Raises NameRefused, Blocked, OSError."""
        folder, name = split_key(key)
        raw = raw_name(name)
        return self.within(folder, lambda fd: os.stat(raw, dir_fd=fd, follow_symlinks=False))

    def status_beyond(self, key: str) -> os.stat_result:
        """What a symbolic link leads to, without opening it. Raises OSError: EXDEV where it leads outside, ELOOP."""
        fd = self._open_beneath(key, os.O_PATH)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def link_target(self, key: str) -> tuple[bytes, os.stat_result] | None:
        """The text of a symbolic link and its own status; None where something else stands there, or nothing.

        Raises NameRefused, Blocked, OSError.
        """
        folder, name = split_key(key)
        raw = raw_name(name)

        def step(fd: int) -> tuple[bytes, os.stat_result]:
            status = os.stat(raw, dir_fd=fd, follow_symlinks=False)  # first: reading it changes its time of access
            return os.readlink(raw, dir_fd=fd), status

        try:
            return self.within(folder, step)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise

    def unlink(self, key: str) -> None:
        """Removes a file or a link; of a marker, its empty directory. Raises NameRefused, Blocked, OSError."""
        folder, name = split_key(key)
        remove = os.rmdir if is_marker(key) else os.unlink
        self.about_to_change(folder, raw_name(name))
        self.within(folder, lambda fd: remove(raw_name(name), dir_fd=fd))

    def remove(self, key: str) -> FileError | None:
        """unlink, with what went wrong as a value. What is gone already is fine."""
        try:
            self.unlink(key)
        except FileNotFoundError:
            return None
        except OSError as error:
            return file_error(error, key)
        except FileError as error:
            return error
        return None

    def _open_beneath(self, path: str, flags: int) -> int:
        if not self.openat2:
            return mounts.open_beneath(self.fd, raw_name(path), flags, follow=self.follow_links)
        resolve = mounts.RESOLVE_BENEATH | mounts.RESOLVE_NO_MAGICLINKS
        if not self.follow_links:
            resolve |= mounts.RESOLVE_NO_SYMLINKS
        return mounts.openat2(self.fd, raw_name(path), flags, 0, resolve)


def _nothing(_: int) -> None:
    """The step that only asks whether a folder is there."""


def _parent(folder: str) -> str:
    return folder.rpartition("/")[0]


def _ancestry(folder: str) -> list[str]:
    """A folder and its parents, deepest first, without the root."""
    names = []
    while folder:
        names.append(folder)
        folder = _parent(folder)
    return names
