"""Rules of size and throughput: which storage there is, how much of it, and how fast."""

from collections.abc import Sequence

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, Found, error, listed, warning
from headrace_daemon.fsx.spec.model import FileSystemSpec, StorageType
from headrace_daemon.fsx.spec.offers import (
    OFFERS,
    THROUGHPUT_CAPACITY,
    Offer,
    Sizes,
    deployments_of,
    nearest_of,
    storages_of,
)

QUOTA_SSD_GIB = 100_800  # of all file systems of one deployment type in an account and region; AWS raises it on request
QUOTA_HDD_GIB = 102_000


def storage_type(spec: FileSystemSpec) -> Found:
    """https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    if (spec.deployment, spec.storage_type) not in OFFERS:
        rule = f"{spec.storage_type} storage is for {listed(deployments_of(spec.storage_type))} alone"
        yield error(
            "storage_type", spec.storage_type, rule, *storages_of(spec.deployment), page=pages.CREATE_FILE_SYSTEM
        )


def storage_capacity(spec: FileSystemSpec) -> Found:
    """GiB. https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""
    field, capacity, page = "storage_capacity", spec.storage_capacity, pages.CREATE_FILE_SYSTEM
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        if capacity is not None:
            rule = "the storage of INTELLIGENT_TIERING grows and shrinks by itself and has no capacity"
            yield error(field, capacity, rule, LEAVE_OUT, page=page)
        return
    choices = _sizes(spec)
    if capacity is None:
        if spec.backup_id is None:
            smallest = min(near for sizes in choices for near in sizes.nearest(0))
            yield error(field, capacity, "a new file system has a storage capacity in GiB", smallest, page=page)
        return
    # of a storage that its deployment does not have, either may be what is meant
    either = choices if _exists(spec) else [*choices, *_sizes_of_deployment(spec)]
    if not any(capacity in sizes for sizes in either):
        yield error(
            field,
            capacity,
            f"the capacity of {_called(spec)} is {' or '.join(str(sizes) for sizes in choices)} GiB",
            *_around(capacity, choices),
            page=pages.GROWING if spec.efa_enabled and _offer(spec).efa else page,
        )
    if spec.backup_id is not None:
        rule = "a file system from a backup has exactly the capacity of the one that was backed up"
        yield warning(field, capacity, rule, LEAVE_OUT, page=pages.FROM_BACKUP)
    yield from _quota(spec, capacity)


def per_unit_storage_throughput(spec: FileSystemSpec) -> Found:
    """MB/s a TiB. https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    field, tier, tiers = "per_unit_storage_throughput", spec.per_unit_storage_throughput, _offer(spec).tiers
    if spec.storage_type is StorageType.INTELLIGENT_TIERING:
        if tier is not None:
            rule = "INTELLIGENT_TIERING has a throughput_capacity, and none for each TiB"
            yield error(field, tier, rule, LEAVE_OUT, page=pages.LUSTRE)
    elif not tiers:
        if tier is not None:
            rule = f"the throughput of {spec.deployment} is fixed: it has no tiers"
            yield error(field, tier, rule, LEAVE_OUT, page=pages.LUSTRE)
    elif tier is None and not _exists(spec):
        return
    elif tier is None:
        yield error(field, tier, f"{_kind(spec)} storage needs its tier in MB/s a TiB", *tiers, page=pages.LUSTRE)
    elif tier not in tiers:
        rule = f"the tiers of {_kind(spec)} storage are {listed(tuple(map(str, tiers)), 'and')} MB/s a TiB"
        yield error(field, tier, rule, *nearest_of(tier, tiers), page=pages.LUSTRE)


def throughput_capacity(spec: FileSystemSpec) -> Found:
    """MB/s. https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html"""
    field, capacity = "throughput_capacity", spec.throughput_capacity
    if spec.storage_type is not StorageType.INTELLIGENT_TIERING:
        if capacity is not None:
            rule = (
                f"only INTELLIGENT_TIERING has a throughput capacity; that of {spec.storage_type} follows from its size"
            )
            yield error(field, capacity, rule, LEAVE_OUT, page=pages.LUSTRE)
    elif capacity is None:
        rule = "INTELLIGENT_TIERING needs its throughput capacity in MB/s"
        yield error(field, capacity, rule, *THROUGHPUT_CAPACITY.nearest(0), page=pages.LUSTRE)
    elif capacity not in THROUGHPUT_CAPACITY:
        rule = f"the throughput capacity is {THROUGHPUT_CAPACITY} MB/s"
        yield error(field, capacity, rule, *THROUGHPUT_CAPACITY.nearest(capacity), page=pages.LUSTRE)


def _offer(spec: FileSystemSpec) -> Offer:
    """What is offered; for a pair that AWS does not have, that of the storage: so its other errors are told, too."""
    kind = (spec.deployment, spec.storage_type)
    return OFFERS[kind if kind in OFFERS else (deployments_of(spec.storage_type)[0], spec.storage_type)]


def _exists(spec: FileSystemSpec) -> bool:
    """Whether AWS has this storage for this deployment."""
    return (spec.deployment, spec.storage_type) in OFFERS


def _sizes_of_deployment(spec: FileSystemSpec) -> list[Sizes]:
    kinds = [(spec.deployment, storage) for storage in storages_of(spec.deployment)]
    return [sizes for kind in kinds for sizes in OFFERS[kind].sizes.values()]


def _sizes(spec: FileSystemSpec) -> Sequence[Sizes]:
    """Those of the tier, or of every tier where it is none of them."""
    offer, tier = _offer(spec), spec.per_unit_storage_throughput
    sizes = offer.efa if spec.efa_enabled and offer.efa else offer.sizes
    return (sizes[tier],) if tier in sizes else tuple(dict.fromkeys(sizes.values()))


def _around(capacity: int, choices: Sequence[Sizes]) -> tuple[int, ...]:
    near = {size for sizes in choices for size in sizes.nearest(capacity)}
    lower, upper = [size for size in near if size < capacity], [size for size in near if size > capacity]
    return (*([max(lower)] if lower else []), *([min(upper)] if upper else []))


def _quota(spec: FileSystemSpec, capacity: int) -> Found:
    hdd = spec.storage_type is StorageType.HDD
    quota = QUOTA_HDD_GIB if hdd else QUOTA_SSD_GIB
    if capacity > quota:
        holders = "an HDD file system" if hdd else f"all {spec.deployment} file systems of an account together"
        rule = f"the quota of {holders} is {quota} GiB until AWS raises it on request"
        yield warning("storage_capacity", capacity, rule, quota, page=pages.QUOTAS)


def _kind(spec: FileSystemSpec) -> str:
    return f"{spec.deployment} {spec.storage_type}"


def _called(spec: FileSystemSpec) -> str:
    if not _exists(spec):
        return f"{spec.storage_type} storage"
    offer, tier = _offer(spec), spec.per_unit_storage_throughput
    efa = " with EFA" if spec.efa_enabled and offer.efa else ""
    # the tier says nothing where all tiers have the same sizes
    told = f" at {tier} MB/s a TiB" if tier in offer.sizes and (efa or len(set(offer.sizes.values())) > 1) else ""
    return f"{_kind(spec)}{efa}{told}"
