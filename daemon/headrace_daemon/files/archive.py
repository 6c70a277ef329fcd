"""A tree as the bytes of one tar, of which any range can be had by itself.

A first walk notes every member with its place in the tar, so the size is known before the first byte is sent, ranges
are filled by several threads at once, and a restart goes on with any part. The notes are compressed in an unnamed
temporary file; in memory is where each block of them begins, 16 bytes for a thousand members.
"""

import errno
import json
import os
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence
from hashlib import blake2b
from typing import IO, Any, Final

from headrace_daemon.files.lustre import is_hollow
from headrace_daemon.files.names import FileError, SourceChanged, file_error
from headrace_daemon.files.racy import CLOCK, Clock, wait_out
from headrace_daemon.files.reading import fingerprint
from headrace_daemon.files.root import Root
from headrace_daemon.files.tar import Member, MemberKind, header, header_size, padding, tar_size
from headrace_daemon.files.threads import SharedFd

Placed = tuple[int, Member]
"""A member, and where in the tar its header begins."""

OVERHEAD: Final = 2 * 2**20
"""Bytes of memory that filling a range takes beside its buffer: two blocks of notes, read and decoded."""

_FORMAT: Final = b"1"  # of the bytes that a member becomes: parts of another one must not be gone on with
_GONE: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR})


class Layout:
    """What lies where in the tar of one tree. Synchronous; `add` by one thread at a time, then `at` by many."""

    def __init__(self, top: str, notes: IO[bytes] | None = None) -> None:
        """top: the name of the folder that is archived. notes: an open temporary file, taken over; without one only
        the size is found out."""
        self.top = top
        self.members = 0
        self.mtime_ns = 0  # of the folder itself
        self.end = 0  # of the last member
        self._notes = notes
        self._shared = SharedFd(os.dup(notes.fileno())) if notes is not None else None
        self._places: array[int] = array("Q")
        self._offsets: array[int] = array("Q", [0])
        self._hash = blake2b(_FORMAT, digest_size=16)

    @property
    def size(self) -> int:
        """Of the whole tar, in bytes."""
        return tar_size(self.end)

    @property
    def fingerprint(self) -> str:
        """Names the exact tree: every byte of the tar follows from it, as far as files show when they are written."""
        return f"tar:{self.size}:{self._hash.hexdigest()}"

    def add(self, members: Sequence[Member]) -> None:
        """Notes the members that come next. Raises OSError of the temporary file."""
        if not members:
            return
        if not self._places:
            self.mtime_ns = members[0].mtime_ns
        self._places.append(self.end)
        rows = []
        for member in members:
            rows.append([self.end, *member])
            self.end += header_size(self.top, member) + member.size + padding(member.size)
        self.members += len(rows)
        text = json.dumps(rows, separators=(",", ":")).encode()
        self._hash.update(text)
        if self._shared is not None:
            self._write(zlib.compress(text, 1))

    def _write(self, block: bytes) -> None:
        assert self._notes is not None
        self._notes.write(block)
        self._notes.flush()
        self._offsets.append(self._offsets[-1] + len(block))

    def at(self, start: int) -> Iterator[Placed]:
        """The members from the one on that byte `start` of the tar belongs to. Raises OSError of the notes."""
        assert self._shared is not None, "only a size was asked for"
        first = max(0, bisect_right(self._places, start) - 1)
        for block in range(first, len(self._places)):
            rows = self._read(block)
            skip = max(0, bisect_right([row[0] for row in rows], start) - 1) if block == first else 0
            for place, name, kind, *rest in rows[skip:]:
                yield place, Member(name, MemberKind(kind), *rest)

    def _read(self, block: int) -> list[list[Any]]:
        """Rows of place and member."""
        assert self._shared is not None
        begin, end = self._offsets[block], self._offsets[block + 1]
        with self._shared as fd:
            text = zlib.decompress(os.pread(fd, end - begin, begin))
        rows: list[list[Any]] = json.loads(text)
        return rows

    def close(self) -> None:
        """Reads under way end first."""
        if self._notes is not None:
            self._notes.close()
        if self._shared is not None:
            self._shared.close()


def fill(
    root: Root,
    layout: Layout,
    start: int,
    buffer: memoryview,
    readable: Container[str] | None = None,
    *,
    clock: Clock = CLOCK,
) -> list[str]:
    """The bytes of the tar from `start` on, as many as the buffer takes.

    readable: files that may be read although they have no data here; None: all. The names of those that have none and
    are not among them: their bytes are missing from the buffer.

    Raises SourceChanged where a file is not what the layout noted, AccessRefused, RootLost, FileFault.
    """
    end = start + len(buffer)
    left_out = []
    for place, member in layout.at(start):
        if place >= end:
            break
        head = header(layout.top, member)
        _lay(head, place, start, buffer)
        begin = place + len(head)
        low, high = max(begin, start), min(begin + member.size, end)
        if low < high and not _read(root, member, low - begin, buffer[low - start : high - start], readable, clock):
            left_out.append(member.name)
        _lay(bytes(padding(member.size)), begin + member.size, start, buffer)
    # behind the last member; a buffer that was used before holds something else
    if (tail := max(0, layout.end - start)) < len(buffer):
        buffer[tail:] = bytes(len(buffer) - tail)
    return left_out


def _lay(piece: bytes, place: int, start: int, buffer: memoryview) -> None:
    """As much of a piece at `place` as lies in the range of the buffer."""
    low, high = max(place, start), min(place + len(piece), start + len(buffer))
    if low < high:
        buffer[low - start : high - start] = piece[low - place : high - place]


def _read(
    root: Root, member: Member, offset: int, buffer: memoryview, readable: Container[str] | None, clock: Clock
) -> bool:
    """A range of one file, which has to be what it was when the tree was walked, before and after. False, and nothing
    is read, where that would bring back what Lustre has released."""
    try:
        fd = root.open(member.name, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            _check_same(member, status)
            if readable is not None and is_hollow(status) and member.name not in readable:
                return False
            # until a write would show; all were last written before the walk: together no longer than once
            wait_out([status], clock)
            while buffer:
                count = os.preadv(fd, [buffer], offset)
                if not count:
                    raise SourceChanged(member.name, f"it ended at {offset} bytes, and has to have {member.size}")
                buffer, offset = buffer[count:], offset + count
            _check_same(member, os.fstat(fd))
        finally:
            os.close(fd)
    except OSError as error:
        raise _reason(root, member.name, error) from error
    return True


def _check_same(member: Member, now: os.stat_result) -> None:
    if fingerprint(now) == member.version:
        return
    if now.st_size != member.size:
        why = f"it has {now.st_size:,} bytes now, {member.size:,} when the tree was walked"
    else:
        why = "it was written or replaced since the tree was walked"
    raise SourceChanged(member.name, why)


def _reason(root: Root, name: str, error: OSError) -> FileError:
    """A file that vanished leaves a gap in the tar: it is no object by itself, whose end would be no failure.

    Raises RootLost.
    """
    if error.errno in _GONE:
        root.check()
        return SourceChanged(name, "it was removed or replaced since the tree was walked")
    return file_error(error, name)
