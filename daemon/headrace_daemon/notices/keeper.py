"""Sends what waits in the queue, again and again until it arrived or a day is over. A job never waits for it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.keeping import HOLD, Keeping
from headrace_daemon.notices.delivery import NotDelivered
from headrace_daemon.notices.receivers import Receivers, letter_of
from headrace_queue.errors import UnknownNotice, UsageError
from headrace_queue.notices import Notice, NoticeChanges, NoticeState
from headrace_queue.store import Store
from headrace_queue.writer import Queue

PATIENCE: Final = 86_400.0
"""Seconds after the event when a notice is given up."""
FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 3600.0
"""Seconds between two tries: twice as long each time, between these."""
SECONDS: Final = 22.0
"""Of one try; less than keeping.LOOK, so that the outbox says why."""
UNDER_WAY: Final = 1000


def wait_after(tries: int) -> float:
    """Seconds until the next try, after so many in vain."""
    return min(FIRST_WAIT * 2.0 ** min(max(tries - 1, 0), 12), LONGEST_WAIT)


class NoticeKeeper(Keeping[Notice]):
    """One daemon's hands. now: seconds since the epoch."""

    def __init__(self, queue: Queue, receivers: Receivers, facts: Facts, now: Callable[[], float]) -> None:
        super().__init__(queue, now, UnknownNotice)
        self._receivers = receivers
        self._facts = facts

    @property
    def busy(self) -> bool:
        """Whether one is being sent."""
        return bool(self._busy)

    def _take(self, store: Store, now: float, limit: int) -> list[Notice]:
        return store.due_notices(now, HOLD, limit)

    def _under_way(self, store: Store) -> Iterable[Notice]:
        return store.notices((NoticeState.WAITING,), UNDER_WAY)

    def _set_look(self, store: Store, number: int, when: float) -> None:
        store.change_notice(number, NoticeChanges(next_look=when))

    async def _look(self, row: Notice) -> None:
        name = row.spec.name
        if not self._receivers.knows(name):
            await self._give_up(row, f"config.toml has no [notices.{name}] any more")
            return
        try:
            async with asyncio.timeout(SECONDS):
                await self._receivers.send(name, letter_of(row.spec, row.job_id))
        except TimeoutError:
            await self._failed(row, NotDelivered(f"no answer in {SECONDS:g} s"))
        except NotDelivered as error:
            await self._failed(row, error)
        except UsageError as error:
            await self._failed(row, NotDelivered(f"{error.what}: {error.why}"))
        else:
            await self._change(row, NoticeChanges(state=NoticeState.SENT, looks=row.looks + 1))
            self._facts.job_event(row.job_id, "notice_sent", f"{row.spec.event} to {name}")

    async def _failed(self, row: Notice, error: NotDelivered) -> None:
        tries, now = row.looks + 1, self._now()
        if error.for_good or now - row.created >= PATIENCE:
            await self._give_up(row, error.why)
            return
        if tries == 1:
            self._facts.job_event(row.job_id, "notice_late", f"{row.spec.event} to {row.spec.name}: {error.why}")
        when = now + max(wait_after(tries), error.again)
        await self._change(row, NoticeChanges(next_look=when, looks=tries, error=error.why))

    async def _give_up(self, row: Notice, why: str) -> None:
        await self._change(row, NoticeChanges(state=NoticeState.GIVEN_UP, looks=row.looks + 1, error=why))
        self._facts.job_event(row.job_id, "notice_given_up", f"{row.spec.event} to {row.spec.name}: {why}")

    async def _change(self, row: Notice, changes: NoticeChanges) -> None:
        await self._queue.write(lambda store: store.change_notice(row.id, changes, row.spec.token))

    async def _put_off(self, row: Notice) -> None:
        await self._failed(row, NotDelivered("it could not be sent; the log says more"))

    def _tell(self, number: int | None, text: str) -> None:
        self._facts.job_event(0, "notice_trouble", text if number is None else f"notice {number}: {text}")
