"""What an object or file holds, and whether two of them hold the same.

What the services tell in their answers to HEAD comes first; bytes are read only on a side that has no checksum of a
kind that the other side has.
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Collection, Mapping
from typing import NamedTuple

from headrace_daemon.files.lustre import LustreError
from headrace_daemon.files.names import FileFault
from headrace_daemon.files.reading import OpenSource
from headrace_daemon.files.released import Released
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.entries import Entry
from headrace_daemon.s3.digests import KINDS, digest_of
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd
from headrace_daemon.transfer.proof import is_md5
from headrace_daemon.transfer.released import absolute

BLOCK = 8 * 2**20


class Seen(NamedTuple):
    """One end of an object. info: what HEAD told; None for a file. sums: what is stored, kind -> text. version: the one
    that was looked at, '' for the current one."""

    end: End
    key: str
    info: ObjectInfo | None
    sums: Mapping[str, str]
    version: str = ""


class Sums(NamedTuple):
    """What two ends hold, by the same algorithm, one of digests.KINDS. read: the sides that had to be read for it."""

    kind: str
    source: str
    destination: str
    read: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.source == self.destination


async def see(end: End, key: str, version: str = "") -> Seen:
    """What is known of `key` (relative) without reading it. version: in place of the end's own. Raises S3Error."""
    if isinstance(end, FilesEnd):
        return Seen(end, key, None, {})
    version = version or end.version
    info = await end.remote.head(end.bucket, end.key(key), version=version)
    return Seen(end, key, info, stored_sums(info, end.remote.profile), version)


async def refuse_released(seen: Seen, entry: Entry, threads: FileThreads) -> None:
    """Before a file is read whose listing shows that it has no data here: --restore alone may bring that back.

    Raises Released; FileFault where Lustre does not tell.
    """
    end = seen.end
    if not (entry.hollow and isinstance(end, FilesEnd) and end.restoring is not None) or end.restoring.wanted:
        return
    key = end.key(seen.key)
    paths = await threads.run(absolute, end.root, [key])
    try:
        progress = await end.restoring.refuse(threads, paths)
    except LustreError as error:
        raise FileFault(key, str(error)) from error
    if progress.failed:
        raise Released(key)


async def sums_of(source: Seen, destination: Seen, threads: FileThreads) -> Sums:
    """The checksums of both ends by the best algorithm there is. Raises S3Error, FileError, OSError."""
    kind = best_kind(source.sums, destination.sums)
    read = tuple(name for name, seen in (("source", source), ("destination", destination)) if kind not in seen.sums)
    ours, theirs = await asyncio.gather(_sum(source, kind, threads), _sum(destination, kind, threads))
    return Sums(kind, ours, theirs, read)


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


def is_folder(end: End, key: str) -> bool:
    """Whether a tree of files has a folder where a bucket has the marker `key`. As `folder_status`."""
    return folder_status(end, key) is not None


def folder_status(end: End, key: str) -> os.stat_result | None:
    """Of the folder of a tree where a bucket has the marker `key`, if there is one. Synchronous: run it off the loop.

    Raises FileError, OSError.
    """
    if not isinstance(end, FilesEnd):
        raise TypeError("only a tree of files has folders")
    try:
        status = end.root.status(end.folder_key(key))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    return status if stat.S_ISDIR(status.st_mode) else None


async def _sum(seen: Seen, kind: str, threads: FileThreads) -> str:
    stored = seen.sums.get(kind)
    if stored is not None:
        return stored
    if seen.info is None:
        return await threads.run(_sum_of_file, seen.end, seen.key, kind)
    return await _sum_of_object(seen, kind, threads)


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
        end.bucket,
        end.key(seen.key),
        0,
        info.size,
        if_match=info.etag,
        total=info.size,
        consume=sum_up,
        version=seen.version,
    )
