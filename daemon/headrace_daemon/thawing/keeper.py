"""Watches objects that S3 restores from archive classes. Waiting for them takes no slot, no lease and no memory."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from headrace_daemon.keeping import HOLD, Keeping
from headrace_daemon.session import Host
from headrace_daemon.thawing.looks import Looks
from headrace_queue.errors import UnknownJob, UnknownThaw
from headrace_queue.store import Store
from headrace_queue.thaw import Thaw, ThawChanges

EVERY: Final = 0.5
"""Seconds between looks into the queue where nothing is due."""
GATHER: Final = 1.0
"""Seconds in which what became readable is gathered before it becomes batches."""
MOST_SECONDS: Final = 300.0
"""Between looks at an object that cannot be looked at."""


class ThawKeeper(Keeping[Thaw]):
    """One daemon's eyes on all such objects. now: seconds since the epoch."""

    def __init__(self, host: Host, now: Callable[[], float] = time.time) -> None:
        super().__init__(host.queue, now, UnknownThaw)
        poll = host.config.transfer.restore_poll
        self._looks = Looks(host, now, poll)
        self._facts = host.facts
        self._looked = 0.0
        self._gathered = 0.0
        self._touched: set[int] = set()  # jobs of which something was looked at since
        self._said: dict[int, str] = {}

    async def _due(self, room: int) -> list[Thaw]:
        """Where nothing is due, nothing is written: nearly every daemon has nothing of this kind to do."""
        now = self._now()
        if now - self._gathered >= GATHER or now < self._gathered:
            self._gathered = now
            await self._gather()
        if not self._busy and 0 <= now - self._looked < EVERY:
            return []
        self._looked = now
        if room <= 0 or not await self._queue.read(lambda store: store.any_thaw_due(now)):
            return []
        self._looked = 0.0
        due = await super()._due(room)
        self._touched |= {thaw.job_id for thaw in due}
        return due

    async def _gather(self) -> None:
        """What can be read becomes batches, and jobs say anew what they wait for."""
        touched = set(self._touched)
        if not touched and not await self._queue.read(lambda store: store.any_thawed()):
            return
        while await self._queue.write(lambda store: store.put_back_thawed()):
            pass
        self._touched -= touched
        if self._busy:
            self._touched |= touched  # once more, for what is being looked at now
        for job_id in touched:
            with suppress(UnknownJob):
                job = await self._queue.read(lambda store, job_id=job_id: store.job(job_id))  # type: ignore[misc]
                if job.waiting and self._said.get(job_id) != job.waiting:
                    self._said[job_id] = job.waiting
                    self._facts.job_event(job_id, "waiting", job.waiting)
                elif job.finished is not None:
                    self._said.pop(job_id, None)

    def _take_over(self, store: Store) -> None:
        store.look_at_thaws_soon(self._now(), HOLD)
        while store.put_back_thawed():
            pass

    def _take(self, store: Store, now: float, limit: int) -> list[Thaw]:
        return store.due_thaws(now, HOLD, limit)

    def _under_way(self, store: Store) -> Iterable[Thaw]:
        return ()  # `_take_over` needs no list: there may be very many

    def _set_look(self, store: Store, number: int, when: float) -> None:
        store.change_thaw(number, ThawChanges(next_look=when))

    async def _look(self, row: Thaw) -> None:
        await self._looks.look(row)

    async def _put_off(self, row: Thaw) -> None:
        await self._looks.later(row, min(MOST_SECONDS, 2.0 ** min(row.looks, 10)))

    def _tell(self, number: int | None, text: str) -> None:
        self._facts.job_event(0, "restore_trouble", text if number is None else f"object {number}: {text}")
