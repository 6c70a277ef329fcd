"""Do the two sides of each key hold the same? Many keys at once, in memory that does not grow with their number."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from headrace_daemon.content import content_of, is_folder
from headrace_daemon.files.names import FileError, is_marker
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.entries import Entry
from headrace_daemon.s3.errors import S3Error
from headrace_daemon.transfer.ends import End, FilesEnd
from headrace_daemon.transfer.judge import first_cause, judge

LANES: Final = 32
"""Pairs looked at together."""


class Side(StrEnum):
    """Which of the two locations."""

    SOURCE = "source"
    DESTINATION = "destination"


class Proof(StrEnum):
    """What shows that both sides of a key hold the same."""

    STORED = "crc64nvme_stored"  # both services say the same CRC64NVME of the whole object
    READ = "crc64nvme_read"  # the same CRC64NVME; at least one side was read for it, byte by byte
    EMPTY = "empty"  # both have no byte
    FOLDER = "folder"  # a bucket's folder marker, and a folder


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

    def same(self, size: int, proof: Proof) -> None: ...

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
            self._findings.same(0, Proof.EMPTY)
        else:
            await self._by_content(key, source.size)

    async def _by_content(self, key: str, size: int) -> None:
        ours = await content_of(self._source, key, self._threads)
        theirs = await content_of(self._destination, key, self._threads)
        if ours.crc64nvme != theirs.crc64nvme:
            text = f"CRC64NVME {ours.crc64nvme} at the source, {theirs.crc64nvme} at the destination"
            self._findings.differs(Difference(Kind.CONTENT, key, text, size, size))
        else:
            self._findings.same(size, Proof.STORED if ours.stored and theirs.stored else Proof.READ)

    async def _one_sided(self, pair: Pair) -> None:
        """What one side lacks. A tree of files lists no folders, so a marker is looked up there."""
        key, source, destination = pair
        entry, lacking = (source, self._destination) if source is not None else (destination, self._source)
        empty_marker = is_marker(key) and entry is not None and entry.size == 0
        if empty_marker and isinstance(lacking, FilesEnd) and await self._threads.run(is_folder, lacking, key):
            self._findings.same(0, Proof.FOLDER)
        elif source is not None:
            self._findings.differs(Difference(Kind.MISSING, key, "", source.size))
        else:
            self._findings.differs(Difference(Kind.EXTRA, key, "", None, entry.size if entry else None))
