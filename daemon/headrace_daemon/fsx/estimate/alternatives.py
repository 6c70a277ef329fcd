"""The kinds of file systems there are, and the sizes that each comes in."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from headrace_daemon.fsx.estimate.tables import TABLE
from headrace_daemon.fsx.spec.model import (
    DataReadCacheConfiguration,
    DeploymentType,
    DriveCacheType,
    FileSystemSpec,
    MetadataConfiguration,
    MetadataMode,
    ReadCacheMode,
    StorageType,
)
from headrace_daemon.fsx.spec.offers import OFFERS, THROUGHPUT_CAPACITY, THROUGHPUT_UNIT

_TIERING_METADATA_IOPS: Final = 6000
_VERSION: Final = "2.15"
"""Of Lustre: the newest, with which every kind that can have data repository associations may have them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is chosen before the size. tier: MB/s a TiB, None where there is no choice."""

    deployment: DeploymentType
    storage: StorageType
    tier: int | None


KINDS: Final = tuple(Kind(*row) for row in TABLE)
"""Those that are sized by capacity."""


def next_capacity(kind: Kind, least: float) -> int:
    """The smallest valid capacity of at least so many GiB (CreateFileSystem, StorageCapacity)."""
    needed = ceil(round(least, 6))  # what a division left of a whole number is no GiB more
    return OFFERS[kind.deployment, kind.storage].sizes[kind.tier].at_least(needed)


def sized(kind: Kind, capacity: int, region: str | None = None) -> FileSystemSpec:
    """A plain one of such a capacity, in GiB."""
    words = (kind.deployment.lower().replace("_", "-"), kind.storage.lower() if kind.tier else "", kind.tier, capacity)
    metadata = None
    if kind.deployment is DeploymentType.PERSISTENT_2:
        metadata = MetadataConfiguration(mode=MetadataMode.AUTOMATIC)
    return FileSystemSpec(
        name="-".join(str(word) for word in words if word),
        region=region,
        deployment_type=kind.deployment,
        storage_type=kind.storage,
        storage_capacity=capacity,
        per_unit_storage_throughput=kind.tier,
        file_system_type_version=_VERSION,
        drive_cache_type=DriveCacheType.NONE if kind.storage is StorageType.HDD else None,
        metadata_configuration=metadata,
        automatic_backup_retention_days=_retention(kind.deployment),
    )


def tiering(throughput: int, region: str | None = None) -> FileSystemSpec:
    """An Intelligent-Tiering one of so many MB/s, without an SSD read cache."""
    return FileSystemSpec(
        name=f"tiering-{throughput}",
        region=region,
        deployment_type=DeploymentType.PERSISTENT_2,
        storage_type=StorageType.INTELLIGENT_TIERING,
        throughput_capacity=throughput,
        file_system_type_version=_VERSION,
        metadata_configuration=MetadataConfiguration(mode=MetadataMode.USER_PROVISIONED, iops=_TIERING_METADATA_IOPS),
        automatic_backup_retention_days=0,
        data_read_cache_configuration=DataReadCacheConfiguration(sizing_mode=ReadCacheMode.NO_CACHE),
    )


def _retention(deployment: DeploymentType) -> int | None:
    """No automatic backups, said explicitly where there could be some: AWS documents two defaults, 0 and 30 days."""
    return 0 if deployment in (DeploymentType.PERSISTENT_1, DeploymentType.PERSISTENT_2) else None


def siblings(spec: FileSystemSpec) -> list[FileSystemSpec]:
    """The other tiers of its deployment and storage type, in the next capacity that they come in; where there is only
    one, all other kinds on SSD."""
    if spec.storage_type is StorageType.INTELLIGENT_TIERING or spec.storage_capacity is None:
        own = spec.throughput_capacity or THROUGHPUT_UNIT
        first = max(own - THROUGHPUT_UNIT, THROUGHPUT_UNIT)
        rates = range(first, first + 4 * THROUGHPUT_UNIT, THROUGHPUT_UNIT)
        return [tiering(rate, spec.region) for rate in rates if rate != own and rate <= THROUGHPUT_CAPACITY.most]
    mine = Kind(spec.deployment, spec.storage_type, spec.per_unit_storage_throughput)
    alike = [kind for kind in KINDS if (kind.deployment, kind.storage) == (mine.deployment, mine.storage)]
    if len(alike) < 2:
        alike = [kind for kind in KINDS if kind.storage is StorageType.SSD]
    return [sized(kind, next_capacity(kind, spec.storage_capacity), spec.region) for kind in alike if kind != mine]
