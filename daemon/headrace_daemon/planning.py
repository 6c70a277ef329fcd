"""Runs one plan: opens the ends of its job, hands the planner its ports, and says what became of it."""

import asyncio
import stat
import time
from collections.abc import Callable
from pathlib import Path

from headrace_daemon.content import content_of, is_folder
from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files.names import RootLost
from headrace_daemon.planner.batches import BatchLimits
from headrace_daemon.planner.compare import FILES, Route, Side
from headrace_daemon.planner.deletion import DeletePlan
from headrace_daemon.planner.entries import Entry, Lister
from headrace_daemon.planner.errors import JobFailure, ListingDisorder
from headrace_daemon.planner.listing import list_files, list_nothing, list_remote
from headrace_daemon.planner.plan import CopyPlan
from headrace_daemon.planner.single import plan_one
from headrace_daemon.planner.task import PlanEnd, PlanLimits, PlanPorts, PlanTask
from headrace_daemon.s3.errors import (
    CredentialsExpired,
    NoSuchBucket,
    NotFound,
    RemoteDown,
    ServerFault,
    Throttled,
    TransportError,
)
from headrace_daemon.session import Session, Sessions
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder
from headrace_daemon.transfer.judge import disk_full
from headrace_queue.errors import HeadraceError, IllegalTransition, LeaseLost, QueueFull
from headrace_queue.jobs import Action, Counters, Item, Kind, Phase, PlanLease, PlanStep
from headrace_queue.writer import Queue

MAX_WAITING = 200
ROOM_SECONDS = 0.2
AGAIN_SECONDS = 5.0

_PASSING = (RemoteDown, CredentialsExpired, Throttled, TransportError, ServerFault, RootLost)
"""What ends by itself or by a person's hand elsewhere: the job waits for it and says so."""


async def run_plan(lease: PlanLease, sessions: Sessions, queue: Queue, facts: Facts, now: Callable[[], float]) -> None:
    """Plan until the phase is over, until enough waits, or until it cannot go on. Raises nothing but faults of ours."""
    job_id = lease.job.id
    try:
        session = await sessions.open(lease.job)
        await _Planning(session, lease, queue).run()
    except LeaseLost:
        facts.lease_lost(job_id)
    except asyncio.CancelledError:
        await queue.write(lambda store: store.release_plan(lease))
        raise
    except _PASSING as error:
        await _wait(lease, str(error), queue, facts, now)
    except (HeadraceError, OSError) as error:
        if disk_full(error):
            await _wait(lease, f"the disk of queue and reports is full ({error})", queue, facts, now)
        else:
            await fail_job(job_id, str(error), queue, facts)


async def _wait(lease: PlanLease, reason: str, queue: Queue, facts: Facts, now: Callable[[], float]) -> None:
    """Lets go of the plan for a while. A full disk is waited for: a lease that stays is lost."""
    job_id = lease.job.id
    facts.job_event(job_id, "waiting", reason)
    while True:
        until = now() + AGAIN_SECONDS
        try:
            await queue.write(lambda store: store.set_waiting(job_id, reason))
            await queue.write(lambda store, until=until: store.release_plan(lease, until))  # type: ignore[misc]
        except QueueFull:
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return


async def fail_job(job_id: int, reason: str, queue: Queue, facts: Facts) -> None:
    """The job cannot go on: it ends, with a reason for people."""
    facts.job_event(job_id, "failed", reason)
    try:
        await queue.write(lambda store: store.fail(job_id, reason))
    except IllegalTransition as error:
        # a person cancelled it, or a batch failed it, in the same moment: it has ended all the same
        facts.job_event(job_id, "failed_already", str(error))


class _Planning:
    """The ports of one planner run."""

    def __init__(self, session: Session, lease: PlanLease, queue: Queue) -> None:
        self._session = session
        self._lease = lease
        self._queue = queue
        self._cursor = lease.cursor
        self._route = Route(_side(session.source), _side(session.destination))

    async def run(self) -> None:
        ports = PlanPorts(self._commit, self._room, self._same, self._tell, time.monotonic)
        end = None
        while end is None:
            try:
                end = await self._plan(ports)
            except ListingDisorder as disorder:
                await self._sort_from_now_on(disorder)
        if end is PlanEnd.PAUSED:
            await self._queue.write(lambda store: store.release_plan(self._lease))

    async def _plan(self, ports: PlanPorts) -> PlanEnd:
        session = self._session
        if self._lease.job.spec.kind is Kind.COPY:
            return await plan_one(
                self._lease,
                lambda: _look(session, session.source),
                lambda: _look(session, session.destination),
                self._route,
                ports,
            )
        config = session.host.config.transfer
        limits = PlanLimits(batches=BatchLimits(large=config.multipart_threshold), max_waiting=MAX_WAITING)
        task = PlanTask(
            self._lease,
            _lister(session, session.source, sort=self._lease.sort_source),
            _lister(session, session.destination, sort=self._lease.sort_destination),
            self._route,
            session.scratch,
            limits,
        )
        plan = DeletePlan(task, ports) if self._lease.phase is Phase.DELETE else CopyPlan(task, ports)
        return await plan.run()

    async def _sort_from_now_on(self, disorder: ListingDisorder) -> None:
        """A service that does not list in key order: plan anew, with its listing sorted here. Nothing was lost, for
        whatever is at its destination by now counts as unchanged. The queue remembers it for the job."""
        session, where = self._session, disorder.where
        source = _where(session.source) == where and not self._lease.sort_source
        destination = _where(session.destination) == where and not self._lease.sort_destination
        if not source and not destination:
            raise disorder  # it is sorted already: this cannot be
        session.host.facts.job_event(self._lease.job.id, "sorting", f"{where} does not list in key order")
        self._lease = await self._queue.write(
            lambda store: store.restart_plan(self._lease, sort_source=source, sort_destination=destination)
        )
        self._cursor = ""

    async def _commit(self, step: PlanStep) -> int:
        """The report's lines first, as with transfers."""
        host, job_id = self._session.host, self._lease.job.id
        for failure in step.failures:
            outcome = Outcome("failed", error=failure.error, message=failure.message, attempts=failure.attempts)
            host.report.write(job_id, failure.item, outcome)
        host.report.flush(job_id)
        self._cursor = step.cursor
        return await self._queue.write(lambda store: store.commit_plan(self._lease, step))

    async def _room(self, waiting: int) -> bool:
        """Wait with both listings open until half of what waits is done; an empty step tells how much that is, and
        that the lease still holds."""
        while waiting > MAX_WAITING // 2:
            await asyncio.sleep(ROOM_SECONDS)
            waiting = await self._commit(PlanStep((), self._cursor, Counters()))
        return True

    async def _same(self, entry: Entry, other: Entry | None) -> bool:
        session = self._session
        threads = session.host.threads
        if isinstance(session.destination, NoFolder):
            return False
        if other is None:
            return await threads.run(is_folder, session.destination, entry.key)
        ours = await content_of(session.source, entry.key, threads)
        theirs = await content_of(session.destination, entry.key, threads)
        return ours.crc64nvme == theirs.crc64nvme

    def _tell(self, item: Item, reason: str) -> None:
        state = "would_delete" if item.action is Action.DELETE else "would_transfer"
        outcome = Outcome(state, size=item.size, message=reason, attempts=0)
        self._session.host.report.write(self._lease.job.id, item, outcome)


def _side(end: End | NoFolder) -> Side:
    if not isinstance(end, BucketEnd):
        return FILES
    profile = end.remote.profile
    return Side(files=False, md5_etags=profile.etag_md5, max_object=profile.max_object)


def _where(end: End | NoFolder) -> str:
    """How a listing names itself in its errors."""
    if isinstance(end, BucketEnd):
        return f"{end.remote.name}://{end.bucket}/{end.prefix}"
    return end.root.path if isinstance(end, FilesEnd) else end.path


def _lister(session: Session, end: End | NoFolder, *, sort: bool) -> Lister:
    if isinstance(end, NoFolder):
        return list_nothing
    if isinstance(end, BucketEnd):
        return lambda after: list_remote(end.remote, end.bucket, end.prefix, after, scratch=session.scratch, sort=sort)
    return lambda after: list_files(end.root, session.host.threads, after)


async def _look(session: Session, end: End | NoFolder) -> Entry | None:
    """The one object or file that a copy is about."""
    if isinstance(end, NoFolder):
        return None
    if isinstance(end, FilesEnd):
        return await session.host.threads.run(_look_at_file, end)
    try:
        info = await end.remote.head(end.bucket, end.prefix)
    except NoSuchBucket:
        raise
    except NotFound:
        return None
    return Entry("", info.size, info.mtime_ns, info.etag)


def _look_at_file(end: FilesEnd) -> Entry | None:
    try:
        status = end.root.status(end.prefix)
        if stat.S_ISLNK(status.st_mode):
            status = end.root.status_beyond(end.prefix)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise JobFailure(
            f"{Path(end.root.path) / end.prefix}: it is no regular file. Use `headrace sync` for a folder."
        )
    return Entry("", status.st_size, status.st_mtime_ns)
