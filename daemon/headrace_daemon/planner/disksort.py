"""Sorting more entries than memory holds, for services that list in no order.

Entries are collected, sorted and written as runs to one unnamed temporary file, which a crash leaves nothing of. Then
the runs are merged. Memory: one run while collecting, one frame of each run while merging.
"""

import heapq
import marshal
import os
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final

from headrace_daemon.planner.entries import Entry

RUN_ENTRIES: Final = 50_000
FRAME_ENTRIES: Final = 200
PAGE_ENTRIES: Final = 1_000

_LENGTH: Final = struct.Struct("<I")


class DiskSorter:
    """Takes entries in any order, gives them back in key order. Blocking: call it from a thread, one call at a time.

    directory: where the temporary file lives, on a disk with room for about 150 bytes an entry. Raises OSError where
    that disk fails or is full.
    """

    def __init__(self, directory: Path, run_entries: int = RUN_ENTRIES) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by close()
        self._gate = threading.Lock()
        self._run_entries = run_entries
        self._collected: list[Entry] = []
        self._runs: list[tuple[int, int]] = []
        self._end = 0
        self.count = 0

    def __enter__(self) -> "DiskSorter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the disk space back. A step that a cancelled task left in its thread ends with ValueError."""
        with self._gate:  # else that step could write into whatever file gets the number of this one
            self._file.close()

    def add(self, entries: Iterable[Entry]) -> None:
        """Takes more entries. Not after pages() was started."""
        before = len(self._collected)
        self._collected.extend(entries)
        self.count += len(self._collected) - before
        if len(self._collected) >= self._run_entries:
            self._write_run()

    def pages(self, after: str = "") -> Iterator[list[Entry]]:
        """All entries behind that key, in key order, in pages; of entries with equal keys the first is kept."""
        self._collected.sort()
        runs = [self._read_run(start, end) for start, end in self._runs]
        merged = _distinct(heapq.merge(*runs, self._collected), after)
        while page := list(islice(merged, PAGE_ENTRIES)):
            yield page

    def _write_run(self) -> None:
        self._collected.sort()
        start = self._end
        for first in range(0, len(self._collected), FRAME_ENTRIES):
            # marshal knows plain tuples only, and is far quicker than what knows more
            frame = marshal.dumps([tuple(entry) for entry in self._collected[first : first + FRAME_ENTRIES]])
            self._write(_LENGTH.pack(len(frame)) + frame)
        self._runs.append((start, self._end))
        self._collected = []

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            with self._gate:
                written = os.pwrite(self._file.fileno(), rest, self._end)
            self._end += written
            rest = rest[written:]

    def _read_run(self, start: int, end: int) -> Iterator[Entry]:
        while start < end:
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size, start))
            start += _LENGTH.size
            yield from map(Entry._make, marshal.loads(self._read(length, start)))  # our own unnamed file, no one else's
            start += length

    def _read(self, size: int, offset: int) -> bytes:
        with self._gate:
            data = os.pread(self._file.fileno(), size, offset)
        if len(data) != size:
            raise OSError(f"the temporary file of a listing gave {len(data)} bytes in place of {size}")
        return data


def _distinct(entries: Iterator[Entry], after: str) -> Iterator[Entry]:
    previous = after
    for entry in entries:
        if entry.key > previous:
            previous = entry.key
            yield entry
