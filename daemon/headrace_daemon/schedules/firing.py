"""What a trigger tells the keeper of schedules: that its command is to be enqueued now, and for which names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Firing:
    """One enqueueing of a schedule's command.

    why: for the log and the list, such as "3 files changed". names: relative to the source, None for everything below
    it. newest_ns: what changed after this instant is left out, in nanoseconds since the epoch; None leaves out nothing.
    """

    why: str
    names: tuple[str, ...] | None = None
    newest_ns: int | None = None


Fire: TypeAlias = Callable[[Firing], Awaitable[bool]]
"""True once a job is durably enqueued, or where there was nothing to do. False where it cannot be now, because the last
job of the schedule is not over or another is in its way: whoever fires keeps the names and calls again later."""
