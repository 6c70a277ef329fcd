"""Looks at one data repository task at a time: asks FSx for it when it is its turn, follows it, passes a cancellation
on, takes its report over."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import FsxApi, FsxError, FsxNotFound, FsxTaskEnded, FsxUnreachable, RepositoryTask
from headrace_daemon.fsx.dra.after import given_up
from headrace_daemon.fsx.dra.asking import ask, find
from headrace_daemon.fsx.dra.reports import Lines, Taken, remove_reports, take_over
from headrace_daemon.fsx.dra.rows import UNWANTED, Rows, name_of
from headrace_daemon.s3.remote import Remote
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import NotYourTurn
from headrace_queue.jobs import Job
from headrace_queue.states import JobState
from headrace_queue.tasks import NO_TASK_CHANGES, Task, TaskChanges, TaskKind, TaskState
from headrace_queue.writer import Queue

NOT_THERE: Final = 60.0
"""Seconds after which a task that was asked for and is not to be found never came to be."""
UNKNOWN_SECTION: Final = 30.0
"""Seconds until the next look at a task of a file system that this daemon does not know; another may."""
NOBODY_KNOWS: Final = 86_400.0
"""Seconds after which a task that is to be cancelled, on a file system that no daemon knows, is given up."""
REPORT_SECONDS: Final = 10.0
"""For FSx's report, so that a look ends in time (`keeping.LOOK`) and the task with it."""
REFUSED: Final = 900.0
"""Seconds for which FSx may refuse to say how a task is before its job goes on without it."""
_AT_WORK: Final = frozenset({"PENDING", "EXECUTING", "CANCELING"})


class Apis(Protocol):
    """The FSx API of each section [fsx.NAME]."""

    def get(self, name: str) -> FsxApi: ...


class Buckets(Protocol):
    """Every remote by its name."""

    def get(self, name: str) -> Remote: ...


class _Place(NamedTuple):
    """A section of config.toml that knows the task's file system, whatever its name was when the task was made."""

    name: str
    section: FsxConfig
    apis: Apis

    @property
    def api(self) -> FsxApi:
        return self.apis.get(self.name)

    @property
    def poll(self) -> float:
        return self.section.poll


class Looks:
    """Nothing is remembered here but what was told last. now: seconds since the epoch."""

    def __init__(
        self,
        queue: Queue,
        sections: Mapping[str, FsxConfig],
        apis: Apis,
        remotes: Buckets,
        report: Lines,
        facts: Facts,
        now: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._sections = sections
        self._apis = apis
        self._remotes = remotes
        self._report = report
        self._facts = facts
        self._now = now
        self._rows = Rows(queue, facts, now)
        self._refused_since: dict[int, float] = {}
        self._told: set[int] = set()  # tasks to be cancelled whose file system is not known here

    async def look(self, task: Task) -> None:
        """Raises FsxError, QueueError, IllegalTransition and UnknownTask where somebody else was faster."""
        place = self._place(task)
        job = await self._queue.read(lambda store: store.job(task.job_id))
        unwanted = job.state in UNWANTED
        if task.state is TaskState.WAITING and job.state is JobState.PAUSED:
            await self._rows.wait(task, UNKNOWN_SECTION if place is None else place.poll)
        elif task.state is TaskState.WAITING:
            await self._waiting(task, place, unwanted=unwanted)
        elif unwanted and task.state in (TaskState.ASKED, TaskState.RUNNING):
            await self._rows.move(task, "cancel")
        elif place is None:
            await self._unknown(task)
        elif task.state is TaskState.ASKED:
            # whoever moved it there may have been asking, and died or was held up
            await ask(task, place.api, self._rows, place.poll, again=True)
        elif task.state is TaskState.RUNNING:
            await self._follow(task, place, job)
        else:
            await self._cancel(task, place, job)

    async def wait(self, task: Task, seconds: float) -> None:
        """The next look is in so many seconds."""
        await self._rows.wait(task, seconds)

    def _place(self, task: Task) -> _Place | None:
        for name, section in self._sections.items():
            if section.file_system_id == task.spec.file_system_id:
                return _Place(name, section, self._apis)
        return None

    async def _unknown(self, task: Task) -> None:
        """Where no daemon knows the file system, a person has to see why nothing moves."""
        missing = f"config.toml of this daemon has no [fsx.{task.spec.fsx}] for {task.spec.file_system_id}"
        if task.state is not TaskState.CANCELLING:
            await self._rows.wait(task, UNKNOWN_SECTION, f"{missing}; another one may")
            return
        what = f"{name_of(task)}{f', {task.task_id},' if task.task_id else ''}"
        if self._now() >= task.changed + NOBODY_KNOWS:
            why = f"{missing}, nor did another one cancel it within a day; FSx may be at it still"
            await self._rows.move(task, "cancelled", TaskChanges(error=why))
            self._told.discard(task.id)
            return
        await self._rows.wait(task, UNKNOWN_SECTION)
        if task.id not in self._told:
            self._told.add(task.id)
            text = f"{what} cannot be cancelled, and other tasks wait for it, for a day at most: {missing}"
            self._facts.job_event(task.job_id, "warning", text)
            await self._queue.write(lambda store: store.set_note(task.job_id, text))

    # -- its turn ------------------------------------------------------------------------------------------------------

    async def _waiting(self, task: Task, place: _Place | None, *, unwanted: bool) -> None:
        before = await self._queue.read(lambda store: store.tasks(task.job_id))
        ends = NO_TASK_CHANGES if unwanted else _void(task, before)
        if ends is not None:
            await self._rows.move(task, "cancel", ends)
        elif place is None:
            await self._unknown(task)
        else:
            await self._take_turn(task, place)

    async def _take_turn(self, task: Task, place: _Place) -> None:
        try:
            asked = await self._queue.write(lambda store: store.move_task(task.id, "ask"))
        except NotYourTurn:
            why = f"{name_of(task)} waits for another task on {place.name}: FSx works on one at a time"
            await self._rows.wait(task, place.poll, why)
            return
        await ask(asked, place.api, self._rows, place.poll, again=False)

    # -- at work -------------------------------------------------------------------------------------------------------

    async def _follow(self, task: Task, place: _Place, job: Job) -> None:
        try:
            found = await place.api.task(task.task_id)
        except FsxUnreachable as error:
            await self._rows.wait(task, place.poll, f"{name_of(task)}: {error}")
        except FsxNotFound as error:
            await self._take_report(task, job, place, failed=True)
            await self._rows.move(task, "fail", TaskChanges(error=str(error)))
        except FsxError as error:
            await self._refused(task, place, error)
        else:
            self._refused_since.pop(task.id, None)
            if found.lifecycle in _AT_WORK:
                await self._at_work(task, found, place)
            else:
                await self._ended(task, found, job, place, f"somebody cancelled {task.task_id} at FSx")

    async def _refused(self, task: Task, place: _Place, error: FsxError) -> None:
        """FSx has the task, and does not say how it is: that may pass, as with credentials that are renewed."""
        since = self._refused_since.setdefault(task.id, self._now())
        if self._now() < since + REFUSED:
            await self._rows.wait(task, place.poll, f"{name_of(task)}, {task.task_id}: {error}")
            return
        del self._refused_since[task.id]
        why = f"FSx would not say how it is for {REFUSED / 60:g} minutes, and may be at it still: {error}"
        await self._rows.move(task, "fail", TaskChanges(error=why))

    async def _at_work(self, task: Task, found: RepositoryTask, place: _Place) -> None:
        await self._queue.write(lambda store: store.change_task(task.id, _counts(found)))
        await self._rows.wait(task, place.poll, _progress(task, found, place.name))

    async def _cancel(self, task: Task, place: _Place, job: Job) -> None:
        """Its job was cancelled: FSx is told until the task has ended."""
        if not task.task_id:
            await self._find(task, place)
            return
        try:
            found = await place.api.task(task.task_id)
            if found.lifecycle in _AT_WORK:
                await place.api.cancel_task(task.task_id)
        except (FsxTaskEnded, FsxUnreachable):
            await self._rows.wait(task, place.poll)
        except FsxNotFound:
            await self._rows.move(task, "cancelled")
        else:
            if found.lifecycle in _AT_WORK:
                await self._rows.wait(task, place.poll)
            else:
                await self._ended(task, found, job, place, None)

    async def _find(self, task: Task, place: _Place) -> None:
        """It was asked for, and whether FSx took it is not known: its tag tells."""
        ours = await find(task, place.api)
        if ours is not None:
            changes = TaskChanges(task_id=ours.id, next_look=self._now())
            await self._queue.write(lambda store: store.change_task(task.id, changes))
        elif self._now() >= task.changed + NOT_THERE:
            await self._rows.move(task, "cancelled")
        else:
            await self._rows.wait(task, min(place.poll, NOT_THERE))

    # -- its end -------------------------------------------------------------------------------------------------------

    async def _ended(
        self, task: Task, found: RepositoryTask, job: Job, place: _Place, cancelled_by: str | None
    ) -> None:
        """FSx's word is FAILED as soon as one file failed. The plan that follows reads in the job's report which: the
        lines come first. cancelled_by: None where the job was."""
        failed = found.lifecycle not in ("SUCCEEDED", "CANCELED")
        told = await self._take_report(task, job, place, failed=failed)
        if found.lifecycle == "SUCCEEDED":
            event, why = "succeed", None
        elif found.lifecycle == "CANCELED":
            event, why = "cancelled", cancelled_by
        else:
            some = f"{found.failed:,} of {found.total:,} files failed" if found.failed else ""
            event, why = "fail", "; ".join(filter(None, (some, found.failure))) or "FSx does not say why"
            why = "; ".join(filter(None, (why, told)))
        await self._rows.move(task, event, _counts(found, why))

    async def _take_report(self, task: Task, job: Job, place: _Place, *, failed: bool) -> str:
        """What is to be said of FSx's report, which is taken over where the task failed, and removed.

        One that cannot be read must not keep the task from ending: what is not told is found by the plan that follows.
        """
        if not task.spec.report or not task.task_id:
            return ""
        told, left = "", "its report could not be read" if failed else ""
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                remote = self._remotes.get(place.section.remote)
                if failed:
                    taken = await take_over(task, job, remote, self._report, place.section.mount)
                    told, left = _told(taken), ""
                await remove_reports(task, remote)
        except Exception as error:  # noqa: BLE001 - as above: whatever it is
            why = str(error) or f"{type(error).__name__}, after {REPORT_SECONDS:g} s at most"
            what = "could not be read, and is left there" if left else "could not be removed"
            self._facts.job_event(job.id, "task_report_unread", f"{task.spec.report}{task.task_id}/ {what}: {why}")
        return told or left


def _void(task: Task, rows: list[Task]) -> TaskChanges | None:
    """With what a release ends that is to be asked for no more; None for all other tasks.

    rows: of its job. What was given up with the job before it was retried says nothing; but what was to be released
    after it was given up with it. Tasks that are made together are of the same moment.
    """
    if task.spec.kind is not TaskKind.RELEASE:
        return None
    movers = [one for one in rows if one.id < task.id and one.spec.kind is not TaskKind.RELEASE]
    counting = [one for one in movers if not given_up(one) and one.state is not TaskState.SUCCEEDED]
    if any(one.finished is None for one in counting):
        return None  # it waits
    if counting:
        return TaskChanges(error="nothing is released, because not everything was exported")
    return NO_TASK_CHANGES if any(given_up(one) and one.created == task.created for one in movers) else None


def _counts(found: RepositoryTask, error: str | None = None) -> TaskChanges:
    return TaskChanges(
        total=found.total,
        succeeded=found.succeeded,
        failed=found.failed,
        started=found.started or found.created,
        error=error,
    )


def _told(taken: Taken) -> str:
    """Of a report that was read."""
    named = f"the report names {taken.named:,} of them" if taken.named else ""
    rest = "" if taken.whole else f"it is longer than the {taken.rows:,} lines that were read"
    broken = f"{taken.broken:,} of its lines cannot be understood" if taken.broken else ""
    return ", ".join(filter(None, (named, rest, broken)))


def _progress(task: Task, found: RepositoryTask, name: str) -> str:
    what = f"{name_of(task)}, {task.task_id} on {name}"
    if found.lifecycle == "PENDING":
        return f"{what}: waits at FSx"
    done = found.succeeded + found.failed
    failed = f", {found.failed:,} failed" if found.failed else ""
    return f"{what}: {done:,} of {found.total:,} files{failed}" if found.total else f"{what}: at work"
