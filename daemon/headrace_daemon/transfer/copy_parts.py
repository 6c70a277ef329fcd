"""UploadPartCopy: an object larger than one CopyObject takes, copied by the service in parts, many at once."""

import secrets
from dataclasses import replace

from headrace_daemon.s3.errors import UploadLost
from headrace_daemon.s3.types import ObjectInfo, PutResult, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.ledger import open_ledger
from headrace_daemon.transfer.mover import at_destination
from headrace_daemon.transfer.parts import choose_part_size
from headrace_daemon.transfer.send import WRITE_TOKEN
from headrace_queue.jobs import Item, Lease, Multipart, PartRecord

COPY_PART = 512 * 2**20
"""No byte of it passes this host, so parts are large and requests few."""

COPY_LANES = 16


async def copy_in_parts(
    work: Work, lease: Lease, item: Item, info: ObjectInfo, source: BucketEnd, target: BucketEnd, options: WriteOptions
) -> PutResult:
    """Copy, or go on with a copy that an earlier run began. Every part demands the source's ETag. Raises S3Error."""
    remote, key = target.remote, target.key(item.key)
    write_token = secrets.token_hex(16)
    options = replace(options, metadata={**options.metadata, WRITE_TOKEN: write_token})
    part_size = choose_part_size(info.size, min(COPY_PART, remote.profile.max_copy), remote.profile)
    fingerprint = f"{info.etag} {info.size}"
    plan = Multipart(work.job.id, item.key, "", info.size, part_size, fingerprint, write_token)

    async def usable(record: Multipart) -> bool:
        return True  # an upload that is gone shows at Complete, and the object starts over

    async def begin() -> str:
        return await at_destination(remote.create_multipart(target.bucket, key, options), target)

    async def discard(record: Multipart) -> None:
        await remote.abort_multipart(target.bucket, key, record.token)

    ledger = await open_ledger(work.queue, lease, plan, usable, begin, discard)

    async def part(number: int) -> None:
        start, end = ledger.range_of(number)
        result = await at_destination(
            remote.copy_part(
                target.bucket,
                key,
                ledger.token,
                number,
                source.bucket,
                source.key(item.key),
                start,
                end,
                source_etag=info.etag,
            )
        )
        await ledger.add([PartRecord(number, end - start, result.etag, result.crc64nvme)])

    try:
        await in_lanes(ledger.missing(), COPY_LANES, part)
        result = await at_destination(
            remote.complete_multipart(
                target.bucket,
                key,
                ledger.token,
                ledger.parts(),
                size=info.size,
                crc64nvme=info.checksums.get("crc64nvme", ""),
                if_none_match=options.if_none_match,
            )
        )
    except UploadLost:
        await ledger.end()
        raise
    await ledger.end()
    return result
