"""An FSx for Lustre file system and its data repository associations, as they are written down: typed, in Terraform's
names (https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/fsx_lustre_file_system).

The model holds anything of the right type. Which combinations AWS takes is in `rules`; `spec_source` reads TOML and
flags and tells all that is wrong at once; `request` words it for the API.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, Strict

# a file that says true, 1.0 or "1" where a number belongs means something else, and AWS would be asked for that
Whole = Annotated[int, Strict()]
Truth = Annotated[bool, Strict()]


class DeploymentType(StrEnum):
    SCRATCH_1 = "SCRATCH_1"
    SCRATCH_2 = "SCRATCH_2"
    PERSISTENT_1 = "PERSISTENT_1"
    PERSISTENT_2 = "PERSISTENT_2"


class StorageType(StrEnum):
    SSD = "SSD"
    HDD = "HDD"
    INTELLIGENT_TIERING = "INTELLIGENT_TIERING"


class DriveCacheType(StrEnum):
    NONE = "NONE"
    READ = "READ"


class DataCompressionType(StrEnum):
    NONE = "NONE"
    LZ4 = "LZ4"


class AutoImportPolicy(StrEnum):
    """Of a file system; an association has events."""

    NONE = "NONE"
    NEW = "NEW"
    NEW_CHANGED = "NEW_CHANGED"
    NEW_CHANGED_DELETED = "NEW_CHANGED_DELETED"


class Event(StrEnum):
    """Of an association's automatic import or export."""

    NEW = "NEW"
    CHANGED = "CHANGED"
    DELETED = "DELETED"


class MetadataMode(StrEnum):
    AUTOMATIC = "AUTOMATIC"
    USER_PROVISIONED = "USER_PROVISIONED"


class ReadCacheMode(StrEnum):
    NO_CACHE = "NO_CACHE"
    USER_PROVISIONED = "USER_PROVISIONED"
    PROPORTIONAL_TO_THROUGHPUT_CAPACITY = "PROPORTIONAL_TO_THROUGHPUT_CAPACITY"


class LogLevel(StrEnum):
    DISABLED = "DISABLED"
    WARN_ONLY = "WARN_ONLY"
    ERROR_ONLY = "ERROR_ONLY"
    WARN_ERROR = "WARN_ERROR"


class _Block(BaseModel):
    """Frozen, and no key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MetadataConfiguration(_Block):
    mode: MetadataMode
    iops: Whole | None = None


class RootSquashConfiguration(_Block):
    root_squash: str | None = None  # UID:GID
    no_squash_nids: tuple[str, ...] = ()


class LogConfiguration(_Block):
    level: LogLevel
    destination: str | None = None  # ARN of a log group; default: /aws/fsx/lustre


class DataReadCacheConfiguration(_Block):
    sizing_mode: ReadCacheMode
    size: Whole | None = None  # GiB


class EventPolicy(_Block):
    events: tuple[Event, ...] = ()


class AssociationS3(_Block):
    auto_import_policy: EventPolicy | None = None
    auto_export_policy: EventPolicy | None = None


class Timeouts(_Block):
    """How long Terraform waits for the resource; nothing that AWS is told."""

    create: str | None = None  # as Terraform writes durations: 30m, 1h30m
    update: str | None = None
    delete: str | None = None


class AssociationSpec(_Block):
    """aws_fsx_data_repository_association, without the file system's id, which is not known before it exists."""

    file_system_path: str  # /, or /ns1
    data_repository_path: str  # s3://bucket/prefix/
    batch_import_meta_data_on_create: Truth = False
    imported_file_chunk_size: Whole | None = None  # MiB
    delete_data_in_filesystem: Truth = False  # when the association is deleted
    s3: AssociationS3 | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    timeouts: Timeouts | None = None


class FileSystemSpec(_Block):
    """aws_fsx_lustre_file_system. None is what was not said, and is not sent.

    name: of the Terraform resource and of the tag Name. storage_capacity in GiB, per_unit_storage_throughput in MB/s a
    TiB, throughput_capacity in MB/s.
    """

    name: str = "lustre"
    region: str | None = None
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    deployment_type: DeploymentType | None = None  # the API's default is SCRATCH_1
    storage_type: StorageType = StorageType.SSD
    storage_capacity: Whole | None = None
    per_unit_storage_throughput: Whole | None = None
    throughput_capacity: Whole | None = None
    file_system_type_version: str | None = None  # of Lustre: 2.10, 2.12, 2.15
    data_compression_type: DataCompressionType | None = None
    drive_cache_type: DriveCacheType | None = None
    efa_enabled: Truth | None = None
    metadata_configuration: MetadataConfiguration | None = None
    data_read_cache_configuration: DataReadCacheConfiguration | None = None
    root_squash_configuration: RootSquashConfiguration | None = None
    log_configuration: LogConfiguration | None = None
    kms_key_id: str | None = None
    weekly_maintenance_start_time: str | None = None  # d:HH:MM, 1 is Monday, UTC
    automatic_backup_retention_days: Whole | None = None
    daily_automatic_backup_start_time: str | None = None  # HH:MM, UTC
    copy_tags_to_backups: Truth | None = None
    backup_id: str | None = None
    skip_final_backup: Truth | None = None
    final_backup_tags: dict[str, str] = Field(default_factory=dict)
    import_path: str | None = None
    export_path: str | None = None
    auto_import_policy: AutoImportPolicy | None = None
    imported_file_chunk_size: Whole | None = None  # MiB
    tags: dict[str, str] = Field(default_factory=dict)
    timeouts: Timeouts | None = None
    data_repository_associations: tuple[AssociationSpec, ...] = ()

    @property
    def deployment(self) -> DeploymentType:
        """The one in force."""
        return self.deployment_type or API_DEFAULT_DEPLOYMENT


API_DEFAULT_DEPLOYMENT: Final = DeploymentType.SCRATCH_1
"""What CreateFileSystem makes where no type is named (API reference, CreateFileSystemLustreConfiguration)."""
