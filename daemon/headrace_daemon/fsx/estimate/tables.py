"""AWS's tables of throughput, row by row: MB/s (1 MB = 1,000,000 bytes) a TiB of storage, and GiB of RAM a TiB.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/ssd-storage.html
"""

from dataclasses import dataclass
from typing import Final

from headrace_daemon.fsx.spec.model import DeploymentType, StorageType


@dataclass(frozen=True, slots=True)
class PerTiB:
    """One row; None is what it does not say. network_note: what a footnote of it adds. shared: the one figure of the
    disks is for reading and writing together."""

    disk_read: float
    disk_write: float
    disk_read_burst: float | None
    disk_write_burst: float | None
    network: float | None
    network_burst: float | None
    ram: float | None
    network_note: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class CachedPerTiB:
    """What is read out of the SSD cache of an HDD file system. Taken for figures a TiB of cache, which is a fifth of
    the storage: of the two readings the one that promises less."""

    network: float
    network_burst: float
    disk: float


_SOME_REGIONS: Final = "530 MB/s a TiB in some Regions"
_SSD, _HDD = StorageType.SSD, StorageType.HDD
_S1, _S2 = DeploymentType.SCRATCH_1, DeploymentType.SCRATCH_2
_P1, _P2 = DeploymentType.PERSISTENT_1, DeploymentType.PERSISTENT_2

TABLE: Final[dict[tuple[DeploymentType, StorageType, int | None], PerTiB]] = {
    (_S1, _SSD, None): PerTiB(200, 200, None, None, None, None, None, shared=True),
    (_S2, _SSD, None): PerTiB(200, 100, None, None, 200, 1300, 6.7),
    (_P1, _SSD, 50): PerTiB(50, 50, 240, 240, 250, 1300, 2.2, _SOME_REGIONS),
    (_P1, _SSD, 100): PerTiB(100, 100, 240, 240, 500, 1300, 4.4, _SOME_REGIONS),
    (_P1, _SSD, 200): PerTiB(200, 200, 240, 240, 750, 1300, 8.8, _SOME_REGIONS),
    (_P1, _HDD, 12): PerTiB(12, 12, 80, 50, 40, 375, None, _SOME_REGIONS),
    (_P1, _HDD, 40): PerTiB(40, 40, 250, 150, 150, 1300, None, _SOME_REGIONS),
    (_P2, _SSD, 125): PerTiB(125, 125, 500, 500, 320, 1300, 3.4),
    (_P2, _SSD, 250): PerTiB(250, 250, 500, 500, 640, 1300, 6.8),
    (_P2, _SSD, 500): PerTiB(500, 500, None, None, 1300, None, 13.7),
    (_P2, _SSD, 1000): PerTiB(1000, 1000, None, None, 2600, None, 27.3),
}
"""By deployment type, storage type and tier."""

CACHED: Final = {12: CachedPerTiB(200, 1900, 200), 40: CachedPerTiB(750, 6500, 200)}
"""By tier."""
