"""Takes over what FSx reports of a task into the job's own report, and removes it from the bucket: a file in the
repository would be imported like any other."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from headrace_daemon.facts import Outcome
from headrace_daemon.fsx.dra.failures import FileFailure, key_below, read_block
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import Listed
from headrace_queue.jobs import Item, Job
from headrace_queue.locations import Location
from headrace_queue.tasks import Task, TaskKind

MAX_BYTES: Final = 16 * 2**20
"""Bytes of a task's reports that are read; what is longer is told by its count."""
MAX_ROWS: Final = 100_000
"""Likewise lines."""
BLOCK: Final = 1_000
"""Lines that are written before anything else has its turn: a hundredth of a second."""


class Lines(Protocol):
    """The report of a job."""

    def write(self, job: int, item: Item, outcome: Outcome) -> None: ...

    def flush(self, job: int) -> None: ...


class Taken(NamedTuple):
    """What was taken over. named: files; rows: lines that were read, of which so many were broken. whole: whether
    nothing was left unread."""

    named: int = 0
    rows: int = 0
    broken: int = 0
    whole: bool = True


async def take_over(task: Task, job: Job, remote: Remote, lines: Lines, mount: Path) -> Taken:
    """Writes a line for each file that FSx names, so far as it is read; it is in the file when this returns. Once more
    writes them once more, of which the last counts. mount: from which FSx counts paths.

    Raises S3Error, OSError.
    """
    place, taken, room = Location.parse(task.spec.report), Taken(), MAX_BYTES
    for found in await _reports(remote, place, task):
        size = min(found.size, room)
        body = await _head(remote, place.bucket, found, size) if size else b""
        room -= size
        report = io.BytesIO(body if size == found.size else body[: body.rfind(b"\n") + 1])
        taken = await _written(taken, report, task, job, lines, mount)
        taken = taken._replace(whole=taken.whole and size == found.size and report.read(1) == b"")
    return taken


async def remove_reports(task: Task, remote: Remote) -> None:
    """What FSx wrote of this task. Raises S3Error."""
    place = Location.parse(task.spec.report)
    keys = [found.key for found in await _reports(remote, place, task)]
    if keys:
        for error in (await remote.delete(place.bucket, keys)).values():
            raise error


async def _written(taken: Taken, report: io.BytesIO, task: Task, job: Job, lines: Lines, mount: Path) -> Taken:
    named, rows, broken, whole = taken
    while rows < MAX_ROWS:
        block = await asyncio.to_thread(read_block, report, min(BLOCK, MAX_ROWS - rows))
        if not block.rows:
            break
        for failure in block.failures:
            lines.write(job.id, Item(key_of(failure, task, job, mount), 0, 0), _outcome(failure, task))
        lines.flush(job.id)
        named, rows, broken = named + len(block.failures), rows + block.rows, broken + block.broken
    return Taken(named, rows, broken, whole)


async def _head(remote: Remote, bucket: str, found: Listed, size: int) -> bytes:
    """The first bytes of an object, and no more of it however long it has become."""

    async def collected(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
        return b"".join([bytes(chunk) async for chunk in chunks])

    return await remote.get_range(bucket, found.key, 0, size, if_match=found.etag, total=found.size, consume=collected)


async def _reports(remote: Remote, place: Location, task: Task) -> list[Listed]:
    """Below the task's own folder, or where FSx says the task's name in another place of the key. Nothing else lies
    there than reports, and those of tasks whose daemon died."""
    folder = place.as_folder().key
    named = re.compile(re.escape(task.task_id) + r"(?![0-9A-Za-z])")
    for prefix in (folder + task.task_id, folder):
        page = await remote.list_page(place.bucket, prefix)
        if found := [one for one in page.objects if named.search(one.key, len(folder))]:
            return found
    return []


def key_of(failure: FileFailure, task: Task, job: Job, mount: Path) -> str:
    if task.spec.kind is not TaskKind.IMPORT:
        return key_below(failure.path, task.spec.path, "")
    source, path = Location.parse(job.spec.source), Location.parse(job.spec.destination).path
    inside = path is not None and path.is_relative_to(mount)
    mounted = path.relative_to(mount).as_posix() if path is not None and inside else "."
    return key_below(failure.path, "" if mounted == "." else mounted, f"s3://{source.bucket}/{source.as_folder().key}")


def _outcome(failure: FileFailure, task: Task) -> Outcome:
    why = f"FSx: {failure.error or failure.status or 'failed'}, {task.spec.kind} {task.task_id}, {failure.path}"
    return Outcome("task_failed", error=failure.error or "task_failed", message=why, attempts=0)
