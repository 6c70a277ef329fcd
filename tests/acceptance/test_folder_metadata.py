"""POSIX metadata of whole trees, folders and links among them, in FSx's own keys: written, read, and given back."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Bucket, Folder, Hub, call, sent
from tests.support.rights import drain_without_privilege
from tests.support.site import Site

pytestmark = pytest.mark.server

ALL = ("--preserve", "--links", "store", "--dirs")
BACK = ("--preserve", "--links", "store")
T = 1_595_002_920_123_456_789
ROOT = os.geteuid() == 0

MODES = {
    "a": 0o755,
    "a/shut": 0o555,
    "a/shut/in": 0o750,
    "a/sticky": 0o1777,
    "empty": 0o711,
    "a/file": 0o640,
    "a/shut/file": 0o400,
    "a/shut/in/tool": 0o751,
}


def grow(tree: Folder) -> None:
    """Nested folders, odd modes, links to a file, a folder and nowhere, and times that no clock gives by chance."""
    tree.fill({"a/file": b"1", "a/shut/file": b"22", "a/shut/in/tool": b"333", "a/sticky/x": b"4", "top": b""})
    (tree.path / "empty").mkdir()
    for name, target in {"link": "a/file", "a/shut/way": "../sticky", "a/nowhere": "no/where"}.items():
        (tree.path / name).symlink_to(target)
    names = sorted((path for path in tree.path.rglob("*")), reverse=True)
    for number, path in enumerate(names):  # contents before their folders
        mode = MODES.get(path.relative_to(tree.path).as_posix())
        if ROOT:
            os.chown(path, 1000 + number, 2000 + number, follow_symlinks=False)
        if mode is not None:
            path.chmod(mode)
        os.utime(path, ns=(T + number, T - 10**15 - number), follow_symlinks=False)


def seen(folder: Path, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Kind and mode, owner, group and times of everything below a folder. Listing a folder changes its time of access,
    and following a link that of the link."""
    found: dict[str, tuple[int, ...]] = {}
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            name, status = f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)
            times = (status.st_mtime_ns, 0 if stat.S_ISDIR(status.st_mode) else status.st_atime_ns)
            found[name] = (status.st_mode, status.st_uid, status.st_gid, *times)
            if entry.is_dir(follow_symlinks=False):
                found |= seen(folder, f"{name}/")
    return found


def metadata(bucket: Bucket, key: str) -> dict[str, str]:
    found: dict[str, str] = bucket.head(key)["Metadata"]
    return found


def test_a_tree_comes_back_as_it_was(hub: Hub, tmp_path: Path) -> None:
    tree, bucket, back = Folder(tmp_path / "tree"), hub.prefix("moto"), Folder(tmp_path / "back")
    grow(tree)
    before = seen(tree.path)
    assert sent(hub.sync(tree, bucket, *ALL)) == (13, 0, 0)
    shut = (tree.path / "a" / "shut").lstat()
    said = metadata(bucket, "a/shut/")
    assert said.pop("file-atime").endswith("ns")  # listing the folder may change it
    assert said == {
        "file-permissions": "0040555",
        "file-owner": str(shut.st_uid),
        "file-group": str(shut.st_gid),
        "file-mtime": f"{shut.st_mtime_ns}ns",
    }
    assert bucket.head("a/shut/")["ContentLength"] == 0
    assert metadata(bucket, "a/nowhere")["file-permissions"] == "0120777"

    assert sent(hub.sync(bucket, back, *BACK)) == (13, 0, 0)
    assert seen(back.path) == before
    assert {path: os.readlink(back.path / path) for path in ("link", "a/shut/way", "a/nowhere")} == {
        "link": "a/file",
        "a/shut/way": "../sticky",
        "a/nowhere": "no/where",
    }

    for options, source, destination in ((ALL, tree, bucket), (BACK, bucket, back)):
        assert sent(hub.sync(source, destination, *options)) == (0, 13, 0)
        assert sent(hub.sync(source, destination, *options, "--compare", "mtime")) == (0, 13, 0)
    assert {name: of[:4] for name, of in seen(back.path).items()} == {name: of[:4] for name, of in before.items()}


def test_a_marker_of_a_folder_that_is_there_is_not_deleted(hub: Hub, tmp_path: Path) -> None:
    tree, bucket = Folder(tmp_path / "tree"), hub.prefix("moto")
    tree.fill({"a/b/file": b"1", "gone": b"2"})
    assert sent(hub.sync(tree, bucket, "--dirs")) == (4, 0, 0)
    tree.delete("gone")
    job = hub.sync(tree, bucket, "--dirs", "--delete")
    assert (sent(job), job["counters"]["deleted"]) == ((0, 3, 0), 1)
    assert sent(hub.sync(tree, bucket, "--delete")) == (0, 1, 0)
    for key in ("a/", "a/b/"):
        assert not [name for name in metadata(bucket, key) if name.startswith("file-")]
    said = call(hub.site, "headraced", "verify", tree.url, bucket.url).out
    assert "differs" not in said
    assert "missing" not in said


def put(bucket: Bucket, key: str, body: bytes, **said: str) -> None:
    """As FSx for Lustre exports it."""
    names = {name.replace("_", "-"): value for name, value in said.items()}
    with bucket.client() as client:
        client.put_object(Bucket=bucket.name, Key=bucket.prefix + key, Body=body, Metadata=names)


def as_fsx(mode: str, number: int) -> dict[str, str]:
    """The metadata that FSx documents, different in each number."""
    return {
        "user_agent": "aws-fsx-lustre",
        "file_permissions": mode,
        "file_owner": str(500 + number),
        "file_group": str(600 + number),
        "file_atime": f"{T + number}ns",
        "file_mtime": f"{T - number}ns",
    }


def test_what_fsx_exported_comes_back(hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), tmp_path / "back"
    put(bucket, "d/", b"", **as_fsx("0040750", 1))
    put(bucket, "d/e/", b"", **as_fsx("0100664", 2))  # as in the sample of the guide
    put(bucket, "d/e/file", b"data", **as_fsx("0100604", 3))
    put(bucket, "d/link", b"e/file", **as_fsx("0120777", 4))
    put(bucket, "d/plain", b"no type", **as_fsx("0640", 5))
    put(bucket, "d/set", b"", **as_fsx("0106755", 6))
    put(bucket, "odd/", b"", file_permissions="0", file_owner="9" * 40, file_mtime="1e9", file_atime="-")
    put(bucket, "odd/file", b"", file_permissions="7" * 30, file_mtime=str(2**80))
    put(bucket, "wild/", b"", **as_fsx("0047777", 7))
    put(bucket, "none/file", b"")
    assert sent(hub.sync(bucket, Folder(back), *BACK)) == (10, 0, 0)

    def told(path: str) -> tuple[Any, ...]:
        status = (back / path).lstat()
        owner = (status.st_uid - 500, status.st_gid - 600) if ROOT else ()
        return stat.filemode(status.st_mode), status.st_mtime_ns - T, *owner

    for path, mode, number in (
        ("d", "drwxr-x---", 1),
        ("d/e", "drwxrwxr-x", 2),
        ("d/e/file", "-rw----r--", 3),
        ("d/link", "lrwxrwxrwx", 4),
        ("d/plain", "-rw-r-----", 5),
        ("d/set", "-rwxr-xr-x", 6),
        ("wild", "drwxrwxrwt", 7),
    ):
        assert told(path) == (mode, -number, *((number, number) if ROOT else ())), path
    assert os.readlink(back / "d" / "link") == "e/file"
    assert stat.S_IMODE((back / "odd").stat().st_mode) == 0o500, "its owner can always look into it"
    assert (back / "odd").stat().st_mtime_ns > T


def test_what_lands_in_a_folder_leaves_its_time_and_mode(quiet: Site, hub: Hub, tmp_path: Path) -> None:
    """A daemon without rights of its own, a folder that says read-only, and files that come later, by another job."""
    bucket, back = hub.prefix("moto"), tmp_path / "back"
    read_only = as_fsx("0040555", 1)
    put(bucket, "a/", b"", **as_fsx("0040755", 2))
    put(bucket, "a/shut/", b"", **read_only)
    put(bucket, "a/shut/one", b"1")
    for later in ({}, {"a/shut/two": b"2", "a/shut/deep/er/three": b"3"}, {"a/shut/sub/": b""}):
        for key, body in later.items():
            put(bucket, key, body)
        quiet.run("headrace", "sync", bucket.url, back, "--preserve")
        drain_without_privilege(quiet, code=0)
        for path, mode, number in (("a", 0o755, 2), ("a/shut", 0o555, 1)):
            status = (back / path).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, T - number), path
    assert (back / "a" / "shut" / "deep" / "er" / "three").read_bytes() == b"3"
    assert (back / "a" / "shut" / "sub").is_dir()

    # only what a marker closed is opened: this was somebody here
    (back / "a" / "shut").chmod(0o511)
    put(bucket, "a/shut/four", b"4")
    quiet.run("headrace", "sync", bucket.url, back, "--preserve")
    drain_without_privilege(quiet, code=1)
    assert stat.S_IMODE((back / "a" / "shut").stat().st_mode) == 0o511


def test_a_newer_marker_counts_where_times_are_compared(hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    put(bucket, "a/", b"", **as_fsx("0040755", 5))
    put(bucket, "b/", b"")
    hub.sync(bucket, back, "--preserve")
    put(bucket, "a/", b"", **as_fsx("0040700", 4))
    assert sent(hub.sync(bucket, back, "--preserve")) == (0, 2, 0)
    assert sent(hub.sync(bucket, back, "--compare", "mtime")) == (0, 2, 0)
    assert sent(hub.sync(bucket, back, "--preserve", "--compare", "mtime")) == (1, 1, 0)
    status = (back.path / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o700, T - 4)
