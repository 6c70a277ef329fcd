"""What a file system costs, part by part. US dollars.

A month is 730 hours, and N days are N * 24 / 730 of one: AWS quotes by the month, prorates by the second and charges
the average use (https://aws.amazon.com/fsx/lustre/pricing/). One GB of a price is counted as one GiB of capacity.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from headrace_daemon.fsx.estimate.performance import automatic_iops, performance
from headrace_daemon.fsx.estimate.prices import HOME_REGION, Item, Prices, storage_item, unit_of
from headrace_daemon.fsx.spec.model import FileSystemSpec, MetadataMode, StorageType
from headrace_daemon.fsx.spec.offers import PERSISTENT, linked

MONTH_HOURS: Final = 730
_GIB: Final = 2**30

LEFT_OUT: Final = (
    "requests to S3 and to Intelligent-Tiering, and its monitoring",
    "data transfer between Availability Zones and Regions",
    "KMS keys, logs, and the clients",
    "what S3 itself stores",
)
"""What no estimate counts."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bill. monthly: None where quantity or price is not known; note says why."""

    name: str
    quantity: float | None
    unit: str
    price: float | None
    confirmed: bool
    source: str
    day: date | None
    note: str = ""

    @property
    def monthly(self) -> float | None:
        return None if self.quantity is None or self.price is None else self.quantity * self.price


@dataclass(frozen=True, slots=True)
class Cost:
    """region: whose prices were asked for. notes: what they do not show by themselves."""

    region: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    @property
    def monthly(self) -> float:
        """The sum of what is known."""
        return sum(part.monthly or 0.0 for part in self.parts)

    @property
    def complete(self) -> bool:
        """Whether every part is known."""
        return all(part.monthly is not None for part in self.parts)

    @property
    def confirmed(self) -> bool:
        """Whether every part is known, and by a confirmed price."""
        return all(part.monthly is not None and part.confirmed for part in self.parts)

    def of_days(self, days: float) -> float:
        """What it costs to have it that long."""
        return self.monthly * days * 24 / MONTH_HOURS


def cost(
    spec: FileSystemSpec,
    prices: Prices,
    *,
    data: int | None = None,
    backup: int | None = None,
    region: str | None = None,
) -> Cost:
    """Of a valid specification. data and backup: bytes that it holds, and that its backups hold. region: in place of
    the specification's. Raises ValueError where its figures cannot be told."""
    where = region or spec.region or HOME_REGION
    bill = _Bill(prices, where)
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        _tiering(bill, spec, data)
    else:
        item = storage_item(spec.deployment, spec.storage_type, spec.per_unit_storage_throughput)
        bill.add("storage", item, spec.storage_capacity)
    _read_cache(bill, spec)
    _metadata(bill, spec)
    if backup and not _without_backups(spec):
        bill.add("backups", Item.BACKUP, backup / _GIB, "incremental: only what changed is stored again")
    return Cost(where, tuple(bill.parts), tuple(_notes(spec, prices, where, backup, region is None)))


class _Bill:
    """Gathers parts, each with its price."""

    def __init__(self, prices: Prices, region: str) -> None:
        self._prices = prices
        self._region = region
        self.parts: list[Part] = []

    def add(self, name: str, item: Item, quantity: float | None, note: str = "") -> None:
        price = self._prices.of(self._region, item)
        if price is None:
            missing = f"no price known: give {item} with --prices"
            note = f"{note}; {missing}" if note else missing
            self.parts.append(Part(name, quantity, unit_of(item), None, False, "", None, note))
            return
        amount, confirmed = price.amount, price.confirmed
        self.parts.append(Part(name, quantity, price.unit, amount, confirmed, price.source, price.day, note))


def _tiering(bill: _Bill, spec: FileSystemSpec, data: int | None) -> None:
    bill.add("throughput", Item.TIERING_THROUGHPUT, spec.throughput_capacity)
    if data is None:
        bill.add("storage", Item.TIERING_FREQUENT, None, "as much as is stored: give --data")
        return
    note = "all of it in the frequent access tier, the dearest; infrequent and archive follow by themselves"
    bill.add("storage", Item.TIERING_FREQUENT, data / _GIB, note)


def _read_cache(bill: _Bill, spec: FileSystemSpec) -> None:
    cache = performance(spec).read_cache
    if cache.value == 0:
        return
    tiering = spec.storage_type is StorageType.INTELLIGENT_TIERING
    note = "" if cache.value is not None else "its size is not documented"
    bill.add("SSD read cache", Item.TIERING_READ_CACHE if tiering else Item.HDD_READ_CACHE, cache.value, note)


def _metadata(bill: _Bill, spec: FileSystemSpec) -> None:
    configured = spec.metadata_configuration
    if configured is None or configured.mode is not MetadataMode.USER_PROVISIONED or configured.iops is None:
        return
    note = "all of them"
    if spec.storage_type is StorageType.SSD and spec.storage_capacity is not None:
        included = automatic_iops(spec.storage_capacity)
        note = f"all of them, an upper bound: the {included:,} of mode AUTOMATIC are perhaps not charged"
    bill.add("metadata IOPS", Item.METADATA_IOPS, configured.iops, note)


def _notes(spec: FileSystemSpec, prices: Prices, region: str, backup: int | None, own_region: bool) -> list[str]:
    notes = []
    if spec.region is None and own_region:
        notes.append(f"no region is named: prices of {HOME_REGION}")
    elif not prices.knows(region):
        notes.append(f"no price of {region} is known: those of {HOME_REGION} stand in, unconfirmed")
    without = _without_backups(spec)
    if backup and without:
        notes.append(f"{without}: --backup-size is not counted for it")
    elif spec.automatic_backup_retention_days and not backup:
        notes.append("automatic backups are on, and not counted: give --backup-size")
    configured = spec.metadata_configuration
    if configured is not None and configured.mode is MetadataMode.AUTOMATIC:
        notes.append("metadata IOPS of mode AUTOMATIC are counted as part of the storage (unconfirmed)")
    return notes


def _without_backups(spec: FileSystemSpec) -> str:
    """Why there can be none; '' where there can
    (https://docs.aws.amazon.com/fsx/latest/LustreGuide/using-backups-fsx.html)."""
    if spec.deployment not in PERSISTENT:
        return f"a {spec.deployment} file system has no backups"
    return "a file system that is linked to a data repository has no backups" if linked(spec) else ""
