"""The destination side of files: temporary file, sync, rename, sync of the folder, and only then a record.

    write_whole, write_many ─┐          one sync    each takes its name    each folder synced
    open_large … finish ─────┴> Pending ──────────> settle ──────────────────────────────────> None, or what failed

Nothing here retries a sync: after a failed one the kernel calls the lost pages clean, so the next would succeed over
missing bytes. The temporary file is thrown away and the object written anew from its source.
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from headrace_daemon.files import mounts
from headrace_daemon.files.direct import DirectIo
from headrace_daemon.files.folding import Folding
from headrace_daemon.files.large import LargeFile, sync_and_close
from headrace_daemon.files.names import (
    Blocked,
    FileError,
    NameRefused,
    check_key,
    file_error,
    is_marker,
    raw_name,
    split_key,
    sync_error,
    temp_name,
)
from headrace_daemon.files.posix import NOTHING, Posix, give, give_link
from headrace_daemon.files.room import Room
from headrace_daemon.files.root import Root
from headrace_daemon.files.taking_names import take_names
from headrace_daemon.files.threads import Buffer, SharedFd, fan_out, write_at
from headrace_queue.free_space import Reserve

Fsync: TypeAlias = Literal["batch", "file", "off"]

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REOPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_WAITING: Final = 128  # files of one landing that stay open until their group's fsyncs


class Write(NamedTuple):
    """A whole small object. data is on loan until the call returns; mtime_ns None keeps the time of writing.

    posix: mode and owner to give it, as far as they are said.
    """

    key: str
    data: Buffer
    mtime_ns: int | None
    posix: Posix = NOTHING


class Place(NamedTuple):
    """Where an object goes: its folder, its temporary and its own name there."""

    key: str
    folder: str
    temp: bytes
    name: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A written object under its temporary name. It takes its own name in settle(), or goes in discard()."""

    place: Place
    size: int
    inode: int
    mtime: int  # whole seconds, as the file system shows it: Lustre and NFS may drop the rest
    no_clobber: bool
    generation: int  # of the group sync under which it was written
    grouped: bool  # waits for the group sync
    waiting: SharedFd | None  # open until its own fsync, where one call for all would prove nothing

    @property
    def key(self) -> str:
        return self.place.key


class Landing:
    """What one job writes beneath one root. Synchronous; safe to use from many threads.

    fsync: `batch` syncs in settle(), `file` in every write, `off` never. direct_io: whether large files are written
    past the page cache (see direct.py). room: shared by all landings of the process. close() when the job lets go.
    """

    def __init__(
        self,
        root: Root,
        job_id: int,
        fsync: Fsync = "batch",
        direct_io: DirectIo = "auto",
        room: Room | None = None,
        created: float = 0.0,
    ) -> None:
        """created: of the job, see `temp_name`. Raises OSError where the root cannot be opened again."""
        self.root = root
        self.room: Final = room or Room(Reserve())
        self.fsync: Final[Fsync] = fsync
        self._direct_io: Final[DirectIo] = direct_io
        self.job_id: Final = job_id
        self.created: Final = created
        self._folding = Folding(root, job_id)
        self._waiting: set[SharedFd] = set()
        proven = mounts.syncfs_reports_errors(mounts.file_system(root.fd), os.uname().release)
        self._group = mounts.GroupSync(root.fd) if fsync == "batch" and proven else None

    def close(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = None

    @property
    def grouped(self) -> bool:
        """Whether one sync makes many files durable, or nobody asks for that."""
        return self._group is not None or self.fsync == "off"

    # -- writing --------------------------------------------------------------------------------------------------

    def write_whole(
        self, key: str, data: Buffer, mtime_ns: int | None, posix: Posix = NOTHING, *, no_clobber: bool = False
    ) -> Pending:
        """A small object under its temporary name: folders made as needed, written, closed, the close checked.

        mtime_ns None keeps the time of writing. no_clobber: an existing file stays, settle() then says AlreadyThere.
        Raises NameRefused, Blocked, DestinationFull, AccessRefused, DurabilityLost, FileFault; no file stays then.
        """
        place = self._place(key)
        if posix.is_link:
            return self._write_link(place, bytes(data), mtime_ns, posix, no_clobber=no_clobber)
        generation = self._generation()  # before the first write: an error from then on may be ours
        shared = SharedFd(self._create(place))
        with self._or_thrown_away(place, shared):
            write_at(shared.fd, 0, data)
            return self.seal(place, shared, mtime_ns, posix, no_clobber=no_clobber, generation=generation)

    def write_many(self, objects: Iterable[Write], *, no_clobber: bool = False) -> list[Pending | FileError]:
        """write_whole of each as one step; what goes wrong with an object stands in its place."""
        results: list[Pending | FileError] = []
        for write in objects:
            try:
                results.append(self.write_whole(*write, no_clobber=no_clobber))
            except FileError as error:
                results.append(error)
        return results

    def open_large(self, key: str, size: int, reuse: str | None = None) -> LargeFile:
        """A temporary file of `size` bytes, to be filled in any order.

        reuse: the identity of an earlier one to go on with; where that is gone, or another file, it starts anew and
        `reused` is False. Raises as write_whole, and DestinationFull where the file system has no room for it.
        """
        place = self._place(key)
        fd = self._reopen(place, size, reuse) if reuse else None
        if fd is not None:
            shared = SharedFd(fd)
            with _or_closed(shared, key):
                return self._large(place, shared, size, reused=True)
        shared = SharedFd(self._create(place))
        with self._or_thrown_away(place, shared):
            return self._large(place, shared, size, reused=False)

    def _large(self, place: Place, shared: SharedFd, size: int, *, reused: bool) -> LargeFile:
        promise = self.room.promise(shared.fd, place.key, size)
        try:
            if not reused:
                # not posix_fallocate: glibc emulates it by writing to every block where the file system lacks it
                os.ftruncate(shared.fd, size)
            return LargeFile(self, place, shared, size, promise, reused=reused, direct_io=self._direct_io)
        except BaseException:
            promise.end()
            raise

    def settle(self, pendings: Sequence[Pending]) -> list[FileError | None]:
        """Makes a group durable under its own names. None: on disk, may be recorded.

        An error stands in the place of its object, whose temporary file is gone: AlreadyThere (no_clobber), Blocked (a
        folder of that name), DestinationFull, DurabilityLost, FileFault.
        """
        results = self._sync(pendings)
        folders: dict[str, list[int]] = {}
        for index, pending in enumerate(pendings):
            if results[index] is None:
                folders.setdefault(pending.place.folder, []).append(index)
        for folder, indexes in folders.items():
            named = take_names(self.root, self._folding, folder, [pendings[index] for index in indexes])
            for index, error in zip(indexes, named, strict=True):
                results[index] = error
        if self.fsync != "off":
            for folder, lost in self.root.sync_folders(folders).items():
                for index in folders[folder]:
                    results[index] = results[index] or sync_error(lost, pendings[index].key)
        self.discard(pending for pending, error in zip(pendings, results, strict=True) if error is not None)
        # after the renames: what was moved away with the root must not count as arrived
        removed = self.root.removed()
        return results if removed is None else [removed] * len(results)

    def discard(self, pendings: Iterable[Pending]) -> None:
        """Throws temporary files away."""
        for pending in pendings:
            self.throw_away(pending.place, pending.waiting)

    # -- other steps ----------------------------------------------------------------------------------------------

    def make_directory(self, key: str) -> None:
        """The folder that a marker stands for, durable. Raises NameRefused, Blocked, DestinationFull, FileFault."""
        check_key(key)
        folder = key.removesuffix("/")
        try:
            self._folding.check_folder(key, folder)
            self.root.make_folder(folder)
        except OSError as error:
            raise self.root.write_error(error, key) from error
        if self.fsync != "off":
            for lost in self.root.sync_folders([folder]).values():
                raise sync_error(lost, key)

    def delete(self, keys: Iterable[str]) -> list[FileError | None]:
        """Removes files (of a marker, its empty folder). One that is gone already is fine; emptied folders stay."""
        return [self.root.remove(key) for key in keys]

    def sweep(self, keys: Iterable[str]) -> int:
        """Removes what an earlier run of this job left of these keys under temporary names; how many it were.

        Keys that no tree can hold, or that something blocks, have none. Raises AccessRefused, FileFault.
        """
        count = 0
        for key in keys:
            try:
                with contextlib.suppress(NameRefused, Blocked, FileNotFoundError):
                    self._unlink_temp(self._place(key))
                    count += 1
            except OSError as error:
                raise file_error(error, key) from error
        return count

    # -- below ----------------------------------------------------------------------------------------------------

    def _place(self, key: str) -> Place:
        folder, name = split_key(key)
        if is_marker(key):
            raise NameRefused(key, "it ends with '/', which stands for a folder: a file cannot have this name")
        return Place(key, folder, temp_name(self.job_id, key, self.created).encode(), raw_name(name))

    def _write_link(
        self, place: Place, target: bytes, mtime_ns: int | None, posix: Posix, *, no_clobber: bool
    ) -> Pending:
        """A symbolic link under its temporary name. It has no data to sync: the folder holds it."""

        def step(dir_fd: int) -> os.stat_result:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.temp, dir_fd=dir_fd)
            os.symlink(target, place.temp, dir_fd=dir_fd)
            self.root.making.give_link(dir_fd, place.temp)
            give_link(dir_fd, place.temp, posix)
            if mtime_ns is not None:
                os.utime(place.temp, ns=posix.times(mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
            return os.stat(place.temp, dir_fd=dir_fd, follow_symlinks=False)

        if not target or b"\0" in target:
            raise NameRefused(place.key, "it is stored as a symbolic link, and what it holds is no path")
        try:
            self._folding.check_folder(place.key, place.folder)
            status = self.root.within(place.folder, step, make=True)
        except OSError as error:
            raise self.root.write_error(error, place.key) from error
        second = status.st_mtime_ns // 10**9
        return Pending(place, status.st_size, status.st_ino, second, no_clobber, 0, grouped=False, waiting=None)

    def _generation(self) -> int:
        return self._group.generation if self._group is not None else 0

    def _create(self, place: Place) -> int:
        """Always a new inode: one that another worker still writes to must not become ours."""

        def step(dir_fd: int) -> int:
            with contextlib.suppress(FileExistsError):
                return os.open(place.temp, _CREATE, self.root.making.file_mode, dir_fd=dir_fd)
            os.unlink(place.temp, dir_fd=dir_fd)
            return os.open(place.temp, _CREATE, self.root.making.file_mode, dir_fd=dir_fd)

        try:
            self._folding.check_folder(place.key, place.folder)
            fd = self.root.within(place.folder, step, make=True)
        except OSError as error:
            raise self.root.write_error(error, place.key) from error
        try:
            self.root.making.give_file(fd)
        except OSError as error:
            self.throw_away(place, SharedFd(fd))
            raise self.root.write_error(error, place.key) from error
        return fd

    def _reopen(self, place: Place, size: int, reuse: str) -> int | None:
        try:
            fd = self.root.within(place.folder, lambda dir_fd: os.open(place.temp, _REOPEN, dir_fd=dir_fd))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return None  # gone, or a link that somebody put there
            raise self.root.write_error(error, place.key) from error
        if mounts.lasting_identity(fd) == reuse and os.fstat(fd).st_size == size:
            return fd
        os.close(fd)
        return None

    def seal(
        self,
        place: Place,
        shared: SharedFd,
        mtime_ns: int | None,
        posix: Posix,
        *,
        no_clobber: bool,
        generation: int | None,
    ) -> Pending:
        """Owner, mode, time, sync where it is due now, close. generation None: no group has to wait for this one.

        Raises OSError, DestinationFull, DurabilityLost.
        """
        give(shared.fd, posix)
        if mtime_ns is not None:
            os.utime(shared.fd, ns=posix.times(mtime_ns))
        status = os.fstat(shared.fd)
        # another file system may be mounted below the root: the group sync does not reach it
        grouped = self._group is not None and generation is not None and status.st_dev == self.root.device
        late = self._group is None and generation is not None and self.fsync == "batch"
        if late and len(self._waiting) < _MAX_WAITING:
            self._waiting.add(shared)
        else:
            sync_and_close(shared, place.key, sync=self.fsync != "off" and not grouped)
        waiting = shared if shared in self._waiting else None
        second = status.st_mtime_ns // 10**9
        return Pending(place, status.st_size, status.st_ino, second, no_clobber, generation or 0, grouped, waiting)

    def throw_away(self, place: Place, shared: SharedFd | None) -> None:
        """Nothing of it is wanted any more, so its errors say nothing; what stays is for sweep() of a later run."""
        if shared is not None:
            self._waiting.discard(shared)
            with contextlib.suppress(OSError):
                shared.close()
        with contextlib.suppress(OSError, FileError):
            self._unlink_temp(place)

    def _unlink_temp(self, place: Place) -> None:
        self.root.within(place.folder, lambda dir_fd: os.unlink(place.temp, dir_fd=dir_fd))

    @contextlib.contextmanager
    def _or_thrown_away(self, place: Place, shared: SharedFd) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.throw_away(place, shared)
            raise self.root.write_error(error, place.key) from error
        except BaseException:
            self.throw_away(place, shared)
            raise

    def _sync(self, pendings: Sequence[Pending]) -> list[FileError | None]:
        results: list[FileError | None] = [None] * len(pendings)
        if self._group is not None and any(pending.grouped for pending in pendings):
            self._group.sync()
            for index, pending in enumerate(pendings):
                if pending.grouped and pending.generation != self._group.generation:
                    results[index] = sync_error(self._group.last_error or OSError(errno.EIO, "lost"), pending.key)
        late = [index for index, pending in enumerate(pendings) if pending.waiting is not None]
        for index, error in zip(late, fan_out(self._sync_late, [pendings[index] for index in late]), strict=True):
            results[index] = error
        return results

    def _sync_late(self, pending: Pending) -> FileError | None:
        assert pending.waiting is not None
        self._waiting.discard(pending.waiting)
        try:
            sync_and_close(pending.waiting, pending.key, sync=True)
        except FileError as error:
            return error
        return None


@contextlib.contextmanager
def _or_closed(shared: SharedFd, key: str) -> Iterator[None]:
    """The temporary file stays, to go on with it later."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            shared.close()
        if isinstance(error, OSError):
            raise file_error(error, key) from error
        raise
