"""How fast a file system is, by AWS's tables: a pure function from the specification to figures.

Throughput in MB/s (1 MB = 1,000,000 bytes) of the whole file system. AWS counts 2400 GiB as 2.4 TiB ("a 2.4-TiB file
system, 50 MB/s/TiB … yields 120 MB/s", API reference): `Figure.value` follows it, `Figure.exact` divides by 1024
instead. A figure that AWS does not document is None, and is never guessed.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from math import ceil
from typing import Final

from headrace_daemon.fsx.spec.model import (
    DeploymentType,
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


class Evidence(StrEnum):
    """How a figure is known."""

    DOCUMENTED = "documented"  # AWS says so
    THIRD_PARTY = "third party"  # others say so, some of them quoting AWS
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


@dataclass(frozen=True, slots=True)
class PerTiB:
    """A row of AWS's tables, MB/s a TiB of storage, and GiB of RAM a TiB; None is what the row does not say.

    network_note: what a footnote of the row adds.
    """

    disk_read: float
    disk_write: float
    disk_read_burst: float | None
    disk_write_burst: float | None
    network: float | None
    network_burst: float | None
    ram: float | None
    network_note: str = ""


@dataclass(frozen=True, slots=True)
class CachedPerTiB:
    """What is read out of the SSD cache of an HDD file system, MB/s a TiB of cache."""

    network: float
    network_burst: float
    disk: float


_SOME_REGIONS: Final = "530 MB/s a TiB in some Regions"
_SSD, _HDD = StorageType.SSD, StorageType.HDD
_S1, _S2 = DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2
_P1, _P2 = DeploymentType.PERSISTENT_1, DeploymentType.PERSISTENT_2

TABLE: Final[dict[tuple[DeploymentType, StorageType, int | None], PerTiB]] = {
    (_S1, _SSD, None): PerTiB(200, 200, None, None, None, None, None),
    (_S2, _SSD, None): PerTiB(200, 100, None, None, 200, 1300, 6.7),
    (_P1, _SSD, 50): PerTiB(50, 50, 240, 240, 250, 1300, 2.2, _SOME_REGIONS),
    (_P1, _SSD, 100): PerTiB(100, 100, 240, 240, 500, 1300, 4.4, _SOME_REGIONS),
    (_P1, _SSD, 200): PerTiB(200, 200, 240, 240, 750, 1300, 8.8, _SOME_REGIONS),
    (_P1, _HDD, 12): PerTiB(12, 12, 80, 50, 40, 375, 0.4),
    (_P1, _HDD, 40): PerTiB(40, 40, 250, 150, 150, 1300, None, _SOME_REGIONS),
    (_P2, _SSD, 125): PerTiB(125, 125, 500, 500, 320, 1300, 3.4),
    (_P2, _SSD, 250): PerTiB(250, 250, 500, 500, 640, 1300, 6.8),
    (_P2, _SSD, 500): PerTiB(500, 500, None, None, 1300, None, 13.7),
    (_P2, _SSD, 1000): PerTiB(1000, 1000, None, None, 2600, None, 27.3),
}
"""By deployment type, storage type and tier (TABLES_PAGE)."""

# the page gives these a TiB of cache: a fifth of them are the rows of the storage itself
_CACHED: Final = {12: CachedPerTiB(200, 1900, 200), 40: CachedPerTiB(750, 6500, 200)}

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
        """What all clients together read for as long as they want, MB/s: the lower of disk and network."""
        return lowest(self.disk_read.value, self.network.value)

    @property
    def write(self) -> float | None:
        return lowest(self.disk_write.value, self.network.value)

    @property
    def read_burst(self) -> float | None:
        """While credits last; as the baseline where no burst is documented."""
        return lowest(_burst(self.disk_read_burst, self.disk_read), _burst(self.network_burst, self.network))

    @property
    def write_burst(self) -> float | None:
        return lowest(_burst(self.disk_write_burst, self.disk_write), _burst(self.network_burst, self.network))

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
    disk_note = "reading and writing together" if spec.deployment is _S1 else ""
    cached, cached_burst = _cached(spec, row, capacity)
    return Performance(
        disk_read=_rate(row.disk_read, capacity, disk_note),
        disk_read_burst=_rate(row.disk_read_burst, capacity),
        disk_write=_rate(row.disk_write, capacity, disk_note),
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


def _burst(burst: Figure, base: Figure) -> float | None:
    return burst.value if burst.value is not None else base.value


def _scaled(per_tib: float | None, gib: float, unit: str, note: str = "") -> Figure:
    if per_tib is None:
        return Figure(None, unit, Evidence.UNKNOWN, TABLES_PAGE, note=note)
    nominal, exact = per_tib * gib / 1000, per_tib * gib / 1024
    return Figure(nominal, unit, Evidence.DOCUMENTED, TABLES_PAGE, exact, note)


def _rate(per_tib: float | None, gib: float, note: str = "") -> Figure:
    return _scaled(per_tib, gib, "MB/s", note)


def _cached(spec: FileSystemSpec, row: PerTiB, capacity: int) -> tuple[Figure, Figure]:
    """What is read from caches, baseline and burst: from RAM as fast as the network, from an SSD cache of HDDs as fast
    as that."""
    ssd = _CACHED.get(spec.per_unit_storage_throughput or 0)
    if spec.storage_type is _HDD and spec.drive_cache_type is DriveCacheType.READ and ssd is not None:
        cache, note = capacity * _CACHE_SHARE, "from the SSD cache, in which network and disk are the limits"
        base = _rate(min(ssd.network, ssd.disk), cache, note)
        return base, _rate(ssd.network_burst, cache, "from RAM; how far the SSD bursts is not documented")
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
    """Of a file system whose throughput is bought by itself. Its disks have no documented figures."""
    if spec.throughput_capacity is None:
        raise ValueError("Intelligent-Tiering without throughput_capacity")
    unknown = Figure(None, "MB/s", Evidence.UNKNOWN, TIERING_PAGE)
    provisioned = Figure(
        spec.throughput_capacity,
        "MB/s",
        Evidence.DOCUMENTED,
        CREATE_PAGE,
        note="the throughput capacity as provisioned",
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
