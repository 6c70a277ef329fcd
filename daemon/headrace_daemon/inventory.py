"""An S3 Inventory in place of the listing of a source: its manifest and data files, from a bucket or a folder."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import EntryPage, Lister, Listing
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.inventory import DataFile, Manifest, check_manifest, parse_manifest
from headrace_daemon.planner.inventory_rows import DataReader
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import AccessDenied, NotFound, PreconditionFailed
from headrace_daemon.s3.remote import Remote
from headrace_daemon.session import Session
from headrace_daemon.transfer.ends import BucketEnd
from headrace_queue.advice import with_advice
from headrace_queue.locations import Location

BLOCK: Final = 4 << 20
"""Bytes of a data file in memory."""
LARGEST_MANIFEST: Final = 64 << 20
"""Bytes; one file of an inventory takes some 200 of it."""


class Place(Protocol):
    """Where an inventory lies."""

    where: str

    async def manifest(self) -> bytes: ...

    def blocks(self, file: DataFile) -> AsyncGenerator[bytes, None]: ...


async def inventory_of(session: Session) -> Lister | None:
    """What lists the source of a job with --inventory; None for a job without one.

    Raises JobFailure for an inventory that cannot be gone by, UsageError, S3Error, OSError.
    """
    options, end = session.work.job.spec.options, session.source
    if options.inventory is None or not isinstance(end, BucketEnd):
        return None
    place = await _place(session, Location.parse(options.inventory))
    try:
        manifest = parse_manifest(await place.manifest(), place.where)
    except (NotFound, AccessDenied, FileNotFoundError, PermissionError) as error:
        raise _unreadable(place.where, error) from error
    check_manifest(manifest, place.where, end.bucket, options, to_bucket=isinstance(session.destination, BucketEnd))
    return partial(_listed, place, manifest, end.prefix, session.scratch)


async def _listed(place: Place, manifest: Manifest, prefix: str, scratch: Path, after: str) -> Listing:
    """All of it is read and sorted on the disk first: its files, and the lines in them, come in no promised order."""
    sorter = await asyncio.to_thread(DiskSorter, scratch)
    try:
        for file in manifest.files:
            await _read(place, manifest, file, prefix, sorter, scratch)
        pages = sorter.pages(after)
        while entries := await asyncio.to_thread(next, pages, None):
            yield EntryPage(entries)
    finally:
        sorter.close()


async def _read(
    place: Place, manifest: Manifest, file: DataFile, prefix: str, sorter: DiskSorter, scratch: Path
) -> None:
    reader = await asyncio.to_thread(DataReader, manifest, file, prefix, sorter.add, scratch)
    try:
        async with aclosing(place.blocks(file)) as blocks:
            async for block in blocks:
                await asyncio.to_thread(reader.feed, block)
        await asyncio.to_thread(reader.end)
    except (NotFound, AccessDenied, PreconditionFailed, FileNotFoundError, PermissionError) as error:
        raise _unreadable(f"{file.key}, a data file of {place.where}", error) from error
    finally:
        reader.close()


def _unreadable(where: str, error: Exception) -> JobFailure:
    why = f"{where}: the inventory cannot be read: {error}"
    return JobFailure(with_advice(why, "Let this remote's credentials read it, or name one that is there."))


async def _place(session: Session, location: Location) -> Place:
    if location.path is not None:
        return _InFolder(location.path)
    remote = session.host.remotes.get(location.remote or "s3")
    await remote.start()
    return _InBucket(remote, location)


class _InBucket:
    """The data files lie in the bucket of the manifest, under the keys that it names."""

    def __init__(self, remote: Remote, location: Location) -> None:
        self._remote = remote
        self._location = location
        self.where = str(location)

    async def manifest(self) -> bytes:
        location = self._location
        info = await self._remote.head(location.bucket, location.key)
        if info.size > LARGEST_MANIFEST:
            raise JobFailure(f"{self.where} has {info.size:,} bytes: it is no manifest of an inventory")
        _, body = await self._remote.get(location.bucket, location.key, size=info.size, if_match=info.etag)
        return bytes(body)

    async def blocks(self, file: DataFile) -> AsyncGenerator[bytes, None]:
        bucket, size = self._location.bucket, file.size
        info = await self._remote.head(bucket, file.key)

        async def joined(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
            return b"".join([bytes(chunk) async for chunk in chunks])

        for start in range(0, info.size, BLOCK):
            end = min(start + BLOCK, info.size)
            yield await self._remote.get_range(
                bucket, file.key, start, end, if_match=info.etag, total=info.size, consume=joined
            )
        if info.size != size:
            raise JobFailure(f"{file.key} has {info.size:,} bytes, and the manifest says {size:,}")


class _InFolder:
    """A manifest on this host, and its data files beside it, in its folder `data`, or in that beside its own folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path)

    async def manifest(self) -> bytes:
        return await asyncio.to_thread(self._path.read_bytes)

    async def blocks(self, file: DataFile) -> AsyncGenerator[bytes, None]:
        path = await asyncio.to_thread(self._find, file)
        source = await asyncio.to_thread(path.open, "rb")
        try:
            while block := await asyncio.to_thread(source.read, BLOCK):
                yield block
        finally:
            source.close()

    def _find(self, file: DataFile) -> Path:
        name, folder = file.key.rpartition("/")[2], self._path.parent
        places = (folder / name, folder / "data" / name, folder.parent / "data" / name)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"no file {name} beside {self._path}, nor in a folder `data`")
        return found
