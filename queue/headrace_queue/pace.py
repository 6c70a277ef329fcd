"""How fast a job gets on, and how long it may still take: what a person is told, and only where it can be known."""

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from headrace_queue.jobs import Job, Phase
from headrace_queue.states import JobState

_WINDOW_SECONDS: Final = 15.0
_LONG_SECONDS: Final = 120.0
_LEAST_SECONDS: Final = 2.0
"""A rate from less than this is that of one burst."""
_BASE_SECONDS: Final = 5.0
_BASE_ARRIVALS: Final = 3
"""What an estimate of the time left needs to stand on: an object that arrived whole looks like nothing for minutes and
then like a marvel."""
_WIDEST: Final = 10.0
"""An estimate whose ends lie further apart than this says nothing."""
_NARROW: Final = 1.25
_LONGEST: Final = 100 * 86400.0
_DOUBT_SECONDS: Final = 10.0


class RateMeter:
    """Bytes a second over the last few seconds. Times are seconds of one monotonic clock."""

    def __init__(self, window: float = _WINDOW_SECONDS) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, total: int) -> None:
        """total: all bytes so far; a total that went down (a retry) starts anew."""
        if self._samples and total < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, total))
        # the newest sample outside the window stays: the window then begins at it
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()

    def rate(self, now: float) -> float | None:
        """None while there is too little to tell; falls towards 0 while nothing arrives."""
        if len(self._samples) < 2 or now - self._samples[0][0] < _LEAST_SECONDS:
            return None
        return (self._samples[-1][1] - self._samples[0][1]) / (now - self._samples[0][0])

    def steady_rate(self, now: float) -> float | None:
        """The rate where an estimate may stand on it: something arrived several times over several seconds; else
        None."""
        arrivals = sum(later > earlier for (_, earlier), (_, later) in pairwise(self._samples))
        if arrivals < _BASE_ARRIVALS or now - self._samples[0][0] < _BASE_SECONDS:
            return None
        return self.rate(now)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds until a job is over. most: None while the listing goes on, for then nobody knows how much will come."""

    least: float
    most: float | None

    def __str__(self) -> str:
        """`about 20 s`, `2 to 5 min`, `at least 3 min`."""
        if self.most is None:
            return f"at least {_rough(self.least)}"
        first, last = _rough(self.least), _rough(self.most)
        if self.most <= self.least * _NARROW or first == last:
            return f"about {_rough((self.least + self.most) / 2)}"
        number, _, unit = first.partition(" ")
        return f"{number} to {last}" if last.endswith(f" {unit}") else f"{first} to {last}"

    @property
    def short(self) -> str:
        """The same for a narrow column: `20 s`, `2-5 min`, `>3 min`."""
        return str(self).replace("about ", "").replace("at least ", ">").replace(" to ", "-")


class Pace:
    """Of one job. Large objects count part by part, as far as their parts are recorded.

    An object that just became whole may count neither as parts nor as done for a moment: a total that falls is believed
    only when it stays low.
    """

    def __init__(self) -> None:
        self._meters = RateMeter(), RateMeter(_LONG_SECONDS)
        self._objects = RateMeter(), RateMeter(_LONG_SECONDS)
        self._low_since: float | None = None
        self._done_bytes = 0
        self.moved = 0  # bytes so far

    def add(self, now: float, job: Job, under_way: int = 0) -> None:
        """under_way: bytes of objects that are not whole yet, as Store.under_way gives them."""
        seen = job.counters
        total = seen.done_bytes + under_way
        if total >= self.moved or seen.done_bytes < self._done_bytes:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = now
        doubtful = self._low_since is not None and now - self._low_since < _DOUBT_SECONDS
        self.moved = self.moved if doubtful else total
        self._done_bytes = seen.done_bytes
        for meter in self._meters:
            meter.add(now, self.moved)
        for meter in self._objects:
            meter.add(now, _settled(job))

    def rate(self, now: float) -> float | None:
        """Bytes a second; None while there is too little to tell."""
        return self._meters[0].rate(now)

    def estimate(self, job: Job, now: float) -> Estimate | None:
        """How long it may still take; None where nothing honest can be said.

        Of the last seconds and of the last minutes, by bytes and by objects: of the two the slower one counts, for both
        have to get through; of the two spans each gives one end.
        """
        if job.state is not JobState.RUNNING or job.waiting or job.spec.options.dry_run:
            return None
        left = max(job.counters.planned_bytes - self.moved, 0), max(job.counters.planned - _settled(job), 0)
        if not left[1]:
            return None
        times = []
        for meters in zip(self._meters, self._objects, strict=True):
            rates = [meter.steady_rate(now) for meter in meters]
            known = [amount / rate for amount, rate in zip(left, rates, strict=True) if rate]
            times += [max(known)] if known else []
        if not times or max(times) > min(max(min(times) * _WIDEST, 10.0), _LONGEST):
            return None
        return Estimate(min(times), None if job.phase is Phase.COPY else max(times))


def _settled(job: Job) -> int:
    seen = job.counters
    return seen.done + seen.failed + seen.vanished + seen.archived


def _rough(seconds: float) -> str:
    """`20 s`, `3 min`, `2.5 h`, `4 d`: an estimate has no more digits than it knows."""
    if seconds < 57.5:
        return f"{max(math.ceil(seconds / 5) * 5, 5)} s" if seconds > 10 else f"{max(math.ceil(seconds), 1)} s"
    if seconds < 5400:
        return f"{max(round(seconds / 60), 1)} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"
