"""Bucket -> bucket of one remote: the service copies, no byte passes this host."""

import time
from collections.abc import Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.archived import refuse_archived
from headrace_daemon.s3.errors import AccessDenied, NotSupported, PreconditionFailed
from headrace_daemon.s3.types import ObjectInfo, PutResult, WriteOptions
from headrace_daemon.transfer.attributes import Attributes
from headrace_daemon.transfer.copy_parts import copy_in_parts
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.mover import Mover, Numbered, Tell, at_destination, attempt
from headrace_daemon.transfer.proof import agree
from headrace_daemon.transfer.tally import new_tally
from headrace_daemon.transfer.uploads import give_up_uploads
from headrace_queue.jobs import Item, Lease, Via

_REFUSED = (NotSupported, AccessDenied)


class ServerCopy:
    """CopyObject, or UploadPartCopy above the service's limit; where the service refuses, `fallback` streams.

    refusal is shared by the job's batches in this worker: that a service will not copy is found out once.
    """

    direction = "copy"

    def __init__(
        self,
        work: Work,
        source: BucketEnd,
        target: BucketEnd,
        attributes: Attributes,
        fallback: Mover,
        refusal: list[bool],
    ) -> None:
        self._work = work
        self._source = source
        self._target = target
        self._attributes = attributes
        self._fallback = fallback
        self._refusal = refusal

    @property
    def streams(self) -> bool:
        """Only once the service has refused to copy."""
        return self._refusal[0]

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        paid = self.streams
        for one in group:
            if not await self._copied(one, None, tell):
                if not paid:
                    self._work.charge(one[1].size)
                await self._fallback.small([one], tell)

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        if not await self._copied(one, lease, tell):
            await self._fallback.large(one, lease, tell)

    async def _copied(self, one: Numbered, lease: Lease | None, tell: Tell) -> bool:
        """False where the service refused to copy and streaming may take over."""
        if self._refusal[0]:
            return False
        index, item = one
        tally = new_tally()
        refused = False

        async def once() -> Outcome:
            nonlocal refused
            try:
                return await self._one(item, lease)
            except _REFUSED:
                refused = self._work.job.spec.options.via is Via.AUTO
                raise

        outcome = await attempt(once, self._work, item.key, tally)
        if refused:
            self._refusal[0] = True
            self._work.facts.job_event(self._work.job.id, "streaming", f"the service does not copy: {outcome.message}")
            return False
        await tell(index, item, outcome, tally.take())
        return True

    async def _one(self, item: Item, lease: Lease | None) -> Outcome:
        started = time.monotonic()
        limit = self._target.remote.profile.max_copy
        if lease is not None and item.size > limit:
            outcome = await self._in_parts(item, lease)
        else:
            outcome = await self._whole(item)
        outcome.seconds = time.monotonic() - started
        return outcome

    async def _whole(self, item: Item) -> Outcome:
        """One request where the ETag proves the copy, as it does for an object of a single part."""
        source, target = self._source, self._target
        brought = await self._attributes.of_copy(item)

        async def copy(options: WriteOptions) -> PutResult:
            names = target.bucket, target.key(item.key), source.bucket, source.key(item.key)
            return await target.remote.copy(
                *names,
                source_etag=item.etag,
                options=options,
                keep_metadata=not brought.replaces,
                source_version=source.version_of(item),
            )

        try:
            result = await self._attributes.send(brought, copy)
        except PreconditionFailed:
            if fresh := await self._written_since(item):
                return await self._whole(fresh)
            if not brought.options.if_none_match:
                raise
            return Outcome("skipped", size=item.size, message="exists already")
        if result.etag == item.etag:
            outcome = _copied(item.size, result, result.etag, result.crc64nvme, "etag")
        else:
            info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
            if not source.is_then(item, info.etag):  # the service passes over the condition that was sent
                raise PreconditionFailed("PreconditionFailed", "another object was copied than was listed", 412)
            outcome = await self._proven(item, info, result)
        await self._attributes.look_back(item, brought)
        outcome.lost = brought.lost_text
        return outcome

    async def _written_since(self, item: Item) -> Item | None:
        """The object as it is now, where the list was an inventory, which may be days old; None where it is the same.

        Raises NotFound where what was chosen of the past is there no more; PreconditionFailed where another object was
        written since it was listed: it is not the one that the job was to copy.
        """
        source = self._source
        info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
        if info.etag == item.etag:
            return None
        source.check_then(item, info.etag)
        if self._work.job.spec.options.inventory is None:
            raise PreconditionFailed("PreconditionFailed", "it was written since it was listed", 412)
        return item._replace(etag=info.etag, size=info.size)

    async def _in_parts(self, item: Item, lease: Lease) -> Outcome:
        source, target = self._source, self._target
        info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
        refuse_archived(info)
        source.check_then(item, info.etag)
        brought = await self._attributes.of(item, info)
        create = self._attributes.creating(brought)
        result = await copy_in_parts(self._work, lease, item, info, source, target, brought.options, create)
        outcome = await self._proven(item, info, result)
        await self._attributes.look_back(item, brought)
        outcome.lost = brought.lost_text
        return outcome

    async def _proven(self, item: Item, info: ObjectInfo, result: PutResult) -> Outcome:
        """Both objects as the service describes them. Raises IntegrityError."""
        target = self._target
        stored = await at_destination(target.remote.head(target.bucket, target.key(item.key)))
        ours, theirs = info.checksums.get("crc64nvme", ""), stored.checksums.get("crc64nvme", "")
        agree(f"{item.key} length", str(info.size), str(stored.size))
        proof = agree(item.key, ours, theirs) if ours and theirs else "size"
        return _copied(info.size, result, stored.etag, theirs, proof)

    async def settle(self, tell: Tell) -> None:
        await self._fallback.settle(tell)

    async def abandon(self, items: Sequence[Item]) -> None:
        await self._fallback.abandon(items)

    async def forget(self, items: Sequence[Item]) -> None:
        await give_up_uploads(self._work, self._target, items)


def _copied(size: int, result: PutResult, etag: str, crc64nvme: str, proof: str) -> Outcome:
    return Outcome(
        "copied",
        size=size,
        source_endpoint=result.endpoint,
        destination_endpoint=result.endpoint,
        etag=etag,
        crc64nvme=crc64nvme,
        proof=proof,
    )
