"""The row of a data repository task in the queue: when it is looked at next, how it moves, what its job is told."""

from collections.abc import Callable
from typing import Final

from headrace_daemon.facts import Facts
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.tasks import NO_TASK_CHANGES, Task, TaskChanges, TaskState
from headrace_queue.writer import Queue

UNWANTED: Final = frozenset({JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED})
"""Jobs whose tasks are cancelled."""
SOON: Final = 1.0
"""Seconds until the next look at a task whose job was cancelled while it was looked at."""


class Rows:
    """now: seconds since the epoch."""

    def __init__(self, queue: Queue, facts: Facts, now: Callable[[], float]) -> None:
        self._queue = queue
        self._facts = facts
        self._now = now

    async def wait(self, task: Task, seconds: float, text: str | None = None) -> None:
        """The next look is in so many seconds. text: what the job waits for."""

        def put_off(store: Store) -> None:
            state = store.task(task.id).state
            changes = TaskChanges(next_look=self._next_look(store, task, state, seconds), looks=task.looks + 1)
            store.change_task(task.id, changes)
            _tell(store, task, text)

        await self._queue.write(put_off)

    async def postpone(self, task: Task, seconds: float, text: str) -> None:
        """FSx has it not, and is asked again in so many seconds."""

        def put_off(store: Store) -> None:
            when = self._next_look(store, task, TaskState.WAITING, seconds)
            store.move_task(task.id, "postpone", TaskChanges(next_look=when, looks=task.looks + 1))
            _tell(store, task, text)

        await self._queue.write(put_off)

    async def move(self, task: Task, event: str, changes: TaskChanges = NO_TASK_CHANGES) -> Task:
        """Raises IllegalTransition, NotYourTurn, UnknownTask."""
        moved = await self._queue.write(lambda store: store.move_task(task.id, event, changes))
        detail = " ".join(text for text in (moved.task_id, moved.error) if text)
        self._facts.task_event(moved.job_id, moved.spec.kind, moved.state, detail)
        return moved

    def _next_look(self, store: Store, task: Task, state: TaskState, seconds: float) -> float:
        """`cancel` sets the next look to now, and this look, which began before, must not undo that."""
        passed_on = state is TaskState.CANCELLING or store.job(task.job_id).state not in UNWANTED
        return self._now() + (seconds if passed_on else min(seconds, SOON))


def name_of(task: Task) -> str:
    """As a job's texts call it."""
    return f"{task.spec.kind} by FSx"


def _tell(store: Store, task: Task, text: str | None) -> None:
    if text is not None:
        store.set_waiting(task.job_id, text)
