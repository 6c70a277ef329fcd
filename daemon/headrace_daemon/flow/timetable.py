"""Which bandwidth limit holds at an instant, and when it changes. Pure.

An entry of the timetable means the clock on the wall. An hour that a change to winter time repeats is limited both
times; one that a change to summer time leaves out never comes.
"""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from headrace_queue.bandwidth_timetable import Window, local_time

MINUTE: Final = 60
_WEEK: Final = 8 * 24 * 60
"""Minutes after which a timetable has shown all that it has, a change of the clocks included."""


def rate_at(windows: Sequence[Window], usual: int | None, instant: float, zone: tzinfo | None) -> int | None:
    """Bytes a second, None for no limit: that of the first entry that holds then, else the usual one.

    zone: None for that of the host.
    """
    now = local_time(instant, zone)
    weekday, minute = now.weekday(), now.hour * 60 + now.minute
    return next((window.rate for window in windows if window.holds(weekday, minute)), usual)


def next_minute(instant: float) -> float:
    """When the next minute begins: no limit changes before."""
    return (instant // MINUTE + 1) * MINUTE


def next_change(windows: Sequence[Window], usual: int | None, instant: float, zone: tzinfo | None) -> float | None:
    """When another rate begins; None where none does within eight days."""
    rate, when = rate_at(windows, usual, instant, zone), instant
    for _ in range(_WEEK if windows else 0):
        when = next_minute(when)
        if rate_at(windows, usual, when, zone) != rate:
            return when
    return None
