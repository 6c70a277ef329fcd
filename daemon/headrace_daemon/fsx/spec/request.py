"""A specification in the words of the FSx API, as botocore takes them.

https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html
"""

from collections.abc import Mapping
from typing import Any

from headrace_daemon.fsx.spec.model import AssociationS3, AssociationSpec, EventPolicy, FileSystemSpec


def create_request(spec: FileSystemSpec, token: str) -> dict[str, Any]:
    """The parameters of CreateFileSystem, or of CreateFileSystemFromBackup where it has a backup_id: what was not said
    is not sent. token: the same one makes the same file system. The specification has to be valid."""
    request = {
        "ClientRequestToken": token,
        # from a backup there is no choice
        "FileSystemType": "LUSTRE" if spec.backup_id is None else None,
        "BackupId": spec.backup_id,
        "StorageCapacity": spec.storage_capacity,
        "StorageType": str(spec.storage_type),
        "SubnetIds": list(spec.subnet_ids),
        "SecurityGroupIds": list(spec.security_group_ids) or None,
        "Tags": _tags({"Name": spec.name, **spec.tags}),
        "KmsKeyId": spec.kms_key_id,
        "FileSystemTypeVersion": spec.file_system_type_version,
        "LustreConfiguration": _lustre(spec) or None,
    }
    return _said(request)


def association_request(association: AssociationSpec, file_system_id: str, token: str) -> dict[str, Any]:
    """The parameters of CreateDataRepositoryAssociation; as create_request(). delete_data_in_filesystem is of the
    deletion, and not of them."""
    request = {
        "ClientRequestToken": token,
        "FileSystemId": file_system_id,
        "FileSystemPath": association.file_system_path,
        "DataRepositoryPath": association.data_repository_path,
        "BatchImportMetaDataOnCreate": association.batch_import_meta_data_on_create,
        "ImportedFileChunkSize": association.imported_file_chunk_size,
        "S3": _s3(association.s3) or None if association.s3 is not None else None,
        "Tags": _tags(association.tags) or None,
    }
    return _said(request)


def _lustre(spec: FileSystemSpec) -> dict[str, Any]:
    metadata, squash = spec.metadata_configuration, spec.root_squash_configuration
    cache, logs = spec.data_read_cache_configuration, spec.log_configuration
    configuration = {
        "DeploymentType": spec.deployment_type,
        "PerUnitStorageThroughput": spec.per_unit_storage_throughput,
        "ThroughputCapacity": spec.throughput_capacity,
        "DriveCacheType": spec.drive_cache_type,
        "DataCompressionType": spec.data_compression_type,
        "EfaEnabled": spec.efa_enabled,
        "MetadataConfiguration": metadata and _said({"Mode": metadata.mode, "Iops": metadata.iops}),
        "DataReadCacheConfiguration": cache and _said({"SizingMode": cache.sizing_mode, "SizeGiB": cache.size}),
        "RootSquashConfiguration": squash
        and (_said({"RootSquash": squash.root_squash, "NoSquashNids": list(squash.no_squash_nids) or None}) or None),
        "LogConfiguration": logs and _said({"Level": logs.level, "Destination": logs.destination}),
        "WeeklyMaintenanceStartTime": spec.weekly_maintenance_start_time,
        "AutomaticBackupRetentionDays": spec.automatic_backup_retention_days,
        "DailyAutomaticBackupStartTime": spec.daily_automatic_backup_start_time,
        "CopyTagsToBackups": spec.copy_tags_to_backups,
        "ImportPath": spec.import_path,
        "ExportPath": spec.export_path,
        "AutoImportPolicy": spec.auto_import_policy,
        "ImportedFileChunkSize": spec.imported_file_chunk_size,
    }
    return _said(configuration)


def _s3(given: AssociationS3) -> dict[str, Any]:
    return _said(
        {"AutoImportPolicy": _events(given.auto_import_policy), "AutoExportPolicy": _events(given.auto_export_policy)}
    )


def _events(policy: EventPolicy | None) -> dict[str, Any] | None:
    """None for a policy of no events: it is the same as none, and AWS does not say what it does with an empty list."""
    return {"Events": [str(event) for event in policy.events]} if policy is not None and policy.events else None


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None; enumerations as plain text, which is what JSON and logs show."""
    return {key: str(value) if isinstance(value, str) else value for key, value in values.items() if value is not None}
