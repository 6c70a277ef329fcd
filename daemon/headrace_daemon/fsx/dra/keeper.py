"""Watches data repository tasks until they have ended. Waiting for FSx takes no slot, no lease and no memory."""

from collections.abc import Callable, Iterable

from headrace_daemon.facts import Facts
from headrace_daemon.fsx.dra.looks import Looks
from headrace_daemon.keeping import HOLD, Keeping
from headrace_queue.errors import UnknownTask
from headrace_queue.store import Store
from headrace_queue.tasks import Task, TaskChanges
from headrace_queue.writer import Queue

MOST_SECONDS = 300.0
"""Between looks at a task that cannot be looked at."""


class TaskKeeper(Keeping[Task]):
    """One daemon's eyes on all tasks. now: seconds since the epoch."""

    def __init__(self, queue: Queue, looks: Looks, facts: Facts, now: Callable[[], float]) -> None:
        super().__init__(queue, now, UnknownTask)
        self._looks = looks
        self._facts = facts

    def _take(self, store: Store, now: float, limit: int) -> list[Task]:
        return store.due_tasks(now, HOLD, limit)

    def _under_way(self, store: Store) -> Iterable[Task]:
        return store.tasks(open_only=True)

    def _set_look(self, store: Store, number: int, when: float) -> None:
        store.change_task(number, TaskChanges(next_look=when))

    async def _look(self, row: Task) -> None:
        await self._looks.look(row)

    async def _put_off(self, row: Task) -> None:
        await self._looks.wait(row, min(MOST_SECONDS, 2.0 ** min(row.looks, 10)))

    def _tell(self, number: int | None, text: str) -> None:
        self._facts.job_event(0, "task_trouble", text if number is None else f"data repository task {number}: {text}")
