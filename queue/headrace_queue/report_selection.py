"""Which lines of a report are printed, and in which order. Unsorted lines are passed on as they are read."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from headrace_queue.errors import UsageError
from headrace_queue.job_selection import fits
from headrace_queue.report_file import ReportEntry

MOST_SORTED: Final = 100_000
"""Lines that are sorted without --limit: about 100 MB of memory."""


class ReportOrder(StrEnum):
    """By what lines are sorted: names from A to Z, all else with the largest first."""

    KEY = "key"
    SIZE = "size"
    SECONDS = "seconds"
    ATTEMPTS = "attempts"
    RATE = "rate"  # bytes a second


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """What a line has to be, all of it. outcomes: as the report has them, with _; error: the word, or a part of the
    message; key: see `fits`."""

    failed: bool = False
    outcomes: frozenset[str] = frozenset()
    key: str | None = None
    error: str | None = None

    def takes(self, entry: ReportEntry) -> bool:
        return (
            (entry.failed or not self.failed)
            and (not self.outcomes or entry.outcome in self.outcomes)
            and fits(self.key, entry.key)
            and (self.error is None or self.error == entry.error or self.error.lower() in entry.message.lower())
        )


def outcomes_of(words: Iterable[str]) -> frozenset[str]:
    """As they are printed or as JSON has them: `would transfer`, `would_transfer`. Raises UsageError for no word."""
    found = {word.strip().replace(" ", "_").replace("-", "_") for word in words}
    if unknown := sorted(found - OUTCOMES):
        raise UsageError(
            f"--outcome {unknown[0]}", "no line of a report has it", f"Choose of: {', '.join(sorted(OUTCOMES))}."
        )
    return frozenset(found)


OUTCOMES: Final = frozenset(
    {
        *("transferred", "copied", "deleted", "trashed", "created", "vanished", "skipped", "archived"),
        *("unchanged", "failed"),
        *("exported", "restored", "task_failed", "would_transfer", "would_delete", "would_trash"),
    }
)


def chosen_lines(
    entries: Iterable[ReportEntry],
    wanted: ReportFilter,
    order: ReportOrder | None,
    limit: int | None,
    *,
    reverse: bool = False,
) -> Iterator[ReportEntry]:
    """Those that fit. Without an order they are passed on one by one; with one, `limit` of them are kept in memory.

    Raises UsageError where there are more than MOST_SORTED to sort and no limit was given.
    """
    fitting = filter(wanted.takes, entries)
    if order is None:
        yield from islice(fitting, limit)
        return
    kept = limit if limit is not None else MOST_SORTED + 1
    ascending = (order is ReportOrder.KEY) is not reverse
    found = (heapq.nsmallest if ascending else heapq.nlargest)(kept, fitting, key=_KEYS[order])
    if limit is None and len(found) > MOST_SORTED:
        why = f"there are more than {MOST_SORTED:,} lines, and to sort them all takes memory without end"
        raise UsageError(f"--sort {order}", why, "Add --limit N, or filter with --outcome, --key or --error.")
    yield from found


_KEYS: Final[dict[ReportOrder, Callable[[ReportEntry], Any]]] = {
    ReportOrder.KEY: lambda entry: entry.key,
    ReportOrder.SIZE: lambda entry: entry.bytes,
    ReportOrder.SECONDS: lambda entry: entry.seconds,
    ReportOrder.ATTEMPTS: lambda entry: entry.attempts,
    ReportOrder.RATE: lambda entry: entry.bytes / entry.seconds if entry.seconds else 0.0,
}
