"""Sends one large object to a bucket in parts: of a file (upload) or of another bucket's object (relay).

The source is read once. Each part's CRC64NVME is computed on the buffer that is sent, while it is filled, confirmed by
the service, and combined into the whole object's, which Complete carries and its answer is compared with.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeAlias

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.checksum import md5_hex, to_text
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import IntegrityError, NoSuchBucket, NotFound, NotSupported, UploadLost
from headrace_daemon.s3.types import ObjectInfo, PutResult, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.ledger import Ledger, open_ledger
from headrace_daemon.transfer.mover import at_destination
from headrace_daemon.transfer.parts import choose_part_size
from headrace_daemon.transfer.proof import agree, is_md5
from headrace_queue.jobs import Item, Lease, Multipart, PartRecord

WRITE_TOKEN = "headrace-write"
"""User metadata that shows a large object to be of this very upload, when the answer to Complete was lost."""

MAX_PART_LANES = 64


Create: TypeAlias = Callable[[Callable[[WriteOptions], Awaitable[str]], WriteOptions], Awaitable[str]]
"""Begins an upload by calling its first argument with the second one, or again with options that the service takes."""


class PartSource(Protocol):
    """Where the parts come from."""

    size: int
    fingerprint: str
    stored_crc: str  # base64 CRC64NVME that the source already has, or ''
    overhead: int  # bytes of memory that reading a part takes beside its buffer
    proven: bool  # whether what is read lies on this host, or is compared with what the source stores of it

    async def part(self, start: int, buffer: memoryview) -> tuple[str, int]:
        """Fill the buffer from `start` on; the endpoint it came from ('' for a file), and the CRC64NVME of what lies in
        the buffer. Raises what `judge` knows."""
        ...

    async def check(self) -> None:
        """Raises SourceChanged where the source is no longer what its fingerprint says."""
        ...


async def as_told(begin: Callable[[WriteOptions], Awaitable[str]], options: WriteOptions) -> str:
    """The Create that takes a refusal as it is."""
    return await begin(options)


async def send_object(
    work: Work,
    lease: Lease,
    item: Item,
    source: PartSource,
    target: BucketEnd,
    options: WriteOptions,
    create: Create = as_told,
    stripe: int = 0,
) -> Outcome:
    """The whole object, or what an earlier run left to do of it. stripe: of the file that is read, see
    `choose_part_size`. Raises what `judge` knows."""
    sender = _Sender(work, lease, item, source, target, options, create, stripe)
    return await sender.run()


class _Sender:
    def __init__(
        self,
        work: Work,
        lease: Lease,
        item: Item,
        source: PartSource,
        target: BucketEnd,
        options: WriteOptions,
        create: Create,
        stripe: int,
    ) -> None:
        self.work = work
        self.lease = lease
        self.item = item
        self.source = source
        self.target = target
        self.remote = target.remote
        self.bucket = target.bucket
        self.key = target.key(item.key)
        self.options = options
        self.create = create
        self.stripe = stripe
        self.sources: set[str] = set()
        self.confirmed = True  # every part so far was confirmed by a digest

    async def run(self) -> Outcome:
        ledger = await self._open()
        try:
            missing = ledger.missing()
            await in_lanes(missing, self._lanes(ledger, len(missing)), lambda number: self._part(ledger, number))
            await self.source.check()
            crc = ledger.crc64nvme()
            if self.source.stored_crc:
                agree(f"{self.item.key} as it was read", crc, self.source.stored_crc)
            result = await self._complete(ledger, crc)
        except (IntegrityError, UploadLost):
            # What is stored there is wrong, or gone: nothing to go on with.
            await self._discard(ledger.record)
            await ledger.end()
            raise
        await ledger.end()
        return Outcome(
            "transferred",
            size=self.source.size,
            source_endpoint=",".join(sorted(self.sources - {""})),
            destination_endpoint=result.endpoint,
            etag=result.etag,
            crc64nvme=crc,
            proof=self._proof(crc, result),
        )

    def _lanes(self, ledger: Ledger, missing: int) -> int:
        affordable = max(1, self.work.memory.limit // (ledger.record.part_size + self.source.overhead))
        return max(1, min(missing, affordable, MAX_PART_LANES))

    async def _open(self) -> Ledger:
        write_token = secrets.token_hex(16)
        plan = Multipart(
            job_id=self.work.job.id,
            key=self.item.key,
            token="",
            size=self.source.size,
            part_size=choose_part_size(self.source.size, self.work.config.part_size, self.remote.profile, self.stripe),
            fingerprint=self.source.fingerprint,
            write_token=write_token,
        )
        metadata = {**self.options.metadata, WRITE_TOKEN: write_token}
        self.options = replace(self.options, metadata=metadata)

        async def begin_with(options: WriteOptions) -> str:
            created = self.remote.create_multipart(self.bucket, self.key, options)
            return await at_destination(created, self.target)

        async def begin() -> str:
            return await self.create(begin_with, self.options)

        return await open_ledger(self.work.queue, self.lease, plan, self._usable, begin, self._discard)

    async def _usable(self, record: Multipart) -> bool:
        """Is the upload still there? Where the service cannot list parts, the record alone is believed; a Complete
        that finds no upload starts the object over."""
        if not self.remote.profile.list_parts:
            return True
        try:
            stored = await self.remote.list_parts(self.bucket, self.key, record.token)
        except (NotFound, UploadLost):
            return await self._ours(record) is not None
        except NotSupported:
            return True
        there = {part.number: part.etag for part in stored}
        return all(there.get(part.number) == part.etag for part in record.parts)

    async def _discard(self, record: Multipart) -> None:
        await self.remote.abort_multipart(self.bucket, self.key, record.token)

    async def _part(self, ledger: Ledger, number: int) -> None:
        start, end = ledger.range_of(number)
        await self.work.pace(end - start)
        async with self.work.parts, self.work.memory.buffer(end - start, self.source.overhead) as data:
            endpoint, total = await self.source.part(start, data)
            self.sources.add(endpoint)
            crc = to_text(total)
            result = await at_destination(
                self.remote.upload_part(
                    self.bucket, self.key, ledger.token, number, data, size=end - start, crc64nvme=crc
                )
            )
            await self._confirm(number, data, crc, result)
        await ledger.add([PartRecord(number, end - start, result.etag, crc)])

    async def _confirm(self, number: int, data: Buffer, crc: str, result: PutResult) -> None:
        what = f"{self.item.key} part {number}"
        if result.crc64nvme:
            agree(what, crc, result.crc64nvme)
        elif self.remote.profile.etag_md5 and is_md5(result.etag) and not (result.opaque_etag or _is_kms(self.options)):
            # off the loop: MD5 of 8 MiB takes 11 ms
            ours = await self.work.threads.run(md5_hex, data)
            if ours != result.etag:
                raise IntegrityError("integrity", f"{what}: the MD5 here is {ours}, its ETag {result.etag}")
        else:
            self.confirmed = False

    async def _complete(self, ledger: Ledger, crc: str) -> PutResult:
        try:
            result = await self.remote.complete_multipart(
                self.bucket,
                self.key,
                ledger.token,
                ledger.parts(),
                size=self.source.size,
                crc64nvme=crc,
                if_none_match=self.options.if_none_match,
            )
        except NoSuchBucket:
            raise
        except (NotFound, UploadLost) as error:
            # An earlier Complete may have worked although its answer was lost: prove it by the write token.
            info = await self._ours(ledger.record)
            if info is None:
                raise UploadLost(error.code, f"{self.item.key}: {error.message}", error.status) from error
            return PutResult(info.etag, info.checksums.get("crc64nvme", ""), info.endpoint)
        if not result.crc64nvme and self.remote.profile.checksums:
            info = await at_destination(self.remote.head(self.bucket, self.key))
            return PutResult(result.etag, info.checksums.get("crc64nvme", ""), result.endpoint)
        return result

    async def _ours(self, record: Multipart) -> ObjectInfo | None:
        """The object at the key, if this very upload made it."""
        try:
            info = await self.remote.head(self.bucket, self.key)
        except NotFound:
            return None
        ours = info.metadata.get(WRITE_TOKEN) == record.write_token and info.size == record.size
        return info if ours else None

    def _proof(self, crc: str, result: PutResult) -> str:
        """The weaker of both sides: what arrived whole may have been read wrong."""
        written = agree(self.item.key, crc, result.crc64nvme) if result.crc64nvme else ""
        if not self.source.proven:
            return "size"
        return written or ("parts" if self.confirmed else "size")


def _is_kms(options: WriteOptions) -> bool:
    return options.sse is not None and options.sse.startswith("aws:kms")
