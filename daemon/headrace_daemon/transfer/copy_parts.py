"""UploadPartCopy: an object larger than one CopyObject takes, copied by the service in parts, many at once."""

import secrets
from dataclasses import replace

from headrace_daemon.s3.errors import UploadLost
from headrace_daemon.s3.types import ObjectInfo, PutResult, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.ledger import Ledger, open_ledger
from headrace_daemon.transfer.mover import at_destination
from headrace_daemon.transfer.parts import choose_part_size
from headrace_daemon.transfer.send import WRITE_TOKEN, Create
from headrace_daemon.transfer.uploads import upload_key
from headrace_queue.jobs import Item, Lease, Multipart, PartRecord

COPY_PART = 512 * 2**20
"""No byte of it passes this host, so parts are large and requests few."""

COPY_LANES = 16


async def copy_in_parts(
    work: Work,
    lease: Lease,
    item: Item,
    info: ObjectInfo,
    source: BucketEnd,
    target: BucketEnd,
    options: WriteOptions,
    create: Create,
    record: str | None = None,
) -> PutResult:
    """Copy, or go on with a copy that an earlier run began. Every part demands the source's ETag. Raises S3Error.

    record: the name in the queue of an upload to another key than the item's, see uploads.elsewhere().
    """
    copying = _Copying(work, lease, item, info, source, target, options, create)
    return await copying.run(item.key if record is None else record)


class _Copying:
    def __init__(
        self,
        work: Work,
        lease: Lease,
        item: Item,
        info: ObjectInfo,
        source: BucketEnd,
        target: BucketEnd,
        options: WriteOptions,
        create: Create,
    ) -> None:
        self.work = work
        self.lease = lease
        self.info = info
        self.source = source
        self.source_key = source.key(item.key)
        self.version = source.version_of(item)
        self.target = target
        self.remote = target.remote
        self.options = options
        self.create = create

    async def run(self, record: str) -> PutResult:
        key = upload_key(self.target, record)
        ledger = await self._open(record, key)
        try:
            await in_lanes(ledger.missing(), COPY_LANES, lambda number: self._part(ledger, key, number))
            result = await at_destination(
                self.remote.complete_multipart(
                    self.target.bucket,
                    key,
                    ledger.token,
                    ledger.parts(),
                    size=self.info.size,
                    crc64nvme=self.info.checksums.get("crc64nvme", ""),
                    if_none_match=self.options.if_none_match,
                )
            )
        except UploadLost:
            await ledger.end()
            raise
        await ledger.end()
        return result

    async def _open(self, record: str, key: str) -> Ledger:
        info, remote, bucket = self.info, self.remote, self.target.bucket
        write_token = secrets.token_hex(16)
        options = replace(self.options, metadata={**self.options.metadata, WRITE_TOKEN: write_token})
        part_size = choose_part_size(info.size, min(COPY_PART, remote.profile.max_copy), remote.profile)
        fingerprint = f"{info.etag} {info.size}"
        plan = Multipart(self.work.job.id, record, "", info.size, part_size, fingerprint, write_token)

        async def usable(record: Multipart) -> bool:
            return True  # an upload that is gone shows at Complete, and the object starts over

        async def begin_with(options: WriteOptions) -> str:
            return await at_destination(remote.create_multipart(bucket, key, options), self.target)

        async def begin() -> str:
            return await self.create(begin_with, options)

        async def discard(record: Multipart) -> None:
            await remote.abort_multipart(bucket, key, record.token)

        return await open_ledger(self.work.queue, self.lease, plan, usable, begin, discard)

    async def _part(self, ledger: Ledger, key: str, number: int) -> None:
        start, end = ledger.range_of(number)
        result = await at_destination(
            self.remote.copy_part(
                self.target.bucket,
                key,
                ledger.token,
                number,
                self.source.bucket,
                self.source_key,
                start,
                end,
                source_etag=self.info.etag,
                source_version=self.version,
            )
        )
        await ledger.add([PartRecord(number, end - start, result.etag, result.crc64nvme)])
