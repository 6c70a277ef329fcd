"""Do the two sides of each key hold the same? Many keys at once, in memory that does not grow with their number."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from headrace_daemon.content import is_folder, refuse_released, see, sums_of
from headrace_daemon.files.names import FileError
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.entries import Entry
from headrace_daemon.s3.digests import KINDS
from headrace_daemon.s3.errors import S3Error
from headrace_daemon.transfer.ends import End, FilesEnd
from headrace_daemon.transfer.judge import first_cause, judge

LANES: Final = 32
"""Pairs looked at together."""


class Side(StrEnum):
    """Which of the two locations."""

    SOURCE = "source"
    DESTINATION = "destination"


EMPTY: Final = "empty"  # both have no byte
FOLDER: Final = "folder"  # a bucket's folder marker, and a folder
PROOFS: Final = (*(f"{kind}_{how}" for kind in KINDS for how in ("stored", "read")), EMPTY, FOLDER)
"""What shows that both sides of a key hold the same. stored: both services say the same checksum of the whole object;
read: the same, and at least one side was read for it, byte by byte."""


class Kind(StrEnum):
    """How two sides of a key differ."""

    MISSING = "missing"  # at the destination
    EXTRA = "extra"  # only the destination has it
    SIZE = "size"
    CONTENT = "content"
    ERROR = "error"  # it could not be looked at: nothing is known


class Difference(NamedTuple):
    """key is relative to both locations, '' where they are the object itself. Sizes in bytes, None where unknown."""

    kind: Kind
    key: str
    message: str = ""
    source_size: int | None = None
    destination_size: int | None = None


class Pair(NamedTuple):
    """What each side has under a key; never None on both."""

    key: str
    source: Entry | None
    destination: Entry | None


class Findings(Protocol):
    """Where the results go."""

    def same(self, size: int, proof: str) -> None: ...

    def differs(self, difference: Difference) -> None: ...


class Comparison:
    """Two ends, side by side."""

    def __init__(self, source: End, destination: End, threads: FileThreads, findings: Findings) -> None:
        self._source = source
        self._destination = destination
        self._threads = threads
        self._findings = findings

    async def run(self, pairs: AsyncGenerator[Pair, None]) -> None:
        """Every pair, told in no particular order. Raises Pause and JobFailed where a whole side is concerned, and
        what the listings raise."""
        slots = asyncio.Semaphore(LANES)
        try:
            async with asyncio.TaskGroup() as group, aclosing(pairs):
                async for pair in pairs:
                    # taken before the task is made: the listing must not run ahead of the looking
                    await slots.acquire()
                    group.create_task(self._in_slot(pair, slots))
        except BaseExceptionGroup as failures:
            raise first_cause(failures) from failures

    async def _in_slot(self, pair: Pair, slots: asyncio.Semaphore) -> None:
        try:
            await self._compare(pair)
        except (S3Error, FileError, OSError) as error:
            judge(error)  # raises what is more than this key's
            sizes = (entry.size if entry else None for entry in (pair.source, pair.destination))
            self._findings.differs(Difference(Kind.ERROR, pair.key, str(error), *sizes))
        finally:
            slots.release()

    async def _compare(self, pair: Pair) -> None:
        key, source, destination = pair
        if source is None or destination is None:
            await self._one_sided(pair)
        elif source.size != destination.size:
            text = f"{source.size:,} bytes at the source, {destination.size:,} at the destination"
            self._findings.differs(Difference(Kind.SIZE, key, text, source.size, destination.size))
        elif source.size == 0:
            self._findings.same(0, EMPTY)
        else:
            await self._by_content(key, source, destination)

    async def _by_content(self, key: str, ours: Entry, theirs: Entry) -> None:
        size = ours.size
        source, destination = await asyncio.gather(see(self._source, key), see(self._destination, key))
        await refuse_released(source, ours, self._threads)
        await refuse_released(destination, theirs, self._threads)
        sums = await sums_of(source, destination, self._threads)
        if sums.same:
            self._findings.same(size, f"{sums.kind}_read" if sums.read else f"{sums.kind}_stored")
        else:
            text = f"{sums.kind.upper()} {sums.source} at the source, {sums.destination} at the destination"
            self._findings.differs(Difference(Kind.CONTENT, key, text, size, size))

    async def _one_sided(self, pair: Pair) -> None:
        """What one side lacks. A tree of files lists no folders, so a marker is looked up there."""
        key, source, destination = pair
        entry, lacking = (source, self._destination) if source is not None else (destination, self._source)
        if entry is not None and await self._is_folder_of(lacking, entry):
            self._findings.same(0, FOLDER)
        elif source is not None:
            self._findings.differs(Difference(Kind.MISSING, key, "", source.size))
        else:
            self._findings.differs(Difference(Kind.EXTRA, key, "", None, entry.size if entry else None))

    async def _is_folder_of(self, end: End, marker: Entry) -> bool:
        if not isinstance(end, FilesEnd) or not end.is_folder(marker.key, marker.size):
            return False
        return await self._threads.run(is_folder, end, marker.key)
