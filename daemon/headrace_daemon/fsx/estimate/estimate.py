"""One specification's estimate, put together: speed, cost, and how long a data set takes. And how it looks as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from headrace_daemon.fsx.estimate.cost import LEFT_OUT, Cost, cost
from headrace_daemon.fsx.estimate.filling import Fit, Load, Moving, drain, fill, fit
from headrace_daemon.fsx.estimate.performance import Performance, performance
from headrace_daemon.fsx.estimate.prices import Prices
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.violations import Violation


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate starts from, beside the specification. load: what is moved in and out. backup: bytes that
    backups hold. days: how long the file system is there. region: in place of the specification's."""

    load: Load | None = None
    backup: int | None = None
    days: float | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """fit, fill and drain: None where no data was named."""

    spec: FileSystemSpec
    basis: Basis
    figures: Performance
    cost: Cost
    fit: Fit | None
    fill: Moving | None
    drain: Moving | None
    warnings: tuple[Violation, ...] = ()

    @property
    def charge(self) -> float:
        """US dollars, to the cent: of the days asked for, else of a month."""
        return round(self.cost.monthly if self.basis.days is None else self.cost.of_days(self.basis.days), 2)


def estimate(spec: FileSystemSpec, prices: Prices, basis: Basis, warnings: Iterable[Violation] = ()) -> Estimate:
    """Of a valid specification. Raises ValueError where its figures cannot be told."""
    figures, load = performance(spec), basis.load
    bill = cost(spec, prices, data=load.data if load else None, backup=basis.backup, region=basis.region)
    if load is None:
        return Estimate(spec, basis, figures, bill, None, None, None, tuple(warnings))
    moved = fit(spec, load.data), fill(figures, load), drain(figures, load)
    return Estimate(spec, basis, figures, bill, *moved, tuple(warnings))


def estimate_json(found: Estimate) -> dict[str, Any]:
    """Stable names. Throughput in MB/s, sizes in bytes or as the unit beside them says, money in US dollars, null for
    what is not known."""
    spec, figures = found.spec, found.figures
    return {
        "name": spec.name,
        "deployment_type": spec.deployment,
        "storage_type": spec.storage_type,
        "storage_capacity": spec.storage_capacity,
        "per_unit_storage_throughput": spec.per_unit_storage_throughput,
        "throughput_capacity": spec.throughput_capacity,
        "throughput": {
            "read": figures.read,
            "write": figures.write,
            "read_burst": figures.read_burst,
            "write_burst": figures.write_burst,
        },
        "performance": {name: asdict(figure) for name, figure in figures.figures().items()},
        "cost": _cost_json(found),
        "data": _data_json(found),
        "warnings": [violation_json(violation) for violation in found.warnings],
    }


def violation_json(violation: Violation) -> dict[str, Any]:
    """Without its severity, which the name of the list tells."""
    named = asdict(violation)
    del named["severity"]
    return {**named, "nearest": list(violation.nearest)}


def _cost_json(found: Estimate) -> dict[str, Any]:
    bill, days = found.cost, found.basis.days
    parts = [
        {
            "name": part.name,
            "quantity": part.quantity,
            "unit": part.unit,
            "price": part.price,
            "monthly": _cents(part.monthly),
            "confirmed": part.confirmed,
            "source": part.source,
            "date": part.day.isoformat() if part.day is not None else None,
            "note": part.note,
        }
        for part in bill.parts
    ]
    return {
        "currency": "USD",
        "region": bill.region,
        "monthly": _cents(bill.monthly),
        "days": days,
        "total": found.charge,
        "complete": bill.complete,
        "confirmed": bill.confirmed,
        "parts": parts,
        "notes": list(bill.notes),
        "left_out": list(LEFT_OUT),
    }


def _data_json(found: Estimate) -> dict[str, Any] | None:
    load = found.basis.load
    if load is None or found.fit is None or found.fill is None or found.drain is None:
        return None
    return {
        "bytes": load.data,
        "files": load.files,
        "capacity": found.fit.capacity,
        "fits": found.fit.fits,
        "room": found.fit.room,
        "fill": _moving_json(found.fill),
        "drain": _moving_json(found.drain),
    }


def _moving_json(moving: Moving) -> dict[str, Any]:
    return {"baseline": asdict(moving.baseline), "burst": asdict(moving.burst), "unknown": list(moving.unknown)}


def _cents(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 2)
