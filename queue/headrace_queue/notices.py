"""Notices: what somebody is to be told of a job, as it stands in the queue until it was told."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Job


class NoticeEvent(StrEnum):
    """What becomes of a job."""

    DONE = "done"
    INCOMPLETE = "incomplete"  # it ended, and objects failed
    FAILED = "failed"
    CANCELLED = "cancelled"
    FIRST_ERROR = "first_error"  # the first object that failed, while the job goes on
    STALLED = "stalled"  # nothing of it moved for a while


class NoticeState(StrEnum):
    """How far a notice came."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


ENDED_TOLD: Final = 1
FIRST_ERROR_TOLD: Final = 2
STALL_TOLD: Final = 4
"""Bits of `job.told`: of these events it is settled who hears of them. A retry takes all back."""


@dataclass(frozen=True, slots=True)
class NoticeSpec:
    """name: of [notices]. token: no other notice has it, and it stays the same however often it is sent. body: JSON."""

    event: NoticeEvent
    name: str
    token: str
    body: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of the queue. Times in seconds since the epoch.

    job_id: of a job that may be purged by now. looks: how often it was sent in vain. error: why the last time failed.
    """

    id: int
    job_id: int
    spec: NoticeSpec
    state: NoticeState
    created: float
    changed: float
    next_look: float
    looks: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NoticeChanges:
    """What is to be other in a notice; None leaves a field as it is."""

    state: NoticeState | None = None
    next_look: float | None = None
    looks: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Untold:
    """A job of which something is to be told: it ended, or an object of it failed for the first time. told: bits."""

    job: Job
    told: int


@dataclass(frozen=True, slots=True)
class Movement:
    """How far an unfinished job is. parts: of large objects under way that are safe; told: bits."""

    job: Job
    parts: int
    told: int

    @property
    def mark(self) -> tuple[object, ...]:
        """Other than before as soon as anything moved."""
        return self.job.counters, self.job.phase, self.parts


def check_notices(known: Collection[str], names: Iterable[str]) -> None:
    """known: the names of [notices]. Raises UsageError for a name of --notify that is none of them."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            those = f"There are: {', '.join(sorted(known))}." if known else f"Add [notices.{name}] to config.toml."
            remedy = f"Did you mean {near[0]}? {those}" if near else those
            raise UsageError(f"--notify {name}", "config.toml has no [notices] section of this name", remedy)
