"""A budget of bytes for buffers in flight, so that memory is bounded by configuration and not by the data."""

import asyncio
import contextlib
import mmap
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryBudget:
    """At most `limit` bytes lent at once, first come first served.

    A request larger than the whole budget is cut to it, so that one part that is too large still moves, alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._taken = 0  # bytes that are really in use: what was granted but not yet taken does not count
        self._idle: list[mmap.mmap] = []  # buffers to use again: no more than the budget has left

    @asynccontextmanager
    async def lend(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes of the budget for the length of the block."""
        async with self._held(size):
            self._trim()
            yield

    @asynccontextmanager
    async def _held(self, size: int) -> AsyncIterator[None]:
        size = min(size, self.limit)
        await self._acquire(size)
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
            self.used -= size
            self._wake()

    @asynccontextmanager
    async def buffer(self, size: int, overhead: int = 0) -> AsyncIterator[memoryview]:
        """A buffer of `size` bytes out of the budget, which also pays for `overhead`.

        It is used again afterwards: fresh pages cost more than the copy into them.

        Where the block raises, the buffer is not used again: a request that was given up may still read from it.
        """
        async with self._held(size + overhead):
            whole = self._take(size)
            self._trim()
            yield memoryview(whole)[:size]
            self._idle.append(whole)

    def _take(self, size: int) -> mmap.mmap:
        """Mapped, not allocated: what is let go of goes back to the system at once, and no heap is left with holes."""
        for index, idle in enumerate(self._idle):
            if len(idle) >= size:
                return self._idle.pop(index)
        self._idle.clear()  # parts have grown: what lies here is too small for them
        return _mapped(size)

    def _trim(self) -> None:
        """Idle buffers are memory too: they go as soon as the budget is lent to something else."""
        while self._idle and self._taken + sum(map(len, self._idle)) > self.limit:
            self._idle.pop()

    async def _acquire(self, size: int) -> None:
        if not self._waiting and self.used + size <= self.limit:
            self.used += size
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ready, size))
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self.used -= size  # it was lent in the same turn in which the waiter was cancelled
            elif (ready, size) in self._waiting:  # else `_wake` came upon it first and passed it over
                self._waiting.remove((ready, size))
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self.used + self._waiting[0][1] <= self.limit:
            ready, size = self._waiting.popleft()
            if not ready.done():
                self.used += size
                ready.set_result(None)


def _mapped(size: int) -> mmap.mmap:
    """Private pages, huge ones where the kernel has them: 16 MiB then cost 8 page faults, not 4,096."""
    pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages
