"""How many parts of large objects a job moves at once: more while the processors have time left, and no more then.

A service far away gives some 80 MB/s to a connection, so that speed comes from many. Where the processors are what
limits, as between machines of one rack, more connections only cost: what they hold does not fit into the caches.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from headrace_daemon.flow.load import Load

FIRST: Final = 4
"""Parts of a job at once, to begin with."""
MOST: Final = 1024
"""Enough: memory and the remotes' max_requests set the limit."""
LOOK: Final = 0.1
"""Seconds between looks at the load while a part waits."""
_ENOUGH: Final = 0.7
"""Share of the processors in use, or of the event loop's time, from which on more parts bring no more speed."""
_BYSTANDER: Final = 0.1
"""Share of the processors below which it is not us who keep them busy: then it is no use to be modest."""


def next_width(width: int, load: Load) -> int:
    """The same where the processors are what limits; else as many as would use them, if each took what it takes now,
    but no more than twice as many."""
    busy = max(load.loop, load.machine if load.own >= _BYSTANDER else 0.0)
    return width if busy >= _ENOUGH else min(MOST, int(width / max(0.5, busy)))


class Width:
    """Of all jobs: found while parts wait, and found anew once none is under way.

    look: the load since it was last called.
    """

    def __init__(self, look: Callable[[], Load]) -> None:
        self._look = look
        self._limit = FIRST
        self._under_way = 0
        self._jobs: set[PartTurns] = set()  # in which parts wait
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Parts that each job may have under way."""
        return self._limit

    def began(self) -> None:
        """A part is under way."""
        self._under_way += 1

    def ended(self) -> None:
        """It is no more."""
        self._under_way -= 1
        if not self._under_way:
            self._limit = FIRST

    def waits(self, turns: "PartTurns") -> None:
        """Parts of this job wait; grew() is called when there may be more of them."""
        self._jobs.add(turns)
        if self._timer is None:
            self._look()
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._grow)

    def _grow(self) -> None:
        self._timer = None
        self._limit = next_width(self._limit, self._look())
        jobs, self._jobs = self._jobs, set()
        for turns in jobs:
            turns.grew()


class PartTurns:
    """`async with turns`: as many parts of one job at once as the width allows, first come first served."""

    def __init__(self, width: Width) -> None:
        self._width = width
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if not self._waiting and self._taken < self._width.limit:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._width.waits(self)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # cancelled between the hand-over and its arrival
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def grew(self) -> None:
        """The width may be another."""
        while self._waiting and self._taken < self._width.limit:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                self._take()
                turn.set_result(None)
        if self._waiting:
            self._width.waits(self)

    def _take(self) -> None:
        self._taken += 1
        self._width.began()

    def _give_back(self) -> None:
        self._taken -= 1
        self._width.ended()
        self.grew()
