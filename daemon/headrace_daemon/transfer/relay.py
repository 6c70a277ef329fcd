"""Bucket -> bucket through this host's memory, never its disk."""

import time
from collections.abc import Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.archived import refuse_archived
from headrace_daemon.s3.checksum import RunningSum, crc64nvme, to_text
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import PreconditionFailed
from headrace_daemon.s3.reading import RangeBody
from headrace_daemon.s3.types import ObjectInfo, PutResult, WriteOptions
from headrace_daemon.transfer.attributes import Attributes
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.into_bucket import IntoBucket
from headrace_daemon.transfer.mover import Numbered, Tell, at_destination, attempt
from headrace_daemon.transfer.proof import prove
from headrace_daemon.transfer.send import send_object
from headrace_daemon.transfer.tally import new_tally
from headrace_queue.jobs import Item, Lease


class Relay(IntoBucket):
    """GET and PUT for a small object, ranges and parts for a large one; both sides' checksums are compared."""

    direction = "relay"
    streams = True

    def __init__(self, work: Work, source: BucketEnd, target: BucketEnd, attributes: Attributes) -> None:
        super().__init__(work, target)
        self._source = source
        self._attributes = attributes

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        tally = new_tally()
        for index, item in group:
            outcome = await attempt(
                lambda item=item: self._one(item),  # type: ignore[misc]
                self._work,
                item.key,
                tally,
                item.size,
            )
            await tell(index, item, outcome, tally.take())

    async def _one(self, item: Item) -> Outcome:
        started = time.monotonic()
        source, target = self._source, self._target
        info, data = await source.remote.get(
            source.bucket, source.key(item.key), size=item.size, version=source.version_of(item)
        )
        source.check_then(item, info.etag)
        crc = to_text(crc64nvme(data))
        self._prove_read(item, info, data, crc)
        brought = await self._attributes.of(item, info)

        async def put(options: WriteOptions) -> PutResult:
            written = target.remote.put(
                target.bucket, target.key(item.key), data, size=len(data), crc64nvme=crc, options=options
            )
            return await at_destination(written, target)

        try:
            result = await self._attributes.send(brought, put)
        except PreconditionFailed:
            if not brought.options.if_none_match:
                raise
            return Outcome("skipped", size=len(data), message="exists already")
        proof = await self._prove_put(item, data, crc, result)
        await self._attributes.look_back(item, brought)
        return Outcome(
            "transferred",
            size=len(data),
            seconds=time.monotonic() - started,
            source_endpoint=info.endpoint,
            destination_endpoint=result.endpoint,
            etag=result.etag,
            crc64nvme=crc,
            proof=proof,
            lost=brought.lost_text,
        )

    def _prove_read(self, item: Item, info: ObjectInfo, data: Buffer, crc: str) -> None:
        prove(
            f"{item.key} as it was read",
            data,
            crc,
            theirs_crc=info.checksums.get("crc64nvme", ""),
            theirs_etag=info.etag,
            etag_is_md5=self._source.remote.profile.etag_md5 and not info.opaque_etag,
        )

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        _, item = one

        async def once() -> Outcome:
            started = time.monotonic()
            source = self._source
            info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
            refuse_archived(info)
            source.check_then(item, info.etag)
            parts = _ObjectParts(self._source, item, info)
            brought = await self._attributes.of(item, info)
            create = self._attributes.creating(brought)
            outcome = await send_object(self._work, lease, item, parts, self._target, brought.options, create)
            await self._attributes.look_back(item, brought)
            outcome.lost = brought.lost_text
            outcome.seconds = time.monotonic() - started
            return outcome

        await self._try_large(one, once, tell)


class _ObjectParts:
    """The parts of an object, read by ranges that all demand the same ETag."""

    overhead = 9 * 2**20  # measured: what the engine holds of a stream that is read, and of a part that is sent

    def __init__(self, source: BucketEnd, item: Item, info: ObjectInfo) -> None:
        self._source = source
        self._key = source.key(item.key)
        self._version = source.version_of(item)
        self._etag = info.etag
        self.size = info.size
        self.fingerprint = f"{info.etag} {info.size}"
        self.stored_crc = info.checksums.get("crc64nvme", "")
        self.proven = bool(self.stored_crc)

    async def part(self, start: int, buffer: memoryview) -> tuple[str, int]:
        source, size = self._source, len(buffer)

        async def fill(body: RangeBody, endpoint: str) -> tuple[str, int]:
            total = RunningSum()
            await body.into(buffer, total.add)
            return endpoint, total.value

        return await source.remote.get_range(
            source.bucket,
            self._key,
            start,
            start + size,
            if_match=self._etag,
            total=self.size,
            consume=fill,
            version=self._version,
        )

    async def check(self) -> None:
        """Each range demanded the ETag; the object was the same from first to last byte."""
