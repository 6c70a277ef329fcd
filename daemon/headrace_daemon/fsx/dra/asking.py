"""Asks FSx for a data repository task, and finds out whether FSx has it already: an answer that was lost must neither
leave a task that nobody follows nor let a job stream what FSx is moving."""

from typing import Final

from headrace_daemon.fsx.api import (
    FsxApi,
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxUnreachable,
    NewTask,
    RepositoryTask,
)
from headrace_daemon.fsx.dra.rows import Rows, name_of
from headrace_queue.tasks import Task, TaskChanges, TaskSpec

TAG: Final = "headrace-task"
"""A task at FSx carries its token in this tag: so it is found again whose answer was lost and which nobody wants."""
_NO_ROOM: Final = frozenset({"DataRepositoryTaskExecuting", "ServiceLimitExceeded"})
"""FSx has no room for it. Other words for being busy say nothing of whether it took the request."""


async def ask(task: Task, api: FsxApi, rows: Rows, poll: float, *, again: bool) -> None:
    """Asked again with the same token it is the same task, so that an answer may be lost.

    again: an earlier request may have got through. poll: seconds until the next look where FSx does not take it now.
    """
    try:
        found = await api.create_task(_wanted(task.spec))
    except (FsxBusy, FsxUnreachable, FsxRefused, FsxNotFound, FsxDenied) as error:
        if _says_nothing(error):
            await rows.wait(task, poll, f"{name_of(task)} is asked for again: {error}")
        elif not again or not await _has_it(task, api, rows, poll, error):
            await _not_taken(task, rows, poll, error)
    else:
        await _accept(task, rows, found)


async def find(task: Task, api: FsxApi) -> RepositoryTask | None:
    """The task by its tag; None where FSx has none. Raises FsxError."""
    try:
        known = await api.tasks(task.spec.file_system_id)
    except FsxNotFound:
        return None  # the whole file system is gone
    return next((one for one in known if one.tags.get(TAG) == task.spec.token), None)


def _says_nothing(error: FsxError) -> bool:
    """Whether FSx may have taken the request nevertheless, or has not looked at it."""
    return isinstance(error, FsxUnreachable) or (isinstance(error, FsxBusy) and error.code not in _NO_ROOM)


async def _has_it(task: Task, api: FsxApi, rows: Rows, poll: float, error: FsxError) -> bool:
    """Whether all is done: FSx has it, or cannot be asked for now."""
    try:
        found = await find(task, api)
    except FsxError as trouble:
        why = f"{error}; whether FSx has it already is not known: {trouble}"
        await rows.wait(task, poll, f"{name_of(task)} is asked for again: {why}")
        return True
    if found is not None:
        await _accept(task, rows, found)
    return found is not None


async def _not_taken(task: Task, rows: Rows, poll: float, error: FsxError) -> None:
    if isinstance(error, FsxBusy):
        await rows.postpone(task, poll, f"{name_of(task)} waits for its turn: {error}")
    else:
        await rows.move(task, "refuse", TaskChanges(error=str(error)))


async def _accept(task: Task, rows: Rows, found: RepositoryTask) -> None:
    await rows.move(task, "accept", TaskChanges(task_id=found.id, started=found.started or found.created))


def _wanted(spec: TaskSpec) -> NewTask:
    return NewTask(
        spec.kind,
        spec.file_system_id,
        (spec.path,) if spec.path else (),
        spec.report.rstrip("/"),
        spec.token,
        tags={TAG: spec.token},
    )
