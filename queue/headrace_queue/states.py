"""Every state of a job and of a batch, and every legal move between them, as one table.

The diagrams in docs/design.md are generated from these tables; a test walks every pair of states.
"""

from enum import StrEnum
from typing import Final

from headrace_queue.errors import IllegalTransition


class JobState(StrEnum):
    """What a user sees of a job."""

    QUEUED = "queued"  # waits for a worker, or for its turn
    RUNNING = "running"  # a worker plans it, or batches of it are under way
    PAUSED = "paused"  # a person stopped it; what is in flight finishes, nothing new starts
    CANCELLING = "cancelling"  # a person cancelled it; workers still hold batches of it
    DONE = "done"  # every object is where it belongs
    INCOMPLETE = "incomplete"  # it ended, and some objects failed: `headrace retry`
    FAILED = "failed"  # it failed as a whole, for the reason in its error
    CANCELLED = "cancelled"


class BatchState(StrEnum):
    """What a worker sees of a batch. A completed batch leaves no row behind."""

    READY = "ready"  # waits for a worker, from its not_before on
    LEASED = "leased"  # belongs to one worker and one attempt
    DEAD = "dead"  # gave up after too many attempts; its objects stand among the job's failures


JOB_MOVES: Final[dict[JobState, dict[str, JobState]]] = {
    JobState.QUEUED: {
        "start": JobState.RUNNING,
        "pause": JobState.PAUSED,
        "cancel": JobState.CANCELLED,
        "fail": JobState.FAILED,  # it was to start after a job that did not end well
    },
    JobState.RUNNING: {
        "finish": JobState.DONE,
        "finish_with_failures": JobState.INCOMPLETE,
        "fail": JobState.FAILED,
        "pause": JobState.PAUSED,
        "cancel": JobState.CANCELLING,
    },
    JobState.PAUSED: {
        "resume": JobState.QUEUED,
        "cancel": JobState.CANCELLING,
        # what was in flight when the pause came may have been the last of it, or may have shown that it cannot go on
        "finish": JobState.DONE,
        "finish_with_failures": JobState.INCOMPLETE,
        "fail": JobState.FAILED,
    },
    JobState.CANCELLING: {"settle": JobState.CANCELLED},
    JobState.DONE: {},
    JobState.INCOMPLETE: {"retry": JobState.QUEUED},
    JobState.FAILED: {"retry": JobState.QUEUED},
    JobState.CANCELLED: {"retry": JobState.QUEUED},
}

_SUFFERED: Final = {"pause": "be paused", "resume": "be resumed", "cancel": "be cancelled", "retry": "be retried"}
"""What a person does to a job, as a text says it of the job."""

BATCH_MOVES: Final[dict[BatchState, dict[str, BatchState]]] = {
    BatchState.READY: {"claim": BatchState.LEASED},
    BatchState.LEASED: {
        "snooze": BatchState.READY,  # throttled, endpoint down, disk full: the attempt is given back
        "release": BatchState.READY,  # drained worker: the attempt is given back
        "expire": BatchState.READY,  # dead worker: the attempt counts
        "retry": BatchState.READY,  # it failed as a whole: the attempt counts
        "exhaust": BatchState.DEAD,
    },
    BatchState.DEAD: {"retry": BatchState.READY},
}

FINAL: Final = frozenset({JobState.DONE, JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED})
"""States in which nothing of the job is under way any more."""

EXIT_CODE: Final[dict[JobState, int]] = {
    JobState.DONE: 0,
    JobState.INCOMPLETE: 1,
    JobState.CANCELLED: 3,
    JobState.FAILED: 4,
}
"""The exit code that `--wait`, `wait` and `drain` give for a job that ended so."""


def move_job(state: JobState, event: str) -> JobState:
    """The state after `event`. Raises IllegalTransition where the table has no such move."""
    try:
        return JOB_MOVES[state][event]
    except KeyError:
        raise IllegalTransition(f"a job that is {state} cannot {_SUFFERED.get(event, event)}") from None


def move_batch(state: BatchState, event: str) -> BatchState:
    """The state after `event`. Raises IllegalTransition where the table has no such move."""
    try:
        return BATCH_MOVES[state][event]
    except KeyError:
        raise IllegalTransition(f"a batch that is {state} cannot {event}") from None
