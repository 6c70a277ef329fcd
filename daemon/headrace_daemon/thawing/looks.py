"""Looks at one object at a time that is in an archive class: asks S3 to restore it, sees whether it can be read."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.archived import ArchiveState, archive_state
from headrace_daemon.s3.customer_key import read_key_file
from headrace_daemon.s3.errors import (
    AccessDenied,
    NoSuchBucket,
    NotFound,
    NotSupported,
    Rejected,
    S3Error,
)
from headrace_daemon.s3.restoring import Asked
from headrace_daemon.session import Host
from headrace_daemon.thawing.times import NO_CAPACITY, expected, next_look
from headrace_daemon.transfer.abilities import for_reading, refuse_plain_http
from headrace_daemon.transfer.ends import BucketEnd
from headrace_daemon.transfer.judge import ARCHIVED
from headrace_queue.advice import for_job, with_advice
from headrace_queue.jobs import Counters, Failure, Job
from headrace_queue.key_files import SOURCE_OPTION
from headrace_queue.locations import Location
from headrace_queue.thaw import Thaw, ThawChanges

MOST_ENDS: Final = 64
"""Jobs whose sources are kept open."""
MOST_REMEMBERED: Final = 10_000
MOST_ROUNDS: Final = 3
"""How often an object may be refused as archived of which a HEAD then says that it can be read."""
_CONTRADICTION: Final = with_advice(
    "the service refuses to read it, for it is archived, and then says that it can be read",
    "look at its storage class with `headrace stat`, or restore it otherwise",
)
_REFUSED: Final = (AccessDenied, NotSupported, Rejected)


class Looks:
    """All that counts is in the queue and at S3. now: seconds since the epoch. poll: see `times.next_look`."""

    def __init__(self, host: Host, now: Callable[[], float] = time.time, poll: float | None = None) -> None:
        self._host = host
        self._queue = host.queue
        self._now = now
        self._poll = poll
        self._ends: OrderedDict[int, BucketEnd] = OrderedDict()
        self._no_capacity: set[int] = set()  # jobs of which it was told
        self._readable: OrderedDict[tuple[int, str, str], int] = OrderedDict()  # what came back at its first look

    async def look(self, thaw: Thaw) -> None:
        """Raises S3Error where the service does not answer, UsageError where its remote cannot be used, QueueError,
        UnknownThaw where another keeper was quicker."""
        job = await self._queue.read(lambda store: store.job(thaw.job_id))
        end = await self._end(job)
        key, version = end.key(thaw.item.key), end.version_of(thaw.item)
        try:
            state = archive_state(await end.remote.all_headers(end.bucket, key, version=version))
            if state.readable and self._contradicted(thaw):
                await self._end_of(thaw, Outcome("failed", error=ARCHIVED, message=_CONTRADICTION))
            elif state.readable:
                await self._queue.write(lambda store: store.thawed(thaw.id))
            elif state.under_way:
                await self._wait(thaw, job, state, thaw.asked or self._now())
            else:
                await self._ask(thaw, job, end, state)
        except NoSuchBucket:
            await self._queue.write(lambda store: store.thawed(thaw.id))  # whoever reads it then fails the job
        except NotFound as error:
            await self._end_of(thaw, Outcome("vanished", message=str(error)))
        except _REFUSED as error:
            await self._end_of(thaw, _failed(error, job.id))

    async def later(self, thaw: Thaw, seconds: float) -> None:
        """The next look is in so many seconds."""
        changes = ThawChanges(next_look=self._now() + seconds, looks=thaw.looks + 1)
        await self._queue.write(lambda store: store.change_thaw(thaw.id, changes))

    async def _ask(self, thaw: Thaw, job: Job, end: BucketEnd, state: ArchiveState) -> None:
        options = job.spec.options
        asked = await end.remote.restore_object(
            end.bucket,
            end.key(thaw.item.key),
            days=None if state.tiered else options.restore_days,
            tier=options.restore_tier,
            version=end.version_of(thaw.item),
        )
        if asked in (Asked.READABLE, Asked.RESTORED):
            await self._queue.write(lambda store: store.thawed(thaw.id))
        elif asked is Asked.LATER:
            self._tell_no_capacity(job)
            await self.later(thaw, NO_CAPACITY)
        else:
            await self._wait(thaw, job, state, self._now())

    async def _wait(self, thaw: Thaw, job: Job, state: ArchiveState, asked: float) -> None:
        tier = job.spec.options.restore_tier
        changes = ThawChanges(
            next_look=next_look(state.place, tier, asked, self._now(), self._poll),
            looks=thaw.looks + 1,
            storage_class=state.place,
            asked=asked,
            expected=expected(state.place, tier, asked),
        )
        await self._queue.write(lambda store: store.change_thaw(thaw.id, changes))

    def _contradicted(self, thaw: Thaw) -> bool:
        """Whether an object has come back too often that was refused as archived, and at its first look is not: it
        would go round for ever."""
        if thaw.looks:
            return False
        object_ = (thaw.job_id, thaw.item.key, thaw.item.version)
        rounds = self._readable.pop(object_, 0) + 1
        self._readable[object_] = rounds
        if len(self._readable) > MOST_REMEMBERED:
            self._readable.popitem(last=False)
        return rounds > MOST_ROUNDS

    async def _end_of(self, thaw: Thaw, outcome: Outcome) -> None:
        """The report's line first, as with transfers."""
        self._host.report.write(thaw.job_id, thaw.item, outcome)
        self._host.report.flush(thaw.job_id)
        self._host.facts.object_done(thaw.job_id, "restore", thaw.item, outcome)
        failure = None
        if outcome.state == "failed":
            failure = Failure(thaw.item, outcome.error, outcome.message)
        counters = Counters(vanished=int(failure is None))
        await self._queue.write(lambda store: store.end_thaw(thaw.id, counters, failure))

    def _tell_no_capacity(self, job: Job) -> None:
        if job.id not in self._no_capacity:
            self._no_capacity.add(job.id)
            text = "S3 has no capacity for --restore-tier Expedited just now; it is asked again every 5 minutes"
            self._host.facts.job_event(job.id, "warning", text)

    async def _end(self, job: Job) -> BucketEnd:
        """The source of a job, read as the job reads it. Raises UsageError, CredentialsExpired."""
        end = self._ends.get(job.id)
        if end is None:
            location, options = Location.parse(job.spec.source), job.spec.options
            name = location.remote or "s3"
            remote = self._host.remotes.get(name)
            await remote.start()
            key = None
            if options.source_sse_c_key_file is not None:
                section = self._host.config.remotes.get(name)
                refuse_plain_http(SOURCE_OPTION, location, section.endpoint_urls if section else ())
                key = await self._host.threads.run(read_key_file, options.source_sse_c_key_file)
            end = for_reading(options, BucketEnd(remote, location.bucket, location.key), key)
            self._ends[job.id] = end
            if len(self._ends) > MOST_ENDS:
                self._ends.popitem(last=False)
        return end


def _failed(error: S3Error, job_id: int) -> Outcome:
    if isinstance(error, AccessDenied):
        remedy = "let these credentials restore objects (on AWS s3:RestoreObject), then `headrace retry JOB`"
        return Outcome("failed", error="access_denied", message=for_job(with_advice(str(error), remedy), job_id))
    why = f"it is archived, and the service does not restore it: {error}"
    remedy = "choose another --restore-tier (DEEP_ARCHIVE has no Expedited), or restore it otherwise"
    return Outcome("failed", error=ARCHIVED, message=with_advice(why, remedy))
