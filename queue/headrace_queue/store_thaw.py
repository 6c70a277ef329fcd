"""The part of the queue's interface that is about archived objects and about the limits of jobs; see `store.Store`."""

from collections.abc import Sequence
from typing import Protocol

from headrace_queue.jobs import Counters, Failure, Item, Job, Lease
from headrace_queue.thaw import Thaw, ThawChanges


class StoresThaws(Protocol):
    """Raises as Store does."""

    # -- objects that are being restored from an archive class --------------------------------------------------------

    def park(self, lease: Lease, objects: Sequence[tuple[int, Item]]) -> None:
        """Objects of a batch, by index, leave it and wait for S3 to restore them: the batch counts them as finished,
        the job is not over before each became part of a batch again or ended. Raises LeaseLost; ValueError for an index
        that the batch does not have."""
        ...

    def thaws(self, job_id: int, after: int = 0, limit: int = 1000) -> list[Thaw]:
        """Those of a job, in the order in which they came, each with a number to page by."""
        ...

    def thawing(self, job_id: int) -> int:
        """How many objects of a job wait so."""
        ...

    def any_thaw_due(self, now: float) -> bool:
        """Whether `due_thaws` would give one; without writing."""
        ...

    def due_thaws(self, now: float, hold: float, limit: int = 50) -> list[Thaw]:
        """Those of queued and running jobs that are to be looked at now. For `hold` seconds no other keeper gets them;
        whoever looked says by `next_look` when to look again."""
        ...

    def look_at_thaws_soon(self, now: float, within: float) -> None:
        """What is due within so many seconds is due now: a keeper that was killed may have held it."""
        ...

    def change_thaw(self, number: int, changes: ThawChanges) -> Thaw:
        """Raises UnknownThaw."""
        ...

    def thawed(self, number: int) -> None:
        """It can be read: the next `put_back_thawed` makes it part of a batch. Raises UnknownThaw."""
        ...

    def any_thawed(self) -> bool:
        """Whether `put_back_thawed` would find one; without writing."""
        ...

    def end_thaw(self, number: int, counters: Counters, failure: Failure | None = None) -> None:
        """It vanished or failed, and is waited for no more; ends the job where it was the last. Counters.failed is
        counted from failure. Raises UnknownThaw."""
        ...

    def put_back_thawed(self) -> int:
        """What can be read becomes part of ready batches, up to 1,000 objects of each job; how many it was. Says anew
        what jobs wait for of which nothing else moves."""
        ...

    # -- limits -------------------------------------------------------------------------------------------------------

    def overdue(self) -> bool:
        """Whether a job is past its deadline and not over; without writing."""
        ...

    def miss_deadlines(self) -> list[Job]:
        """Every such job fails as a whole; these jobs, a hundred at most. One that is being cancelled stays so."""
        ...
