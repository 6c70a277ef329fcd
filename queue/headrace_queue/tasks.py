"""Data repository tasks of FSx for Lustre, as they stand in the queue: plain frozen data.

A task belongs to a job, which is planned only when all of its tasks have ended. It waits without a slot, a lease or
memory; any daemon that knows the file system may look next. FSx works on one task of a file system at a time, so that
at most one of each is ASKED, RUNNING or CANCELLING here; the others wait for their turn, the oldest first.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace_queue.errors import IllegalTransition


class TaskKind(StrEnum):
    """What FSx is asked to do."""

    IMPORT = "import"  # names and metadata of the bucket's objects appear in the file system, their data does not yet
    EXPORT = "export"  # files that are new or changed become objects
    RELEASE = "release"  # the data of files that are exported leaves the file system; the names stay


class TaskState(StrEnum):
    """How far it is."""

    WAITING = "waiting"  # for its turn
    ASKED = "asked"  # FSx may know of it: its token is durable, the answer is not there yet
    RUNNING = "running"  # FSx has it, PENDING or EXECUTING
    CANCELLING = "cancelling"  # its job was cancelled, and FSx has been told or will be
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # FSx ended it with failures: some files, or all
    CANCELLED = "cancelled"
    REFUSED = "refused"  # FSx did not take it


TASK_MOVES: Final[dict[TaskState, dict[str, TaskState]]] = {
    TaskState.WAITING: {"ask": TaskState.ASKED, "cancel": TaskState.CANCELLED},
    TaskState.ASKED: {
        "accept": TaskState.RUNNING,
        "postpone": TaskState.WAITING,  # another task runs there, not of this queue
        "refuse": TaskState.REFUSED,
        "cancel": TaskState.CANCELLING,
    },
    TaskState.RUNNING: {
        "succeed": TaskState.SUCCEEDED,
        "fail": TaskState.FAILED,
        "cancelled": TaskState.CANCELLED,  # by somebody else
        "cancel": TaskState.CANCELLING,
    },
    TaskState.CANCELLING: {
        "succeed": TaskState.SUCCEEDED,  # it was quicker
        "fail": TaskState.FAILED,
        "cancelled": TaskState.CANCELLED,
    },
    TaskState.SUCCEEDED: {},
    TaskState.FAILED: {},
    TaskState.CANCELLED: {},
    TaskState.REFUSED: {},
}

TASK_ENDED: Final = frozenset(state for state, moves in TASK_MOVES.items() if not moves)
"""States that nothing leads out of."""

TASK_AT_FSX: Final = frozenset({TaskState.ASKED, TaskState.RUNNING, TaskState.CANCELLING})
"""States of which a file system has one task at most."""


def move_task(state: TaskState, event: str) -> TaskState:
    """The state after `event`. Raises IllegalTransition where the table has no such move."""
    try:
        return TASK_MOVES[state][event]
    except KeyError:
        raise IllegalTransition(f"a data repository task that is {state} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What is asked of FSx, fixed when the task is made. token: ClientRequestToken, at most 63 characters; the same
    token is the same task however often it is asked for."""

    kind: TaskKind
    fsx: str  # the name of its section in config.toml
    file_system_id: str
    path: str  # s3://bucket/prefix/ of an import, else relative to the mount, '' for all of it
    report: str  # s3://bucket/prefix/ below which FSx writes what failed; '' for none
    token: str


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the queue. started is FSx's time, all others are the queue's; seconds since the epoch."""

    id: int
    job_id: int
    spec: TaskSpec
    state: TaskState
    created: float
    changed: float  # when it last moved
    next_look: float
    looks: int = 0  # since it last moved
    task_id: str = ""  # FSx's own
    started: float | None = None  # when FSx began, or took it where it has not begun
    finished: float | None = None
    total: int = 0  # objects or files that FSx found so far, and what became of them
    succeeded: int = 0
    failed: int = 0
    error: str | None = None  # why it failed or was refused, or was cancelled by other than its job


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """What a look changes; None leaves it as it is."""

    next_look: float | None = None
    looks: int | None = None
    task_id: str | None = None
    started: float | None = None
    total: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    error: str | None = None


NO_TASK_CHANGES: Final = TaskChanges()
