"""Takes over what FSx reports of a task into the job's own report, and removes it from the bucket: a file in the
repository would be imported like any other."""

from typing import Protocol

from headrace_daemon.facts import Outcome
from headrace_daemon.fsx.dra.failures import MAX_REPORT, FileFailure, key_below, read_failures
from headrace_daemon.s3.remote import Remote
from headrace_queue.jobs import Item, Job
from headrace_queue.locations import Location
from headrace_queue.tasks import Task, TaskKind


class Lines(Protocol):
    """The report of a job."""

    def write(self, job: int, item: Item, outcome: Outcome) -> None: ...

    def flush(self, job: int) -> None: ...


async def take_over(task: Task, job: Job, remote: Remote, lines: Lines) -> int:
    """Writes a line for each file that FSx names; how many. Once more writes them once more, of which the last counts.

    Raises S3Error, OSError.
    """
    place, count = Location.parse(task.spec.report), 0
    for key, size in await _reports(remote, place, task):
        if size <= MAX_REPORT:
            _, body = await remote.get(place.bucket, key, size=size)
            for failure in read_failures(bytes(body).decode("utf-8", "replace")):
                lines.write(job.id, Item(_key(failure, task, job), 0, 0), _outcome(failure, task))
                count += 1
    lines.flush(job.id)
    return count


async def remove_report(task: Task, remote: Remote) -> None:
    """What FSx wrote of this task. Raises S3Error."""
    place = Location.parse(task.spec.report)
    keys = [key for key, _ in await _reports(remote, place, task)]
    if keys:
        for error in (await remote.delete(place.bucket, keys)).values():
            raise error


async def _reports(remote: Remote, place: Location, task: Task) -> list[tuple[str, int]]:
    """Nothing else lies there than reports, and those of tasks whose daemon died."""
    page = await remote.list_page(place.bucket, place.as_folder().key)
    return [(key, size) for key, size, *_ in page.objects if task.task_id in key]


def _key(failure: FileFailure, task: Task, job: Job) -> str:
    if task.spec.kind is TaskKind.IMPORT:
        source = Location.parse(job.spec.source)
        return key_below(failure.path, "", f"s3://{source.bucket}/{source.as_folder().key}")
    return key_below(failure.path, task.spec.path, job.spec.destination)


def _outcome(failure: FileFailure, task: Task) -> Outcome:
    why = f"FSx: {failure.error or failure.status or 'failed'}, {task.spec.kind} {task.task_id}, {failure.path}"
    return Outcome("task_failed", error=failure.error or "task_failed", message=why, attempts=0)
