"""What the rules call valid, botocore takes: its types, and the patterns and bounds of the service model."""

from typing import Any

import pytest
from hypothesis import given, settings

from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.request import association_request, create_request
from headrace_daemon.fsx.spec.rules import check, errors
from tests.support.fsx_specs import ARN, SUBNET, plain, spec_of, spoilt_values, valid_values
from tests.support.service_model import problems

FILE_SYSTEM = "fs-0123456789abcdef0"


def refusals(spec: FileSystemSpec) -> list[str]:
    """What botocore's model says of the requests that make it and its associations."""
    operation = "CreateFileSystem" if spec.backup_id is None else "CreateFileSystemFromBackup"
    found = problems("fsx", operation, create_request(spec, "token-1"))
    for association in spec.data_repository_associations:
        request = association_request(association, FILE_SYSTEM, "token-2")
        found += problems("fsx", "CreateDataRepositoryAssociation", request)
    return found


@settings(max_examples=150)
@given(valid_values())
def test_what_is_built_from_the_documentation_breaks_no_rule_and_botocore_takes_it(values: dict[str, Any]) -> None:
    spec = spec_of(values)
    assert errors(check(spec)) == []
    assert refusals(spec) == []


@settings(max_examples=500)
@given(spoilt_values())
def test_whatever_no_rule_refuses_botocore_takes(values: dict[str, Any]) -> None:
    spec = spec_of(values)
    if not errors(check(spec)):
        assert refusals(spec) == []


def test_everything_that_can_be_said_is_in_the_request() -> None:
    values = plain(
        "PERSISTENT_2",
        name="climate",
        storage_capacity=38400,
        security_group_ids=["sg-0123456789abcdef0"],
        file_system_type_version="2.15",
        data_compression_type="LZ4",
        efa_enabled=True,
        metadata_configuration={"mode": "USER_PROVISIONED", "iops": 6000},
        root_squash_configuration={"root_squash": "65534:65534", "no_squash_nids": ["10.0.1.6@tcp"]},
        log_configuration={"level": "WARN_ERROR", "destination": ARN},
        kms_key_id="key",
        weekly_maintenance_start_time="1:05:00",
        automatic_backup_retention_days=7,
        daily_automatic_backup_start_time="05:00",
        copy_tags_to_backups=True,
        tags={"Project": "x"},
    )
    assert create_request(spec_of(values), "t") == {
        "ClientRequestToken": "t",
        "FileSystemType": "LUSTRE",
        "StorageCapacity": 38400,
        "StorageType": "SSD",
        "SubnetIds": [SUBNET],
        "SecurityGroupIds": ["sg-0123456789abcdef0"],
        "Tags": [{"Key": "Name", "Value": "climate"}, {"Key": "Project", "Value": "x"}],
        "KmsKeyId": "key",
        "FileSystemTypeVersion": "2.15",
        "LustreConfiguration": {
            "DeploymentType": "PERSISTENT_2",
            "PerUnitStorageThroughput": 125,
            "DataCompressionType": "LZ4",
            "EfaEnabled": True,
            "MetadataConfiguration": {"Mode": "USER_PROVISIONED", "Iops": 6000},
            "RootSquashConfiguration": {"RootSquash": "65534:65534", "NoSquashNids": ["10.0.1.6@tcp"]},
            "LogConfiguration": {"Level": "WARN_ERROR", "Destination": ARN},
            "WeeklyMaintenanceStartTime": "1:05:00",
            "AutomaticBackupRetentionDays": 7,
            "DailyAutomaticBackupStartTime": "05:00",
            "CopyTagsToBackups": True,
        },
    }


def test_what_was_not_said_is_not_sent() -> None:
    assert create_request(spec_of({"subnet_ids": [SUBNET], "storage_capacity": 1200}), "t") == {
        "ClientRequestToken": "t",
        "FileSystemType": "LUSTRE",
        "StorageCapacity": 1200,
        "StorageType": "SSD",
        "SubnetIds": [SUBNET],
        "Tags": [{"Key": "Name", "Value": "lustre"}],
    }


def test_a_tag_name_of_its_own_stands_for_the_name() -> None:
    spec = spec_of({"tags": {"Name": "other"}})
    assert create_request(spec, "t")["Tags"] == [{"Key": "Name", "Value": "other"}]


def test_from_a_backup_it_is_the_other_operation() -> None:
    spec = spec_of(plain("PERSISTENT_1", storage_capacity=None, backup_id="backup-0123456789abcdef0"))
    assert errors(check(spec)) == []
    request = create_request(spec, "t")
    assert request["BackupId"] == "backup-0123456789abcdef0"
    assert not {"FileSystemType", "StorageCapacity"} & set(request)
    assert problems("fsx", "CreateFileSystemFromBackup", request) == []


@pytest.mark.parametrize(
    ("storage", "key", "sent"),
    [
        ("HDD", "DriveCacheType", "NONE"),
        ("SSD", "AutoImportPolicy", "NEW"),
        ("SSD", "ImportPath", "s3://bucket/in"),
        ("SSD", "ExportPath", "s3://bucket/out"),
        ("SSD", "ImportedFileChunkSize", 512),
    ],
)
def test_what_only_the_first_generation_has_is_sent(storage: str, key: str, sent: object) -> None:
    linked = {"import_path": "s3://bucket/in", "export_path": "s3://bucket/out", "imported_file_chunk_size": 512}
    spec = spec_of(plain("PERSISTENT_1", storage, auto_import_policy="NEW", **linked))
    assert create_request(spec, "t")["LustreConfiguration"][key] == sent


def test_what_only_intelligent_tiering_has_is_sent() -> None:
    cache = {"sizing_mode": "USER_PROVISIONED", "size": 64}
    spec = spec_of(plain("PERSISTENT_2", "INTELLIGENT_TIERING", data_read_cache_configuration=cache))
    configuration = create_request(spec, "t")["LustreConfiguration"]
    assert configuration["ThroughputCapacity"] == 4000
    assert configuration["DataReadCacheConfiguration"] == {"SizingMode": "USER_PROVISIONED", "SizeGiB": 64}


def test_the_request_of_an_association() -> None:
    full = {
        "file_system_path": "/ns1",
        "data_repository_path": "s3://bucket/p/",
        "batch_import_meta_data_on_create": True,
        "imported_file_chunk_size": 2048,
        "delete_data_in_filesystem": True,
        "s3": {"auto_import_policy": {"events": ["NEW", "CHANGED"]}, "auto_export_policy": {"events": []}},
        "tags": {"a": "b"},
    }
    (association,) = spec_of({"data_repository_associations": [full]}).data_repository_associations
    assert association_request(association, FILE_SYSTEM, "t") == {
        "ClientRequestToken": "t",
        "FileSystemId": FILE_SYSTEM,
        "FileSystemPath": "/ns1",
        "DataRepositoryPath": "s3://bucket/p/",
        "BatchImportMetaDataOnCreate": True,
        "ImportedFileChunkSize": 2048,
        "S3": {"AutoImportPolicy": {"Events": ["NEW", "CHANGED"]}},
        "Tags": [{"Key": "a", "Value": "b"}],
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"StorageCapacity": "1200"}, "Invalid type"),
        ({"StorageCapacity": 2**31}, "more than 2147483647"),
        ({"StorageType": "TAPE"}, "none of SSD"),
        ({"Size": 1}, "Unknown parameter"),
        ({"SubnetIds": ["subnet-0123456789abcdeg"]}, "does not match"),
        ({"SubnetIds": ["x"]}, "length 1 is less than 15"),
        ({"Tags": [{"Key": "a#", "Value": ""}]}, "does not match"),
        ({"Tags": []}, "length 0 is less than 1"),
        ({"LustreConfiguration": {"WeeklyMaintenanceStartTime": "8:05:00"}}, "does not match"),
        ({"LustreConfiguration": {"LogConfiguration": {}}}, "Missing required"),
    ],
)
def test_the_walk_over_the_service_model_finds_it(change: dict[str, Any], told: str) -> None:
    request = {**create_request(spec_of(plain("SCRATCH_2")), "t"), **change}
    (line,) = problems("fsx", "CreateFileSystem", request)
    assert told in line
