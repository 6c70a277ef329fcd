"""A closer look at both ends of an object, where their listings do not tell whether it has to be sent.

What the services tell in their answers to HEAD comes first; bytes are read only on a side that has no checksum of a
kind that the other side has.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final, NamedTuple

from headrace_daemon.content import BLOCK, is_folder
from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.reading import OpenSource
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.compare import (
    FILES,
    MISSING,
    SAME_SIZE,
    SECOND_NS,
    SIZE_DIFFERS,
    Decision,
    Moment,
    Route,
    Side,
    by_sum,
    by_time,
)
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.moments import told_mtime
from headrace_daemon.s3.digests import KINDS, digest_of
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder
from headrace_daemon.transfer.proof import is_md5
from headrace_queue.jobs import Compare

_STEPS: Final = {"lustre": SECOND_NS, "0x4d44": 2 * SECOND_NS}
"""Clocks of file systems that do not keep nanoseconds: Lustre stores whole seconds, FAT every second one."""


class Seen(NamedTuple):
    """One end of an object. info: what HEAD told; None for a file. sums: what is stored, kind -> text."""

    end: End
    key: str
    info: ObjectInfo | None
    sums: Mapping[str, str]


class Looking:
    """Looks at the pairs of one job. Raises S3Error, FileError, OSError of the object or of its whole side."""

    def __init__(
        self, source: End, destination: End | NoFolder, route: Route, compare: Compare, threads: FileThreads
    ) -> None:
        self._source = source
        self._destination = destination
        self._route = route
        self._compare = compare
        self._threads = threads

    async def look(self, entry: Entry, other: Entry | None) -> Decision:
        """TRANSFER or SKIP. other None: the entry is a folder marker, and a tree may have that folder."""
        if isinstance(self._destination, NoFolder):
            return MISSING
        if other is None:
            if isinstance(self._destination, FilesEnd) and not self._destination.is_folder(entry.key, entry.size):
                return MISSING  # it has content, which no folder can hold
            there = await self._threads.run(is_folder, self._destination, entry.key)
            return SAME_SIZE if there else MISSING
        source, destination = await asyncio.gather(_see(self._source, entry.key), _see(self._destination, other.key))
        if self._compare is Compare.MTIME:
            return by_time(
                _moment(entry, source.info, self._route.source.resolution_ns),
                _moment(other, destination.info, self._route.destination.resolution_ns),
            )
        if source.info is not None and destination.info is not None and source.info.size != destination.info.size:
            return SIZE_DIFFERS  # one of them was written since it was listed
        return await self._by_sum(source, destination)

    async def _by_sum(self, source: Seen, destination: Seen) -> Decision:
        kind = best_kind(source.sums, destination.sums)
        read = [name for name, seen in (("source", source), ("destination", destination)) if kind not in seen.sums]
        ours, theirs = await asyncio.gather(self._sum(source, kind), self._sum(destination, kind))
        return by_sum(ours == theirs, kind, f"{' and '.join(read)} read" if read else "")

    async def _sum(self, seen: Seen, kind: str) -> str:
        stored = seen.sums.get(kind)
        if stored is not None:
            return stored
        if seen.info is None:
            return await self._threads.run(_sum_of_file, seen.end, seen.key, kind)
        return await _sum_of_object(seen, kind, self._threads)


def side_of(end: End | NoFolder) -> Side:
    """What the comparison has to know of an end. Raises OSError where its file system does not say what it is."""
    if isinstance(end, NoFolder):
        return FILES
    if isinstance(end, FilesEnd):
        return Side(files=True, resolution_ns=_STEPS.get(file_system(end.root.fd), FILES.resolution_ns))
    profile = end.remote.profile
    return Side(files=False, md5_etags=profile.etag_md5, max_object=profile.max_object)


def best_kind(ours: Collection[str], theirs: Collection[str]) -> str:
    """The algorithm to compare by: one that both sides store, else one that either does, else CRC64NVME."""
    for known in (set(ours) & set(theirs), set(ours) | set(theirs)):
        for kind in KINDS:
            if kind in known:
                return kind
    return KINDS[0]


def stored_sums(info: ObjectInfo, profile: Profile) -> dict[str, str]:
    """What a service tells of an object's content. Its ETag counts where it surely is the MD5 of all of it."""
    sums = {kind: info.checksums[kind] for kind in KINDS if info.checksums.get(kind)}
    if profile.etag_md5 and not info.opaque_etag and is_md5(info.etag):
        sums["md5"] = info.etag
    return sums


async def _see(end: End, key: str) -> Seen:
    if isinstance(end, FilesEnd):
        return Seen(end, key, None, {})
    info = await end.remote.head(end.bucket, end.key(key))
    return Seen(end, key, info, stored_sums(info, end.remote.profile))


def _moment(entry: Entry, info: ObjectInfo | None, resolution_ns: int) -> Moment:
    told = told_mtime(info.metadata) if info is not None else None
    return told or Moment(entry.mtime_ns, resolution_ns)


def _sum_of_file(end: End, key: str, kind: str) -> str:
    if not isinstance(end, FilesEnd):
        raise TypeError("a bucket has no files")
    source = OpenSource(end.root, end.key(key))
    try:
        total = digest_of(kind)
        for start in range(0, source.size, BLOCK):
            total.update(source.read_at(start, min(BLOCK, source.size - start)))
        source.check()
    finally:
        source.close()
    return total.text()


async def _sum_of_object(seen: Seen, kind: str, threads: FileThreads) -> str:
    end, info = seen.end, seen.info
    if not isinstance(end, BucketEnd) or info is None:
        raise TypeError("a tree has no objects")

    async def sum_up(chunks: AsyncIterator[Buffer], endpoint: str) -> str:
        total = digest_of(kind)  # anew for every attempt on the wire
        async for chunk in chunks:
            await threads.run(total.update, chunk)
        return total.text()

    if info.size == 0:
        return digest_of(kind).text()
    return await end.remote.get_range(
        end.bucket, end.key(seen.key), 0, info.size, if_match=info.etag, total=info.size, consume=sum_up
    )
