"""Files that were written a moment ago: the next write may leave no trace, for times of files go in steps.

A write within the step in which a file was last written leaves size and times as they are, and whoever compares these
before and after reading does not see it. So such a file is read once its step is over, as git does with its index: then
every later write shows. The clocks of this host and of those that write have to agree by less than the step.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

_SECOND: Final = 10**9
_FINE: Final = 20_000_000
"""Nanoseconds. Local file systems take their times from the kernel's tick, of 1 to 10 ms; and a write stamps the file
before it copies its bytes."""
_COARSE: Final = _SECOND + _FINE
"""Where times are whole seconds: Lustre, ext2 with small inodes."""
_SKEW: Final = 5 * _SECOND
"""As far ahead may another host's clock be. A time beyond it was set by somebody, and says nothing about writing."""


class Clock(NamedTuple):
    """time_ns: as the times of files have it. sleep: takes seconds."""

    time_ns: Callable[[], int]
    sleep: Callable[[float], None]


CLOCK: Final = Clock(time.time_ns, time.sleep)


def racy(status: os.stat_result, now_ns: int) -> float:
    """Seconds until every write to this file would show; 0 where it does already. At most 1.02, whatever the times."""
    mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
    latest = mtime if mtime > ctime else ctime
    if now_ns - latest >= _COARSE:
        return 0.0
    if latest - now_ns > _SKEW:
        latest = min(mtime, ctime)  # `touch -d 2040` sets mtime alone: ctime tells when somebody did that
        if latest - now_ns > _SKEW:
            return 0.0
    step = _FINE if mtime % _SECOND or ctime % _SECOND else _COARSE
    return max(0, min(latest + step - now_ns, step)) / _SECOND


def wait_out(statuses: Iterable[os.stat_result], clock: Clock) -> None:
    """One wait for all of them."""
    now_ns = clock.time_ns()
    seconds = max(racy(status, now_ns) for status in statuses)
    if seconds:
        clock.sleep(seconds)
