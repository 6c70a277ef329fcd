"""The cheapest file systems that hold a data set and are fast enough: a search over all kinds, in their valid sizes.

At one kind the cost only grows with the size, so that the smallest that does is the cheapest of its kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from headrace_daemon.fsx.estimate.alternatives import (
    KINDS,
    Kind,
    next_capacity,
    sized,
    tiering,
)
from headrace_daemon.fsx.estimate.estimate import Basis, Estimate, estimate, estimate_json
from headrace_daemon.fsx.estimate.filling import ROOM
from headrace_daemon.fsx.estimate.performance import TABLE, Performance, lowest
from headrace_daemon.fsx.estimate.prices import Prices
from headrace_daemon.fsx.spec.model import DeploymentType, FileSystemSpec, StorageType
from headrace_daemon.fsx.spec.offers import THROUGHPUT_CAPACITY, THROUGHPUT_UNIT
from headrace_daemon.fsx.spec.violations import Severity, Violation

Check = Callable[[FileSystemSpec], Sequence[Violation]]

_GIB: Final = 2**30
_MB: Final = 1_000_000
_SCRATCH: Final = (DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2)
_LEFT_TO_THE_USER: Final = "subnet_ids"
"""The one argument that every file system needs and that nobody can choose here."""


@dataclass(frozen=True, slots=True)
class Need:
    """data: bytes. read, write: bytes a second that all clients together get for as long as they want, None for any.
    durable: data outlives a broken server. linked: data repository associations have to be possible."""

    data: int
    read: int | None = None
    write: int | None = None
    durable: bool = False
    linked: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """assured: whether the rates asked for are documented of it. reason: what sets its size. gives_up: what a dearer
    one has, or what else to know."""

    estimate: Estimate
    assured: bool
    reason: str
    gives_up: tuple[str, ...]


def advise(need: Need, prices: Prices, basis: Basis, check: Check) -> list[Proposal]:
    """The cheapest valid one of every kind that does, the cheapest first, of equal cost the faster one; behind
    them that of which nobody knows whether it does. check: the rules, of which only the missing subnet may be broken.
    """
    found = [_of_kind(kind, need, basis) for kind in KINDS]
    found.append(_of_tiering(need, basis))
    proposals = []
    for spec, reason in (candidate for candidate in found if candidate is not None):
        violations = [violation for violation in check(spec) if not violation.field.startswith(_LEFT_TO_THE_USER)]
        if any(violation.severity is Severity.ERROR for violation in violations):
            continue
        made = estimate(spec, prices, basis, violations)
        proposals.append(Proposal(made, _assured(need, made.figures), reason, gives_up(spec)))
    return sorted(proposals, key=_rank)


def _assured(need: Need, figures: Performance) -> bool:
    limits = (figures.disk_read, figures.disk_write, figures.network)
    return (need.read is None and need.write is None) or all(figure.value is not None for figure in limits)


def _rank(proposal: Proposal) -> tuple[bool, float, float, int]:
    found = proposal.estimate
    return not proposal.assured, found.charge, -(found.figures.read or 0), len(proposal.gives_up)


def gives_up(spec: FileSystemSpec) -> tuple[str, ...]:
    """What it has not, beside an SSD file system of PERSISTENT_2."""
    lost = []
    if spec.deployment in _SCRATCH:
        lost.append("nothing is replicated: a broken disk or server takes its files with it; no backups")
    if spec.deployment is DeploymentType.SCRATCH_1:
        lost.append("the oldest kind: no data repository association, no encryption on the way, no documented network")
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        lost.append("no data repository association; tens of milliseconds to the first byte of what is not cached")
        lost.append("how fast data is read that is not cached is not documented; an SSD read cache is not counted here")
        lost.append("every request to the tiers is charged, and is not counted here")
    if spec.storage_type is StorageType.HDD:
        lost.append("disks of milliseconds, for large sequential files rather than many small ones")
    if spec.deployment is DeploymentType.PERSISTENT_1:
        lost.append("the older generation: no provisioned metadata IOPS, no EFA")
    return tuple(lost)


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """The estimate, with why and what for."""
    return {
        **estimate_json(proposal.estimate),
        "assured": proposal.assured,
        "reason": proposal.reason,
        "gives_up": list(proposal.gives_up),
    }


def _of_kind(kind: Kind, need: Need, basis: Basis) -> tuple[FileSystemSpec, str] | None:
    """The smallest that does, with what sets its size."""
    if need.durable and kind.deployment in _SCRATCH:
        return None
    if need.linked and kind.deployment is DeploymentType.SCRATCH_1:
        return None
    row = TABLE[kind.deployment, kind.storage, kind.tier]
    wants: list[tuple[float, str]] = [(need.data / _GIB / (1 - ROOM), "the data")]
    for wanted, disk, name in (
        (need.read, row.disk_read, "the read rate"),
        (need.write, row.disk_write, "the write rate"),
    ):
        per_tib = lowest(disk, row.network)
        if wanted is not None and per_tib is not None:
            wants.append((wanted / _MB / per_tib * 1000, name))
    least, name = max(wants, key=lambda want: want[0])
    capacity = next_capacity(kind, least)
    reason = f"{name} sets its size: {ceil(round(least, 6)):,} GiB, of which the next there is has {capacity:,}"
    return sized(kind, capacity, basis.region), reason


def _of_tiering(need: Need, basis: Basis) -> tuple[FileSystemSpec, str] | None:
    if need.linked:
        return None
    wanted = max(need.read or 0, need.write or 0)
    throughput = max(ceil(wanted / _MB / THROUGHPUT_UNIT), 1) * THROUGHPUT_UNIT
    if throughput > THROUGHPUT_CAPACITY.most:
        return None
    reason = f"the rates set its throughput, the data its storage: the next step there is has {throughput:,} MB/s"
    return tiering(throughput, basis.region), reason
