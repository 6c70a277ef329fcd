"""What the queue tells of a job beside its row: what is under way, what sleeps, and who else is at work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace_queue.jobs import Failure


@dataclass(frozen=True, slots=True)
class Situation:
    """How the work of one job stands at this moment. Times are seconds since the epoch.

    ready: batches that a worker could take now. sleeping: batches that wait for their time, the first until `wakes`.
    leased: batches that a worker has. dead: batches that were given up. planned_by: the worker that lists, or None.
    plan_not_before: when the listing goes on at the earliest. others: batches of other jobs that workers have.
    planning: other jobs that are being listed. ahead: jobs of a higher priority with something to do, at most ten.
    thawing: objects that S3 restores from an archive class, the first of them readable at about `readable`.
    """

    ready: int = 0
    sleeping: int = 0
    wakes: float | None = None
    leased: int = 0
    dead: int = 0
    planned_by: str | None = None
    plan_not_before: float = 0.0
    others: int = 0
    planning: int = 0
    ahead: tuple[int, ...] = ()
    thawing: int = 0
    readable: float | None = None


class Looks(Protocol):
    """Looks that change nothing and cost little, for people who watch. Part of Store."""

    def situation(self, job_id: int) -> Situation | None:
        """None where it cannot be told: of a daemon on another host. Raises UnknownJob."""
        ...

    def under_way(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Bytes of each job that are safe at the destination as parts of large objects that are not whole yet; only
        jobs that have any. At most 500 jobs."""
        ...

    def newest_failures(self, job_id: int, limit: int = 10) -> list[tuple[int, Failure]]:
        """The last ones, the newest first, each with its row number."""
        ...
