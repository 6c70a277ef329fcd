"""How long a data set takes into a file system and out of it, and what sets the pace. Rates in MB/s, data in bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace_daemon.fsx.estimate.performance import MB_PER_GBIT, Figure, Performance
from headrace_daemon.fsx.spec.model import FileSystemSpec

ROOM: Final = 0.10
"""Of the capacity, what stays free: Lustre places new files badly, and slowly, on targets that are nearly full."""
_GIB: Final = 2**30
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be moved, and what else sets its pace. data: bytes. files: how many. client: Gbit/s of all clients
    together. s3: bytes a second that S3, or the way to it, allows."""

    data: int
    files: int | None = None
    client_gbits: float | None = None
    s3_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """seconds: None where no limit is known. rate: MB/s. limit: what sets the pace."""

    seconds: float | None
    rate: float | None
    limit: str


@dataclass(frozen=True, slots=True)
class Moving:
    """Into or out of the file system: for as long as one likes, and while credits last. unknown: limits that are not
    documented, and therefore not counted: it takes so long at least."""

    baseline: Pace
    burst: Pace
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """capacity: bytes, None for an elastic one. room: whether ROOM stays free."""

    capacity: int | None
    fits: bool
    room: bool


def fit(spec: FileSystemSpec, data: int) -> Fit:
    """Whether so many bytes have room, uncompressed."""
    if spec.storage_capacity is None:
        return Fit(None, True, True)
    capacity = spec.storage_capacity * _GIB
    return Fit(capacity, data <= capacity, data <= capacity * (1 - ROOM))


def fill(figures: Performance, load: Load) -> Moving:
    """From S3 into the file system. One metadata operation a file is assumed: it is made."""
    return _moving(figures, load, ("disk writing", figures.disk_write, figures.disk_write_burst))


def drain(figures: Performance, load: Load) -> Moving:
    """From the file system to S3. One metadata operation a file is assumed: it is opened."""
    return _moving(figures, load, ("disk reading", figures.disk_read, figures.disk_read_burst))


def _moving(figures: Performance, load: Load, disk: tuple[str, Figure, Figure]) -> Moving:
    own = (disk, ("network", figures.network, figures.network_burst))
    others = _others(load)
    steady = [(name, figure.value) for name, figure, _ in own]
    burst = [(name, more.value if more.value is not None else figure.value) for name, figure, more in own]
    unknown = [name for name, value in steady if value is None]
    iops, operations = figures.metadata_iops.value, None
    if load.files and iops:
        operations = load.files / iops
    elif load.files:
        unknown.append("metadata IOPS")
    return Moving(
        _pace(load, [*steady, *others], operations), _pace(load, [*burst, *others], operations), tuple(unknown)
    )


def _others(load: Load) -> list[tuple[str, float | None]]:
    limits: list[tuple[str, float | None]] = []
    if load.client_gbits is not None:
        limits.append(("client", load.client_gbits * MB_PER_GBIT))
    if load.s3_rate is not None:
        limits.append(("S3", load.s3_rate / _MB))
    return limits


def _pace(load: Load, limits: Sequence[tuple[str, float | None]], operations: float | None) -> Pace:
    """operations: the seconds that metadata takes, None where it does not count."""
    known = [(value, name) for name, value in limits if value is not None]
    if not known:
        return Pace(None, None, "")
    rate, name = min(known, key=lambda limit: limit[0])
    seconds = load.data / _MB / rate
    if operations is not None and operations > seconds:
        return Pace(operations, load.data / _MB / operations, "metadata IOPS")
    return Pace(seconds, rate, name)
