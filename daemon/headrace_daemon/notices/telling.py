"""Looks what becomes of jobs, and writes what is to be told into the queue. It only reads what jobs do."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from headrace_daemon.facts import Facts
from headrace_daemon.notices.events import END, Stalls, receivers, unknown_receivers
from headrace_daemon.notices.message import FAILURES_SHOWN, Occasion, body_of
from headrace_queue.errors import QueueError, QueueUnavailable
from headrace_queue.jobs import Failure, Job
from headrace_queue.notices import (
    ENDED_TOLD,
    FIRST_ERROR_TOLD,
    STALL_TOLD,
    NoticeEvent,
    NoticeSpec,
    Untold,
)
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.writer import Queue

if TYPE_CHECKING:
    from headrace_queue.config_notices import NoticeConfig

EVERY: Final = 1.0
"""Seconds between looks."""
AFTER_TROUBLE: Final = 30.0
AT_ONCE: Final = 200
"""Jobs of one look."""
OLD: Final = 86_400.0
"""Seconds after the end of a job; then nobody is told any more: the queue of a former Headrace is full of such."""
OF_OTHERS: Final = 60.0
"""Seconds that a daemon which tells nobody leaves to others on the same queue, before it settles that nobody hears."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a message needs to know. now: seconds since the epoch; steady: of a clock that never goes back. token: a new
    one at every call. clean: takes secrets out of a text."""

    host: str
    now: Callable[[], float]
    steady: Callable[[], float]
    token: Callable[[], str]
    clean: Callable[[str], str]


class Telling:
    """One daemon's ears. stalled_after: seconds."""

    def __init__(
        self,
        queue: Queue,
        notices: Mapping[str, "NoticeConfig"],
        stalled_after: float,
        facts: Facts,
        around: Surroundings,
    ) -> None:
        self._queue = queue
        self._notices = notices
        self._facts = facts
        self._around = around
        self._stalls = Stalls(stalled_after)
        self._pause = min(max(stalled_after / 20, EVERY), 30.0)
        self._next_stalls = 0.0
        self._troubled = ""
        self._odd: set[int] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while await self.look():
                    pass
                if self._notices and self._around.steady() >= self._next_stalls:
                    self._next_stalls = self._around.steady() + self._pause
                    await self.look_for_stalls()
            except QueueUnavailable:
                pass  # whatever is to be told is there when it can be written to again
            except Exception as error:  # noqa: BLE001 - whatever it is, jobs go on all the same
                self._trouble(f"{type(error).__name__}: {error}")
                await asyncio.sleep(AFTER_TROUBLE)
            await asyncio.sleep(EVERY)

    def _trouble(self, text: str) -> None:
        """Once, until it is another."""
        if text != self._troubled:
            self._troubled = text
            self._facts.job_event(0, "notice_trouble", text)

    async def look(self) -> bool:
        """One look at what ended and what failed; whether there may be more."""
        found = await self._queue.read(lambda store: store.untold(AT_ONCE))
        settled = [await self._tried(untold) for untold in found if untold.job.id not in self._odd]
        return len(found) >= AT_ONCE and any(settled)

    async def _tried(self, untold: Untold) -> bool:
        """One that cannot be told holds up no other; the next daemon tries it again."""
        try:
            return await self._one(untold)
        except QueueError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, jobs and their notices go on
            self._odd.add(untold.job.id)
            self._trouble(f"job {untold.job.id}: {type(error).__name__}: {error}")
            return False

    async def _one(self, untold: Untold) -> bool:
        job = untold.job
        if job.finished is None:
            return await self._tell(job, NoticeEvent.FIRST_ERROR, FIRST_ERROR_TOLD)
        age = self._around.now() - job.finished
        if age > OLD:
            return await self._settle(job, ENDED_TOLD, ())
        if not self._notices and age < OF_OTHERS:
            return False
        return await self._tell(job, END[job.state], ENDED_TOLD)

    async def look_for_stalls(self) -> None:
        """One look at what ought to move."""
        states = (JobState.RUNNING, JobState.QUEUED)
        movements = await self._queue.read(lambda store: store.moving(states))
        stalled, again = self._stalls.look(self._around.steady(), movements)
        for number in again:
            await self._queue.write(partial(_untell, number=number))
        for job in stalled:
            await self._tell(job, NoticeEvent.STALLED, STALL_TOLD)

    async def _tell(self, job: Job, event: NoticeEvent, bit: int) -> bool:
        names = receivers(self._notices, job, event)
        if event is not NoticeEvent.FIRST_ERROR:
            for name in unknown_receivers(self._notices, job) if self._notices else ():
                self._facts.job_event(job.id, "notice_unknown", f"there is no [notices.{name}]")
        if not names:
            return await self._settle(job, bit, ())
        failures = await self._queue.read(lambda store: store.failures(job.id, 0, FAILURES_SHOWN))
        body = body_of(self._occasion(job, event, [failure for _, failure in failures]))
        return await self._settle(job, bit, [NoticeSpec(event, name, self._around.token(), body) for name in names])

    def _occasion(self, job: Job, event: NoticeEvent, failures: Sequence[Failure]) -> Occasion:
        around = self._around
        return Occasion(event, job, failures, around.now(), around.host, self._stalls.after, around.clean)

    async def _settle(self, job: Job, bit: int, specs: Sequence[NoticeSpec]) -> bool:
        """Always true: it was settled now, or another daemon was faster."""
        await self._queue.write(lambda store: store.tell(job.id, bit, specs))
        return True


def _untell(store: Store, number: int) -> None:
    store.untell(number, STALL_TOLD)
