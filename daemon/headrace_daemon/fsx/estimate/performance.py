"""How fast a file system is, by AWS's tables: a pure function from the specification to figures.

Throughput in MB/s (1 MB = 1,000,000 bytes) of the whole file system. AWS counts 2400 GiB as 2.4 TiB ("a 2.4-TiB file
system, 50 MB/s/TiB … yields 120 MB/s", API reference): `Figure.value` follows it, `Figure.exact` divides by 1024
instead. A figure that AWS does not document is None, and is never guessed.
"""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import ceil
from typing import Final

from headrace_daemon.fsx.estimate.tables import CACHED, TABLE, PerTiB
from headrace_daemon.fsx.spec.model import (
    DriveCacheType,
    FileSystemSpec,
    MetadataMode,
    ReadCacheMode,
    StorageType,
)

GUIDE: Final = "https://docs.aws.amazon.com/fsx/latest/LustreGuide"
API: Final = "https://docs.aws.amazon.com/fsx/latest/APIReference"
TABLES_PAGE: Final = f"{GUIDE}/ssd-storage.html"
CLIENTS_PAGE: Final = f"{GUIDE}/performance.html"
TIERING_PAGE: Final = f"{GUIDE}/intelligent-tiering-file-systems.html"
METADATA_PAGE: Final = f"{GUIDE}/managing-metadata-performance.html"
CREATE_PAGE: Final = f"{API}/API_CreateFileSystemLustreConfiguration.html"
CACHE_PAGE: Final = f"{API}/API_LustreReadCacheConfiguration.html"

MB_PER_GBIT: Final = 125.0  # MB/s in one Gbit/s
_SSD_TARGET: Final = 1200  # GiB of one object storage target
_CLIENT_GBITS: Final = 100
_EFA_GBITS: Final = 700
_SERVER_GBITS: Final = 5
_CACHE_SHARE: Final = 0.2  # of the capacity of an HDD file system
_MOST_METADATA_IOPS: Final = 192_000
_SSD, _HDD = StorageType.SSD, StorageType.HDD


class Evidence(StrEnum):
    """How a figure is known."""

    DOCUMENTED = "documented"  # AWS says so
    THIRD_PARTY = "third party"  # others say so, some of them quoting AWS
    UNCONFIRMED = "unconfirmed"  # AWS says something, and what it means for this figure is our reading
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, with where it is from. value: as AWS counts, None where it is not documented. exact: with TiB of 1024
    GiB, None where that makes no difference."""

    value: float | None
    unit: str
    evidence: Evidence
    page: str
    exact: float | None = None
    note: str = ""


_AUTOMATIC_IOPS: Final = ((1200, 1500), (2400, 3000), (9600, 6000), (45600, 12_000))
"""Up to so many GiB, so many metadata IOPS; from 48,000 GiB on 12,000 for every 24,000 GiB."""


@dataclass(frozen=True, slots=True)
class Performance:
    """All that is known of one file system's speed. The field names are those of --json."""

    disk_read: Figure
    disk_read_burst: Figure
    disk_write: Figure
    disk_write_burst: Figure
    network: Figure
    network_burst: Figure
    ram_cache: Figure
    read_cache: Figure
    cached_read: Figure
    cached_read_burst: Figure
    metadata_iops: Figure
    targets: Figure
    client_network: Figure
    client_server: Figure

    @property
    def read(self) -> float | None:
        """What all clients together read for as long as they want, MB/s: the lower of disk and network. None where the
        disks have no figure; a network that has none is taken for the faster of the two."""
        return _together(self.disk_read.value, self.network.value)

    @property
    def write(self) -> float | None:
        return _together(self.disk_write.value, self.network.value)

    @property
    def read_burst(self) -> float | None:
        """While credits last; as the baseline where no burst is documented."""
        return _together(_burst(self.disk_read_burst, self.disk_read), _burst(self.network_burst, self.network))

    @property
    def write_burst(self) -> float | None:
        return _together(_burst(self.disk_write_burst, self.disk_write), _burst(self.network_burst, self.network))

    def figures(self) -> dict[str, Figure]:
        """Each by its name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def performance(spec: FileSystemSpec) -> Performance:
    """The figures of a valid specification. Raises ValueError where they cannot be told."""
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        return _tiering(spec)
    row = TABLE.get((spec.deployment, spec.storage_type, spec.per_unit_storage_throughput))
    if row is None:
        raise ValueError("no table has this combination of deployment type, storage type and throughput")
    if spec.storage_capacity is None:
        raise ValueError("storage_capacity is not set, and that of a backup is not known here")
    capacity = spec.storage_capacity
    cached, cached_burst = _cached(spec, row, capacity)
    return Performance(
        disk_read=_rate(row.disk_read, capacity, "reading and writing together" if row.shared else ""),
        disk_read_burst=_rate(row.disk_read_burst, capacity),
        disk_write=_disk_write(row, capacity),
        disk_write_burst=_rate(row.disk_write_burst, capacity),
        network=_rate(row.network, capacity),
        network_burst=_rate(row.network_burst, capacity, row.network_note),
        ram_cache=_scaled(row.ram, capacity, "GiB"),
        read_cache=_drive_cache(spec, capacity),
        cached_read=cached,
        cached_read_burst=cached_burst,
        metadata_iops=_metadata_iops(spec),
        targets=_targets(spec, capacity),
        client_network=_client_network(spec),
        client_server=_client_server(),
    )


def automatic_iops(capacity: int) -> int:
    """Metadata IOPS of mode AUTOMATIC; capacity in GiB. Third parties, quoting METADATA_PAGE."""
    for most, iops in _AUTOMATIC_IOPS:
        if capacity <= most:
            return iops
    return min(max(capacity // 24_000, 1) * 12_000, _MOST_METADATA_IOPS)


def lowest(*rates: float | None) -> float | None:
    """The lowest of those that are known; None where none is."""
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None


def _together(disk: float | None, network: float | None) -> float | None:
    return None if disk is None else lowest(disk, network)


def _burst(burst: Figure, base: Figure) -> float | None:
    return burst.value if burst.value is not None else base.value


def _scaled(per_tib: float | None, gib: float, unit: str, note: str = "") -> Figure:
    if per_tib is None:
        return Figure(None, unit, Evidence.UNKNOWN, TABLES_PAGE, note=note)
    nominal, exact = per_tib * gib / 1000, per_tib * gib / 1024
    return Figure(nominal, unit, Evidence.DOCUMENTED, TABLES_PAGE, exact, note)


def _rate(per_tib: float | None, gib: float, note: str = "") -> Figure:
    return _scaled(per_tib, gib, "MB/s", note)


def _disk_write(row: PerTiB, capacity: int) -> Figure:
    figure = _rate(row.disk_write, capacity)
    if not row.shared:
        return figure
    return replace(figure, evidence=Evidence.UNCONFIRMED, note="at most, within the same total as reading")


def _cached(spec: FileSystemSpec, row: PerTiB, capacity: int) -> tuple[Figure, Figure]:
    """What is read from caches, baseline and burst: from RAM as fast as the network, from an SSD cache of HDDs as fast
    as that."""
    ssd = CACHED.get(spec.per_unit_storage_throughput or 0)
    if spec.storage_type is _HDD and spec.drive_cache_type is DriveCacheType.READ and ssd is not None:
        cache, note = capacity * _CACHE_SHARE, "from the SSD cache, AWS's figure read as one a TiB of cache"
        burst_note = "from RAM; how far the SSD bursts is not documented"
        base, burst = _rate(min(ssd.network, ssd.disk), cache, note), _rate(ssd.network_burst, cache, burst_note)
        return replace(base, evidence=Evidence.UNCONFIRMED), replace(burst, evidence=Evidence.UNCONFIRMED)
    note = "from RAM"
    return _rate(row.network, capacity, note), _rate(row.network_burst, capacity, note)


def _drive_cache(spec: FileSystemSpec, capacity: int) -> Figure:
    if spec.storage_type is _HDD and spec.drive_cache_type is DriveCacheType.READ:
        return Figure(
            capacity * _CACHE_SHARE, "GiB", Evidence.DOCUMENTED, CREATE_PAGE, note="SSD, 20 % of the capacity"
        )
    return Figure(0, "GiB", Evidence.DOCUMENTED, CREATE_PAGE)


def _metadata_iops(spec: FileSystemSpec) -> Figure:
    configured = spec.metadata_configuration
    if configured is None:
        return Figure(None, "IOPS", Evidence.DOCUMENTED, METADATA_PAGE, note="not provisioned apart")
    if configured.mode is MetadataMode.USER_PROVISIONED:
        iops = float(configured.iops) if configured.iops is not None else None
        return Figure(iops, "IOPS", Evidence.DOCUMENTED, METADATA_PAGE, note="USER_PROVISIONED")
    iops = automatic_iops(spec.storage_capacity or 0)
    return Figure(iops, "IOPS", Evidence.THIRD_PARTY, METADATA_PAGE, note="AUTOMATIC")


def _targets(spec: FileSystemSpec, capacity: int) -> Figure:
    if spec.storage_type is not _SSD:
        return Figure(None, "OSTs", Evidence.UNKNOWN, CLIENTS_PAGE)
    note = "estimate: about 1.2 TiB each"
    return Figure(ceil(capacity / _SSD_TARGET), "OSTs", Evidence.THIRD_PARTY, CLIENTS_PAGE, note=note)


def _client_network(spec: FileSystemSpec) -> Figure:
    gbits, note = (_EFA_GBITS, "1200 with GPUDirect Storage") if spec.efa_enabled else (_CLIENT_GBITS, "")
    return Figure(gbits, "Gbit/s", Evidence.THIRD_PARTY, CLIENTS_PAGE, note=note)


def _client_server() -> Figure:
    note = "between one client and one object storage server"
    return Figure(_SERVER_GBITS, "Gbit/s", Evidence.THIRD_PARTY, CLIENTS_PAGE, note=note)


def _tiering(spec: FileSystemSpec) -> Performance:
    """Of a file system whose throughput is bought by itself. Neither its disks nor its network have documented figures;
    more than what was bought cannot pass."""
    if spec.throughput_capacity is None:
        raise ValueError("Intelligent-Tiering without throughput_capacity")
    unknown = Figure(None, "MB/s", Evidence.UNKNOWN, TIERING_PAGE)
    provisioned = Figure(
        spec.throughput_capacity,
        "MB/s",
        Evidence.UNCONFIRMED,
        CREATE_PAGE,
        note="at most: the throughput capacity as provisioned",
    )
    return Performance(
        disk_read=unknown,
        disk_read_burst=unknown,
        disk_write=unknown,
        disk_write_burst=unknown,
        network=provisioned,
        network_burst=unknown,
        ram_cache=Figure(None, "GiB", Evidence.UNKNOWN, TIERING_PAGE),
        read_cache=_tiering_cache(spec),
        cached_read=unknown,
        cached_read_burst=unknown,
        metadata_iops=_metadata_iops(spec),
        targets=Figure(None, "OSTs", Evidence.UNKNOWN, CLIENTS_PAGE),
        client_network=_client_network(spec),
        client_server=_client_server(),
    )


def _tiering_cache(spec: FileSystemSpec) -> Figure:
    configured = spec.data_read_cache_configuration
    if configured is None or configured.sizing_mode is ReadCacheMode.NO_CACHE:
        return Figure(0, "GiB", Evidence.DOCUMENTED, CACHE_PAGE)
    if configured.sizing_mode is ReadCacheMode.USER_PROVISIONED:
        return Figure(configured.size, "GiB", Evidence.DOCUMENTED, CACHE_PAGE, note="SSD, USER_PROVISIONED")
    return Figure(None, "GiB", Evidence.UNKNOWN, CACHE_PAGE, note="SSD, in proportion to the throughput capacity")
