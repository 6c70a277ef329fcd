"""The Terraform of a specification, looked at with the schema of the provider."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from headrace_daemon.fsx.make.cloud_init import HostPart
from headrace_daemon.fsx.make.terraform import document, escaped, identifier, refuse, text_of
from headrace_daemon.fsx.spec import model as model
from headrace_daemon.fsx.spec.model import AssociationSpec, FileSystemSpec
from headrace_queue.errors import UsageError
from tests.support.fsx_specs import spec_of, valid_values
from tests.support.terraform_schema import SCHEMA, problems, templates, texts

HOST = HostPart(repository_url="https://git.example.org/headrace.git")
LINK = AssociationSpec(file_system_path="/ns1", data_repository_path="s3://climate/era5/")
SMALL = FileSystemSpec(
    subnet_ids=("subnet-0123456789abcdef0",), deployment_type=model.DeploymentType.SCRATCH_2, storage_capacity=1200
)

EVERYTHING = FileSystemSpec(
    name="scratch for era5",
    region="us-west-2",
    subnet_ids=("subnet-0123456789abcdef0",),
    security_group_ids=("sg-0123456789abcdef0", "sg-0123456789abcdef1"),
    deployment_type=model.DeploymentType.PERSISTENT_2,
    storage_type=model.StorageType.INTELLIGENT_TIERING,
    storage_capacity=4800,
    per_unit_storage_throughput=250,
    throughput_capacity=4000,
    file_system_type_version="2.15",
    data_compression_type=model.DataCompressionType.LZ4,
    drive_cache_type=model.DriveCacheType.READ,
    efa_enabled=True,
    metadata_configuration=model.MetadataConfiguration(mode=model.MetadataMode.USER_PROVISIONED, iops=6000),
    data_read_cache_configuration=model.DataReadCacheConfiguration(
        sizing_mode=model.ReadCacheMode.USER_PROVISIONED, size=32
    ),
    root_squash_configuration=model.RootSquashConfiguration(
        root_squash="65534:65534", no_squash_nids=("10.0.1.6@tcp",)
    ),
    log_configuration=model.LogConfiguration(
        level=model.LogLevel.WARN_ERROR, destination="arn:aws:logs:us-west-2:123456789012:log-group:/aws/fsx/lustre"
    ),
    kms_key_id="arn:aws:kms:us-west-2:123456789012:key/12345678-1234-1234-1234-123456789012",
    weekly_maintenance_start_time="1:05:00",
    automatic_backup_retention_days=7,
    daily_automatic_backup_start_time="04:00",
    copy_tags_to_backups=True,
    backup_id="backup-0123456789abcdef0",
    skip_final_backup=False,
    final_backup_tags={"kind": "final"},
    import_path="s3://climate/in/",
    export_path="s3://climate/out/",
    auto_import_policy=model.AutoImportPolicy.NEW_CHANGED,
    imported_file_chunk_size=1024,
    tags={"project": "era5"},
    timeouts=model.Timeouts(create="45m", update="1h30m", delete="30m"),
    data_repository_associations=(
        AssociationSpec(
            file_system_path="/ns1",
            data_repository_path="s3://climate/era5/",
            batch_import_meta_data_on_create=True,
            imported_file_chunk_size=512,
            delete_data_in_filesystem=True,
            s3=model.AssociationS3(
                auto_import_policy=model.EventPolicy(events=(model.Event.NEW, model.Event.CHANGED)),
                auto_export_policy=model.EventPolicy(events=(model.Event.DELETED,)),
            ),
            tags={"project": "era5"},
            timeouts=model.Timeouts(create="20m", update="20m", delete="20m"),
        ),
    ),
)
"""No file system that AWS would make: every argument at once."""

SPECS = {
    "small": SMALL,
    "everything": EVERYTHING,
    "no subnet": SMALL.model_copy(update={"subnet_ids": ()}),
    "efa": SMALL.model_copy(update={"efa_enabled": True, "region": "eu-west-1"}),
    "own group": SMALL.model_copy(update={"security_group_ids": ("sg-0123456789abcdef0",)}),
    "linked": SMALL.model_copy(update={"data_repository_associations": (LINK,), "region": "eu-west-1"}),
    "odd name": SMALL.model_copy(update={"name": '1 ${x} "%{y}" Ünïcode'}),
}


def arguments(body: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> set[str]:
    """The paths of all arguments that stand in a body, blocks among them."""
    found = set()
    for name, value in body.items():
        found.add(f"{prefix}{name}")
        if name in schema["blocks"]:
            found |= arguments(value[0], schema["blocks"][name], f"{prefix}{name}.")
    return found


def known(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found = {f"{prefix}{name}" for name in {*schema["arguments"], *schema["blocks"]}}
    for name, block in schema["blocks"].items():
        found |= known(block, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", SPECS)
def test_the_provider_takes_it(name: str) -> None:
    assert problems(document(SPECS[name], HOST)) == []


@settings(max_examples=40, deadline=None)
@given(valid_values())
def test_the_provider_takes_whatever_is_valid(values: dict[str, Any]) -> None:
    found = document(spec_of(values), HOST)
    assert problems(found) == []
    assert json.loads(text_of(found)) == found


@pytest.mark.parametrize("kind", ["aws_fsx_lustre_file_system", "aws_fsx_data_repository_association"])
def test_every_argument_of_the_provider_can_be_said(kind: str) -> None:
    (body,) = document(EVERYTHING, HOST)["resource"][kind].values()
    schema = SCHEMA["resource"][kind]
    assert arguments(body, schema) == known(schema) - {"id", "tags_all"}


def test_what_is_not_said_is_not_written() -> None:
    (body,) = document(SMALL, HOST)["resource"]["aws_fsx_lustre_file_system"].values()
    assert set(body) == {
        "subnet_ids", "security_group_ids", "deployment_type", "storage_type", "storage_capacity", "tags", "depends_on",
    }  # fmt: skip


def test_values_stand_there_as_they_are() -> None:
    (body,) = document(EVERYTHING, HOST)["resource"]["aws_fsx_lustre_file_system"].values()
    assert body["storage_capacity"] == 4800
    assert body["efa_enabled"] is True
    assert body["skip_final_backup"] is False
    assert body["metadata_configuration"] == [{"mode": "USER_PROVISIONED", "iops": 6000}]
    assert body["root_squash_configuration"][0]["no_squash_nids"] == ["10.0.1.6@tcp"]
    assert body["timeouts"] == [{"create": "45m", "update": "1h30m", "delete": "30m"}]
    assert body["tags"] == {"Name": "scratch for era5", "project": "era5"}
    (link,) = document(EVERYTHING, HOST)["resource"]["aws_fsx_data_repository_association"].values()
    assert link["file_system_id"] == "${aws_fsx_lustre_file_system.scratch_for_era5.id}"
    assert link["s3"] == [
        {"auto_import_policy": [{"events": ["NEW", "CHANGED"]}], "auto_export_policy": [{"events": ["DELETED"]}]}
    ]


@pytest.mark.parametrize("field", ["import_path", "export_path"])
def test_a_path_that_the_provider_does_not_take_is_refused(field: str) -> None:
    refuse(SMALL.model_copy(update={field: "s3://bucket/" + "x" * 888}))
    with pytest.raises(UsageError, match=f"{field}: Terraform's provider takes at most 900 characters"):
        refuse(SMALL.model_copy(update={field: "s3://bucket/" + "x" * 889}))


def rules(found: dict[str, Any]) -> list[tuple[str, str, int | None, int | None]]:
    return [
        (kind.rpartition("_security_group_")[2], body["ip_protocol"], body.get("from_port"), body.get("to_port"))
        for kind, labelled in found["resource"].items()
        if kind.endswith("_rule")
        for body in labelled.values()
        if body["security_group_id"] == body["referenced_security_group_id"]
    ]


def test_a_group_for_lustre_is_made_where_none_is_named() -> None:
    assert rules(document(SMALL, HOST)) == [
        ("ingress_rule", "tcp", 988, 988),
        ("ingress_rule", "tcp", 1018, 1023),
        ("egress_rule", "tcp", 988, 988),
        ("egress_rule", "tcp", 1018, 1023),
    ]
    assert rules(document(SPECS["efa"], HOST)) == [
        ("ingress_rule", "-1", None, None),
        ("egress_rule", "-1", None, None),
    ]
    own = document(SPECS["own group"], HOST)
    assert set(own["resource"]) == {"aws_fsx_lustre_file_system"}
    assert "data" not in own
    assert "security_group_id" not in own["output"]


def test_the_file_system_waits_for_the_rules_of_its_group() -> None:
    (body,) = document(SMALL, HOST)["resource"]["aws_fsx_lustre_file_system"].values()
    assert len(body["depends_on"]) == 4


def test_outputs() -> None:
    outputs = document(SMALL, HOST)["output"]
    assert outputs["dns_name"] == {"value": "${aws_fsx_lustre_file_system.lustre.dns_name}"}
    assert set(outputs) == {
        "id", "arn", "dns_name", "mount_name", "network_interface_ids", "vpc_id", "security_group_id", "cloud_init",
    }  # fmt: skip


def test_the_same_specification_gives_the_same_text() -> None:
    turned = EVERYTHING.model_copy(update={"tags": {"b": "2", "a": "1"}})
    straight = EVERYTHING.model_copy(update={"tags": {"a": "1", "b": "2"}})
    text = text_of(document(turned, HOST))
    assert text == text_of(document(straight, HOST))
    assert json.loads(text) == document(straight, HOST)


@pytest.mark.parametrize("field", ["name", "import_path", "kms_key_id", "region", "weekly_maintenance_start_time"])
def test_no_text_becomes_a_template(field: str) -> None:
    found = document(EVERYTHING.model_copy(update={field: "a${var.secret}b%{if true}$${c}"}), HOST)
    assert problems(found) == []
    assert not any("var.secret" in template for text in texts(found) for template in templates(text))


def test_tags_become_no_templates() -> None:
    tags = {"${var.secret}": "%{ for x in y }", "plain": "${var.secret}"}
    found = document(EVERYTHING.model_copy(update={"tags": tags, "final_backup_tags": tags}), HOST)
    (body,) = found["resource"]["aws_fsx_lustre_file_system"].values()
    assert body["final_backup_tags"] == {"$${var.secret}": "%%{ for x in y }", "plain": "$${var.secret}"}
    assert problems(found) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [("${a}", "$${a}"), ("%{if}", "%%{if}"), ("$$x %y {z}", "$$x %y {z}"), ("$${a}", "$$${a}"), ("$", "$")],
)
def test_escapes(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.parametrize(
    ("name", "label"),
    [("lustre", "lustre"), ("my fs", "my_fs"), ("7th", "_7th"), ("-x", "_-x"), ("Ü", "lustre"), ("a.b/c", "a_b_c")],
)
def test_names_become_identifiers(name: str, label: str) -> None:
    assert identifier(name) == label


def test_two_paths_never_share_a_label() -> None:
    paths = ("/a/b", "/a.b", "/a_b", "/")
    links = tuple(LINK.model_copy(update={"file_system_path": path}) for path in paths)
    found = document(SMALL.model_copy(update={"data_repository_associations": links}), HOST)
    labelled = found["resource"]["aws_fsx_data_repository_association"]
    assert {label: body["file_system_path"] for label, body in labelled.items()} == {
        "a_b": "/a/b", "a_b_2": "/a.b", "a_b_3": "/a_b", "root": "/",
    }  # fmt: skip


def test_cloud_init_learns_the_file_system_from_terraform() -> None:
    value = document(SMALL, HOST)["output"]["cloud_init"]["value"]
    assert sorted(set(templates(value))) == [
        "aws_fsx_lustre_file_system.lustre.dns_name",
        "aws_fsx_lustre_file_system.lustre.id",
        "aws_fsx_lustre_file_system.lustre.mount_name",
        'split(":", aws_fsx_lustre_file_system.lustre.arn)[3]',
    ]
    assert "OF-TERRAFORM" not in value
    assert "$${VERSION_ID:-}" in value, "the shell's own braces are escaped"


BROKEN = {
    "no such argument": lambda body: body.update(capacity=1),
    "required": lambda body: body.pop("subnet_ids"),
    "is no number": lambda body: body.update(storage_capacity="1200"),
    "is no list": lambda body: body.update(subnet_ids="subnet-1"),
    "is no bool": lambda body: body.update(efa_enabled=1),
    "the provider computes it": lambda body: body.update(dns_name="x"),
    "list of objects": lambda body: body.update(metadata_configuration={"mode": "AUTOMATIC"}),
    "at most 1": lambda body: body.update(metadata_configuration=[{}, {}]),
    "not there": lambda body: body.update(kms_key_id="${aws_kms_key.x.arn}"),
    "no such attribute": lambda body: body.update(kms_key_id="${aws_fsx_lustre_file_system.lustre.key}"),
}


@pytest.mark.parametrize("said", BROKEN)
def test_the_schema_finds_what_is_wrong(said: str) -> None:
    found = document(SMALL, HOST)
    BROKEN[said](found["resource"]["aws_fsx_lustre_file_system"]["lustre"])
    assert [problem for problem in problems(found) if said in problem]
