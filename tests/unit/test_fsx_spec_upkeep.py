"""The rules of what surrounds an FSx for Lustre file system: network, key, maintenance, backups, tags, and S3."""

from typing import Any

import pytest

from headrace_daemon.fsx.spec.rules import check, errors
from headrace_daemon.fsx.spec.violations import Severity
from tests.support.fsx_specs import plain, spec_of

OUT = ("leave it out",)
S1, S2, P1, P2 = "SCRATCH_1", "SCRATCH_2", "PERSISTENT_1", "PERSISTENT_2"
BACKUP = "backup-0123456789abcdef0"
DRA = "data_repository_associations"

Broken = dict[str, tuple[str, ...]]


def broken(values: dict[str, Any]) -> Broken:
    """Field -> nearest valid values of every error."""
    return {one.field: one.nearest for one in errors(check(spec_of(values)))}


def warned(values: dict[str, Any], field: str) -> bool:
    return any(one.field == field and one.severity is Severity.WARNING for one in check(spec_of(values)))


def linked(*pairs: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """A file system with associations of such paths in it and in S3."""
    given = [{"file_system_path": path, "data_repository_path": repository} for path, repository in pairs]
    return plain(P2, **changes) | {DRA: given}


TEXTS: list[tuple[str, Any, Any]] = [
    # field, value, nearest valid ones, None where it is valid itself
    *(("weekly_maintenance_start_time", text, None) for text in ("1:00:00", "7:23:59", "6:00:00")),
    ("weekly_maintenance_start_time", "0:05:00", ("1:05:00",)),
    ("weekly_maintenance_start_time", "8:05:00", ("1:05:00",)),
    ("weekly_maintenance_start_time", "6:5:00", ("6:05:00",)),
    ("weekly_maintenance_start_time", "1:24:00", ("1:05:00",)),
    ("weekly_maintenance_start_time", "1:0500", ("1:05:00",)),
    ("weekly_maintenance_start_time", "Mon:05:00", ("1:05:00",)),
    ("weekly_maintenance_start_time", "1:05:00\n", ("1:05:00",)),
    ("daily_automatic_backup_start_time", "23:59", None),
    ("daily_automatic_backup_start_time", "5:00", ("05:00",)),
    ("daily_automatic_backup_start_time", "24:00", ("05:00",)),
    ("daily_automatic_backup_start_time", "0500", ("05:00",)),
    ("automatic_backup_retention_days", 0, None),
    ("automatic_backup_retention_days", 90, None),
    ("automatic_backup_retention_days", 91, ("90",)),
    ("automatic_backup_retention_days", -1, ("0",)),
    ("kms_key_id", "12345678-1234-1234-1234-123456789012", None),
    ("kms_key_id", "x" * 2049, ("arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012",)),
    ("region", "us-west-2", None),
    ("region", "us west", ("us-east-1",)),
    ("region", "", ("us-east-1",)),
    ("name", "Klima 2026/Grönland", None),
    ("name", "", ("lustre",)),
    ("name", "a#b", ("a_b",)),
    ("name", "a\nb", ("a_b",)),
    ("name", "x" * 257, ("x" * 256,)),
    ("backup_id", BACKUP, None),
    ("backup_id", "backup-xyz", ("backup-0123456789abcdef0",)),
]


@pytest.mark.parametrize(("field", "value", "nearest"), TEXTS)
def test_forms(field: str, value: Any, nearest: tuple[str, ...] | None) -> None:
    assert broken(plain(P1, **{field: value})) == ({} if nearest is None else {field: nearest})


SUBNET = "subnet-0123456789abcdef0"


@pytest.mark.parametrize(("subnets", "field", "nearest"), [
    ([], "subnet_ids", (SUBNET,)),
    (["subnet-12345678"], None, ()),
    (["subnet-12345678", SUBNET], "subnet_ids", ("subnet-12345678",)),
    (["subnet-1234567"], "subnet_ids[0]", (SUBNET,)),
    (["subnet-0123456789ABCDEF0"], "subnet_ids[0]", (SUBNET,)),
    (["subnet-0123456789abcdef01"], "subnet_ids[0]", (SUBNET,)),
])  # fmt: skip
def test_subnets(subnets: list[str], field: str | None, nearest: tuple[str, ...]) -> None:
    assert broken(plain(S2, subnet_ids=subnets)) == ({} if field is None else {field: nearest})


def test_security_groups() -> None:
    group = "sg-0123456789abcdef0"
    assert broken(plain(S2, security_group_ids=[group] * 50)) == {}
    assert broken(plain(S2, security_group_ids=[group] * 51)) == {"security_group_ids": ("50",)}
    assert broken(plain(S2, security_group_ids=[group, "default"])) == {"security_group_ids[1]": (group,)}


@pytest.mark.parametrize(("deployment", "valid"), [(S1, False), (S2, False), (P1, True), (P2, True)])
def test_what_only_persistent_file_systems_have(deployment: str, valid: bool) -> None:
    given: dict[str, Any] = {
        "kms_key_id": "key",
        "automatic_backup_retention_days": 1,
        "daily_automatic_backup_start_time": "05:00",
        "copy_tags_to_backups": True,
        "skip_final_backup": False,
    }
    for field, value in given.items():
        found = broken(plain(deployment, **{field: value}))
        assert set(found) == (set() if valid else {field}), field
    assert set(broken(plain(deployment, **given))) == (set() if valid else set(given))


LINKS: tuple[dict[str, Any], ...] = (
    plain(P1, import_path="s3://abc/p/"),
    linked(("/", "s3://abc"), deployment_type=P1, per_unit_storage_throughput=50, file_system_type_version="2.12"),
    linked(("/ns1", "s3://abc/p/")),
)


@pytest.mark.parametrize("values", LINKS)
def test_a_linked_file_system_has_no_backups(values: dict[str, Any]) -> None:
    assert broken(values) == {}
    assert broken({**values, "automatic_backup_retention_days": 0, "copy_tags_to_backups": False}) == {}
    assert broken({**values, "automatic_backup_retention_days": 7}) == {"automatic_backup_retention_days": ("0",)}
    for field, value in (("copy_tags_to_backups", True), ("daily_automatic_backup_start_time", "05:00")):
        assert broken({**values, field: value}) == {field: OUT}
    assert broken({**values, "skip_final_backup": False}) == {"skip_final_backup": ("true",)}


def test_backups_that_say_nothing_are_told() -> None:
    assert warned(plain(S2, automatic_backup_retention_days=0), "automatic_backup_retention_days")
    assert warned(plain(P2, daily_automatic_backup_start_time="05:00"), "daily_automatic_backup_start_time")
    assert warned(plain(P2, final_backup_tags={"a": "b"}), "final_backup_tags")
    assert not warned(plain(P2, final_backup_tags={"a": "b"}, skip_final_backup=False), "final_backup_tags")


def test_from_a_backup() -> None:
    assert broken(plain(P2, storage_capacity=None, backup_id=BACKUP)) == {}
    assert warned(plain(P2, backup_id=BACKUP), "storage_capacity")
    persistent: Broken = {"deployment_type": (P1, P2)}
    assert broken(plain(S2, storage_capacity=None, backup_id=BACKUP)) == persistent
    assert broken(plain(S2, deployment_type=None, storage_capacity=None, backup_id=BACKUP)) == persistent
    unknown = linked(("/n", "s3://abc"), deployment_type=P1, per_unit_storage_throughput=50, storage_capacity=None,
                     backup_id=BACKUP)  # fmt: skip
    assert broken(unknown) == {}
    assert warned(unknown, "file_system_type_version")


@pytest.mark.parametrize(("tags", "expected"), [
    ({"Größe": "4 TiB", "aws.x:y/z=+-@_": ""}, {}),
    ({"a#": "b"}, {"tags.a#": ("a_",)}),
    ({"": "b"}, {"tags.": ("key",)}),
    ({"aws:x": "b"}, {"tags.aws:x": ("x",)}),
    ({"AWS:": "b"}, {"tags.AWS:": ("key",)}),
    ({"k" * 129: "b"}, {f"tags.{'k' * 129}": ("k" * 128,)}),
    ({"a": "x\ty"}, {"tags.a": ("x_y",)}),
    ({"a": "x" * 257}, {"tags.a": ("x" * 256,)}),
    ({f"k{number}": "" for number in range(49)}, {}),
    ({f"k{number}": "" for number in range(50)}, {"tags": ("49",)}),
    ({"Name": "n"} | {f"k{number}": "" for number in range(49)}, {}),
])  # fmt: skip
def test_tags(tags: dict[str, str], expected: Broken) -> None:
    assert broken(plain(S2, tags=tags)) == expected
    final = broken(plain(P2, final_backup_tags=tags, skip_final_backup=False))
    assert final == ({f"final_backup_{field}": near for field, near in expected.items()} if len(tags) < 49 else {})


def test_the_name_and_the_tag_name_are_one() -> None:
    assert broken(plain(S2, name="a", tags={"Name": "b"})) == {"tags.Name": ("a", "leave it out")}
    assert broken(plain(S2, name="a", tags={"Name": "a"})) == {}
    assert broken(plain(S2, tags={"Name": "b"})) == {}


@pytest.mark.parametrize(("text", "nearest"), [
    ("30m", None), ("1h30m", None), ("1.5h", None), ("0", None),
    ("30 min", "30m"), ("30", "30m"), ("-5m", "30m"), ("2H", "2h"), ("", "30m"),
])  # fmt: skip
def test_timeouts(text: str, nearest: str | None) -> None:
    link = {"file_system_path": "/n", "data_repository_path": "s3://abc", "timeouts": {"delete": text}}
    found = broken(plain(P2, timeouts={"create": text}) | {DRA: [link]})
    assert found == (
        {} if nearest is None else dict.fromkeys(("timeouts.create", f"{DRA}[0].timeouts.delete"), (nearest,))
    )


@pytest.mark.parametrize(("bucket", "nearest"), [
    ("abc", None), ("a.b-c.1", None), ("0" * 63, None),
    ("My_Bucket", "my-bucket"), ("ab", "bucket"), ("a..b", "bucket"), ("10.0.0.1", "bucket"), ("-abc-", "abc"),
    ("x" * 64, "x" * 63), ("bücket", "b-cket"),
])  # fmt: skip
def test_names_of_buckets(bucket: str, nearest: str | None) -> None:
    near = {} if nearest is None else {"import_path": (f"s3://{nearest}/in/",)}
    assert broken(plain(P1, import_path=f"s3://{bucket}/in/")) == near
    near = {} if nearest is None else {f"{DRA}[0].data_repository_path": (f"s3://{nearest}/",)}
    assert broken(linked(("/ns1", f"s3://{bucket}"))) == near


PATHS: list[tuple[dict[str, Any], Broken]] = [
    # of a whole file system
    (plain(P1, import_path="s3://abc"), {}),
    (plain(P1, import_path="s3://abc/in/", export_path="s3://abc/out/", auto_import_policy="NEW_CHANGED_DELETED"), {}),
    (plain(S1, import_path="s3://abc/in/"), {}),
    (plain(S2, import_path="s3://abc/in/", imported_file_chunk_size=1024), {}),
    (plain(P1, export_path="s3://abc/out/"), {"export_path": OUT}),
    (plain(P1, import_path="s3://abc/in", export_path="s3://def/out"), {"export_path": ("s3://abc/out/",)}),
    (plain(P1, import_path="/fsx"), {"import_path": ("s3://fsx/",)}),
    (plain(P1, import_path="s3://"), {"import_path": ("s3://bucket/prefix/",)}),
    (plain(P1, import_path="gs://abc/in"), {"import_path": ("s3://abc/in/",)}),
    (plain(P1, import_path="s3://abc/a\nb"), {"import_path": ("s3://bucket/prefix/",)}),
    (plain(P1, import_path="s3://abc/" + "x" * 4348), {}),
    (plain(P1, import_path="s3://abc/" + "x" * 4349), {"import_path": ("s3://abc/" + "x" * 4348,)}),
    (plain(P1, import_path="s3://abc", imported_file_chunk_size=0), {"imported_file_chunk_size": ("1",)}),
    (plain(P1, import_path="s3://abc", imported_file_chunk_size=1), {}),
    (plain(P1, import_path="s3://abc", imported_file_chunk_size=512_000), {}),
    (plain(P1, import_path="s3://abc", imported_file_chunk_size=512_001), {"imported_file_chunk_size": ("512000",)}),
    (
        plain(P2, import_path="s3://abc", export_path="s3://abc", auto_import_policy="NEW", imported_file_chunk_size=1),
        dict.fromkeys(
            ("import_path", "export_path", "auto_import_policy", "imported_file_chunk_size"),
            ("[[data_repository_associations]]",),
        ),
    ),
    # associations
    (linked(("/ns1", "s3://abc/p/"), ("/ns2/sub/", "s3://abc/q"), ("/ns3", "s3://def")), {}),
    (linked(("/", "s3://abc")), {}),
    (linked(("/ns1", "s3://abc/p/"), ("/ns10", "s3://abc/p2/")), {}),
    (linked(*((f"/ns{number}", f"s3://abc/p{number}/") for number in range(8))), {}),
    (linked(*((f"/ns{number}", f"s3://abc/p{number}/") for number in range(9))), {DRA: ("8",)}),
    (linked(("/ns1", "s3://abc/p/"), import_path="s3://abc/x/"), {"import_path": OUT}),
    (linked(("/ns1", "s3://abc/p/"), auto_import_policy="NEW"), {"auto_import_policy": OUT}),
    (linked(("/ns1", "s3://abc/p/"), deployment_type=S2, per_unit_storage_throughput=None), {
        "file_system_type_version": ("2.12", "2.15"),
    }),
    (
        linked(("/n", "s3://abc"), deployment_type=S2, per_unit_storage_throughput=None,
               file_system_type_version="2.15"),
        {},
    ),
    (
        linked(("/n", "s3://abc"), deployment_type=P1, per_unit_storage_throughput=50, file_system_type_version="2.10"),
        {"file_system_type_version": ("2.12", "2.15")},
    ),
    (
        linked(("/n", "s3://abc"), deployment_type=S1, per_unit_storage_throughput=None,
               file_system_type_version="2.15", storage_capacity=1200),
        {"deployment_type": (S2, P1, P2)},
    ),
    (
        plain(P2, "INTELLIGENT_TIERING") | {DRA: [{"file_system_path": "/n", "data_repository_path": "s3://abc"}]},
        {"storage_type": ("SSD",)},
    ),
    (linked(("ns1/", "s3://abc")), {f"{DRA}[0].file_system_path": ("/ns1",)}),
    (linked(("/a\nb", "s3://abc")), {f"{DRA}[0].file_system_path": ("/ns1",)}),
    (linked(("/ns1", "bucket/p")), {f"{DRA}[0].data_repository_path": ("s3://bucket/p/",)}),
    (linked(("/a/../b", "s3://abc")), {f"{DRA}[0].file_system_path": ("/a/b",)}),
    (linked(("/a//b", "s3://abc")), {f"{DRA}[0].file_system_path": ("/a/b",)}),
    (linked(("//", "s3://abc")), {f"{DRA}[0].file_system_path": ("/",)}),
    # overlaps
    (linked(("/ns1", "s3://abc/p/"), ("/ns1/", "s3://abc/q/")), {f"{DRA}[1].file_system_path": ("a path beside it",)}),
    (linked(("/ns1", "s3://abc/p/"), ("/ns1/sub", "s3://def/")), {f"{DRA}[1].file_system_path": ("a path beside it",)}),
    (linked(("/ns1/sub", "s3://abc/p/"), ("/ns1", "s3://def/")), {f"{DRA}[1].file_system_path": ("a path beside it",)}),
    (linked(("/", "s3://abc/p/"), ("/ns1", "s3://def/")), {f"{DRA}[1].file_system_path": ("a path beside it",)}),
    (linked(("/ns1", "s3://abc/p/"), ("/", "s3://def/")), {f"{DRA}[1].file_system_path": ("a path beside it",)}),
    (linked(("/a", "s3://abc/p"), ("/c", "s3://abc/p/q")), {f"{DRA}[1].data_repository_path": ("a prefix beside it",)}),
    (linked(("/a", "s3://abc/p"), ("/c", "s3://abc/p/")), {f"{DRA}[1].data_repository_path": ("a prefix beside it",)}),
    (linked(("/a", "s3://abc/p"), ("/c", "s3://abc")), {f"{DRA}[1].data_repository_path": ("a prefix beside it",)}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), PATHS)
def test_links_to_s3(values: dict[str, Any], expected: Broken) -> None:
    assert broken(values) == expected


def test_what_an_association_has_beside_its_paths() -> None:
    association: dict[str, Any] = {"file_system_path": "/n", "data_repository_path": "s3://abc"}
    three = ["NEW", "CHANGED", "DELETED"]
    good = {"imported_file_chunk_size": 1, "s3": {"auto_import_policy": {"events": three}}, "tags": {"a": "b"}}
    assert broken(plain(P2) | {DRA: [association | good]}) == {}
    twice = {"s3": {"auto_import_policy": {"events": ["NEW", "NEW"]}}}
    assert broken(plain(P2) | {DRA: [association | twice]}) == {f"{DRA}[0].s3.auto_import_policy.events": ("NEW",)}
    bad = {"imported_file_chunk_size": 0, "s3": {"auto_export_policy": {"events": [*three, "NEW"]}}, "tags": {"#": "b"}}
    assert broken(plain(P2) | {DRA: [association | bad]}) == {
        f"{DRA}[0].imported_file_chunk_size": ("1",),
        f"{DRA}[0].s3.auto_export_policy.events": ("NEW, CHANGED, DELETED",),
        f"{DRA}[0].tags.#": ("_",),
    }


@pytest.mark.parametrize(("values", "field"), [
    (plain(S1, import_path="s3://abc"), "import_path"),
    (plain(P1, import_path="s3://abc/" + "x" * 900), "import_path"),
    (plain(P1, import_path="s3://abc/p", export_path="s3://abc/p/"), "export_path"),
    (plain(P1, auto_import_policy="NEW"), "auto_import_policy"),
    (plain(P1, imported_file_chunk_size=1), "imported_file_chunk_size"),
])  # fmt: skip
def test_what_aws_takes_of_links_and_is_doubtful(values: dict[str, Any], field: str) -> None:
    assert broken(values) == {}
    assert warned(values, field)
    assert not warned(plain(P1, import_path="s3://abc/p", export_path="s3://abc/q"), field)
