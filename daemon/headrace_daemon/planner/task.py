"""What a planner is given, what it may do to the world around it, and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from headrace_daemon.planner.batches import BatchLimits
from headrace_daemon.planner.compare import Route
from headrace_daemon.planner.entries import Entry, Lister
from headrace_queue.jobs import Item, PlanLease, PlanStep


class PlanEnd(StrEnum):
    """How a run of the planner ended."""

    FINISHED = "finished"  # the phase is over
    PAUSED = "paused"  # enough batches wait; release the lease, claim it again later


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
    same: whether both ends of an object hold the same, where the listings do not tell; the destination's entry is None
    for a folder marker, and the question is whether that folder exists.
    tell: told of each object that a dry run would transfer or delete, and why. clock: seconds, monotonic.
    """

    commit: Callable[[PlanStep], Awaitable[int]]
    room: Callable[[int], Awaitable[bool]]
    same: Callable[[Entry, Entry | None], Awaitable[bool]]
    tell: Callable[[Item, str], None]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class PlanTask:
    """What is to be planned. scratch: a directory for temporary files, on a local disk."""

    lease: PlanLease
    source: Lister
    destination: Lister
    route: Route
    scratch: Path
    limits: PlanLimits = field(default_factory=PlanLimits)
