"""--encode-names: what a tree cannot hold goes down under reversible names, and comes up as it was."""

import os
from pathlib import Path

import pytest

from tests.support.commands import Bucket, Folder, Hub, outcomes, sent
from tests.support.trees import Tree, keys_of

pytestmark = pytest.mark.server

LONG = "x" * 300
KEYS = [
    "plain",
    "../evil",
    "ok/..",
    "ok/./here",
    "/absolute",
    "double//slash",
    "triple///slash",
    "ends//",
    "folder/",  # with content
    "folder/file",
    "%x2F",
    "looks%x2Fencoded",
    "per%cent%20url%2F",
    LONG,
    f"a/{LONG}/below",
    "x" * 251 + "a",  # between the pieces of the long name: the order of the disk is not that of the keys
    "x" * 251 + "y",
    "caf\u00e9/\u6f22\u5b57",
]


def tree_of(*keys: str) -> Tree:
    """Each object holds its own key."""
    return {key: key.encode() for key in keys}


def keys_in(bucket: Bucket) -> set[str]:
    return {key.removeprefix(bucket.prefix) for key in keys_of(bucket.server, bucket.name, bucket.prefix)}


def test_every_key_comes_down_and_goes_up_again(hub: Hub, tmp_path: Path) -> None:
    """Through moto, which holds every key as it is. Large objects take another way than small ones."""
    bucket, files, again = hub.prefix("moto"), Folder(tmp_path / "deep" / "files"), hub.prefix("moto")
    tree = tree_of(*KEYS) | {"large//one": b"large" * 1_200_000}
    bucket.fill(tree)
    job = hub.sync(bucket, files, "--encode-names")
    assert outcomes(hub.lines(job)) == dict.fromkeys(tree, "transferred")
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}  # nothing left its root
    found = files.read()
    assert found["%x2E%x2E/evil"] == b"../evil"
    assert found["double/%x2Fslash"] == b"double//slash"
    assert found["folder%x2F"] == b"folder/"
    assert found["plain"] == b"plain"
    assert sent(hub.sync(bucket, files, "--encode-names")) == (0, len(tree), 0)
    assert any(str(files.path) in str(event) for event in hub.site.events("job_sorting"))
    assert sent(hub.sync(bucket, files, "--encode-names", "--compare", "checksum")) == (0, len(tree), 0)
    for pair in ((bucket.url, files.path), (files.path, bucket.url)):
        checked = hub.site.run("headraced", "verify", "--encode-names", *pair)
        assert f"same: {len(tree)} objects" in checked
    assert sent(hub.sync(files, again, "--encode-names")) == (len(tree), 0, 0)
    assert keys_in(again) == set(tree)
    assert sent(hub.sync(bucket, again, "--compare", "checksum")) == (0, len(tree), 0)
    assert sent(hub.sync(files, again, "--encode-names")) == (0, len(tree), 0)


def test_deletions_find_the_names_behind_the_encoded_ones(hub: Hub, tmp_path: Path) -> None:
    bucket, files = hub.prefix("moto"), Folder(tmp_path / "files")
    kept, gone = tree_of("a//kept", "..", "plain"), tree_of("a//gone", "folder/", "b/./gone", LONG)
    bucket.fill(kept | gone)
    hub.sync(bucket, files, "--encode-names")
    bucket.delete(*gone)
    job = hub.sync(bucket, files, "--encode-names", "--delete", "--max-delete", "all")
    assert {line.key for line in hub.lines(job) if line.outcome == "deleted"} == set(gone)
    assert set(files.read()) == {"a/%x2Fkept", "%x2E%x2E", "plain"}
    files.delete("a/%x2Fkept")
    job = hub.sync(files, bucket, "--encode-names", "--delete")
    assert keys_in(bucket) == {"..", "plain"}


def test_file_names_that_are_no_text(hub: Hub, tmp_path: Path) -> None:
    """Told by their escaped name; or stored under it, and given back byte by byte."""
    bucket, files, back = hub.prefix("weed"), Folder(tmp_path / "files"), tmp_path / "back"
    files.fill({"good": b"good"})
    root = os.fsencode(files.path)
    os.mkdir(root + b"/d\xe9")
    names = {b"caf\xe9.nc": b"latin", b"d\xe9/in\xff\xfe": b"inner", "caf\u00e9".encode(): b"utf-8"}
    for name, content in names.items():
        Path(os.fsdecode(root + b"/" + name)).write_bytes(content)
    job = hub.sync(files, bucket, code=1)
    failed = {line.key: line.message for line in hub.lines(job) if line.outcome == "failed"}
    assert set(failed) == {"caf\\xe9.nc", "d\\xe9/"}
    assert all("UTF-8" in message for message in failed.values())
    assert sent(hub.sync(files, bucket, "--encode-names")) == (2, 2, 0)
    assert bucket.read() == {
        "good": b"good",
        "caf\u00e9": b"utf-8",
        "caf%xE9.nc": b"latin",
        "d%xE9/in%xFF%xFE": b"inner",
    }
    hub.sync(bucket, Folder(back), "--encode-names")
    for name, content in names.items():
        assert Path(os.fsdecode(os.fsencode(back) + b"/" + name)).read_bytes() == content


def test_a_file_whose_name_only_looks_encoded_is_one_failure(hub: Hub, tmp_path: Path) -> None:
    """It would become an object that another file may stand for."""
    bucket, files = hub.prefix("weed"), Folder(tmp_path / "files")
    files.fill({"good": b"good", "bad%x2Ename": b"bad", "100%25": b"an ordinary name"})
    job = hub.sync(files, bucket, "--encode-names", code=1)
    (failed,) = (line for line in hub.lines(job) if line.outcome == "failed")
    assert (failed.key, failed.error) == ("bad%x2Ename", "bad_name")
    assert "looks like an encoded name" in failed.message
    hub.sync(files, bucket)  # without the option it is a name like any other
    assert set(bucket.read()) == {"good", "bad%x2Ename", "100%25"}


def test_empty_folders_and_links_keep_encoded_names_apart(hub: Hub, tmp_path: Path) -> None:
    options = ("--encode-names", "--empty-dirs", "--links", "store")
    bucket, files, back = hub.prefix("moto"), Folder(tmp_path / "files"), Folder(tmp_path / "back")
    files.fill({"plain": b"plain", "empty%x2F": b""})
    for folder in ("a/%x2Fempty", "folder"):
        (files.path / folder).mkdir(parents=True)
    (files.path / "%x2E%x2E").symlink_to("plain")
    assert sent(hub.sync(files, bucket, *options)) == (5, 0, 0)
    assert keys_in(bucket) == {"plain", "empty/", "a//empty/", "folder/", ".."}
    hub.sync(bucket, back, "--encode-names", "--links", "store")
    assert os.readlink(back.path / "%x2E%x2E") == "plain"
    assert back.folders() == {"a", "a/%x2Fempty", "folder", "empty"}  # an empty marker is a folder again
    assert sent(hub.sync(back, bucket, *options)) == (0, 5, 0)
