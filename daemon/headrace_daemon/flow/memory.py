"""A budget of bytes for buffers in flight, so that memory is bounded by configuration and not by the data."""

import asyncio
import contextlib
import mmap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

_KEPT: Final = 3
"""A share may hold so many times what is left free: three quarters alone, then three quarters of what is left."""


class MemoryBudget:
    """At most `limit` bytes lent at once, to any number of jobs, each by a share of its own.

    What a job holds whose endpoint hangs comes back after minutes. So none is lent everything: whoever comes next finds
    a quarter of what was free. Whoever holds nothing is lent what it asks for as soon as there is room.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: list[_Waiter] = []
        self._taken = 0  # bytes that are really in use: what was granted but not yet taken does not count
        self._idle: list[mmap.mmap] = []  # buffers to use again: no more than the budget has left

    def share(self) -> "MemoryShare":
        """For one job."""
        return MemoryShare(self)

    @asynccontextmanager
    async def held(self, size: int, share: "MemoryShare") -> AsyncIterator[None]:
        """For shares: the bytes, without a buffer."""
        size = min(size, self.limit)
        await self._acquire(size, share)
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
            self._give_back(size, share)

    def keep(self, buffer: mmap.mmap) -> None:
        """For shares: it is used again."""
        self._idle.append(buffer)

    def take(self, size: int) -> mmap.mmap:
        """Mapped, not allocated: what is let go of goes back to the system at once, and no heap is left with holes."""
        for index, idle in enumerate(self._idle):
            if len(idle) >= size:
                return self._idle.pop(index)
        self._idle.clear()  # parts have grown: what lies here is too small for them
        return _mapped(size)

    def trim(self) -> None:
        """Idle buffers are memory too: they go as soon as the budget is lent to something else."""
        while self._idle and self._taken + sum(map(len, self._idle)) > self.limit:
            self._idle.pop()

    async def _acquire(self, size: int, share: "MemoryShare") -> None:
        if not self._waiting and self._has_room(size) and share.may_hold(size):
            self._grant(size, share)
            return
        waiter = _Waiter(asyncio.get_running_loop().create_future(), size, share)
        self._waiting.append(waiter)
        self._wake()
        try:
            await waiter.ready
        except asyncio.CancelledError:
            if waiter.ready.done() and not waiter.ready.cancelled():
                self._give_back(size, share)  # it was lent in the same turn in which the waiter was cancelled
            else:
                if waiter in self._waiting:  # else `_wake` came upon it first and passed it over
                    self._waiting.remove(waiter)
                self._wake()
            raise

    def _has_room(self, size: int) -> bool:
        return self.used + size <= self.limit

    def _grant(self, size: int, share: "MemoryShare") -> None:
        self.used += size
        share.held += size

    def _give_back(self, size: int, share: "MemoryShare") -> None:
        self.used -= size
        share.held -= size
        self._wake()

    def _wake(self) -> None:
        """First come first served within a share, and among those that may hold more: what is large must not wait for
        ever beside what is small."""
        full: set[MemoryShare] = set()
        left: list[_Waiter] = []
        for place, waiter in enumerate(self._waiting):
            if waiter.ready.done():  # its caller was cancelled
                continue
            if waiter.share in full or not waiter.share.may_hold(waiter.size):
                full.add(waiter.share)
                left.append(waiter)
            elif self._has_room(waiter.size):
                self._grant(waiter.size, waiter.share)
                waiter.ready.set_result(None)
            else:
                left += self._waiting[place:]
                break
        self._waiting = left


class MemoryShare:
    """What one job is lent of a budget. A request larger than the whole budget is cut to it, so that one part that is
    too large still moves, alone."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.held = 0

    @property
    def limit(self) -> int:
        """Bytes that it may hold in all where nobody else holds any; one request may be larger."""
        return self._budget.limit * _KEPT // (_KEPT + 1)

    def may_hold(self, size: int) -> bool:
        """Whether so many bytes more leave enough to others."""
        budget = self._budget
        return not self.held or self.held + size <= _KEPT * (budget.limit - budget.used - size)

    @asynccontextmanager
    async def lend(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes of the budget for the length of the block."""
        async with self._budget.held(size, self):
            self._budget.trim()
            yield

    @asynccontextmanager
    async def buffer(self, size: int, overhead: int = 0) -> AsyncIterator[memoryview]:
        """A buffer of `size` bytes out of the budget, which also pays for `overhead`.

        It is used again afterwards: fresh pages cost more than the copy into them.

        Where the block raises, the buffer is not used again: a request that was given up may still read from it.
        """
        async with self._budget.held(size + overhead, self):
            whole = self._budget.take(size)
            self._budget.trim()
            yield memoryview(whole)[:size]
            self._budget.keep(whole)


class _Waiter(NamedTuple):
    ready: asyncio.Future[None]
    size: int
    share: MemoryShare


def _mapped(size: int) -> mmap.mmap:
    """Private pages, huge ones where the kernel has them: 16 MiB then cost 8 page faults, not 4,096."""
    pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages
