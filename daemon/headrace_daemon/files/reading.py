"""Files as sources: read in one step, or by ranges, with proof that they did not change meanwhile."""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from headrace_daemon.files.direct import writers
from headrace_daemon.files.lustre import is_hollow
from headrace_daemon.files.names import (
    Blocked,
    FileError,
    FileFault,
    RootLost,
    SourceChanged,
    file_error,
    is_marker,
)
from headrace_daemon.files.racy import CLOCK, Clock, racy, wait_out
from headrace_daemon.files.released import Hollow
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import SharedFd

# O_NONBLOCK: opening a pipe that nobody writes to would hold the thread for ever
_READ: Final = os.O_RDONLY | os.O_NONBLOCK
_STEP: Final = 2**19
"""Bytes of a large local file that are read at once: what sums them finds them in the processor's cache."""
_WHOLE: Final = 2**30
"""The same across a network: from one large read such a file system sees best how much to fetch."""


class ReadFile(NamedTuple):
    """A whole small file; a folder has no data, that of a stored link is the path it leads to.

    fingerprint names the exact version that was read; mode with its type bits.
    """

    data: bytes
    fingerprint: str
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    atime_ns: int  # before it was read


def _as_read(data: bytes, status: os.stat_result) -> ReadFile:
    times = status.st_mtime_ns, status.st_atime_ns
    return ReadFile(data, fingerprint(status), times[0], status.st_mode, status.st_uid, status.st_gid, times[1])


def fingerprint(status: os.stat_result) -> str:
    """Device, inode, size and both times: differs whenever the file was written, replaced or changed its owner."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


class _Racy(SourceChanged):
    """It was not read: the next write might leave no trace. Once the step of the clock is over, it can be."""

    def __init__(self, key: str, status: os.stat_result) -> None:
        super().__init__(key, "it was written a moment ago")
        self.status = status


def read_whole(
    root: Root, key: str, expected_size: int | None, limit: int, *, not_hollow: bool = False, clock: Clock = CLOCK
) -> ReadFile:
    """Open, read, compare before with after, close. expected_size, limit in bytes; None takes any size up to limit.
    not_hollow: do not read what Lustre may have released. One that was written a moment ago is waited for, once.

    Raises SourceVanished, SourceChanged (other size than expected, larger than limit, written meanwhile), Blocked
    (no regular file, a link that leads outside), AccessRefused, NameRefused, RootLost, FileFault, Hollow.
    """
    reading = _Reading(root, limit, not_hollow, clock)
    try:
        return reading.read(key, expected_size)
    except _Racy as found:
        earlier = found.status
    wait_out([earlier], clock)
    return reading.read(key, expected_size, earlier)


class _Reading(NamedTuple):
    """What read_whole and read_many are asked for, but for the file."""

    root: Root
    limit: int
    not_hollow: bool
    clock: Clock

    def read(self, key: str, expected_size: int | None, earlier: os.stat_result | None = None) -> ReadFile:
        """earlier: what it was before it was waited for. Raises what read_whole raises; without `earlier`, _Racy."""
        root = self.root
        if is_marker(key):
            return _read_folder(root, key)
        try:
            if root.links == "store" and (link := root.link_target(key)) is not None:
                return _as_read(*link)
            fd = root.open(key, _READ)
            try:
                before = self._readable(os.fstat(fd), key, expected_size)
                if earlier is not None:
                    _check_settled(earlier, before, key, self.clock)
                elif racy(before, self.clock.time_ns()):
                    raise _Racy(key, before)
                data = _read_exactly(fd, before.st_size, 0, key)
                _unchanged(before, os.fstat(fd), key)
            finally:
                os.close(fd)
        except OSError as error:
            raise _reason(root, key, error) from error
        return _as_read(data, before)

    def _readable(self, status: os.stat_result, key: str, expected_size: int | None) -> os.stat_result:
        _regular(status, key, expected_size)
        if self.not_hollow and is_hollow(status):
            raise Hollow(key)
        if status.st_size > self.limit:
            raise SourceChanged(key, f"it has {status.st_size} bytes now, over the {self.limit} it was planned with")
        return status

    def read_or_fault(
        self, key: str, expected_size: int | None, earlier: os.stat_result | None = None
    ) -> ReadFile | FileError:
        """Raises RootLost."""
        try:
            return self.read(key, expected_size, earlier)
        except RootLost:
            raise
        except FileError as error:
            return error


def _read_folder(root: Root, key: str) -> ReadFile:
    """An empty folder, which goes up as a marker."""
    try:
        fd = root.open_folder(key.removesuffix("/"))
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise _reason(root, key, error) from error
    return _as_read(b"", status)


def read_many(
    root: Root,
    wanted: Sequence[tuple[str, int | None]],
    limit: int,
    *,
    not_hollow: bool = False,
    clock: Clock = CLOCK,
) -> list[ReadFile | FileError]:
    """read_whole of each (key, expected_size) as one step: a hop between threads costs more than a small read. Those
    that were written a moment ago come last, after one wait for all of them.

    What goes wrong with a file stands in its place. Raises RootLost.
    """
    reading = _Reading(root, limit, not_hollow, clock)
    results = [reading.read_or_fault(key, expected_size) for key, expected_size in wanted]
    late = [(index, found.status) for index, found in enumerate(results) if isinstance(found, _Racy)]
    if late:
        wait_out([status for _, status in late], clock)
    for index, status in late:
        results[index] = reading.read_or_fault(*wanted[index], status)
    return results


class OpenSource:
    """A large file, open for reading by ranges from many threads."""

    def __init__(self, root: Root, key: str, expected_size: int | None = None, *, clock: Clock = CLOCK) -> None:
        """One that was written a moment ago is waited for, once. Raises what read_whole raises."""
        self._root = root
        self._is_link = False
        try:
            fd = self._open_link(key) if root.links == "store" else None
            if fd is None:
                fd = root.open(key, _READ)
        except OSError as error:
            raise _reason(root, key, error) from error
        try:
            if not self._is_link:
                self._status = _settled(fd, key, expected_size, clock)
        except BaseException:
            os.close(fd)
            raise
        self._shared = SharedFd(fd)
        self._step = _STEP if writers(fd) == 1 else _WHOLE
        self.key = key
        self.size = self._status.st_size
        self.mtime_ns = self._status.st_mtime_ns
        self.atime_ns = self._status.st_atime_ns
        self.mode = self._status.st_mode
        self.uid = self._status.st_uid
        self.gid = self._status.st_gid
        self.fingerprint = fingerprint(self._status)
        self.hollow = not self._is_link and is_hollow(self._status)

    def _open_link(self, key: str) -> int | None:
        """A stored link as a file of its own that holds the path it leads to; None where it is no link."""
        link = self._root.link_target(key)
        if link is None:
            return None
        text, self._status = link
        self._is_link = True
        fd = os.memfd_create("link", os.MFD_CLOEXEC)
        os.write(fd, text)
        return fd

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes. Raises SourceChanged where the file is shorter now, FileFault."""
        with self._shared as fd:
            try:
                return _read_exactly(fd, size, offset, self.key)
            except OSError as error:
                raise file_error(error, self.key) from error

    def read_into(self, offset: int, buffer: memoryview, seen: Callable[[memoryview], None]) -> None:
        """Fills the buffer. seen: is called with each piece of it in its order, as soon as it is filled. Raises
        SourceChanged where the file is shorter now, FileFault."""
        with self._shared as fd:
            try:
                while buffer:
                    count = os.preadv(fd, [buffer[: self._step]], offset)
                    if not count:
                        raise SourceChanged(self.key, f"it ended at {offset} bytes, {len(buffer)} more were expected")
                    seen(buffer[:count])
                    buffer, offset = buffer[count:], offset + count
            except OSError as error:
                raise file_error(error, self.key) from error

    def check(self) -> None:
        """Nobody wrote to it since it was opened; call it after the last read. Raises SourceChanged, FileFault."""
        with self._shared as fd:
            try:
                now = self._root.status(self.key) if self._is_link else os.fstat(fd)
                _unchanged(self._status, now, self.key)
            except OSError as error:
                raise file_error(error, self.key) from error

    def close(self) -> None:
        """Reads under way end first. Raises FileFault."""
        try:
            self._shared.close()
        except OSError as error:
            raise FileFault(self.key, f"closing it failed ({error.strerror})") from error


def _reason(root: Root, key: str, error: OSError) -> FileError:
    """Raises RootLost: where the whole source went away, its files must not count as gone one by one."""
    if error.errno == errno.ENOENT:
        root.check()
    if error.errno == errno.EXDEV:
        return Blocked(key, "it is a symbolic link that leads outside, or lies behind one")
    return file_error(error, key)


def _regular(status: os.stat_result, key: str, expected_size: int | None) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise Blocked(key, "it is no regular file")
    if expected_size is not None and status.st_size != expected_size:
        raise SourceChanged(key, f"it has {status.st_size} bytes now, {expected_size} when it was listed")
    return status


def _settled(fd: int, key: str, expected_size: int | None, clock: Clock) -> os.stat_result:
    """The status to compare with after reading: every write from now on differs from it."""
    status = _regular(os.fstat(fd), key, expected_size)
    if not racy(status, clock.time_ns()):
        return status
    wait_out([status], clock)
    newer = _regular(os.fstat(fd), key, expected_size)
    _check_settled(status, newer, key, clock)
    return newer


def _check_settled(earlier: os.stat_result, newer: os.stat_result, key: str, clock: Clock) -> None:
    """Between both lies a step of its clock. What is the same has settled, even where another host's clock is ahead of
    this one, so that its times stay young."""
    if racy(newer, clock.time_ns()) and fingerprint(earlier) != fingerprint(newer):
        raise SourceChanged(key, "it is being written: it changed again while it was waited for")


def _read_exactly(fd: int, size: int, offset: int, key: str) -> bytes:
    data = os.pread(fd, size, offset)
    if len(data) == size:
        return data
    pieces = [data]
    done = len(data)
    while done < size and pieces[-1]:
        pieces.append(os.pread(fd, size - done, offset + done))
        done += len(pieces[-1])
    if done < size:
        raise SourceChanged(key, f"it ended at {offset + done} bytes, {offset + size} were expected")
    return b"".join(pieces)


def _unchanged(before: os.stat_result, after: os.stat_result, key: str) -> None:
    if fingerprint(before) != fingerprint(after):
        raise SourceChanged(key, f"it was written while it was read ({fingerprint(before)} -> {fingerprint(after)})")
