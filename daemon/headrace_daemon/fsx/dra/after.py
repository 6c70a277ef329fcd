"""What is left to the plan of a job when its data repository tasks have ended. Pure."""

import math
from collections.abc import Sequence
from typing import Final

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks
from headrace_queue.advice import with_advice
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location
from headrace_queue.tasks import Task, TaskKind, TaskState

_MOVED: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})
_SECOND: Final = 1_000_000_000


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
    exported = since if last.spec.kind is TaskKind.EXPORT else None
    why = f"{last.spec.kind} by FSx ({last.task_id}) did not move it, and nothing is streamed with via dra"
    return AfterTasks(exported, why if only else "")


def told_of(tasks: Sequence[Task]) -> str:
    """What a person should know of tasks that did not do all that was asked of them; '' where they did."""
    bad = [task for task in tasks if task.state is not TaskState.SUCCEEDED and not given_up(task)]
    return "; ".join(" ".join(filter(None, (f"{task.spec.kind} by FSx", task.task_id, _end(task)))) for task in bad)


def _end(task: Task) -> str:
    return f"{task.state}: {task.error}" if task.error else str(task.state)


def hidden_prefix(tasks: Sequence[Task], spec: JobSpec) -> str:
    """Below which key, relative to the job's bucket side, FSx writes its reports; '' where that is not in it."""
    bucket_side = Location.parse(spec.destination if to_bucket(spec) else spec.source)
    for task in tasks:
        if task.spec.report:
            place = Location.parse(task.spec.report).as_folder()
            root = bucket_side.as_folder().key
            if place.bucket == bucket_side.bucket and place.key.startswith(root):
                return place.key[len(root) :]
    return ""
