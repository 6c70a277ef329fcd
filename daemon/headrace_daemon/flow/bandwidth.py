"""Bandwidth limits: a token bucket whose debts are paid by waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence


class Bandwidth:
    """At most `rate` bytes a second on average, with bursts of a quarter of a second.

    A large piece is let through at once and the debt it makes is waited for by whoever comes next, so that pieces
    larger than the bucket need no cutting.
    """

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock() - 0.25

    async def take(self, size: int) -> None:
        """Wait until earlier pieces are paid for, then account for this one."""
        now = self._clock()
        start = max(self._free_at, now - 0.25)
        self._free_at = start + size / self._rate
        if start > now:
            await self._sleep(start - now)


async def take_all(limits: Sequence[Bandwidth], size: int) -> None:
    """Pass every limit that applies to a piece of `size` bytes."""
    for limit in limits:
        await limit.take(size)
