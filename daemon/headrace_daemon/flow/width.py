"""How many parts of large objects a job moves at once: more while the processors have time left, and no more then.

A service far away gives some 80 MB/s to a connection, so that speed comes from many. Where the processors are what
limits, as between machines of one rack, more connections only cost: what they hold does not fit into the caches.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from headrace_daemon.flow.load import Load
from headrace_daemon.flow.turns import MovingTurns

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
        self._timer: asyncio.TimerHandle | None = None
        self._jobs: set[PartTurns] = set()  # of which parts are under way
        self.limit = FIRST

    def asked(self, turns: "PartTurns") -> None:
        """A turn is about to be taken, or to be waited for."""
        self._jobs.add(turns)
        if turns.taken >= self.limit and self._timer is None:
            self._look()
            self._arm()

    def left(self, turns: "PartTurns") -> None:
        """None of them is taken any more."""
        self._jobs.discard(turns)
        if not self._jobs:
            self.limit = FIRST

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._grow)

    def _grow(self) -> None:
        self._timer = None
        if not any(turns.waited_for for turns in self._jobs):
            return
        self._arm()
        self.limit = next_width(self.limit, self._look())
        for turns in self._jobs:
            turns.moved()


class PartTurns(MovingTurns):
    """Of one job: as many of its parts at once as the width allows."""

    def __init__(self, width: Width) -> None:
        super().__init__()
        self._width = width

    @property
    def limit(self) -> int:
        return self._width.limit

    @property
    def few(self) -> bool:
        """Whether as few as at first are enough, so that each may have more memory."""
        return self.limit <= FIRST

    async def __aenter__(self) -> None:
        self._width.asked(self)
        await super().__aenter__()

    def _give_back(self) -> None:
        super()._give_back()
        if not self.taken:
            self._width.left(self)
