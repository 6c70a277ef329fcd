"""Objects that S3 restores from an archive class while their job waits, as they stand in the queue: plain frozen data.

Such an object has left its batch. It waits without a slot, a lease or memory; any daemon may look next whether it can
be read by now. When it can, it becomes part of a batch again. A job is not over while one of its objects waits so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from headrace_queue.jobs import Item

MOST_PARKED: Final = 100_000
"""Objects of a job that wait so at once: the bound on the queue's rows. Batches with more of them wait until some are
back."""


@dataclass(frozen=True, slots=True)
class Thaw:
    """A row of the queue. Times are seconds since the epoch."""

    id: int
    job_id: int
    item: Item
    storage_class: str  # as S3 named it; '' before the first look
    asked: float | None  # when S3 was asked to restore it
    expected: float | None  # about when it can be read
    next_look: float
    looks: int


@dataclass(frozen=True, slots=True)
class ThawChanges:
    """What a look changes; None leaves it as it is."""

    next_look: float | None = None
    looks: int | None = None
    storage_class: str | None = None
    asked: float | None = None
    expected: float | None = None


def waiting_text(count: int, classes: Iterable[str], expected: float | None) -> str:
    """What a job waits for, for people. expected: of the first, seconds since the epoch."""
    names = " and ".join(sorted(filter(None, classes))) or "an archive class"
    objects = "1 object is" if count == 1 else f"{count:,} objects are"
    if expected is None:
        return f"{objects} being restored from {names}"
    which = "it" if count == 1 else "the first"
    when = datetime.fromtimestamp(expected, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{objects} being restored from {names}, {which} is expected by about {when}"
