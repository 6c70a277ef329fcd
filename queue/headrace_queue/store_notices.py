"""The part of the Store that keeps notices; see `store`."""

from collections.abc import Sequence
from typing import Protocol

from headrace_queue.notices import Movement, Notice, NoticeChanges, NoticeSpec, NoticeState, Untold
from headrace_queue.states import JobState


class NoticeStore(Protocol):
    """What is to be told of jobs. Each method is one transaction, and raises as those of Store do."""

    def untold(self, limit: int = 100) -> list[Untold]:
        """Ended jobs without ENDED_TOLD, and unfinished ones with failures without FIRST_ERROR_TOLD; at most `limit` of
        each."""
        ...

    def moving(self, states: Sequence[JobState], limit: int = 1000) -> list[Movement]:
        """How far the jobs in these states are; at most `limit` of each, oldest first."""
        ...

    def tell(self, job_id: int, bit: int, specs: Sequence[NoticeSpec] = ()) -> bool:
        """Settle who hears of an event: the bit is set in job.told and these notices wait, in one transaction. False,
        and nothing changes, where the bit was set before or the job is no more. A notice of an event that the job had
        before, with the same name, takes the place of the older one."""
        ...

    def untell(self, job_id: int, bit: int) -> None:
        """The event may come once more."""
        ...

    def notices(self, states: Sequence[NoticeState] = (), limit: int = 100) -> list[Notice]:
        """Newest first. states: only these, all where empty."""
        ...

    def due_notices(self, now: float, hold: float, limit: int = 50) -> list[Notice]:
        """Those that wait and are to be sent now. For `hold` seconds no other keeper gets them."""
        ...

    def change_notice(self, number: int, changes: NoticeChanges, token: str | None = None) -> Notice:
        """token: only while it is still this one. Raises UnknownNotice where it is no more, or another one took its
        place."""
        ...

    def purge_notices(self, changed_before: float, limit: int = 100) -> int:
        """Remove those that were sent or given up before then; how many."""
        ...
