"""Whether data repository tasks of FSx move a job, and what they are asked for: from a job's lease to its tasks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.api import FsxApi, FsxError, FsxUnreachable
from headrace_daemon.fsx.dra.after import after_tasks, given_up, hidden_prefix, to_bucket, told_of
from headrace_daemon.fsx.dra.applies import Asked, Reason, applies, link_of, not_configured, reason_of, reasons
from headrace_daemon.fsx.dra.finding_out import find_out
from headrace_daemon.fsx.dra.keeper import TaskKeeper
from headrace_daemon.fsx.dra.links import REPORTS, Link, export_path, find_link, import_path, release_path, report_path
from headrace_daemon.fsx.dra.looks import Buckets, Looks
from headrace_daemon.fsx.dra.reports import Lines
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks
from headrace_queue.advice import with_advice
from headrace_queue.config import Config
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Job, JobSpec, Kind, Links, PlanLease, Via
from headrace_queue.locations import Location
from headrace_queue.overlap import Services
from headrace_queue.tasks import Task, TaskKind, TaskSpec
from headrace_queue.writer import Queue


class Apis(Protocol):
    """The FSx API of each section [fsx.NAME]."""

    def get(self, name: str) -> FsxApi: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Linked:
    """A job between a path and the bucket that is linked to it.

    specs: the tasks to be asked for once so many objects, or bytes, are to be moved. release: those to be asked for
    where nothing is to be moved at all. after: what tasks that have ended leave to the plan. hidden: below which key
    of the bucket's side FSx writes its reports, '' where that is elsewhere.
    """

    specs: tuple[TaskSpec, ...] = ()
    release: tuple[TaskSpec, ...] = ()
    objects: int = 1
    size: int = 1
    after: AfterTasks = NOTHING_BEFORE
    hidden: str = ""


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

        Raises JobFailure where it must not be, and no task can do it; FsxUnreachable where that is not known yet.
        """
        job = lease.job
        tasks = await self._queue.read(lambda store: store.tasks(job.id))
        if not all(given_up(task) for task in tasks):
            return await self._after(job.spec, job.id, tasks)
        section = self._section(job.spec)
        if section is None or job.counters.planned or job.spec.options.dry_run:
            return None
        name, config, asked = section
        # what is to be released has to be exported by FSx itself: what is streamed it does not know as exported
        forced = _only_tasks(job.spec, config) or job.spec.options.release
        found = await self._reasons(name, config, asked, forced=forced)
        if isinstance(found, Link):
            return self._linked(found, job.spec, forced=forced)
        await self._say(job.id, found, forced=forced)
        return None

    async def as_moved(self, job: Job) -> Job:
        """The job as its sides are to be read once a task has moved it: FSx keeps a link as a link, whatever the job
        says, and a link that counted as its target would differ from it on the other side."""
        tasks = await self._queue.read(lambda store: store.tasks(job.id))
        if not any(task.task_id for task in tasks):
            return job
        options = replace(job.spec.options, links=Links.STORE)
        return replace(job, spec=replace(job.spec, options=options))

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

    async def _reasons(self, name: str, config: FsxConfig, asked: Asked, *, forced: bool) -> Link | list[Reason]:
        """The link that tasks can use, or why they cannot."""
        remote = self._remotes.get(asked.remote)
        try:
            found = await find_out(asked, name, config, self._apis.get(name), remote)
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
        after = (self._spec(TaskKind.RELEASE, link),) if release else ()
        linked = Linked((mover, *after), after, hidden=_hidden(link))
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

    async def _after(self, spec: JobSpec, job_id: int, tasks: list[Task]) -> Linked:
        only = _only_tasks(spec, self._sections.get(tasks[-1].spec.fsx))
        after = after_tasks(tasks, only=only)
        if told := told_of(tasks):
            await self._note(job_id, told)
        return Linked(after=after, hidden=hidden_prefix(tasks, spec))

    async def _note(self, job_id: int, text: str) -> None:
        self._facts.job_event(job_id, "warning", text)
        with suppress(HeadraceError):
            await self._queue.write(lambda store: store.set_note(job_id, text))


def _only_tasks(spec: JobSpec, section: FsxConfig | None) -> bool:
    """Whether the job is never streamed."""
    own = spec.options.via
    return own is Via.DRA or (own is Via.AUTO and section is not None and section.via == "dra")


def _hidden(link: Link) -> str:
    """The reports of an association lie at its root, and so in the way of a job on all of it."""
    return "" if link.below else REPORTS


def _refusal(found: Sequence[Reason]) -> str:
    """Every reason, and every remedy."""
    why = "no data repository task can do it: " + "; ".join(reason.text for reason in found)
    return with_advice(why, " ".join(reason.remedy for reason in found))
