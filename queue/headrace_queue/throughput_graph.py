"""Bytes a second over the last minutes, as a small graph of block characters, or of plain ones."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN: Final = " .:-=+*#@"
_MINUTES: Final = 10


class Throughput:
    """Bytes a second in slices of time. slice_seconds: how much time a column of the graph stands for."""

    def __init__(self, slice_seconds: float = 2.0) -> None:
        self._slice = slice_seconds
        self._totals: dict[int, int] = {}
        self._slices: deque[tuple[int, int]] = deque(maxlen=int(_MINUTES * 60 / slice_seconds))

    def add(self, now: float, totals: dict[int, int]) -> None:
        """totals: bytes so far of each job. A job that is seen for the first time counts from then on."""
        grown = sum(max(total - self._totals[job_id], 0) for job_id, total in totals.items() if job_id in self._totals)
        self._totals |= totals
        number = int(now // self._slice)
        if self._slices and self._slices[-1][0] == number:
            grown += self._slices.pop()[1]
        self._slices.append((number, grown))

    def forget_all_but(self, job_ids: Collection[int]) -> None:
        """Totals of other jobs, which grow no more."""
        self._totals = {number: total for number, total in self._totals.items() if number in job_ids}

    def rates(self, now: float, columns: int) -> list[float | None]:
        """Of the last slices that are over, the newest last; None for those before the first look."""
        if not self._slices:
            return [None] * columns
        last, known, first = int(now // self._slice), dict(self._slices), self._slices[0][0]
        # the slice of the first look is never whole
        return [
            known.get(number, 0) / self._slice if number > first else None for number in range(last - columns, last)
        ]


def graph(rates: Sequence[float | None], rows: int, *, ascii_only: bool) -> list[str]:
    """The lines, the uppermost first; as high as the highest rate, and the lowest step for anything above nothing."""
    levels = _PLAIN if ascii_only else _BLOCKS
    steps = len(levels) - 1
    peak = max((rate for rate in rates if rate), default=0.0)
    heights = [
        max(round(rate / peak * rows * steps), 1) if rate and peak else 0 for rate in (rate or 0.0 for rate in rates)
    ]
    return [
        "".join(levels[min(max(height - row * steps, 0), steps)] for height in heights)
        for row in range(rows - 1, -1, -1)
    ]
