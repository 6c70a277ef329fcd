"""Which association lies between a path and a bucket, and how a task names both sides."""

from pathlib import Path

import pytest

from headrace_daemon.fsx.api import Association, FileSystem
from headrace_daemon.fsx.dra.links import (
    export_path,
    find_link,
    import_path,
    is_straight,
    link_between,
    release_path,
    report_path,
)
from headrace_queue.config_fsx import FsxConfig

ID = "fs-0123456789abcdef0"
SECTION = FsxConfig(file_system_id=ID, mount=Path("/fsx"))
SYSTEM = FileSystem(ID, "AVAILABLE", "SCRATCH_2", "SSD", 1200, "2.15", "us-west-2", "1", "", "", "abc", "")


def one(path: str, repository: str) -> Association:
    return Association("dra-1", ID, path, repository, "AVAILABLE")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/fsx", "scratch"),
        ("/fsx/a/b", "scratch"),
        ("/fsx2", None),  # a name that only begins alike
        ("/", None),
        ("/home/fsx", None),
        ("/data/deep/x", "deep"),
        ("/data/x", "data"),
    ],
)
def test_the_mount_above_a_path(path: str, name: str | None) -> None:
    sections = {
        "scratch": SECTION,
        "data": FsxConfig(file_system_id=ID, mount=Path("/data")),
        "deep": FsxConfig(file_system_id=ID, mount=Path("/data/deep")),
    }
    found = find_link(sections, Path(path))
    assert (found[0] if found else None) == name


LINKED = [
    # association, repository, the job's path, bucket, prefix -> below
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "p/", ""),
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "p", ""),
    ("/ns1", "s3://b/p", "/fsx/ns1", "b", "p/", ""),
    ("/ns1/", "s3://b/p/", "/fsx/ns1", "b", "p/", ""),
    ("/ns1", "s3://b", "/fsx/ns1", "b", "", ""),
    ("/ns1", "s3://b/", "/fsx/ns1/x", "b", "x/", "x"),
    ("/ns1", "s3://b/p/", "/fsx/ns1/x/y", "b", "p/x/y/", "x/y"),
    ("/ns1/deep", "s3://b/p/q/", "/fsx/ns1/deep/x", "b", "p/q/x/", "x"),
    ("/", "s3://b/p/", "/fsx", "b", "p/", ""),
    ("/", "s3://b", "/fsx/x", "b", "x/", "x"),
    # not linked
    ("/ns1", "s3://b/p/", "/fsx", "b", "p/", None),  # above the association
    ("/ns1", "s3://b/p/", "/fsx", "b", "", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "", None),
    ("/ns1", "s3://b/p/", "/fsx/ns10", "b", "p/", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "p2/", None),
    ("/ns1", "s3://b/p", "/fsx/ns1/2", "b", "p2/", None),  # a prefix is a folder, not a beginning of keys
    ("/ns1", "s3://b/p/", "/fsx/ns1", "c", "p/", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1/x", "b", "p/y/", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1/x", "b", "p/", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "p/x/", None),
    ("/ns1", "s3://b/p/", "/fsx/ns1/x", "b", "p//x/", None),  # another key than p/x/
    ("/ns1", "s3://b/p/", "/fsx/ns1", "b", "p//", None),
    ("/ns1", "s3://b/p/", "/other/ns1", "b", "p/", None),
]


@pytest.mark.parametrize(("folder", "repository", "path", "bucket", "prefix", "below"), LINKED)
def test_both_sides_lie_as_deep_below_one_association(
    folder: str, repository: str, path: str, bucket: str, prefix: str, below: str | None
) -> None:
    link = link_between("scratch", SECTION, SYSTEM, [one(folder, repository)], Path(path), bucket, prefix)
    assert (None if link is None else link.below) == below
    if link is not None:
        assert (link.fsx, link.section, link.file_system) == ("scratch", SECTION, SYSTEM)


def test_of_several_associations_the_one_that_has_both_sides() -> None:
    several = [one("/ns1", "s3://b/p/"), Association("dra-2", ID, "/ns2", "s3://b/q/", "AVAILABLE")]
    link = link_between("scratch", SECTION, SYSTEM, several, Path("/fsx/ns2/x"), "b", "q/x")
    assert link is not None
    assert link.association.id == "dra-2"
    assert link_between("scratch", SECTION, SYSTEM, several, Path("/fsx/ns2/x"), "b", "p/x") is None
    assert link_between("scratch", SECTION, SYSTEM, [], Path("/fsx"), "b", "") is None


@pytest.mark.parametrize(
    ("folder", "repository", "path", "prefix", "forms"),
    [
        ("/ns1", "s3://b/p/", "/fsx/ns1", "p/", ("ns1", "ns1", "s3://b/p/", "s3://b/p/.headrace-tasks/")),
        ("/ns1/d/", "s3://b/p", "/fsx/ns1/d/x y", "p/x y/", ("ns1/d/x y", "ns1/d/x y", "s3://b/p/x y/",
                                                             "s3://b/p/.headrace-tasks/")),
        ("/ns1", "s3://b", "/fsx/ns1", "", ("ns1", "ns1", "s3://b/", "s3://b/.headrace-tasks/")),
        ("/", "s3://b/p/", "/fsx", "p/", ("", "/", "s3://b/p/", "s3://b/p/.headrace-tasks/")),
        ("/", "s3://b/p/", "/fsx/x", "p/x/", ("x", "x", "s3://b/p/x/", "s3://b/p/.headrace-tasks/")),
    ],
)  # fmt: skip
def test_how_tasks_name_what_is_linked(
    folder: str, repository: str, path: str, prefix: str, forms: tuple[str, str, str, str]
) -> None:
    link = link_between("scratch", SECTION, SYSTEM, [one(folder, repository)], Path(path), "b", prefix)
    assert link is not None
    assert (export_path(link), release_path(link), import_path(link), report_path(link)) == forms


def test_a_way_through_a_link_is_not_straight(tmp_path: Path) -> None:
    mount = tmp_path / "fsx"
    (mount / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (mount / "inside").symlink_to("real")
    (mount / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "door").symlink_to(mount)
    assert is_straight(mount, mount)
    assert is_straight(mount / "real", mount)
    assert is_straight(mount / "real" / "not yet there", mount)
    assert not is_straight(mount / "inside", mount)
    assert not is_straight(mount / "away" / "x", mount)
    door = tmp_path / "door"  # a mount may be configured by a link to it
    assert is_straight(door / "real", door)
    assert not is_straight(door / "away", door)
