"""What an object or file holds, as CRC64NVME: as the service stores it, and by reading only where it stores none."""

from collections.abc import AsyncIterator

from headrace_daemon.files.reading import OpenSource
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.s3.checksum import EMPTY, combine, crc64nvme, to_text
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd

BLOCK = 8 * 2**20


async def content_crc(end: End, key: str, threads: FileThreads) -> str:
    """The CRC64NVME, base64, of what `key` (relative) holds now. Raises S3Error, FileError."""
    if isinstance(end, BucketEnd):
        return await _of_object(end, key)
    return await threads.run(_of_file, end, key)


async def _of_object(end: BucketEnd, key: str) -> str:
    info = await end.remote.head(end.bucket, end.key(key))
    stored = info.checksums.get("crc64nvme")
    if stored:
        return stored

    async def sum_up(chunks: AsyncIterator[Buffer], endpoint: str) -> str:
        total = EMPTY
        async for chunk in chunks:
            total = combine(total, crc64nvme(chunk), len(chunk))
        return to_text(total)

    if info.size == 0:
        return to_text(EMPTY)
    return await end.remote.get_range(
        end.bucket, end.key(key), 0, info.size, if_match=info.etag, total=info.size, consume=sum_up
    )


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
