"""Keeps all schedules: fires those that are due, and runs whoever watches for the others.

All it knows is in the queue, so that any daemon goes on where another stopped. Several daemons may look at one
schedule: a firing is one commit that only one of them can make; what has to be watched is watched by one, as the queue
says.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace_daemon.facts import Facts
from headrace_daemon.schedules.firings import Firings
from headrace_daemon.schedules.reconcile import reconcile
from headrace_queue.errors import QueueUnavailable, UsageError
from headrace_queue.schedules import TIMED, Schedule, ScheduleSpec, Trigger
from headrace_queue.store import Store
from headrace_queue.writer import Queue

if TYPE_CHECKING:
    from headrace_queue.config_schedules import ScheduleConfig

TURN: Final = 0.25
"""Seconds between looks at the clock and at the queue's version."""
SWEEP: Final = 5.0
"""Seconds between looks at everything, and until a firing that cannot be now is tried again."""
FULL: Final = 5.0
"""Seconds until the next turn where the queue takes nothing."""
AGAIN: Final = 30.0
"""Seconds until whoever watches is started again, after an error."""

Watch: TypeAlias = Callable[[Schedule], Coroutine[Any, Any, None]]
"""Watches for one schedule until it is cancelled. Raises whatever keeps it from that."""


@dataclass(slots=True)
class _Watcher:
    spec: ScheduleSpec
    task: asyncio.Task[None]


class ScheduleKeeper:
    """One daemon's eyes on all schedules. configured: [schedules] of its config.toml. worker_id: by which the queue
    knows this daemon. watches: how to watch, by trigger."""

    def __init__(
        self,
        queue: Queue,
        firings: Firings,
        watches: Mapping[Trigger, Watch],
        facts: Facts,
        now: Callable[[], float],
        worker_id: str,
        configured: Mapping[str, "ScheduleConfig"],
    ) -> None:
        self._queue = queue
        self._firings = firings
        self._watches = watches
        self._facts = facts
        self._now = now
        self._worker_id = worker_id
        self._configured = configured
        self._busy: set[str] = set()
        self._watchers: dict[str, _Watcher] = {}
        self._not_before: dict[str, float] = {}
        self._version = -1
        self._next_look = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            known = False
            while True:
                try:
                    if not known:
                        await self._queue.write(lambda store: reconcile(store, self._configured))
                        known = True
                    await self._turn(tasks)
                except QueueUnavailable as error:
                    self._facts.job_event(0, "queue_full", str(error))
                    await asyncio.sleep(FULL)
                await asyncio.sleep(TURN)

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        version = await self._queue.read(lambda store: store.version())
        now = self._now()
        # a clock that was put back must not keep everything waiting
        if version == self._version and self._next_look - SWEEP <= now < self._next_look:
            return
        self._version = version
        rows = await self._queue.read(_all)
        dues = [due for row in rows if (due := _due(row)) is not None and due > now]
        self._next_look = min([now + SWEEP, *dues])
        self._facts.schedules({row.name: (row.standing.succeeded, _due(row)) for row in rows})
        for row in rows:
            if self._is_due(row, now):
                self._busy.add(row.name)
                tasks.create_task(self._one(row), name=f"schedule {row.name}")
        await self._watch(tasks, rows)

    def _is_due(self, row: Schedule, now: float) -> bool:
        if row.standing.paused or row.name in self._busy or now < self._not_before.get(row.name, 0.0) <= now + SWEEP:
            return False
        if row.spec.trigger in TIMED:
            return row.standing.due is None or row.standing.due <= now
        return row.spec.trigger is Trigger.AFTER and bool(row.standing.pending)

    async def _one(self, row: Schedule) -> None:
        """Whatever is wrong with it, the others go on."""
        try:
            fires = self._firings.timed if row.spec.trigger in TIMED else self._firings.after
            if not await fires(row):
                self._not_before[row.name] = self._now() + SWEEP
        except QueueUnavailable:
            pass  # the next turn says so
        except Exception as error:  # noqa: BLE001 - as above: whatever it is
            self._not_before[row.name] = self._now() + SWEEP
            self._facts.schedule_event(row.name, "trouble", f"{type(error).__name__}: {error}")
        self._busy.discard(row.name)
        self._version = -1

    # -- those that have to be watched --------------------------------------------------------------------------------

    async def _watch(self, tasks: asyncio.TaskGroup, rows: list[Schedule]) -> None:
        wanted = {row.name: row for row in rows if row.spec.trigger in self._watches and not row.standing.paused}
        for name, watcher in list(self._watchers.items()):
            row = wanted.get(name)
            lost = row is None or row.spec != watcher.spec or row.holder != self._worker_id
            if lost or watcher.task.done():
                watcher.task.cancel()
                await asyncio.wait([watcher.task])
                del self._watchers[name]
        for name, row in wanted.items():
            if name not in self._watchers and await self._holds(row):
                task = tasks.create_task(self._watch_one(row), name=f"watching for schedule {name}")
                self._watchers[name] = _Watcher(row.spec, task)

    async def _holds(self, row: Schedule) -> bool:
        """Asks once in a while where another daemon watches: it may be gone."""
        if row.holder == self._worker_id:
            return True
        now, key = self._now(), f"hold {row.name}"
        if now < self._not_before.get(key, 0.0) <= now + SWEEP:
            return False
        self._not_before[key] = now + SWEEP
        return await self._queue.write(lambda store: store.hold_schedule(row.name, self._worker_id))

    async def _watch_one(self, row: Schedule) -> None:
        told = ""
        while True:
            with suppress(QueueUnavailable):
                try:
                    await self._watches[row.spec.trigger](row)
                except UsageError as error:
                    if str(error) != told:
                        told = str(error)
                        self._facts.schedule_event(row.name, "trouble", told)
                except QueueUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it is, the other schedules go on
                    self._facts.schedule_event(row.name, "trouble", f"{type(error).__name__}: {error}")
            await asyncio.sleep(AGAIN)


def _due(row: Schedule) -> float | None:
    """When it fires next; never while it is paused."""
    return None if row.standing.paused else row.standing.due


def _all(store: Store) -> list[Schedule]:
    return store.schedules()
