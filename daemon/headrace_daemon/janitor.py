"""Gives up what ended jobs left at their destinations: multipart uploads that someone would pay for, temporary files of
large downloads. Whoever cancelled a job may have done so while no worker was there to clean up."""

import asyncio
from collections.abc import Callable

from headrace_daemon.facts import Facts
from headrace_daemon.session import Sessions
from headrace_queue.jobs import Item, Job
from headrace_queue.writer import Queue

EVERY = 10.0
KEEP_FAILED = 24 * 3600.0
"""Seconds for which a failed job keeps its parts: a retry within a day goes on with them."""

AGAIN = 60.0
"""Seconds until a job is tried again whose destination could not be reached."""


class Janitor:
    """Looks every few seconds; two of them at once do no harm, for giving up twice is giving up."""

    def __init__(self, queue: Queue, sessions: Sessions, facts: Facts, now: Callable[[], float]) -> None:
        self._queue = queue
        self._sessions = sessions
        self._facts = facts
        self._now = now
        self._not_before: dict[int, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY)

    async def sweep(self) -> None:
        """One look. A job that cannot be cleaned up now is told and tried again later."""
        failed_before = self._now() - KEEP_FAILED
        for job in await self._queue.read(lambda store: store.littered(failed_before)):
            if self._now() < self._not_before.get(job.id, 0.0):
                continue
            try:
                await self._clean(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, other jobs are cleaned up all the same
                self._not_before[job.id] = self._now() + AGAIN
                self._facts.job_event(job.id, "cleanup_failed", f"{type(error).__name__}: {error}")

    async def _clean(self, job: Job) -> None:
        records = await self._queue.read(lambda store: store.multiparts(job.id))
        session = await self._sessions.open(job)
        try:
            await session.forget([Item(record.key, record.size, 0) for record in records])
        finally:
            await self._sessions.end(job.id)
        self._facts.job_event(job.id, "cleaned_up", f"{len(records)} unfinished objects given up")
