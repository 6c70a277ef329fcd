"""One look at one transfer: what it shows, and what is done about it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotSupported, UploadLost
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.staging.moving import job_for
from headrace_daemon.staging.rows import cancel_job, offer
from headrace_daemon.staging.waiting import MOVING, Held, delay, upload_delay
from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Job
from headrace_queue.report_file import ReportEntry, read_report, report_path
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store
from headrace_queue.transfers import ENDED, NO_CHANGES, Changes, Direction, Transfer, TransferState
from headrace_queue.writer import Queue

BEGIN: Final = 120.0
"""Seconds that a request may take from its row in the queue to its upload or job: after them it died on the way."""
GONE: Final = 20.0
"""Seconds for which an upload may be gone before its object shows, and …"""
JOINED_A_SECOND: Final = 50 * 2**20
"""… bytes that a service puts together meanwhile, at least."""
LINGER: Final = 60.0
"""Seconds for which a staged object outlives its URL: whoever began in time gets to the end of a part."""


class Looks:
    """What was seen is remembered only to look less often: another daemon may look next.

    now: seconds since the epoch.
    """

    def __init__(
        self,
        state_dir: Path,
        queue: Queue,
        remote: Remote,
        facts: Facts,
        now: Callable[[], float],
    ) -> None:
        self._state_dir = state_dir
        self._queue = queue
        self._remote = remote
        self._facts = facts
        self._now = now
        self._held: dict[int, Held] = {}  # what was last seen of uploads
        self._missing: dict[int, float] = {}  # since when neither upload nor object is seen
        self._woken: set[int] = set()

    async def look(self, transfer: Transfer) -> None:
        """Raises S3Error, QueueError, IllegalTransition and UnknownTransfer where somebody else was faster."""
        if transfer.state is not TransferState.WAITING:
            self._held.pop(transfer.id, None)
            self._missing.pop(transfer.id, None)
        if transfer.state is TransferState.WAITING:
            await self._upload(transfer)
        elif transfer.state is TransferState.MOVING:
            await self._follow(transfer)
        elif transfer.state is TransferState.READY:
            await self._expire(transfer)
        elif transfer.state in ENDED:
            await self._clean(transfer)

    async def _not_begun(self, transfer: Transfer) -> None:
        """Its request is under way, or died: then nobody was told a URL."""
        left = transfer.created + BEGIN - self._now()
        if left > 0:
            await self.wait(transfer, min(left, delay(MOVING, transfer.looks)))
        else:
            await self._fail(transfer, "the service was stopped before it could begin; ask again")

    # -- an upload that waits to be complete --------------------------------------------------------------------------

    async def _upload(self, transfer: Transfer) -> None:
        spec = transfer.spec
        if not transfer.upload_id:
            await self._not_begun(transfer)
            return
        found = await self._head(transfer)
        held = None if found else await self._parts(transfer)
        if found is not None:
            await self._arrived(transfer, found)
        elif held is None:
            await self._gone(transfer)
        elif held.size > spec.size:
            await self._fail(transfer, f"the parts have {held.size} bytes, {spec.size} were announced")
        elif spec.deadline is not None and self._now() >= spec.deadline:
            await self._move(transfer, "time_out", Changes(error="the upload was not completed in time"))
        else:
            await self._wait_for_parts(transfer, held)

    async def _gone(self, transfer: Transfer) -> None:
        """Neither object nor upload is there: it was aborted, or is being put together at this moment (`rclone serve
        s3` forgets the upload first, and then writes the object)."""
        size = transfer.spec.size
        looks = transfer.looks if transfer.id in self._missing else 0
        since = self._missing.setdefault(transfer.id, self._now())
        if self._now() < since + GONE + size / JOINED_A_SECOND:
            await self.wait(transfer, upload_delay(looks, Held(1, size), size), looks + 1)
            return
        await self._move(
            transfer, "cancel", Changes(error="the upload is gone: it was aborted, or the service lost it")
        )

    async def _wait_for_parts(self, transfer: Transfer, held: Held) -> None:
        before = self._held.get(transfer.id, Held())
        self._held[transfer.id] = held
        self._missing.pop(transfer.id, None)
        looks = 0 if held != before else transfer.looks
        seconds = upload_delay(looks, held, transfer.spec.size)
        if transfer.spec.deadline is not None:
            seconds = min(seconds, max(0.0, transfer.spec.deadline - self._now()))
        await self.wait(transfer, seconds, looks + 1)

    async def _arrived(self, transfer: Transfer, found: ObjectInfo) -> None:
        """The object is complete, whatever the client was told of it."""
        if found.size != transfer.spec.size:
            await self._fail(transfer, f"the object has {found.size} bytes, {transfer.spec.size} were announced")
            return
        remote = self._remote.name

        def arrive(store: Store) -> Transfer:
            job, _ = store.enqueue(job_for(transfer, remote))
            return store.move_transfer(transfer.id, "arrive", Changes(job_id=job.id))

        self._tell(await self._queue.write(arrive))

    async def _head(self, transfer: Transfer) -> ObjectInfo | None:
        try:
            return await self._remote.head(transfer.spec.bucket, transfer.spec.key)
        except NotFound:
            return None

    async def _parts(self, transfer: Transfer) -> Held | None:
        """What arrived so far, nothing where the service does not tell; None: there is no such upload any more."""
        try:
            parts = await self._remote.list_parts(transfer.spec.bucket, transfer.spec.key, transfer.upload_id)
        except (UploadLost, NotFound):
            return None
        except NotSupported:
            return Held()
        return Held(len(parts), sum(part.size for part in parts))

    # -- the job that moves the bytes ---------------------------------------------------------------------------------

    async def _follow(self, transfer: Transfer) -> None:
        if transfer.job_id is None:
            await self._not_begun(transfer)
            return
        job_id = transfer.job_id
        try:
            job = await self._queue.read(lambda store: store.job(job_id))
        except UnknownJob:
            await self._fail(transfer, f"job {job_id}, which moved the bytes, was removed from the queue")
            return
        if job.state is JobState.DONE:
            await self._moved(transfer, job)
        elif job.state is JobState.INCOMPLETE:
            failures = await self._queue.read(lambda store: store.failures(job_id, limit=1))
            await self._fail(transfer, failures[0][1].message if failures else f"job {job_id} is incomplete")
        elif job.state is JobState.FAILED:
            await self._fail(transfer, job.error or f"job {job_id} failed")
        elif job.state is JobState.CANCELLED and job.counters.done and transfer.spec.direction is Direction.UPLOAD:
            await self._moved(transfer, job)  # whoever cancelled it came too late: the file stands there
        elif job.state is JobState.CANCELLED:
            await self._move(transfer, "cancel", Changes(error=f"job {job_id}, which moved the bytes, was cancelled"))
        else:
            await self.wait(transfer, delay(MOVING, transfer.looks))

    async def _moved(self, transfer: Transfer, job: Job) -> None:
        if job.counters.done == 0:
            await self._fail(transfer, f"{transfer.spec.path}: it exists already, and nothing was to be replaced")
            return
        entry = await asyncio.to_thread(_last_line, report_path(self._state_dir, job.id))
        proven = Changes(etag=entry.etag, crc64nvme=entry.crc64nvme) if entry else NO_CHANGES
        if transfer.spec.direction is Direction.UPLOAD:
            await self._move(transfer, "land", proven)
        else:
            now = self._now()
            self._tell(await self._queue.write(lambda store: offer(store, transfer.id, proven, now)))

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _expire(self, transfer: Transfer) -> None:
        now = self._now()

        def expire(store: Store) -> Transfer:
            # read again: a person may have asked for a URL that works longer
            current = store.transfer(transfer.id)
            if current.expires is not None and current.expires > now:
                return store.change_transfer(transfer.id, Changes(next_look=current.expires))
            return store.move_transfer(transfer.id, "expire", Changes(next_look=now + LINGER))

        after = await self._queue.write(expire)
        if after.state is not transfer.state:
            self._tell(after)

    async def _clean(self, transfer: Transfer) -> None:
        """Nothing of it stays in the bucket. Only once its job has let go: it could write the object once more."""
        job = await self._queue.write(lambda store: cancel_job(store, transfer.job_id))
        if job is not None and job not in FINAL:
            await self.wait(transfer, delay(MOVING, transfer.looks))
            return
        bucket, key = transfer.spec.bucket, transfer.spec.key
        with suppress(NoSuchBucket):
            uploads = [transfer.upload_id] if transfer.upload_id else await self._remote.uploads_of(bucket, key)
            for upload_id in uploads:
                await self._remote.abort_multipart(bucket, key, upload_id)
            for error in (await self._remote.delete(bucket, [key])).values():
                raise error
        await self._change(transfer.id, Changes(staged=False))

    # -- the queue ----------------------------------------------------------------------------------------------------

    def wake(self, transfer_id: int) -> None:
        """The look that is under way may have come too early: another one follows it at once."""
        self._woken.add(transfer_id)

    async def wait(self, transfer: Transfer, seconds: float, looks: int | None = None) -> None:
        """The next look is in so many seconds. looks: how many found nothing new, this one included."""
        if transfer.id in self._woken:
            self._woken.discard(transfer.id)
            seconds, looks = 0.0, 0
        count = transfer.looks + 1 if looks is None else looks
        await self._change(transfer.id, Changes(next_look=self._now() + seconds, looks=count))

    async def _change(self, transfer_id: int, changes: Changes) -> None:
        await self._queue.write(lambda store: store.change_transfer(transfer_id, changes))

    async def _fail(self, transfer: Transfer, error: str) -> None:
        await self._move(transfer, "fail", Changes(error=error))

    async def _move(self, transfer: Transfer, event: str, changes: Changes) -> None:
        self._tell(await self._queue.write(lambda store: store.move_transfer(transfer.id, event, changes)))

    def _tell(self, transfer: Transfer) -> None:
        self._woken.discard(transfer.id)
        self._facts.transfer_event(transfer.id, transfer.spec.direction, transfer.state, transfer.error or "")


def _last_line(path: Path) -> ReportEntry | None:
    """The line of the one object that the job moved."""
    last = None
    for entry in read_report(path):
        last = entry if not entry.failed else last
    return last
