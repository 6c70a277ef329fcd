"""What an object or file holds, as CRC64NVME: as the service stores it, and by reading only where it stores none."""

import errno
import stat
from collections.abc import AsyncIterator
from typing import NamedTuple

from headrace_daemon.files.reading import OpenSource
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.s3.checksum import EMPTY, combine, crc64nvme, to_text
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd

BLOCK = 8 * 2**20


class Content(NamedTuple):
    """crc64nvme: base64. stored: the service said so; else every byte was read here."""

    crc64nvme: str
    stored: bool


async def content_of(end: End, key: str, threads: FileThreads) -> Content:
    """What `key` (relative) holds now. Raises S3Error, FileError."""
    if isinstance(end, BucketEnd):
        return await _of_object(end, key)
    return Content(await threads.run(_of_file, end, key), stored=False)


def is_folder(end: End, key: str) -> bool:
    """Whether a tree of files has a folder where a bucket has the marker `key`. Synchronous: run it off the loop.

    Raises FileError, OSError.
    """
    if not isinstance(end, FilesEnd):
        raise TypeError("only a tree of files has folders")
    try:
        return stat.S_ISDIR(end.root.status(end.folder_key(key)).st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise


async def _of_object(end: BucketEnd, key: str) -> Content:
    info = await end.remote.head(end.bucket, end.key(key))
    stored = info.checksums.get("crc64nvme")
    if stored:
        return Content(stored, stored=True)

    async def sum_up(chunks: AsyncIterator[Buffer], endpoint: str) -> str:
        total = EMPTY
        async for chunk in chunks:
            total = combine(total, crc64nvme(chunk), len(chunk))
        return to_text(total)

    if info.size == 0:
        return Content(to_text(EMPTY), stored=False)
    read = await end.remote.get_range(
        end.bucket, end.key(key), 0, info.size, if_match=info.etag, total=info.size, consume=sum_up
    )
    return Content(read, stored=False)


def _of_file(end: FilesEnd, key: str) -> str:
    source = OpenSource(end.root, end.key(key))
    try:
        total = EMPTY
        for start in range(0, source.size, BLOCK):
            data = source.read_at(start, min(BLOCK, source.size - start))
            total = combine(total, crc64nvme(data), len(data))
        source.check()
    finally:
        source.close()
    return to_text(total)
