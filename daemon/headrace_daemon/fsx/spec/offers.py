"""What AWS offers: each deployment type with each storage type, its sizes, throughput tiers and Lustre versions.

https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html and, for the tiers,
…/API_CreateFileSystemLustreConfiguration.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace_daemon.fsx.spec.model import DeploymentType, FileSystemSpec, StorageType

LUSTRE_VERSIONS: Final = ("2.10", "2.12", "2.15")
LARGEST_INTEGER: Final = 2**31 - 1  # botocore's service model, shape StorageCapacity


@dataclass(frozen=True, slots=True)
class Sizes:
    """first, and every multiple of step up to most."""

    step: int
    first: tuple[int, ...] = ()
    most: int = LARGEST_INTEGER

    def __contains__(self, number: int) -> bool:
        return number in self.first or (0 < number <= self.most and number % self.step == 0)

    def at_least(self, number: int) -> int:
        """The smallest one that is no smaller."""
        multiple = max(-(-number // self.step), 1) * self.step
        return min(size for size in (*self.first, multiple) if size >= number)

    def nearest(self, number: int) -> tuple[int, ...]:
        """The largest one below and the smallest one above."""
        below = min(number, self.most + 1) - 1
        multiple = below // self.step * self.step
        lower = [size for size in (*self.first, multiple) if 0 < size <= below]
        above = max(number, 0)
        upper = [size for size in (*self.first, (above // self.step + 1) * self.step) if above < size <= self.most]
        return (*([max(lower)] if lower else []), *([min(upper)] if upper else []))

    def __str__(self) -> str:
        """1500, 3000, 6000 or a multiple of 12000 up to 192000"""
        # what is a multiple of the step is said by it
        first = ", ".join(str(size) for size in self.first if size % self.step)
        end = f" up to {self.most}" if self.most < LARGEST_INTEGER else ""
        return f"{first}{' or ' if first else ''}a multiple of {self.step}{end}"


@dataclass(frozen=True, slots=True)
class Offer:
    """sizes: of storage_capacity in GiB by tier of per_unit_storage_throughput in MB/s a TiB; the tier None where
    there are no tiers; no sizes where the storage is elastic. efa: the sizes in place of these with EFA."""

    sizes: Mapping[int | None, Sizes]
    efa: Mapping[int | None, Sizes]

    @property
    def tiers(self) -> tuple[int, ...]:
        return tuple(tier for tier in self.sizes if tier is not None)


_SSD: Final = Sizes(2400, (1200,))
# AWS names these as the steps in which a file system with EFA grows. That they hold for a new one too is our reading.
_EFA: Final[Mapping[int | None, Sizes]] = {125: Sizes(38400), 250: Sizes(19200), 500: Sizes(9600), 1000: Sizes(4800)}

OFFERS: Final[Mapping[tuple[DeploymentType, StorageType], Offer]] = {
    (DeploymentType.SCRATCH_1, StorageType.SSD): Offer({None: Sizes(3600, (1200, 2400))}, {}),
    (DeploymentType.SCRATCH_2, StorageType.SSD): Offer({None: _SSD}, {}),
    (DeploymentType.PERSISTENT_1, StorageType.SSD): Offer(dict.fromkeys((50, 100, 200), _SSD), {}),
    (DeploymentType.PERSISTENT_1, StorageType.HDD): Offer({12: Sizes(6000), 40: Sizes(1800)}, {}),
    (DeploymentType.PERSISTENT_2, StorageType.SSD): Offer(dict.fromkeys((125, 250, 500, 1000), _SSD), _EFA),
    (DeploymentType.PERSISTENT_2, StorageType.INTELLIGENT_TIERING): Offer({}, {}),
}

METADATA_IOPS: Final = Sizes(12000, (1500, 3000, 6000), 192_000)
ELASTIC_METADATA_IOPS: Final = (6000, 12000)
THROUGHPUT_UNIT: Final = 4000  # MB/s: what one file server of Intelligent-Tiering brings
THROUGHPUT_CAPACITY: Final = Sizes(THROUGHPUT_UNIT, most=2_000_000)
READ_CACHE_GIB: Final = (32, 131_072)  # for each THROUGHPUT_UNIT

PERSISTENT: Final = (DeploymentType.PERSISTENT_1, DeploymentType.PERSISTENT_2)


def deployments_of(storage: StorageType) -> tuple[DeploymentType, ...]:
    return tuple(deployment for deployment, its in OFFERS if its is storage)


def storages_of(deployment: DeploymentType) -> tuple[StorageType, ...]:
    return tuple(storage for its, storage in OFFERS if its is deployment)


def nearest_of(value: int, allowed: Iterable[int]) -> tuple[int, ...]:
    """The one that is least far from the value, both where two are."""
    values = tuple(allowed)
    least = min((abs(one - value) for one in values), default=0)
    return tuple(one for one in values if abs(one - value) == least)


def versions_of(deployment: DeploymentType, *, with_metadata: bool) -> tuple[str, ...]:
    """The Lustre versions that AWS makes such a file system with."""
    if deployment is not DeploymentType.PERSISTENT_2:
        return LUSTRE_VERSIONS
    return ("2.15",) if with_metadata else ("2.12", "2.15")


def lustre_version(spec: FileSystemSpec) -> str | None:
    """The one in force: as it is said, or AWS's default; None where a backup decides."""
    if spec.file_system_type_version is not None or spec.backup_id is not None:
        return spec.file_system_type_version
    if spec.deployment is not DeploymentType.PERSISTENT_2:
        return "2.10"
    return "2.12" if spec.metadata_configuration is None else "2.15"


def linked(spec: FileSystemSpec) -> bool:
    """Whether it has a data repository, of either kind."""
    return spec.import_path is not None or bool(spec.data_repository_associations)
