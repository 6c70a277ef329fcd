"""What the movers share that make an object out of files: the one PUT of a small one."""

import time

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import PreconditionFailed
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.into_bucket import IntoBucket
from headrace_daemon.transfer.kept import Brought, Kept
from headrace_daemon.transfer.mover import at_destination
from headrace_queue.jobs import Item


class FromFiles(IntoBucket):
    """kept: looks whether the service kept what was sent along."""

    def __init__(self, work: Work, target: BucketEnd, kept: Kept) -> None:
        super().__init__(work, target)
        self._kept = kept

    async def _put(self, item: Item, data: Buffer, crc: str, brought: Brought) -> Outcome:
        """crc: base64 of the data's. Raises S3Error, IntegrityError where the service has other bytes."""
        started, target, size = time.monotonic(), self._target, len(data)
        try:
            result = await at_destination(
                target.remote.put(
                    target.bucket, target.key(item.key), data, size=size, crc64nvme=crc, options=brought.options
                ),
                target,
            )
        except PreconditionFailed:
            if not brought.options.if_none_match:
                raise
            return Outcome("skipped", size=size, message="exists already")
        proof = await self._prove_put(item, data, crc, result)
        await self._kept.look_back(item, brought)
        return Outcome(
            "transferred",
            size=size,
            seconds=time.monotonic() - started,
            destination_endpoint=result.endpoint,
            etag=result.etag,
            crc64nvme=crc,
            proof=proof,
            lost=brought.lost_text,
        )
