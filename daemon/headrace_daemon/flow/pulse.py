"""Whether others may have taken this worker for dead while it stood still: a SIGSTOP, a frozen machine, a hung disk.

Its batches belong to somebody else then, and may be done. What it would still name or send with the old lease could
replace what a person has put there since.
"""

import time
from collections.abc import Callable
from typing import Final

LATE: Final = 15.0
"""Seconds without a heartbeat after which nothing is certain: half of what others wait for."""


def _seconds() -> float:
    """They go on while the process, or the machine, stands still."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Pulse:
    """Of one worker. life: how often others have taken it for dead. clock: seconds that go on while it stands still."""

    def __init__(self, clock: Callable[[], float] = _seconds) -> None:
        self._clock = clock
        self._last = clock()
        self.life = 0

    def beat(self, *, alive: bool) -> None:
        """A heartbeat arrived. alive: whether nobody had taken the worker for dead by then."""
        self._last = self._clock()
        self.life += not alive

    def doubtful(self, life: int) -> bool:
        """Whether a lease that was taken in that life may be another's by now: ask the queue before anything is changed
        that others see."""
        return life != self.life or self._clock() - self._last > LATE
