"""Looks at one data repository task at a time: asks FSx for it when it is its turn, follows it, passes a cancellation
on, takes its report over."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import (
    FsxApi,
    FsxBusy,
    FsxDenied,
    FsxNotFound,
    FsxRefused,
    FsxTaskEnded,
    FsxUnreachable,
    NewTask,
    RepositoryTask,
)
from headrace_daemon.fsx.dra.reports import Lines, remove_report, take_over
from headrace_daemon.s3.errors import S3Error
from headrace_daemon.s3.remote import Remote
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import NotYourTurn
from headrace_queue.jobs import Job
from headrace_queue.states import JobState
from headrace_queue.tasks import Task, TaskChanges, TaskKind, TaskState
from headrace_queue.writer import Queue

TAG: Final = "headrace-task"
"""A task at FSx carries its token in this tag: so it is found again whose answer was lost and which nobody wants."""
NOT_THERE: Final = 60.0
"""Seconds after which a task that was asked for and is not to be found never came to be."""
UNKNOWN_SECTION: Final = 30.0
"""Seconds until the next look at a task of a file system that this daemon does not know; another may."""
_UNWANTED: Final = frozenset({JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED})
_AT_WORK: Final = frozenset({"PENDING", "EXECUTING", "CANCELING"})


class Apis(Protocol):
    """The FSx API of each section [fsx.NAME]."""

    def get(self, name: str) -> FsxApi: ...


class Buckets(Protocol):
    """Every remote by its name."""

    def get(self, name: str) -> Remote: ...


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

    async def look(self, task: Task) -> None:
        """Raises FsxError, S3Error, QueueError, IllegalTransition and UnknownTask where somebody else was faster."""
        section = self._sections.get(task.spec.fsx)
        if section is None or section.file_system_id != task.spec.file_system_id:
            await self._not_ours(task)
            return
        job = await self._queue.read(lambda store: store.job(task.job_id))
        unwanted = job.state in _UNWANTED
        if task.state is TaskState.WAITING:
            await self._waiting(task, section, unwanted=unwanted)
        elif task.state is TaskState.ASKED:
            await (self._move(task, "cancel") if unwanted else self._ask(task, section))
        elif task.state is TaskState.RUNNING:
            await (self._move(task, "cancel") if unwanted else self._follow(task, section, job))
        else:
            await self._cancel(task, section, job)

    async def wait(self, task: Task, seconds: float, text: str | None = None) -> None:
        """The next look is in so many seconds. text: what the job waits for."""
        changes = TaskChanges(next_look=self._now() + seconds, looks=task.looks + 1)

        await self._queue.write(lambda store: store.change_task(task.id, changes))
        if text is not None:
            await self._queue.write(lambda store: store.set_waiting(task.job_id, text))

    async def _not_ours(self, task: Task) -> None:
        """Where no daemon knows the file system, a person has to see why nothing moves."""
        spec = task.spec
        why = f"config.toml of this daemon has no [fsx.{spec.fsx}] for {spec.file_system_id}; another one may"
        await self.wait(task, UNKNOWN_SECTION, why)

    # -- its turn ------------------------------------------------------------------------------------------------------

    async def _waiting(self, task: Task, section: FsxConfig, *, unwanted: bool) -> None:
        before = await self._queue.read(lambda store: store.tasks(task.job_id))
        failed = [one for one in before if one.id < task.id and one.state is not TaskState.SUCCEEDED]
        open_ones = [one for one in failed if one.finished is None]
        if unwanted:
            await self._move(task, "cancel")
        elif task.spec.kind is TaskKind.RELEASE and failed and not open_ones:
            why = "nothing is released, because not everything was exported"
            await self._move(task, "cancel", TaskChanges(error=why))
        else:
            await self._take_turn(task, section)

    async def _take_turn(self, task: Task, section: FsxConfig) -> None:
        try:
            asked = await self._queue.write(lambda store: store.move_task(task.id, "ask"))
        except NotYourTurn:
            why = f"{_name(task)} waits for another task on {task.spec.fsx}: FSx works on one at a time"
            await self.wait(task, section.poll, why)
            return
        await self._ask(asked, section)

    async def _ask(self, task: Task, section: FsxConfig) -> None:
        """Asked again with the same token it is the same task, so that an answer may be lost."""
        spec = task.spec
        wanted = NewTask(
            spec.kind,
            spec.file_system_id,
            (spec.path,) if spec.path else (),
            spec.report.rstrip("/"),
            spec.token,
            tags={TAG: spec.token},
        )
        try:
            found = await self._apis.get(spec.fsx).create_task(wanted)
        except FsxBusy as error:
            await self._queue.write(
                lambda store: store.move_task(
                    task.id, "postpone", TaskChanges(next_look=self._now() + section.poll, looks=task.looks + 1)
                )
            )
            why = f"{_name(task)} waits for its turn: {error}"
            await self._queue.write(lambda store: store.set_waiting(task.job_id, why))
        except (FsxRefused, FsxNotFound, FsxDenied) as error:
            await self._move(task, "refuse", TaskChanges(error=str(error)))
        except FsxUnreachable as error:
            await self.wait(task, section.poll, f"{_name(task)} is asked for again: {error}")
        else:
            accepted = TaskChanges(task_id=found.id, started=found.started or found.created)
            await self._move(task, "accept", accepted)

    # -- at work -------------------------------------------------------------------------------------------------------

    async def _follow(self, task: Task, section: FsxConfig, job: Job) -> None:
        try:
            found = await self._apis.get(task.spec.fsx).task(task.task_id)
        except FsxUnreachable as error:
            await self.wait(task, section.poll, f"{_name(task)}: {error}")
            return
        except FsxNotFound as error:
            await self._move(task, "fail", TaskChanges(error=str(error)))
            return
        if found.lifecycle in _AT_WORK:
            await self._at_work(task, found, section)
        elif found.lifecycle == "CANCELED":
            why = f"somebody cancelled {task.task_id} at FSx"
            await self._end(task, "cancelled", found, why)
        else:
            await self._ended(task, found, job, section)

    async def _at_work(self, task: Task, found: RepositoryTask, section: FsxConfig) -> None:
        progress = TaskChanges(
            total=found.total, succeeded=found.succeeded, failed=found.failed, started=found.started or found.created
        )
        await self._queue.write(lambda store: store.change_task(task.id, progress))
        await self.wait(task, section.poll, _progress(task, found))

    async def _ended(self, task: Task, found: RepositoryTask, job: Job, section: FsxConfig) -> None:
        """FSx's word is FAILED as soon as one file failed."""
        if found.lifecycle == "SUCCEEDED":
            await self._end(task, "succeed", found, None)
            return
        named = 0
        remote = self._remotes.get(section.remote)
        if task.spec.report:
            named = await self._take_report(task, job, remote)
        some = f"{found.failed:,} of {found.total:,} files failed" if found.failed else ""
        why = "; ".join(text for text in (some, found.failure) if text) or "FSx does not say why"
        told = f"{why}; the report names {named:,} of them" if named else why
        await self._end(task, "fail", found, told)

    async def _take_report(self, task: Task, job: Job, remote: Remote) -> int:
        """A report that cannot be read must not keep the job from going on: what is not there is found by its plan."""
        try:
            named = await take_over(task, job, remote, self._report)
            await remove_report(task, remote)
        except S3Error as error:
            self._facts.job_event(job.id, "task_report_unread", f"{task.spec.report}{task.task_id}/: {error}")
            return 0
        return named

    async def _cancel(self, task: Task, section: FsxConfig, job: Job) -> None:
        """Its job was cancelled: FSx is told until the task has ended."""
        api = self._apis.get(task.spec.fsx)
        if not task.task_id:
            await self._find(task, api, section)
            return
        try:
            found = await api.task(task.task_id)
            if found.lifecycle in _AT_WORK:
                await api.cancel_task(task.task_id)
        except (FsxTaskEnded, FsxUnreachable):
            await self.wait(task, section.poll)
            return
        except FsxNotFound:
            await self._move(task, "cancelled")
            return
        if found.lifecycle in _AT_WORK:
            await self.wait(task, section.poll)
        elif found.lifecycle == "CANCELED":
            await self._end(task, "cancelled", found, None)
        else:
            await self._ended(task, found, job, section)

    async def _find(self, task: Task, api: FsxApi, section: FsxConfig) -> None:
        """It was asked for, and whether FSx took it is not known: its tag tells."""
        ours = [one for one in await api.tasks(task.spec.file_system_id) if one.tags.get(TAG) == task.spec.token]
        if ours:
            changes = TaskChanges(task_id=ours[0].id, next_look=self._now())
            await self._queue.write(lambda store: store.change_task(task.id, changes))
        elif self._now() >= task.changed + NOT_THERE:
            await self._move(task, "cancelled")
        else:
            await self.wait(task, min(section.poll, NOT_THERE))

    # -- the queue -----------------------------------------------------------------------------------------------------

    async def _end(self, task: Task, event: str, found: RepositoryTask, error: str | None) -> None:
        changes = TaskChanges(
            total=found.total,
            succeeded=found.succeeded,
            failed=found.failed,
            started=found.started or found.created,
            error=error,
        )
        await self._move(task, event, changes)

    async def _move(self, task: Task, event: str, changes: TaskChanges | None = None) -> None:
        moved = await self._queue.write(lambda store: store.move_task(task.id, event, changes or TaskChanges()))
        detail = " ".join(text for text in (moved.task_id, moved.error) if text)
        self._facts.task_event(moved.job_id, moved.spec.kind, moved.state, detail)


def _name(task: Task) -> str:
    return f"{task.spec.kind} by FSx"


def _progress(task: Task, found: RepositoryTask) -> str:
    what = f"{_name(task)}, {task.task_id} on {task.spec.fsx}"
    if found.lifecycle == "PENDING":
        return f"{what}: waits at FSx"
    done = found.succeeded + found.failed
    failed = f", {found.failed:,} failed" if found.failed else ""
    return f"{what}: {done:,} of {found.total:,} files{failed}" if found.total else f"{what}: at work"
