"""Bandwidth limits: a token bucket whose debts are paid by waiting, job by job in turn."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

BURST_SECONDS = 0.25
NAP = 1.0
"""Seconds until a debt that is waited for is looked at anew: the rate may have changed."""


class Bandwidth:
    """At most `rate` bytes a second on average, with bursts of a quarter of a second.

    A large piece is let through at once and the debt it makes is waited for by whoever comes next, so that pieces
    larger than the bucket need no cutting. Jobs that share a limit pass one piece each by turns: one that has
    thousands of pieces waiting holds up none that has one.
    """

    def __init__(
        self,
        rate: int | None,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """rate: None for no limit, for now."""
        self.rate = rate
        self._changes = 0
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock() - BURST_SECONDS
        self._busy = False  # somebody pays the debt; the others stand in line
        self._lines: dict[int, deque[asyncio.Future[None]]] = {}  # by job; the first line has the next turn

    async def take(self, size: int, job: int = 0) -> None:
        """Wait until earlier pieces are paid for and it is this job's turn, then account for this piece.

        To be called with nothing in hand that others need: it may take as long as the rate asks.
        """
        if self._busy:
            await self._turn(job)
        self._busy = True
        try:
            await self._pay()
            self.charge(size)
        finally:
            self._pass_on()

    async def _pay(self) -> None:
        owed = self._free_at - self._clock()
        while owed > 0:
            nap, changes = min(owed, NAP), self._changes
            await self._sleep(nap)
            owed = owed - nap if self._changes == changes else self._free_at - self._clock()

    def charge(self, size: int) -> None:
        """Account for bytes without waiting for them: whoever comes next does."""
        if self.rate is not None:
            self._free_at = max(self._free_at, self._clock() - BURST_SECONDS) + size / self.rate

    def change(self, rate: int | None) -> None:
        """Another rate from now on; what is owed is paid at the new one."""
        now, old = self._clock(), self.rate
        self._changes += 1
        if rate is None or old is None:
            self._free_at = min(self._free_at, now)
        elif self._free_at > now:
            self._free_at = now + (self._free_at - now) * old / rate
        self.rate = rate

    async def _turn(self, job: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(job, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # cancelled between the call and its arrival: nobody would be called again
            raise

    def _pass_on(self) -> None:
        while self._lines:
            job = next(iter(self._lines))
            line = self._lines.pop(job)
            turn = line.popleft()
            if line:
                self._lines[job] = line  # to the end: the other jobs come before its next piece
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False


async def take_all(limits: Sequence[Bandwidth], size: int, job: int = 0) -> None:
    """Pass every limit that applies to a piece of `size` bytes. The narrowest one should come first: who waits there
    has not yet used up what the others leave to all."""
    for limit in limits:
        await limit.take(size, job)
