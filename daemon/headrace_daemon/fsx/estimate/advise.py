"""The cheapest file systems that hold a data set and are fast enough: a search over all kinds, in their valid sizes.

At one kind the cost only grows with the size, so that the smallest that does is the cheapest of its kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from headrace_daemon.fsx.estimate.performance import Evidence, Performance, lowest
from headrace_daemon.fsx.estimate.prices import Prices
from headrace_daemon.fsx.estimate.tables import TABLE, PerTiB
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
    """undocumented: the figures that AWS does not document, of those on which the rates that were asked for rest.
    reason: what sets its size. gives_up: what a dearer one has, or what else to know."""

    estimate: Estimate
    undocumented: tuple[str, ...]
    reason: str
    gives_up: tuple[str, ...]

    @property
    def assured(self) -> bool:
        """Whether it is documented to be as fast as was asked for."""
        return not self.undocumented


@dataclass(frozen=True, slots=True)
class Advice:
    """proposals: the cheapest first. not_known: those that may do as well, and have no figure at all for a rate that
    was asked for."""

    proposals: tuple[Proposal, ...]
    not_known: tuple[Proposal, ...]


def advise(need: Need, prices: Prices, basis: Basis, check: Check) -> Advice:
    """The cheapest valid one of every kind that, by the figures there are, does what is needed; of equal cost the one
    that is documented to, then the faster one. check: the rules, of which only the missing subnet may be broken.
    """
    found = [_of_kind(kind, need, basis) for kind in KINDS]
    found.append(_of_tiering(need, basis))
    proposals: list[Proposal] = []
    not_known: list[Proposal] = []
    for spec, reason in (candidate for candidate in found if candidate is not None):
        violations = [violation for violation in check(spec) if not violation.field.startswith(_LEFT_TO_THE_USER)]
        if any(violation.severity is Severity.ERROR for violation in violations):
            continue
        made = estimate(spec, prices, basis, violations)
        proposal = Proposal(made, _undocumented(need, made.figures), reason, gives_up(spec))
        (proposals if _has_rates(need, made.figures) else not_known).append(proposal)
    return Advice(tuple(sorted(proposals, key=_rank)), tuple(sorted(not_known, key=_rank)))


def _has_rates(need: Need, figures: Performance) -> bool:
    return (need.read is None or figures.read is not None) and (need.write is None or figures.write is not None)


def _undocumented(need: Need, figures: Performance) -> tuple[str, ...]:
    asked = [("disk reading", figures.disk_read)] if need.read is not None else []
    asked += [("disk writing", figures.disk_write)] if need.write is not None else []
    asked += [("network", figures.network)] if asked else []
    return tuple(name for name, figure in asked if figure.evidence is not Evidence.DOCUMENTED)


def _rank(proposal: Proposal) -> tuple[float, bool, float, int]:
    found = proposal.estimate
    return found.charge, not proposal.assured, -(found.figures.read or 0), len(proposal.gives_up)


def what_helps(need: Need, finds: Callable[[Need], bool]) -> list[str]:
    """Where nothing does: the options that stand in the way, each alone; all rates where no one of them does alone.
    finds: whether anything does what is needed."""
    without = {
        "--read-rate": replace(need, read=None) if need.read else None,
        "--write-rate": replace(need, write=None) if need.write else None,
        "--keep": replace(need, durable=False) if need.durable else None,
        "--dra": replace(need, linked=False) if need.linked else None,
    }
    given = {option: less for option, less in without.items() if less is not None}
    alone = [option for option, less in given.items() if finds(less)]
    return alone or [option for option in given if option.endswith("-rate")] or ["--data"]


def gives_up(spec: FileSystemSpec) -> tuple[str, ...]:
    """What it has not, beside an SSD file system of PERSISTENT_2."""
    lost = []
    if spec.deployment in _SCRATCH:
        lost.append("nothing is replicated: a broken disk or server takes its files with it; no backups")
    if spec.deployment is DeploymentType.SCRATCH_1:
        lost.append("the oldest kind: no data repository association, no encryption on the way, no documented network")
        lost.append("its rate is for reading and writing together")
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        lost.append("no data repository association; tens of milliseconds to the first byte of what is not cached")
        lost.append("how fast it reads and writes is not documented; an SSD read cache is not counted here")
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
        "undocumented": list(proposal.undocumented),
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
    wants = [(need.data / _GIB / (1 - ROOM), "the data"), *_for_rates(need, row)]
    least, name = max(wants, key=lambda want: want[0])
    capacity = next_capacity(kind, least)
    reason = f"{name} sets its size: {ceil(round(least, 6)):,} GiB, of which the next there is has {capacity:,}"
    return sized(kind, capacity, basis.region), reason


def _for_rates(need: Need, row: PerTiB) -> list[tuple[float, str]]:
    """The GiB that each rate takes, and its name."""
    rates = [(need.read, row.disk_read, "the read rate"), (need.write, row.disk_write, "the write rate")]
    if row.shared and need.read is not None and need.write is not None:
        rates = [(need.read + need.write, row.disk_read, "reading and writing together")]
    wants = []
    for wanted, disk, name in rates:
        per_tib = lowest(disk, row.network)
        if wanted is not None and per_tib is not None:
            wants.append((wanted / _MB / per_tib * 1000, name))
    return wants


def _of_tiering(need: Need, basis: Basis) -> tuple[FileSystemSpec, str] | None:
    if need.linked:
        return None
    wanted = max(need.read or 0, need.write or 0)
    throughput = max(ceil(wanted / _MB / THROUGHPUT_UNIT), 1) * THROUGHPUT_UNIT
    if throughput > THROUGHPUT_CAPACITY.most:
        return None
    reason = f"the rates set its throughput, the data its storage: the next step there is has {throughput:,} MB/s"
    return tiering(throughput, basis.region), reason
