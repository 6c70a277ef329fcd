"""What a planner is given, what it may do to the world around it, and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from headrace_daemon.planner.batches import BatchLimits
from headrace_daemon.planner.compare import Decision, Route
from headrace_daemon.planner.entries import Entry, Lister, Problem
from headrace_queue.jobs import Item, PlanLease, PlanStep


class PlanEnd(StrEnum):
    """How a run of the planner ended."""

    FINISHED = "finished"  # the phase is over
    PAUSED = "paused"  # enough batches wait; release the lease, claim it again later
    HANDED_OVER = (
        "handed_over"  # data repository tasks come first: the lease is gone, and the job is planned after them
    )


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """How much is decided between two commits, and how far the plan runs ahead of the transfers."""

    batches: BatchLimits = field(default_factory=BatchLimits)
    first_objects: int = 100  # of the first batches: small, so that every worker soon has one
    max_waiting: int = 200  # batches
    commit_keys: int = 10_000
    commit_seconds: float = 2.0
    checks: int = 32  # objects whose ends are looked at at once


@dataclass(frozen=True, slots=True)
class PlanPorts:
    """What the planner does to the world around it.

    commit: makes a step durable, returns how many batches of the job wait; raises LeaseLost.
    room: called when max_waiting batches wait; True: go on (it waited until some were done), False: pause.
    look: looks at both ends of an object where the listings do not tell, and says TRANSFER or SKIP; the destination's
    entry is None for a folder marker, and the question is whether that folder exists.
    tell: told of each object that a dry run would transfer or delete, and why. kept: told of each object that was
    compared by content and is left alone. event: something of the job for the log, a word and a text.
    clock: seconds, monotonic. passed: told of each thing in a tree that is no object and was passed over. moved: told
    of each object that a data repository task has moved already.
    """

    commit: Callable[[PlanStep], Awaitable[int]]
    room: Callable[[int], Awaitable[bool]]
    look: Callable[[Entry, Entry | None], Awaitable[Decision]]
    tell: Callable[[Item, str], None]
    kept: Callable[[Item, Decision], None]
    event: Callable[[str, str], None]
    clock: Callable[[], float]
    passed: Callable[[Problem], None]
    moved: Callable[[Item], None]


@dataclass(frozen=True, slots=True)
class AfterTasks:
    """What data repository tasks did before this plan, and what is left to it. Times in nanoseconds.

    exported_since: objects of the destination that are no older were exported by the task; None where none ran.
    imported_since: files whose data is not here since then came by the task. only: what the tasks did not move fails
    and is not streamed; the reason, '' where it is streamed. doubtful: some were not moved. named: their keys, as far
    as FSx named them. unreleased: why not all that was exported left the file system; '' where it did.
    """

    exported_since: int | None = None
    imported_since: int | None = None
    only: str = ""
    doubtful: bool = False
    named: frozenset[str] = frozenset()
    unreleased: str = ""


NOTHING_BEFORE: Final = AfterTasks()


@dataclass(frozen=True, slots=True)
class PlanTask:
    """What is to be planned. scratch: a directory for temporary files, on a local disk.

    trash: the relative folder, with its slash, to which the job's deletions move objects; '' where it lies elsewhere.
    restores_since: files at the destination that are as they should be get their data back where Lustre released it
    since then (nanoseconds); None: no file does. after: see AfterTasks.
    """

    lease: PlanLease
    source: Lister
    destination: Lister
    route: Route
    scratch: Path
    limits: PlanLimits = field(default_factory=PlanLimits)
    trash: str = ""
    restores_since: int | None = None
    after: AfterTasks = NOTHING_BEFORE
