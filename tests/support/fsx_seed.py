"""The examples of the document that this project started from (an FSx resource for infrastructure code), as they are
written there, and what AWS says of each today: the table that a test checks and docs/fsx-spec.md shows."""

from typing import Any, Final, NamedTuple

from tests.support.fsx_specs import SUBNET


class Example(NamedTuple):
    """values: those of the document, with an id for its variables. breaks: field -> nearest valid values of every error
    that AWS's rules of today make of it; empty where it is still valid."""

    name: str
    values: dict[str, Any]
    breaks: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - of a tuple, and never changed


class Difference(NamedTuple):
    """What the document says, and what holds."""

    said: str
    holds: str


VALID_THEN: Final = (
    Example("HPC, first", {"storage_capacity": 4800, "deployment_type": "SCRATCH_2"}),
    Example(
        "S3 data lake",
        {
            "storage_capacity": 9600,
            "deployment_type": "PERSISTENT_1",
            "storage_type": "SSD",
            "per_unit_storage_throughput": 500,
            "import_path": "s3://ml-datasets/training",
            "export_path": "s3://ml-datasets/results",
            "auto_import_policy": "NEW_CHANGED",
            "data_compression_type": "LZ4",
        },
        {"per_unit_storage_throughput": ("200",)},
    ),
    Example(
        "containers",
        {
            "storage_capacity": 19200,
            "deployment_type": "PERSISTENT_2",
            "storage_type": "SSD",
            "per_unit_storage_throughput": 1000,
            "automatic_backup_retention_days": 7,
            "kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012",
        },
    ),
    Example(
        "HPC, second",
        {
            "storage_capacity": 28800,
            "deployment_type": "SCRATCH_2",
            "data_compression_type": "LZ4",
            "tags": {"Environment": "hpc", "Purpose": "scratch-workspace"},
        },
    ),
    Example(
        "machine learning",
        {
            "storage_capacity": 19200,
            "deployment_type": "PERSISTENT_1",
            "storage_type": "SSD",
            "per_unit_storage_throughput": 500,
            "import_path": "s3://ml-data/raw",
            "export_path": "s3://ml-data/processed",
            "auto_import_policy": "NEW_CHANGED",
            "automatic_backup_retention_days": 7,
            "weekly_maintenance_start_time": "6:00:00",
        },
        {"per_unit_storage_throughput": ("200",), "automatic_backup_retention_days": ("0",)},
    ),
    Example(
        "rendering",
        {
            "storage_capacity": 48000,
            "deployment_type": "PERSISTENT_1",
            "storage_type": "HDD",
            "per_unit_storage_throughput": 40,
            "drive_cache_type": "READ",
            "import_path": "s3://media-assets/raw",
            "export_path": "s3://media-assets/rendered",
        },
        {"storage_capacity": ("46800", "48600")},
    ),
)

# the document's own default is SCRATCH_2, AWS's SCRATCH_1: its type is named here, so that only what is shown is wrong
REFUSED_THEN: Final = (
    Example(
        "SSD of 5000 GiB",
        {"storage_capacity": 5000, "storage_type": "SSD", "deployment_type": "SCRATCH_2"},
        {"storage_capacity": ("4800", "7200")},
    ),
    Example(
        "HDD of 5000 GiB",
        {
            "storage_capacity": 5000,
            "storage_type": "HDD",
            "deployment_type": "PERSISTENT_1",
            "per_unit_storage_throughput": 12,
            "drive_cache_type": "NONE",
        },
        {"storage_capacity": ("6000",)},
    ),
    Example(
        "throughput of a scratch file system",
        {"storage_capacity": 1200, "deployment_type": "SCRATCH_2", "per_unit_storage_throughput": 200},
        {"per_unit_storage_throughput": ("leave it out",)},
    ),
    Example(
        "a tier that does not exist",
        {
            "storage_capacity": 1200,
            "deployment_type": "PERSISTENT_1",
            "storage_type": "SSD",
            "per_unit_storage_throughput": 300,
        },
        {"per_unit_storage_throughput": ("200",)},
    ),
    Example(
        "a drive cache on SSD",
        {"storage_capacity": 1200, "deployment_type": "SCRATCH_2", "storage_type": "SSD", "drive_cache_type": "READ"},
        {"drive_cache_type": ("leave it out",)},
    ),
    Example(
        "backups of a scratch file system",
        {"storage_capacity": 1200, "deployment_type": "SCRATCH_2", "automatic_backup_retention_days": 7},
        {"automatic_backup_retention_days": ("leave it out",)},
    ),
)

DIFFERENCES: Final = (
    Difference(
        "SSD comes in 1200, 2400, 4800, 9600 … up to 115200 GiB",
        "in 1200 and every multiple of 2400 GiB, so that 7200 and 12000 are valid, too; no limit but the quota is "
        "documented. SCRATCH_1 comes in 1200, 2400 and multiples of 3600; with EFA the steps are larger",
    ),
    Difference("HDD comes in multiples of 6000 GiB", "with 12 MB/s a TiB; with 40 in multiples of 1800"),
    Difference(
        "SSD has the tiers 50, 100, 200, 500 and 1000",
        "PERSISTENT_1 has 50, 100 and 200, PERSISTENT_2 has 125, 250, 500 and 1000",
    ),
    Difference("HDD has the tiers 12 and 40", "so it is, on PERSISTENT_1, and drive_cache_type has to be said"),
    Difference("HDD is also for PERSISTENT_2", "for PERSISTENT_1 alone"),
    Difference("the deployment type is SCRATCH_2 unless it is said", "AWS's own default is SCRATCH_1"),
    Difference("SCRATCH_1 brings 200 MB/s for each 1.2 TB", "200 MB/s a TiB, which is 240 for each 1.2 TiB"),
    Difference("SCRATCH_2 brings 240 MB/s for each 1.2 TB", "so it is for reads from disk; writes have half of it"),
    Difference("a file system that is linked to S3 has automatic backups", "it has none"),
    Difference("several subnets", "exactly one"),
    Difference(
        "nothing of INTELLIGENT_TIERING, EFA, metadata IOPS, Lustre versions, associations, root squash, logs",
        "all are arguments of the file system or beside it",
    ),
)


def with_subnet(example: Example) -> dict[str, Any]:
    return {**example.values, "subnet_ids": [SUBNET]}
