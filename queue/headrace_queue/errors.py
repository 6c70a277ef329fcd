"""The errors of the client side, named by what the caller should do about them."""

from typing import Final

TRY_AGAIN_EXIT: Final = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with what was asked for. systemd starts a daemon again that ends so."""


class HeadraceError(Exception):
    """The base of every error that Headrace raises on purpose."""


class UsageError(HeadraceError):
    """Wrong use or configuration: nothing was started and nothing changed; exit code 2.

    what: the thing that is wrong, as the user wrote it. why: the rule it breaks. remedy: what to type or edit. details:
    a line for each thing, where several are wrong at once.
    """

    def __init__(self, what: str, why: str, remedy: str, details: tuple[str, ...] = ()) -> None:
        super().__init__("\n  ".join((f"{what}: {why}. {remedy}", *details)))
        self.what = what
        self.why = why
        self.remedy = remedy
        self.details = details


class Occupied(UsageError):
    """Something else holds what is needed, perhaps only for a moment: nothing was started; exit code 75, try again."""


class QueueError(HeadraceError):
    """The queue cannot be used as it is; a person has to act."""


class UnsafeQueue(QueueError):
    """The file system or the SQLite library below the queue can lose or corrupt it: do not open it."""


class SchemaMismatch(QueueError):
    """The queue file was written by another version of Headrace: upgrade or move it away."""


class QueueUnavailable(QueueError):
    """The queue cannot be used just now, and nothing about it is wrong: try again; exit code 75."""


class QueueFull(QueueUnavailable):
    """The disk below the queue is full: free space, then everything goes on by itself."""


class UnknownJob(HeadraceError):
    """There is no job of this number: look at `headrace jobs`."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}: no such job. `headrace jobs` lists those that exist.")
        self.job_id = job_id


class UnknownTransfer(HeadraceError):
    """There is no transfer of this number, or it is another user's: look at the list of transfers."""

    def __init__(self, transfer_id: int) -> None:
        super().__init__(f"transfer {transfer_id}: no such transfer.")
        self.transfer_id = transfer_id


class TooManyTransfers(HeadraceError):
    """This user has as many transfers under way as they may: wait for one to end, or cancel one."""


class UnknownTask(HeadraceError):
    """There is no data repository task of this number (any more): its job was purged."""

    def __init__(self, number: int) -> None:
        super().__init__(f"data repository task {number}: no such task.")
        self.number = number


class UnknownThaw(HeadraceError):
    """The object is not being waited for (any more): another keeper was quicker, or its job was purged."""

    def __init__(self, number: int) -> None:
        super().__init__(f"object {number} that is being restored: no such object.")
        self.number = number


class UnknownNotice(HeadraceError):
    """There is no notice of this number (any more), or a later one took its place."""

    def __init__(self, number: int) -> None:
        super().__init__(f"notice {number}: no such notice.")
        self.number = number


class NotYourTurn(HeadraceError):
    """Another data repository task of the file system comes first: look again later."""


class IllegalTransition(HeadraceError):
    """The state table has no such move: read the state again and decide anew."""


class LeaseLost(HeadraceError):
    """Another worker owns this work now: discard the result, record nothing."""
