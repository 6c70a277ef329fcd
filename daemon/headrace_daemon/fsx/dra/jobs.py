"""Whether data repository tasks of FSx move a job, and what they are asked for: from a job's lease to its tasks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import FsxApi, FsxBusy, FsxError, FsxUnreachable
from headrace_daemon.fsx.dra.after import after_tasks, given_up, missing_release, to_bucket, told_of
from headrace_daemon.fsx.dra.applies import Asked, Reason, applies, link_of, not_configured, reason_of, reasons
from headrace_daemon.fsx.dra.finding_out import find_out
from headrace_daemon.fsx.dra.keeper import TaskKeeper
from headrace_daemon.fsx.dra.links import Link, export_path, find_link, import_path, release_path, report_path
from headrace_daemon.fsx.dra.looks import Buckets, Looks
from headrace_daemon.fsx.dra.reports import Lines
from headrace_daemon.planner.errors import JobFailure, NotYet
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks
from headrace_queue.advice import with_advice
from headrace_queue.config import Config
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.dra_options import only_tasks
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Job, JobSpec, Kind, PlanLease, Via
from headrace_queue.locations import Location
from headrace_queue.overlap import Services
from headrace_queue.render import count
from headrace_queue.states import JobState
from headrace_queue.tasks import Task, TaskKind, TaskSpec
from headrace_queue.writer import Queue

_LIVE: Final = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING)
_MOST_LIVE: Final = 10_000


class Apis(Protocol):
    """The FSx API of each section [fsx.NAME]."""

    def get(self, name: str) -> FsxApi: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Linked:
    """A job between a path and the bucket that is linked to it.

    specs: the tasks to be asked for once so many objects, or bytes, are to be moved. release: those to be asked for
    where nothing is to be moved at all. after: what tasks that have ended leave to the plan. overwrites: the tasks
    replace files that were changed here, whatever the job says.
    """

    specs: tuple[TaskSpec, ...] = ()
    release: tuple[TaskSpec, ...] = ()
    objects: int = 1
    size: int = 1
    after: AfterTasks = NOTHING_BEFORE
    overwrites: bool = False


class JobTasks:
    """Of one daemon. token: makes a ClientRequestToken, of 63 characters at most."""

    def __init__(
        self, config: Config, apis: Apis, remotes: Buckets, queue: Queue, facts: Facts, token: Callable[[], str]
    ) -> None:
        self._sections = config.fsx
        self._services = Services(config.remotes)
        self._apis = apis
        self._remotes = remotes
        self._queue = queue
        self._facts = facts
        self._token = token

    def keeper(self, lines: Lines, now: Callable[[], float]) -> TaskKeeper:
        """What watches the tasks of all jobs."""
        looks = Looks(self._queue, self._sections, self._apis, self._remotes, lines, self._facts, now)
        return TaskKeeper(self._queue, looks, self._facts, now)

    async def close(self) -> None:
        await self._apis.close()

    async def of(self, lease: PlanLease) -> Linked | None:
        """None where the job is streamed through this host.

        Raises JobFailure where it must not be, and no task can do it; FsxBusy, FsxUnreachable where that is not known
        yet.
        """
        job = lease.job
        tasks = await self._queue.read(lambda store: store.tasks(job.id))
        if not all(given_up(task) for task in tasks):
            return await self._after(job, tasks)
        section = self._section(job.spec)
        if section is None or job.counters.planned or job.spec.options.dry_run:
            return None
        name, config, asked = section
        # what is to be released has to be exported by FSx itself: what is streamed it does not know as exported
        forced = only_tasks(job.spec, self._sections) or job.spec.options.release
        found = await self._reasons(name, config, asked, forced=forced)
        if isinstance(found, Link) and (writing := await self._who_writes(job)) is not None:
            found = [_being_written(writing)]
            if forced:
                raise NotYet(found[0].text)
        if isinstance(found, Link):
            return self._linked(found, job.spec, forced=forced)
        await self._say(job.id, found, forced=forced)
        return None

    async def ended(self, job_id: int) -> tuple[int, ...]:
        """The numbers of the job's tasks that moved something, or may have."""
        tasks = await self._queue.read(lambda store: store.tasks(job_id))
        return tuple(task.id for task in tasks if task.task_id)

    async def keep(self, job: Job, newer: int) -> None:
        """Files here are newer than their objects, and an import would overwrite them. Raises JobFailure where nothing
        is to be streamed."""
        files = count(newer, "file")
        why = f"{files} here newer than the object, in the same size, and an import would overwrite that"
        if only_tasks(job.spec, self._sections):
            remedy = "Sync the other way first, remove what is not wanted, or use --via stream, which leaves it alone."
            raise JobFailure(with_advice(why, remedy))
        await self._note(job.id, f"streamed, and not moved by FSx: {why}")

    # -- before any task -----------------------------------------------------------------------------------------------

    def _section(self, spec: JobSpec) -> tuple[str, FsxConfig, Asked] | None:
        """The section that the job's path belongs to; None where nobody thinks of tasks. Raises JobFailure."""
        options = spec.options
        source, destination = Location.parse(spec.source), Location.parse(spec.destination)
        path, bucket = (source, destination) if to_bucket(spec) else (destination, source)
        if spec.kind is not Kind.SYNC or path.path is None or bucket.path is not None or options.via is Via.STREAM:
            return None
        found = find_link(self._sections, path.path)
        if found is None:
            if options.via is Via.DRA or options.release:
                raise JobFailure(_refusal([not_configured(path.path, self._sections)]))
            return None
        if found[1].via == "stream" and options.via is Via.AUTO and not options.release:
            return None
        asked = Asked(
            path=path.path,
            remote=bucket.remote or "s3",
            bucket=bucket.bucket,
            prefix=bucket.key,
            to_bucket=to_bucket(spec),
            kind=spec.kind,
            options=options,
            owner=spec.owner,
        )
        return (*found, asked)

    async def _who_writes(self, job: Job) -> int | None:
        """Another job that may write beneath what this one exports, whose unfinished files would be exported too."""
        path = Location.parse(job.spec.source).path
        if path is None:
            return None
        others = await self._queue.read(lambda store: store.jobs(_LIVE, _MOST_LIVE))
        places = ((one.id, Location.parse(one.spec.destination).path) for one in others if one.id != job.id)
        return next((number for number, place in places if place is not None and _overlap(place, path)), None)

    async def _reasons(self, name: str, config: FsxConfig, asked: Asked, *, forced: bool) -> Link | list[Reason]:
        """The link that tasks can use, or why they cannot."""
        remote = self._remotes.get(asked.remote)
        try:
            found = await find_out(asked, name, config, self._apis.get(name), remote)
        except FsxBusy:
            raise  # it passes within seconds
        except FsxUnreachable as error:
            if forced:
                raise
            return [reason_of(error)]
        except FsxError as error:
            return [reason_of(error)]
        told = reasons(asked, found, self._services)
        link = link_of(asked, found)
        return link if link is not None and applies(told) else told

    def _linked(self, link: Link, spec: JobSpec, *, forced: bool) -> Linked:
        section, release = link.section, spec.options.release
        mover = self._spec(TaskKind.EXPORT if to_bucket(spec) else TaskKind.IMPORT, link)
        if release:
            # also where nothing seems to be exported: what was streamed FSx does not know as exported, and keeps
            both = (mover, self._spec(TaskKind.RELEASE, link))
            return Linked(both, both)
        linked = Linked((mover,), overwrites=mover.kind is TaskKind.IMPORT)
        if forced:
            return linked
        return replace(linked, objects=section.task_from_objects, size=section.task_from_size)

    def _spec(self, kind: TaskKind, link: Link) -> TaskSpec:
        paths = {TaskKind.IMPORT: import_path, TaskKind.EXPORT: export_path, TaskKind.RELEASE: release_path}
        report = "" if kind is TaskKind.RELEASE else report_path(link)
        return TaskSpec(kind, link.fsx, link.section.file_system_id, paths[kind](link), report, self._token())

    async def _say(self, job_id: int, found: list[Reason], *, forced: bool) -> None:
        """Why it is streamed. Raises JobFailure where it must not be."""
        blocking = [reason for reason in found if reason.blocks]
        if forced:
            raise JobFailure(_refusal(blocking))
        text = "streamed, and not moved by FSx: " + "; ".join(reason.text for reason in blocking)
        await self._note(job_id, text)

    # -- after the tasks -----------------------------------------------------------------------------------------------

    async def _after(self, job: Job, tasks: list[Task]) -> Linked:
        spec = job.spec
        after = after_tasks(tasks, only=only_tasks(spec, self._sections))
        if told := told_of(tasks):
            await self._note(job.id, told)
        missing = missing_release(tasks) if spec.options.release else None
        release = () if missing is None else (replace(missing, token=self._token()),)
        return Linked(release=release, after=after)

    async def _note(self, job_id: int, text: str) -> None:
        self._facts.job_event(job_id, "warning", text)
        with suppress(HeadraceError):
            await self._queue.write(lambda store: store.set_note(job_id, text))


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def _being_written(job_id: int) -> Reason:
    text = f"job {job_id} writes there, and an export would take its unfinished files along"
    return Reason("being_written", text, f"Wait for it: headrace wait {job_id}")


def _refusal(found: Sequence[Reason]) -> str:
    """Every reason, and every remedy."""
    why = "no data repository task can do it: " + "; ".join(reason.text for reason in found)
    return with_advice(why, " ".join(reason.remedy for reason in found))
