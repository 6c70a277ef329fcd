"""Claims plans and batches, runs each as a task of its own, and bounds what is in flight.

All it knows about the world it reads from the queue: a change made by the command or by another daemon shows as
another `version()` within a tenth of a second.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from headrace_daemon.facts import Facts
from headrace_daemon.planning import run_plan
from headrace_daemon.session import Sessions
from headrace_daemon.transfer.batch import BatchRun
from headrace_queue.errors import QueueFull, UnknownJob
from headrace_queue.jobs import Batch, Job, PlanLease
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store
from headrace_queue.writer import Queue

POLL = 0.1
"""Seconds between looks at the queue's version: a new job starts within half a second."""

SWEEP = 1.0
"""Seconds between claims without any change: batches also become ready by time alone."""

FULL = 5.0
"""Seconds between looks while the disk below the queue is full."""

MAX_PLANS = 4
MAX_BATCHES = 8
MAX_WAITING = 200
"""Ready batches a job may have before its planner pauses: the bound on the queue's rows."""


@dataclass(slots=True, eq=False)
class _Task:
    """A plan or a batch under way."""

    job_id: int
    task: asyncio.Task[None]
    run: BatchRun | None = None  # None for a plan


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

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._wake.set()

    async def finish(self, seconds: float) -> None:
        """Wait for what is in flight; after `seconds` stop it, its leases go back with their attempts."""
        tasks = [one.task for one in self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await self._cancel(list(self._tasks))
        await self._sessions.close()

    async def idle(self) -> bool:
        """Nothing is in flight here, and nothing in the queue can be done by anyone."""
        if self._tasks:
            return False
        only = self._only_job
        if only is not None:
            job = await self._queue.read(lambda store: store.job(only))
            return job.state in FINAL or job.state is JobState.PAUSED
        depth = await self._queue.read(lambda store: store.depth())
        waiting = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)
        return not any(depth.jobs.get(state, 0) for state in waiting)

    # -- one turn -------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        version = await self._queue.read(lambda store: store.version())
        now = self._now()
        if version == self._version and abs(now - self._swept) < SWEEP:
            return
        self._version, self._swept = version, now
        await self._follow_jobs()
        await self._claim()

    async def _follow_jobs(self) -> None:
        """Jobs that a person cancelled stop; jobs that ended are let go of."""
        ids = {one.job_id for one in self._tasks} | self._sessions.open_jobs
        for job_id, job in (await self._queue.read(lambda store: _find(store, ids))).items():
            busy = [one for one in self._tasks if one.job_id == job_id]
            if job is None or job.state in (JobState.CANCELLING, JobState.CANCELLED):
                await self._cancel(busy, by_user=True)
            if not busy and (job is None or job.state in FINAL):
                await self._sessions.end(job_id)
                if job is not None:
                    self._facts.job_event(job_id, "ended", job.state)

    async def _claim(self) -> None:
        worker, only = self._worker_id, self._only_job
        while sum(one.run is None for one in self._tasks) < MAX_PLANS:
            lease = await self._queue.write(lambda store: store.claim_plan(worker, MAX_WAITING, only))
            if lease is None:
                break
            self._start(lease.job.id, self._plan(lease))
        free = MAX_BATCHES - sum(one.run is not None for one in self._tasks)
        if free > 0:
            for batch in await self._queue.write(lambda store: store.claim(worker, free, only)):
                await self._start_batch(batch)

    async def _start_batch(self, batch: Batch) -> None:
        try:
            session = await self._sessions.open(batch.job)
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch must not stay leased
            await self._cannot_open(batch, error)
            return
        run = session.batch_run(batch)
        self._start(batch.job.id, self._batch(run), run)

    async def _cannot_open(self, batch: Batch, error: Exception) -> None:
        """The ends of the job are not to be had now: the planner's run says why; the batch waits."""
        lease, until = batch.lease, self._now() + 10.0
        self._facts.job_event(batch.job.id, "waiting", str(error))
        await self._queue.write(lambda store: store.snooze(lease, until, str(error)))

    def _start(self, job_id: int, work: Coroutine[None, None, None], run: BatchRun | None = None) -> None:
        self.touched.add(job_id)
        one = _Task(job_id, asyncio.create_task(work, name=f"job {job_id}"), run)
        self._tasks.add(one)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(one)
            self._wake.set()
            self._version = -1
            if not task.cancelled() and (error := task.exception()) is not None:
                self._facts.job_event(job_id, "worker_fault", f"{type(error).__name__}: {error}")

        one.task.add_done_callback(ended)

    async def _plan(self, lease: PlanLease) -> None:
        await run_plan(lease, self._sessions, self._queue, self._facts, self._now)

    async def _batch(self, run: BatchRun) -> None:
        await run.run()

    async def _cancel(self, tasks: list[_Task], *, by_user: bool = False) -> None:
        for one in tasks:
            if one.run is not None:
                one.run.cancelled_by_user = by_user
            one.task.cancel()
        if tasks:
            await asyncio.wait([one.task for one in tasks])


def _find(store: Store, ids: set[int]) -> dict[int, Job | None]:
    """Each job, or None where it was purged meanwhile."""
    found: dict[int, Job | None] = {}
    for job_id in ids:
        try:
            found[job_id] = store.job(job_id)
        except UnknownJob:
            found[job_id] = None
    return found
