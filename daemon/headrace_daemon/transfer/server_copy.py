"""Bucket -> bucket of one remote: the service copies, no byte passes this host."""

import time
from collections.abc import Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.errors import AccessDenied, NotSupported, PreconditionFailed
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.copy_parts import copy_in_parts
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.mover import Mover, Numbered, Tell, at_destination, attempt
from headrace_daemon.transfer.options import carried_over
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

    def __init__(self, work: Work, source: BucketEnd, target: BucketEnd, fallback: Mover, refusal: list[bool]) -> None:
        self._work = work
        self._source = source
        self._target = target
        self._fallback = fallback
        self._refusal = refusal

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        for one in group:
            if not await self._copied(one, None, tell):
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
        source, target = self._source, self._target
        remote = target.remote
        info = await remote.head(source.bucket, source.key(item.key))
        options = carried_over(self._work.job.spec.options, remote.profile, info)
        if lease is not None and info.size > remote.profile.max_copy:
            result = await copy_in_parts(self._work, lease, item, info, source, target, options)
        else:
            try:
                result = await remote.copy(
                    target.bucket,
                    target.key(item.key),
                    source.bucket,
                    source.key(item.key),
                    source_etag=info.etag,
                    options=options,
                )
            except PreconditionFailed:
                if not options.if_none_match:
                    raise
                return Outcome("skipped", size=info.size, message="exists already")
        stored = await at_destination(remote.head(target.bucket, target.key(item.key)))
        return Outcome(
            "copied",
            size=info.size,
            seconds=time.monotonic() - started,
            source_endpoint=result.endpoint,
            destination_endpoint=result.endpoint,
            etag=stored.etag,
            crc64nvme=stored.checksums.get("crc64nvme", ""),
            proof=_prove_copy(item, info, stored),
        )

    async def settle(self, tell: Tell) -> None:
        await self._fallback.settle(tell)

    async def abandon(self, items: Sequence[Item]) -> None:
        await self._fallback.abandon(items)

    async def forget(self, items: Sequence[Item]) -> None:
        await give_up_uploads(self._work, self._target, items)


def _prove_copy(item: Item, source: ObjectInfo, copy: ObjectInfo) -> str:
    """Both objects as the service describes them. Raises IntegrityError."""
    ours, theirs = source.checksums.get("crc64nvme", ""), copy.checksums.get("crc64nvme", "")
    if ours and theirs:
        return agree(item.key, ours, theirs)
    agree_size(item, source, copy)
    return "etag" if source.etag == copy.etag else "size"


def agree_size(item: Item, source: ObjectInfo, copy: ObjectInfo) -> None:
    """Raises IntegrityError where the copy has another length."""
    agree(f"{item.key} length", str(source.size), str(copy.size))
