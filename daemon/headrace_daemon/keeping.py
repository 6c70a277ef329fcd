"""Watches rows of the queue that wait for something outside of it, each until it has ended.

All a keeper knows is in the queue and in the world, so that any keeper goes on where another stopped. Several share the
work: who takes a row to look at holds it for a while.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from headrace_queue.errors import HeadraceError, IllegalTransition, QueueUnavailable
from headrace_queue.store import Store
from headrace_queue.writer import Queue

TURN: Final = 0.25
"""Seconds between looks at what is due."""
AT_ONCE: Final = 16
"""Rows that are looked at at the same time."""
LOOK: Final = 25.0
"""Seconds that one look may take: a service that hangs holds up nobody else."""
HOLD: Final = 30.0
"""Seconds for which no other keeper looks at what this one took; longer than LOOK."""
FULL: Final = 5.0
"""Seconds until the next turn where the queue takes nothing."""


class Watched(Protocol):
    """A row that is looked at from time to time."""

    @property
    def id(self) -> int: ...

    @property
    def next_look(self) -> float: ...


Row = TypeVar("Row", bound=Watched)


class Keeping(ABC, Generic[Row]):
    """One daemon's eyes on all rows of a kind. now: seconds since the epoch. gone: what the store raises for a row that
    is there no more."""

    def __init__(self, queue: Queue, now: Callable[[], float], gone: type[HeadraceError]) -> None:
        self._queue = queue
        self._now = now
        self._gone = gone
        self._busy: set[int] = set()
        self._troubled: set[int] = set()  # whose trouble was told

    # -- what a kind of rows is --------------------------------------------------------------------------------------

    @abstractmethod
    def _take(self, store: Store, now: float, limit: int) -> list[Row]:
        """Those that are due, held for HOLD seconds."""

    @abstractmethod
    def _under_way(self, store: Store) -> Iterable[Row]:
        """All that have not ended."""

    @abstractmethod
    def _set_look(self, store: Store, number: int, when: float) -> None:
        """Raises what `gone` is."""

    @abstractmethod
    async def _look(self, row: Row) -> None:
        """Sees what became of it, and says by its `next_look` when to look again."""

    @abstractmethod
    async def _put_off(self, row: Row) -> None:
        """A look failed: the next one is later."""

    @abstractmethod
    def _tell(self, number: int | None, text: str) -> None:
        """What went wrong, once for each row; None: with the queue."""

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        with suppress(QueueUnavailable):  # then they are held a little longer
            await self._queue.write(self._take_over)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        for row in await self._due(AT_ONCE - len(self._busy)):
                            self._busy.add(row.id)
                            tasks.create_task(self._one(row), name=f"{type(row).__name__} {row.id}")
                        await asyncio.sleep(TURN)
                    except QueueUnavailable as error:
                        self._tell(None, str(error))
                        await asyncio.sleep(FULL)
        finally:
            await self._let_go()

    async def look(self) -> int:
        """One look at everything that is due, to its end; how many there were."""
        due = await self._due(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for row in due:
                self._busy.add(row.id)
                tasks.create_task(self._one(row))
        return len(due)

    async def _due(self, room: int) -> list[Row]:
        if room <= 0:
            return []
        now = self._now()
        due = await self._queue.write(lambda store: self._take(store, now, room))
        return [row for row in due if row.id not in self._busy]

    def _take_over(self, store: Store) -> None:
        """What a keeper that was killed held is looked at now; where another lives, one of the two looks in vain."""
        now = self._now()
        for row in self._under_way(store):
            if now < row.next_look <= now + HOLD:
                self._set_look(store, row.id, now)

    async def _let_go(self) -> None:
        """What was being looked at when this daemon stops: the next one need not wait until it is let go of."""
        for number in self._busy:
            await self._look_now(number)

    async def _look_now(self, number: int) -> None:
        now = self._now()
        with suppress(self._gone, QueueUnavailable):
            await self._queue.write(lambda store: self._set_look(store, number, now))

    # -- one row -------------------------------------------------------------------------------------------------------

    async def _one(self, row: Row) -> None:
        """Whatever is wrong with it, the others go on."""
        try:
            async with asyncio.timeout(LOOK):
                await self._look(row)
            self._troubled.discard(row.id)
        except IllegalTransition:
            pass  # somebody else moved it meanwhile; where it stays, it is due again
        except QueueUnavailable:
            pass  # the next turn says so; the hold ends by itself
        except Exception as error:  # noqa: BLE001 - as above: whatever it is
            if not isinstance(error, self._gone):
                await self._trouble(row, error)
        self._busy.discard(row.id)

    async def _trouble(self, row: Row, error: Exception) -> None:
        if row.id not in self._troubled:
            self._troubled.add(row.id)
            why = str(error) or f"no answer in {LOOK:g} s"
            self._tell(row.id, f"{type(error).__name__}: {why}")
        with suppress(self._gone, QueueUnavailable):
            await self._put_off(row)
