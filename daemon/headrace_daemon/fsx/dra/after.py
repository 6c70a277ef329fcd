"""What is left to the plan of a job when its data repository tasks have ended. Pure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks
from headrace_queue.advice import with_advice
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location
from headrace_queue.tasks import Task, TaskKind, TaskSpec, TaskState

_MOVED: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})
_SECOND: Final = 1_000_000_000
_SKEW: Final = 60 * _SECOND
"""By so much the clock of the file system may be behind that of FSx."""


def to_bucket(spec: JobSpec) -> bool:
    """Whether a job between a path and a bucket goes to the bucket."""
    return Location.parse(spec.destination).path is None


def given_up(task: Task) -> bool:
    """Whether it was cancelled with its job, which goes on since: as if it had never been."""
    return task.state is TaskState.CANCELLED and task.error is None


def after_tasks(tasks: Sequence[Task], *, only: bool) -> AfterTasks:
    """tasks: of a job, all of which have ended. only: nothing is streamed. Raises JobFailure where nothing may take the
    place of a task that did not come to be."""
    movers = [task for task in tasks if task.spec.kind is not TaskKind.RELEASE]
    if not movers:
        return NOTHING_BEFORE
    last = movers[-1]
    if last.state not in _MOVED:
        if only:
            why = f"{last.spec.kind} by FSx: {last.error or last.state}"
            remedy = "Mend it and type `headrace retry JOB`, or use --via auto, which streams what a task cannot move."
            raise JobFailure(with_advice(why, remedy))
        return NOTHING_BEFORE
    # S3 tells whole seconds, and so an object written in the second in which the task began counts as the task's
    since = math.floor(last.started or last.created) * _SECOND
    why = f"{last.spec.kind} by FSx ({last.task_id}) did not move it, and nothing is streamed with via dra"
    return AfterTasks(
        exported_since=since if last.spec.kind is TaskKind.EXPORT else None,
        imported_since=since - _SKEW if last.spec.kind is TaskKind.IMPORT else None,
        only=why if only else "",
        doubtful=last.state is TaskState.FAILED,
        unreleased=_unreleased(tasks),
    )


def _unreleased(tasks: Sequence[Task]) -> str:
    releases = [task for task in tasks if task.spec.kind is TaskKind.RELEASE]
    if not releases or releases[-1].state is TaskState.SUCCEEDED or given_up(releases[-1]):
        return ""
    return told_of(releases[-1:])


def told_of(tasks: Sequence[Task]) -> str:
    """What a person should know of tasks that did not do all that was asked of them; '' where they did."""
    bad = [task for task in tasks if task.state is not TaskState.SUCCEEDED and not given_up(task)]
    return "; ".join(" ".join(filter(None, (f"{task.spec.kind} by FSx", task.task_id, _end(task)))) for task in bad)


def _end(task: Task) -> str:
    return f"{task.state}: {task.error}" if task.error else str(task.state)


def missing_release(tasks: Sequence[Task]) -> TaskSpec | None:
    """Of a job that wants one: the release that was given up with the job, or never made, after an export that did all.
    Its token is the export's, and has to be replaced."""
    exports = [task for task in tasks if task.spec.kind is TaskKind.EXPORT and not given_up(task)]
    releases = [task for task in tasks if task.spec.kind is TaskKind.RELEASE and not given_up(task)]
    if releases or not exports or exports[-1].state is not TaskState.SUCCEEDED:
        return None
    # an export says '' for all of the file system, a release '/'
    return replace(exports[-1].spec, kind=TaskKind.RELEASE, path=exports[-1].spec.path or "/", report="")
