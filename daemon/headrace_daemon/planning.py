"""Runs one plan: opens the ends of its job, hands the planner its ports, and says what became of it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_daemon.archiving import measure_of
from headrace_daemon.as_of import note_of_versions
from headrace_daemon.changed import by_name
from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files.walk import Manner
from headrace_daemon.inventory import inventory_of
from headrace_daemon.looking import Looking, side_of
from headrace_daemon.named import names_of
from headrace_daemon.one_object import look_at_one, place_of
from headrace_daemon.planner.archive import plan_archive
from headrace_daemon.planner.batches import BatchLimits
from headrace_daemon.planner.compare import Decision, Route
from headrace_daemon.planner.deletion import DeletePlan
from headrace_daemon.planner.entries import Lister, Problem
from headrace_daemon.planner.errors import ListingDisorder
from headrace_daemon.planner.extras import refuse_another_root
from headrace_daemon.planner.files_from import only_named
from headrace_daemon.planner.hiding import without_reports
from headrace_daemon.planner.holding import Enough, Holding
from headrace_daemon.planner.listing import list_files, list_nothing, list_remote
from headrace_daemon.planner.listing_versions import list_as_of
from headrace_daemon.planner.plan import CopyPlan
from headrace_daemon.planner.single import plan_one
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks, PlanEnd, PlanLimits, PlanPorts, PlanTask
from headrace_daemon.session import Session, Sessions
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder
from headrace_daemon.transfer.judge import ending_text, passing_reason
from headrace_daemon.trash import check_trash, trash_below
from headrace_queue.advice import for_job
from headrace_queue.errors import HeadraceError, IllegalTransition, LeaseLost, QueueFull
from headrace_queue.jobs import Action, Counters, Item, Kind, Phase, PlanLease, PlanStep
from headrace_queue.report_file import read_report, report_path
from headrace_queue.store import Store
from headrace_queue.tasks import TaskSpec
from headrace_queue.writer import Queue

if TYPE_CHECKING:
    from headrace_daemon.fsx.dra.jobs import Linked

MAX_WAITING = 200
ROOM_SECONDS = 0.2
AGAIN_SECONDS = 5.0


async def run_plan(
    lease: PlanLease,
    sessions: Sessions,
    queue: Queue,
    facts: Facts,
    now: Callable[[], float],
    ready: Callable[[], None],
) -> None:
    """Plan until the phase is over, until enough waits, or until it cannot go on: then the job waits or fails, and says
    why. ready: is called when there are new batches to be claimed."""
    job_id = lease.job.id
    try:
        session = await sessions.open_anew(lease.job)
        # asks the file system, which may hang: off the loop
        route = await session.threads.run(lambda: Route(side_of(session.source), side_of(session.destination)))
        await _Planning(session, sessions, lease, queue, route, ready).run()
    except LeaseLost:
        facts.lease_lost(job_id)
    except asyncio.CancelledError:
        await queue.write(lambda store: store.release_plan(lease))
        raise
    except (HeadraceError, OSError) as error:
        reason = passing_reason(error)
        if reason is not None:
            await _wait(lease, reason, queue, facts, now)
        else:
            await fail_job(job_id, ending_text(error), queue, facts)
    except Exception as error:  # noqa: BLE001 - a lease that stays would stop the job in silence
        fault = f"{type(error).__name__}: {error}"
        facts.job_event(job_id, "worker_fault", fault)
        reason = f"the planner failed, which is a fault of Headrace, and is tried again ({fault})"
        await _wait(lease, reason, queue, facts, now)


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
    """The job cannot go on: it ends, with a reason for people. A full disk is waited for."""
    reason = for_job(reason, job_id)
    facts.job_event(job_id, "failed", reason)
    while True:
        try:
            await queue.write(lambda store: store.fail(job_id, reason))
        except IllegalTransition as error:
            # a person cancelled it, or a batch failed it, in the same moment: it has ended all the same
            facts.job_event(job_id, "failed_already", str(error))
        except QueueFull:
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        return


class _Planning:
    """The ports of one planner run."""

    def __init__(
        self,
        session: Session,
        sessions: Sessions,
        lease: PlanLease,
        queue: Queue,
        route: Route,
        ready: Callable[[], None],
    ) -> None:
        self._session = session
        self._sessions = sessions
        self._lease = lease
        self._queue = queue
        self._cursor = lease.cursor
        self._route = route
        self._ready = ready
        options, threads = lease.job.spec.options, session.threads
        self._looking = Looking(
            session.source, session.destination, self._route, options.compare, threads, folder_times=options.preserve
        )

    async def run(self) -> None:
        ports = PlanPorts(
            self._commit,
            self._room,
            self._looking.look,
            self._tell,
            self._kept,
            self._event,
            time.monotonic,
            self._passed,
            self._moved,
        )
        await self._check_deletion()
        end = None
        while end is None:
            try:
                end = await self._plan(ports)
            except ListingDisorder as disorder:
                await self._sort_from_now_on(disorder)
        if end is PlanEnd.HANDED_OVER:
            await self._sessions.end(self._lease.job.id)  # the folder that is not there now may be there after a task
        if end is PlanEnd.PAUSED:
            await self._queue.write(lambda store: store.release_plan(self._lease))

    async def _plan(self, ports: PlanPorts) -> PlanEnd:
        session = self._session
        if self._lease.job.spec.kind is Kind.ARCHIVE:
            measure = measure_of(session.work, session.source)
            there = partial(look_at_one, session, session.destination)
            return await plan_archive(self._lease, measure, there, self._route, ports)
        if self._lease.job.spec.kind is Kind.COPY:
            return await plan_one(
                self._lease,
                lambda: look_at_one(session, session.source),
                lambda: look_at_one(session, session.destination),
                self._route,
                ports,
            )
        return await self._plan_sync(ports)

    async def _plan_sync(self, ports: PlanPorts) -> PlanEnd:
        session = self._session
        linked = None
        if session.host.tasks is not None and self._lease.phase is Phase.COPY:
            linked = await session.host.tasks.of(self._lease)
        if note := await note_of_versions(session.source, self._lease.job.spec.options):
            await self._queue.write(lambda store: store.set_note(self._lease.job.id, note))
        config = session.host.config.transfer
        limits = PlanLimits(batches=BatchLimits(large=config.multipart_threshold), max_waiting=MAX_WAITING)
        source = await inventory_of(session) or _lister(session, session.source, sort=self._lease.sort_source)
        destination = _lister(session, session.destination, sort=self._lease.sort_destination)
        names = await names_of(session.host, self._lease.job)
        if names is not None:
            changed = self._lease.job.spec.options.changed
            source, destination = (by_name(session, names) if changed else None) or (
                only_named(source, names, tell_absent=not changed),
                only_named(destination, names, tell_absent=False),
            )
        if session.host.tasks is not None:
            source, destination = without_reports(source), without_reports(destination)
        task = PlanTask(
            self._lease,
            source,
            destination,
            self._route,
            session.scratch,
            limits,
            await session.threads.run(trash_below, self._lease.job.spec),
            restores_since=_restores_since(session, linked),
            after=NOTHING_BEFORE if linked is None else await self._named(linked.after),
        )
        if linked is not None and linked.specs:
            return await self._perhaps_by_tasks(task, ports, linked)
        if linked is not None and linked.release:
            await self._hand_over(linked.release)
            return PlanEnd.HANDED_OVER
        plan = DeletePlan(task, ports) if self._lease.phase is Phase.DELETE else CopyPlan(task, ports)
        return await plan.run()

    async def _perhaps_by_tasks(self, task: PlanTask, ports: PlanPorts, linked: "Linked") -> PlanEnd:
        """Data repository tasks where there is enough to do for them; they are planned after, and only what is left."""
        holding = Holding(linked.objects, linked.size, linked.overwrites)
        plan = CopyPlan(task, holding.ports(ports))
        try:
            end = await plan.run()
        except Enough:
            if linked.overwrites and plan.newer:
                return await self._instead_of_tasks(task, ports, plan.newer)
            await self._hand_over(linked.specs)
            return PlanEnd.HANDED_OVER
        if linked.release:
            await self._hand_over(linked.release)
            return PlanEnd.HANDED_OVER
        await holding.carry_out(ports)
        return end

    async def _instead_of_tasks(self, task: PlanTask, ports: PlanPorts, newer: int) -> PlanEnd:
        """An import overwrites whatever differs from its object, and this would not be the job that was asked for."""
        assert self._session.host.tasks is not None, "it says that the job is linked"
        await self._session.host.tasks.keep(self._lease.job, newer)
        return await CopyPlan(task, ports).run()

    async def _named(self, after: AfterTasks) -> AfterTasks:
        """What FSx said that it could not move, as the keeper wrote it into the report."""
        if not after.doubtful:
            return after
        path = report_path(self._session.host.config.state_dir, self._lease.job.id)
        return replace(after, named=await asyncio.to_thread(missed_keys, path))

    async def _hand_over(self, specs: Sequence[TaskSpec]) -> None:
        lease, said = self._lease, f"{specs[0].kind} by FSx waits for its turn"

        def begin(store: Store) -> None:
            store.begin_tasks(lease, specs)
            store.set_waiting(lease.job.id, said)

        await self._queue.write(begin)
        self._event("handed_over", ", ".join(spec.kind for spec in specs))

    async def _sort_from_now_on(self, disorder: ListingDisorder) -> None:
        """A service that does not list in key order: plan anew, with its listing sorted here. Nothing was lost, for
        whatever is at its destination by now counts as unchanged. The queue remembers it for the job."""
        session, where = self._session, disorder.where
        source = place_of(session.source) == where and not self._lease.sort_source
        destination = place_of(session.destination) == where and not self._lease.sort_destination
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
        waiting = await self._queue.write(lambda store: store.commit_plan(self._lease, step))
        if step.batches:
            self._ready()
        return waiting

    async def _room(self, waiting: int) -> bool:
        """Wait with both listings open until half of what waits is done; an empty step tells how much that is, and
        that the lease still holds."""
        while waiting > MAX_WAITING // 2:
            await asyncio.sleep(ROOM_SECONDS)
            waiting = await self._commit(PlanStep((), self._cursor, Counters()))
        return True

    async def _check_deletion(self) -> None:
        """What has to hold from the first plan of a job with --delete to its last. Raises JobFailure."""
        session, lease = self._session, self._lease
        if not lease.job.spec.options.delete:
            return
        await session.threads.run(check_trash, lease.job.spec, session.destination, session.standing)
        sides = (("source", session.source), ("destination", session.destination))
        now = tuple(end.root.identity if isinstance(end, FilesEnd) else "" for _, end in sides)
        first = await self._queue.write(lambda store: store.pin_roots(lease.job.id, *now))
        if lease.phase is Phase.DELETE:
            for (side, end), one, other in zip(sides, first, now, strict=True):
                refuse_another_root(side, place_of(end), one, other)

    def _tell(self, item: Item, reason: str) -> None:
        state = "would_transfer"
        if item.action is Action.DELETE:
            state = "would_delete" if self._lease.job.spec.options.trash is None else "would_trash"
        outcome = Outcome(state, size=item.size, message=reason, attempts=0)
        self._session.host.report.write(self._lease.job.id, item, outcome)

    def _kept(self, item: Item, decision: Decision) -> None:
        outcome = Outcome("unchanged", size=item.size, proof=decision.proof, message=decision.read)
        self._session.host.report.write(self._lease.job.id, item, outcome)

    def _passed(self, problem: Problem) -> None:
        outcome = Outcome("skipped", error=problem.error, message=problem.message, attempts=0)
        self._session.host.report.write(self._lease.job.id, Item(problem.key, 0, 0), outcome)

    def _moved(self, item: Item) -> None:
        self._session.host.report.write(self._lease.job.id, item, Outcome("exported", size=item.size, proof="fsx"))

    def _event(self, event: str, detail: str) -> None:
        self._session.host.facts.job_event(self._lease.job.id, event, detail)


def _restores_since(session: Session, linked: "Linked | None") -> int | None:
    """Since when data of files at the destination has to be elsewhere for it to be brought back; None: it never is."""
    if not isinstance(session.destination, FilesEnd) or session.destination.lustre is None:
        return None
    if session.work.job.spec.options.dry_run:
        return None
    if session.work.job.spec.options.restore:
        return 0
    return None if linked is None else linked.after.imported_since


def _lister(session: Session, end: End | NoFolder, *, sort: bool) -> Lister:
    if isinstance(end, NoFolder):
        return list_nothing
    if isinstance(end, BucketEnd) and (instant := end.as_of_ns) is not None:
        where = (end.remote, end.bucket, end.prefix, instant)
        return lambda after: list_as_of(*where, after, scratch=session.scratch, sort=sort)
    if isinstance(end, BucketEnd):
        return lambda after: list_remote(end.remote, end.bucket, end.prefix, after, scratch=session.scratch, sort=sort)
    options = session.work.job.spec.options
    manner = Manner(encoded=end.encoded, empty_folders=options.empty_dirs, all_folders=options.dirs)
    threads, scratch = session.threads, session.scratch
    return lambda after: list_files(end.root, threads, after, manner=manner, scratch=scratch, sort=sort)


def missed_keys(path: Path) -> frozenset[str]:
    """The keys of which the report says that a data repository task could not move them."""
    return frozenset(entry.key for entry in read_report(path) if entry.outcome == "task_failed")
