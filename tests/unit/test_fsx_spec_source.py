"""A specification from TOML and flags, and the one error that tells all that is wrong with it."""

import tomllib
import warnings
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from headrace_daemon.fsx.spec.fields import all_paths, plain_type, type_at, values_of
from headrace_daemon.fsx.spec.model import DeploymentType, Event, FileSystemSpec
from headrace_daemon.fsx.spec.source import BadSpec, load_spec, read_spec
from headrace_queue.errors import UsageError

with warnings.catch_warnings(action="ignore"):
    # typer imports what newer versions of click warn of
    from headrace_queue.complaints import complain

GOOD = """
name = "climate"
region = "us-west-2"
subnet_ids = ["subnet-0123456789abcdef0"]
deployment_type = "PERSISTENT_2"
storage_type = "SSD"
storage_capacity = 4800
per_unit_storage_throughput = 250

[metadata_configuration]
mode = "AUTOMATIC"

[[data_repository_associations]]
file_system_path = "/ns1"
data_repository_path = "s3://bucket/prefix/"
[data_repository_associations.s3.auto_import_policy]
events = ["NEW"]
"""


def faults(text: str) -> dict[str, tuple[str, ...]]:
    with pytest.raises(BadSpec) as caught:
        read_spec(text, "the file")
    return {one.field: one.nearest for one in caught.value.violations}


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fsx.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read() -> None:
    spec = read_spec(GOOD, "the file")
    assert spec.deployment is DeploymentType.PERSISTENT_2
    assert spec.metadata_configuration is not None
    (association,) = spec.data_repository_associations
    assert association.s3 is not None
    assert association.s3.auto_import_policy is not None
    assert association.s3.auto_import_policy.events == (Event.NEW,)


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    flags = {
        "storage_capacity": "7200",
        "metadata_configuration.mode": "USER_PROVISIONED",
        "metadata_configuration.iops": "6000",
        "copy_tags_to_backups": "false",
        "security_group_ids": "sg-01234567, sg-89abcdef",
        "tags.Project": "x",
        "tags.cost.centre": "y",
        "region": "",
        "root_squash_configuration.no_squash_nids": "10.0.1.6@tcp",
        "root_squash_configuration.root_squash": "1:1",
        "data_repository_associations[0].s3.auto_export_policy.events": "NEW,DELETED",
        "data_repository_associations[1].file_system_path": "/ns2",
        "data_repository_associations[1].data_repository_path": "s3://other/",
    }
    spec = load_spec(file_of(tmp_path, GOOD), flags)
    assert (spec.storage_capacity, spec.copy_tags_to_backups, spec.region) == (7200, False, None)
    assert spec.metadata_configuration is not None
    assert spec.metadata_configuration.iops == 6000
    assert spec.security_group_ids == ("sg-01234567", "sg-89abcdef")
    assert spec.tags == {"Project": "x", "cost.centre": "y"}
    first, second = spec.data_repository_associations
    assert first.s3 is not None
    assert first.s3.auto_export_policy is not None
    assert first.s3.auto_export_policy.events == (Event.NEW, Event.DELETED)
    assert second.file_system_path == "/ns2"


def test_flags_alone_are_enough() -> None:
    flags = {"deployment_type": "SCRATCH_2", "storage_capacity": "1200", "subnet_ids": "subnet-01234567"}
    assert load_spec(None, flags).storage_capacity == 1200


def test_where_it_stands_may_be_left_open() -> None:
    flags = {"deployment_type": "SCRATCH_2", "storage_capacity": "1200"}
    assert load_spec(None, flags, placed=False).subnet_ids == ()
    with pytest.raises(BadSpec, match="subnet_ids is not set"):
        load_spec(None, flags)
    with pytest.raises(BadSpec, match="subnet-1"):
        load_spec(None, {**flags, "subnet_ids": "subnet-1"}, placed=False)


def test_types_unknown_keys_and_rules_are_told_at_once() -> None:
    text = """
deployment_type = "persistent_2"
storage_capacity = 5000
per_unit_storage_thruput = 300
per_unit_storage_throughput = "fast"
subnet_ids = "subnet-0123456789abcdef0"
file_system_type_version = 2.10
weekly_maintenance_start_time = "6:0:00"
copy_tags_to_backups = "perhaps"
[metadata_configuration]
iops = 7000
[log_configuration]
level = "ALL"
[tags]
Year = 2026
[[data_repository_associations]]
file_system_path = "ns1"
data_repository_path = "s3://bucket/p"
[[data_repository_associations]]
data_repository_path = "s3://bucket/p/q"
s3.auto_import_policy.events = ["NEWS"]
"""
    assert faults(text) == {
        "subnet_ids": ('["subnet-0123456789abcdef0"]',),
        "deployment_type": ("PERSISTENT_2",),
        "per_unit_storage_throughput": ("250",),
        "file_system_type_version": ('"2.10"',),
        "metadata_configuration.mode": ("AUTOMATIC", "USER_PROVISIONED"),
        "log_configuration.level": ("DISABLED", "WARN_ONLY", "ERROR_ONLY", "WARN_ERROR"),
        "copy_tags_to_backups": ("true", "false"),
        "tags.Year": ('"2026"',),
        "data_repository_associations[1].file_system_path": ("/ns1",),
        "data_repository_associations[1].s3.auto_import_policy.events[0]": ("NEW",),
        "per_unit_storage_thruput": ("per_unit_storage_throughput",),
        # what the rules say of the rest, and nothing of what cannot be read
        "storage_capacity": ("4800", "7200"),
        "metadata_configuration.iops": ("6000", "12000"),
        "weekly_maintenance_start_time": ("6:00:00",),
        "data_repository_associations[0].file_system_path": ("/ns1",),
        "data_repository_associations[1].data_repository_path": ("a prefix beside it",),
    }


def test_where_the_kind_is_unclear_only_what_holds_for_all_is_told() -> None:
    text = 'deployment_type = "FAST"\nstorage_capacity = 5000\nsubnet_ids = ["x"]\n[tags]\n"a#" = "b"\n'
    assert set(faults(text)) == {"deployment_type", "subnet_ids[0]", "tags.a#"}


@pytest.mark.parametrize(("line", "field", "nearest"), [
    ("storage_capacitty = 1", "storage_capacitty", ("storage_capacity",)),
    ("zzz = 1", "zzz", ("leave it out",)),
    ("iops = 6000", "iops", ("metadata_configuration.iops",)),
    ("metadata_configuration = 5", "metadata_configuration", ('{ mode = "AUTOMATIC" }',)),
    ("metadata_configuration = { mode = 'AUTOMATIC', zz = 1 }", "metadata_configuration.zz", ("mode", "iops")),
    ("storage_capacity = 1.5", "storage_capacity", ("4800",)),
    ("storage_capacity = 1200.0", "storage_capacity", ("1200",)),
    ('storage_capacity = "1200"', "storage_capacity", ("1200",)),
    ("storage_capacity = true", "storage_capacity", ("4800",)),
    ("storage_capacity = nan", "storage_capacity", ("4800",)),
    ("automatic_backup_retention_days = true", "automatic_backup_retention_days", ("7",)),
    ('efa_enabled = "no"', "efa_enabled", ("true", "false")),
    ("skip_final_backup = 1", "skip_final_backup", ("true", "false")),
    ("daily_automatic_backup_start_time = 05:00:00", "daily_automatic_backup_start_time", ('"05:00"',)),
    ("subnet_ids = [5]", "subnet_ids[0]", ('"subnet-0123456789abcdef0"',)),
    ("file_system_type_version = 2.16", "file_system_type_version", ('"2.10"', '"2.12"', '"2.15"')),
    ("data_repository_associations = {}", "data_repository_associations", ("[[data_repository_associations]]",)),
    ("data_repository_associations = [5]", "data_repository_associations[0]", ("[[data_repository_associations]]",)),
    ("tags = { a = [1] }", "tags.a", ('"text"',)),
])  # fmt: skip
def test_what_is_of_another_type(line: str, field: str, nearest: tuple[str, ...]) -> None:
    assert faults(line)[field] == nearest


@pytest.mark.parametrize(("line", "field", "page"), [
    ("storage_capacity = true", "storage_capacity", "API_CreateFileSystem.html"),
    ("zzz = 1", "zzz", "API_CreateFileSystem.html"),
    ("efa_enabledd = 1", "efa_enabledd", "API_CreateFileSystemLustreConfiguration.html"),
    ("metadata_configuration = {}", "metadata_configuration.mode", "LustreMetadataConfiguration.html"),
    ("skip_final_backup = 1", "skip_final_backup", "API_DeleteFileSystemLustreConfiguration.html"),
    ("timeouts = { create = 30 }", "timeouts.create", "resources/fsx_lustre_file_system"),
    ("data_repository_associations = [{ timeouts = 5 }]", "data_repository_associations[0].timeouts",
     "resources/fsx_data_repository_association"),
    ("data_repository_associations = [{}]", "data_repository_associations[0].file_system_path",
     "API_CreateDataRepositoryAssociation.html"),
])  # fmt: skip
def test_each_is_told_with_the_page_of_what_has_it(line: str, field: str, page: str) -> None:
    with pytest.raises(BadSpec) as caught:
        read_spec(line, "the file")
    (found,) = [one for one in caught.value.violations if one.field == field]
    assert found.page.endswith(page)
    assert found.nearest


def test_there_is_an_example_of_every_field() -> None:
    for path in all_paths():
        assert values_of(path)
        for text in values_of(path):
            if text != "[[data_repository_associations]]":
                value = tomllib.loads(f"x = {text}")["x"]
                TypeAdapter(plain_type(type_at(path))).validate_python(value, strict=isinstance(value, int))


@pytest.mark.parametrize("text", [
    f"storage_capacity = {'1' * 5000}",
    f"storage_capacity = 0x{'f' * 5000}",
    f"storage_capacity = {2**63}",
    f"x = {'[' * 3000}{']' * 3000}",
    f"x = {'{a=' * 500}1{'}' * 500}",
    f"{'.'.join(['a'] * 2000)} = 1",
])  # fmt: skip
def test_what_no_specification_can_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"larger than TOML allows|lie deeper in each other"):
        read_spec(text, "the file")


def test_a_mark_of_byte_order_is_no_fault(tmp_path: Path) -> None:
    assert load_spec(file_of(tmp_path, f"\ufeff{GOOD}"), {}).name == "climate"


@pytest.mark.parametrize(("field", "text", "nearest"), [
    ("storage_capacity", "1" * 5000, ("4800",)),
    ("storage_capacity", "1200.0", ("4800",)),
    ("efa_enabled", "yes", ("true", "false")),
    ("security_group_ids", '["sg-01234567", "sg-89abcdef"]', ("sg-01234567,sg-89abcdef",)),
    (".".join(["a"] * 2000), "1", ("metadata_configuration.iops", "data_repository_associations[0].file_system_path")),
])  # fmt: skip
def test_flags_are_read_as_toml_would_have_them(field: str, text: str, nearest: tuple[str, ...]) -> None:
    flags = {"deployment_type": "SCRATCH_2", "storage_capacity": "1200", "subnet_ids": "subnet-01234567", field: text}
    with pytest.raises(BadSpec) as caught:
        load_spec(None, flags)
    assert [(one.field, one.nearest) for one in caught.value.violations] == [(field, nearest)]


@pytest.mark.parametrize("text", [
    'deployment_type = "SCRATCH_2"\n[metadata_configuration]\nmode = "FOO"',
    'deployment_type = "PERSISTENT_2"\nstorage_type = "INTELLIGENT_TIERING"\nthroughput_capacity = 4000\n'
    '[data_read_cache_configuration]\nsizing_mode = "FOO"',
])  # fmt: skip
def test_no_rule_speaks_of_a_value_that_nobody_wrote(text: str) -> None:
    with pytest.raises(BadSpec) as caught:
        read_spec(text, "the file", placed=False)
    told = {(one.field, one.value) for one in caught.value.violations}
    assert not {value for _, value in told} & {"AUTOMATIC", "USER_PROVISIONED", "NO_CACHE"}
    assert "data_read_cache_configuration.size" not in dict(told)


@pytest.mark.parametrize("flag", ["a..b", "", "name.x", "data_repository_associations[5].tags", "subnet_ids[3]", "a-b"])
def test_a_flag_that_names_no_place_is_told_with_all_else(flag: str, tmp_path: Path) -> None:
    with pytest.raises(BadSpec) as caught:
        load_spec(file_of(tmp_path, GOOD), {flag: "1", "storage_capacity": "5000"})
    assert [one.field for one in caught.value.violations] == [flag, "storage_capacity"]


def test_an_error_is_a_line_for_each_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadSpec) as caught:
        read_spec(GOOD.replace("4800", "5000").replace("= 250", "= 300"), "specification x.toml")
    assert complain(caught.value, as_json=False) == 2
    _, _, *lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "    storage_capacity = 5000: the capacity of PERSISTENT_2 SSD is 1200 or a multiple of 2400 GiB."
        " Nearest: 4800, 7200. See https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html",
        "    per_unit_storage_throughput = 300: the tiers of PERSISTENT_2 SSD storage are 125, 250, 500 and 1000 MB/s a"
        " TiB. Nearest: 250. See https://docs.aws.amazon.com/fsx/latest/APIReference/"
        "API_CreateFileSystemLustreConfiguration.html",
        "  do:  Correct them in the file, or with --set FIELD=VALUE.",
    ]
    assert complain(caught.value, as_json=True) == 2
    assert '"details": ["storage_capacity = 5000: ' in capsys.readouterr().err
    assert str(caught.value).count("\n") == 2


def test_a_value_cannot_fake_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadSpec) as caught:
        read_spec(GOOD.replace('"us-west-2"', '"us\\u001b[2J\\nheadraced: all is well"'), "the file")
    complain(caught.value, as_json=False)
    assert "\\x1b[2J\\nheadraced: all is well" in capsys.readouterr().err


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it is not TOML: .*line 1"):
        read_spec("storage_capacity = = 5", "the file")
    with pytest.raises(UsageError, match="No such file"):
        load_spec(tmp_path / "missing.toml", {})
    with pytest.raises(UsageError, match="Is a directory"):
        load_spec(tmp_path, {})
    with pytest.raises(UsageError, match="specification '' or"):
        load_spec(Path(""), {})
    with pytest.raises(UsageError, match="Name a TOML file"):
        load_spec(Path("~nobody-of-this-name/x.toml"), {})
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "\xe9"')
    with pytest.raises(UsageError, match="not TOML"):
        load_spec(path, {})


def test_the_model_is_frozen_and_has_no_key_that_nobody_knows() -> None:
    assert FileSystemSpec.model_config["frozen"]
    assert faults("headroom = 5\nsubnet_ids = ['subnet-01234567']")["headroom"] == ("leave it out",)
