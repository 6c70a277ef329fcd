"""Claims plans and batches, runs each as a task of its own, and bounds what is in flight.

All it knows about the world it reads from the queue: a change made by the command or by another daemon shows as
another `version()` within a tenth of a second.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from headrace_daemon.facts import Facts
from headrace_daemon.planning import fail_job, run_plan
from headrace_daemon.session import Sessions
from headrace_daemon.transfer.batch import BatchRun
from headrace_daemon.transfer.judge import ending_text, passing_reason
from headrace_queue.errors import HeadraceError, LeaseLost, QueueFull, UnknownJob
from headrace_queue.job_course import bore_too_many
from headrace_queue.job_json import warning_of
from headrace_queue.jobs import Batch, Job
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store
from headrace_queue.writer import Queue

POLL = 0.1
"""Seconds between looks at the queue's version: a new job starts within half a second."""

QUIET = 0.1
"""Seconds without a change after which a write to the queue is looked at when it is heard of."""

SWEEP = 1.0
"""Seconds between claims without any change: batches also become ready by time alone."""

FULL = 5.0
"""Seconds between looks while the disk below the queue is full."""

AGAIN = 10.0
"""Seconds until a batch is tried again whose source or destination could not be opened."""

STUCK = 5.0
"""Seconds for which the process for small files may keep the end of this worker waiting for one answer. Then it is
ended: it waits for a disk that does not answer, or was stopped itself."""

LONG_STUCK = 20.0
"""The same where a job was cancelled: others go on, and without that process they are slower until the next start."""

SILENT = 300.0
"""The same where nobody wants to stop anything: a job must not stand still for ever."""

MAX_PLANS = 4
MAX_BATCHES = 8
MAX_BUSY = 32
"""Batches under way in all: the eight of a slow job must not keep another from its first one."""
MAX_WAITING = 200
"""Ready batches a job may have before its planner pauses: the bound on the queue's rows."""


@dataclass(slots=True, eq=False)
class _Task:
    """A plan or a batch under way."""

    job_id: int
    plans: bool
    priority: int
    task: asyncio.Task[None] = field(init=False)
    run: BatchRun | None = None  # of a batch, once the ends of its job are open
    stopped: bool = False  # asked to end, once: to ask again would break off what it does on its way out


class Dispatcher:
    """One worker's hands."""

    def __init__(
        self,
        queue: Queue,
        worker_id: str,
        sessions: Sessions,
        facts: Facts,
        now: Callable[[], float],
        only_job: int | None = None,
    ) -> None:
        self._queue = queue
        self._worker_id = worker_id
        self._sessions = sessions
        self._facts = facts
        self._now = now
        self._only_job = only_job
        self._tasks: set[_Task] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._version = -1
        self._swept = 0.0
        self._changed = 0.0  # when the queue was last seen to be another
        self.turns = 0  # for the watchdog: grows with every turn
        self.touched: set[int] = set()  # jobs that this worker planned or moved anything of

    # -- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim and start work until `stop`. What is in flight then goes on: `finish` waits for it."""
        while not self._stopping:
            seconds = POLL
            try:
                await self._turn()
            except QueueFull as error:
                # nothing is lost and nothing can be claimed: what is in flight waits for space, and so does this
                self._facts.job_event(0, "queue_full", str(error))
                seconds = FULL
            self.turns += 1
            await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def written(self) -> None:
        """Somebody wrote to the queue. Where it was quiet until now that may be a new job, and is looked at at once.
        While something is in flight, here or at another worker, the next look is soon enough: most of what is written
        then is progress, and to look for work asks for the queue's one lock."""
        if not self._tasks and abs(self._now() - self._changed) >= QUIET:
            self._wake.set()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._wake.set()

    async def finish(self, seconds: float) -> None:
        """Wait for what is in flight; after `seconds` stop it, its leases go back with their attempts."""
        tasks = [one.task for one in self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        left = self._cancel(list(self._tasks))
        while left:
            _, left = await asyncio.wait(left, timeout=STUCK)
            self._sessions.end_process(STUCK)
        await self._sessions.close()

    async def idle(self) -> bool:
        """Nothing is in flight here, and nothing in the queue can be done by anyone."""
        if self._tasks:
            return False
        only = self._only_job
        if only is not None:
            job = await self._queue.read(lambda store: store.job(only))
            held = await self._queue.read(lambda store: store.is_held(only))
            return job.state in FINAL or job.state is JobState.PAUSED or held
        depth = await self._queue.read(lambda store: store.depth())
        waiting = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)
        # who starts after another job is let go in the commit in which that one ends: before it, nobody can do anything
        return sum(depth.jobs.get(state, 0) for state in waiting) == depth.held

    # -- one turn -------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        self._sessions.end_process(LONG_STUCK if any(one.stopped for one in self._tasks) else SILENT)
        version = await self._queue.read(lambda store: store.version())
        now = self._now()
        if version == self._version and abs(now - self._swept) < SWEEP:
            return
        if version != self._version:
            self._changed = now
        self._version, self._swept = version, now
        await self._keep_deadlines()
        await self._follow_jobs()
        await self._claim()

    async def _keep_deadlines(self) -> None:
        """Of all jobs, also of those that nobody works on."""
        if await self._queue.read(lambda store: store.overdue()):
            for job in await self._queue.write(lambda store: store.miss_deadlines()):
                self._facts.job_event(job.id, "failed", job.error or "")

    async def _follow_jobs(self) -> None:
        """Jobs that a person cancelled stop; jobs that ended are let go of."""
        ids = {one.job_id for one in self._tasks} | self._sessions.open_jobs
        for job_id, job in (await self._queue.read(lambda store: _find(store, ids))).items():
            busy = [one for one in self._tasks if one.job_id == job_id]
            if job is None or job.state in (JobState.CANCELLING, JobState.CANCELLED):
                self._cancel(busy, by_user=True)
            elif job.state is JobState.FAILED:
                # what is half done stays for a retry; what is on its way out by itself goes on with that
                self._cancel([one for one in busy if one.run is not None and one.run.moving])
            if not busy and (job is None or job.state in FINAL):
                await self._sessions.end(job_id)
                if job is not None:
                    if bore_too_many(job):
                        self._facts.job_event(job_id, "failed", job.error or "")
                    self._facts.job_event(job_id, "ended", job.state)
                    if warning := warning_of(job):
                        self._facts.job_event(job_id, "warning", warning)

    async def _claim(self) -> None:
        worker, only = self._worker_id, self._only_job
        while sum(one.plans for one in self._tasks) < MAX_PLANS:
            lease = await self._queue.write(lambda store: store.claim_plan(worker, MAX_WAITING, only))
            if lease is None:
                break
            plan = run_plan(lease, self._sessions, self._queue, self._facts, self._now, self._look_again)
            self._start(_Task(lease.job.id, plans=True, priority=lease.job.spec.priority), plan)
        busy = [one.priority for one in self._tasks if not one.plans]
        free = MAX_BATCHES - len(busy)
        if free > 0:
            self._start_batches(await self._queue.write(lambda store: store.claim(worker, free, only)))
        elif spare := MAX_BUSY - len(busy):
            most = max(busy)
            self._start_batches(await self._queue.write(lambda store: store.claim(worker, spare, only, most)))

    def _start_batches(self, batches: list[Batch]) -> None:
        for batch in batches:
            one = _Task(batch.job.id, plans=False, priority=batch.job.spec.priority)
            self._start(one, self._batch(batch, one))

    def _look_again(self) -> None:
        """At once, whatever the queue's version says."""
        self._version = -1
        self._wake.set()

    def _start(self, one: _Task, work: Coroutine[None, None, None]) -> None:
        self.touched.add(one.job_id)
        one.task = asyncio.create_task(work, name=f"job {one.job_id}")
        self._tasks.add(one)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(one)
            self._look_again()
            if not task.cancelled() and (error := task.exception()) is not None:
                self._facts.job_event(one.job_id, "worker_fault", f"{type(error).__name__}: {error}")

        one.task.add_done_callback(ended)

    async def _batch(self, batch: Batch, one: _Task) -> None:
        """Opens the ends of the job and runs the batch: here and not in the loop, for a remote or a mount that hangs
        must not keep other jobs from starting."""
        try:
            session = await self._sessions.open(batch.job)
            one.run = await session.batch_run(batch)
        except asyncio.CancelledError:
            await self._give_back(batch, 0.0, "the worker was stopped")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch must not stay leased
            await self._cannot_open(batch, error)
            return
        await one.run.run()

    async def _cannot_open(self, batch: Batch, error: Exception) -> None:
        """The ends of the job are not to be had: it waits for them, or fails where they will not come by themselves."""
        reason = passing_reason(error)
        if reason is None and isinstance(error, HeadraceError | OSError):
            reason = ending_text(error)
            await fail_job(batch.job.id, reason, self._queue, self._facts)
        else:
            reason = reason or str(error)
            self._facts.job_event(batch.job.id, "waiting", reason)
        await self._give_back(batch, AGAIN, reason)

    async def _give_back(self, batch: Batch, seconds: float, reason: str) -> None:
        """The lease and its attempt. A full disk is waited for: a lease that stays is lost."""
        while True:
            until = self._now() + seconds
            try:
                await self._queue.write(lambda store, until=until: store.snooze(batch.lease, until, reason))  # type: ignore[misc]
            except LeaseLost:
                self._facts.lease_lost(batch.job.id)
            except QueueFull:
                await asyncio.sleep(FULL)
                continue
            return

    def _cancel(self, tasks: list[_Task], *, by_user: bool = False) -> set[asyncio.Task[None]]:
        """They end in their own time, while other jobs go on."""
        for one in tasks:
            if not one.stopped:
                one.stopped = True
                if one.run is not None:
                    one.run.cancelled_by_user = by_user
                one.task.cancel()
        return {one.task for one in tasks}


def _find(store: Store, ids: set[int]) -> dict[int, Job | None]:
    """Each job, or None where it was purged meanwhile."""
    found: dict[int, Job | None] = {}
    for job_id in ids:
        try:
            found[job_id] = store.job(job_id)
        except UnknownJob:
            found[job_id] = None
    return found
