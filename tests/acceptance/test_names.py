"""Names that programs trip over, up, down and between buckets; and names that no file may have."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.commands import Folder, Hub, outcomes, sent
from tests.support.trees import Tree, keys_of

pytestmark = pytest.mark.server

ORDINARY = [
    "with space",
    " space at both ends ",
    "caf\u00e9",  # é as one character
    "cafe\u0301",  # and as two: another name
    "\u6f22\u5b57/\u30c6\u30b9\u30c8",
    "\U0001f4a7drop",
    "plus+plus",
    "per%cent",
    "looks%20escaped",
    "looks%2Fescaped",
    "question?mark",
    "hash#tag",
    "am&per;sand",
    "quote'single",
    'quote"double',
    "less<than",
    "greater>than",
    "comma,colon:equals=at@",
    "star*[set]{brace}",
    "pipe|caret^tick`dollar$bang!",
    "back\\slash",
    "tilde~",
    "(round)",
    ".hidden",
    "..two",
    "...",
    "folder/.hidden/deep",
    "-dash",
    "trailing.",
    "x" * 200,
    "\u00e9" * 100,  # 200 bytes
    "/".join(f"level{number}" for number in range(40)),
]
CONTROL = ["new\nline", "tab\tab", "bell\x07", "delete\x7f"]
SERVERS = ["weed", "clone", "moto"]
LISTS_CONTROL = ["weed", "moto"]
"""rclone stores them too, and lists now and then the picture of a control character (U+240A for a line break) instead:
which of them it is, and whether, differs from run to run."""
PICTURES = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421}
NOT_HELD = {"weed": {"back\\slash"}, "moto": {"new\nline"}}
"""SeaweedFS takes a backslash for a slash, whoever sends it, and moto answers 404 to a line break."""


def tree_of(names: Iterable[str], *remotes: str) -> Tree:
    """Each file holds its own name, so that no two are mistaken for each other. remotes: all of them hold the names."""
    missing = set().union(*(NOT_HELD.get(remote, set()) for remote in remotes))
    return {name: name.encode() for name in names if name not in missing}


@pytest.mark.parametrize("remote", SERVERS)
def test_awkward_names_go_up_and_come_back(remote: str, hub: Hub, tmp_path: Path) -> None:
    tree = tree_of(ORDINARY, remote)
    files, bucket, back = Folder(tmp_path / "files"), hub.bucket(remote), Folder(tmp_path / "back")
    files.fill(tree)
    assert sent(hub.sync(files, bucket)) == (len(tree), 0, 0)
    assert bucket.read() == tree
    assert sent(hub.sync(files, bucket)) == (0, len(tree), 0)
    job = hub.sync(bucket, back)
    assert outcomes(hub.lines(job)) == dict.fromkeys(tree, "transferred")
    assert back.read() == tree
    assert sent(hub.sync(bucket, back)) == (0, len(tree), 0)


@pytest.mark.parametrize("remote", SERVERS)
def test_awkward_names_of_others_come_down_and_are_deleted(remote: str, hub: Hub, tmp_path: Path) -> None:
    tree = tree_of(ORDINARY, remote)
    bucket, files = hub.prefix(remote), Folder(tmp_path / "files")
    bucket.fill(tree)
    assert sent(hub.sync(bucket, files)) == (len(tree), 0, 0)
    assert files.read() == tree
    kept = {"caf\u00e9": b"caf\xc3\xa9"}
    files.delete(*(set(tree) - set(kept)))
    assert hub.sync(files, bucket, "--delete", "--max-delete", "all")["counters"]["deleted"] == len(tree) - 1
    assert bucket.read() == kept


@pytest.mark.parametrize(("start", "end"), [("weed", "clone"), ("clone", "moto"), ("moto", "weed")])
def test_awkward_names_are_relayed(start: str, end: str, hub: Hub) -> None:
    tree = tree_of(ORDINARY, start, end)
    source, destination = hub.prefix(start), hub.prefix(end)
    source.fill(tree)
    assert sent(hub.sync(source, destination)) == (len(tree), 0, 0)
    assert destination.read() == tree
    assert sent(hub.sync(source, destination)) == (0, len(tree), 0)


@pytest.mark.parametrize("remote", SERVERS)
def test_awkward_names_are_copied_by_the_service(remote: str, hub: Hub) -> None:
    tree = tree_of(ORDINARY, remote)
    source, destination = hub.prefix(remote), hub.prefix(remote)
    source.fill(tree)
    job = hub.sync(source, destination)
    assert outcomes(hub.lines(job)) == dict.fromkeys(tree, "copied")
    assert destination.read() == tree


@pytest.mark.parametrize("remote", LISTS_CONTROL)
def test_control_characters_go_both_ways(remote: str, hub: Hub, tmp_path: Path) -> None:
    tree = tree_of(CONTROL, remote)
    files, bucket, back = Folder(tmp_path / "files"), hub.prefix(remote), Folder(tmp_path / "back")
    files.fill(tree)
    job = hub.sync(files, bucket)
    assert bucket.read() == tree
    hub.sync(bucket, back)
    assert back.read() == tree
    shown = hub.site.run("headrace", "report", job["id"]).splitlines()
    assert len(shown) == len(tree)
    assert any("bell\\x07" in line for line in shown)


def test_control_characters_arrive_where_listings_do_not_show_them(hub: Hub, tmp_path: Path) -> None:
    tree = tree_of(CONTROL, "clone")
    files, bucket = Folder(tmp_path / "files"), hub.prefix("clone")
    files.fill(tree)
    hub.sync(files, bucket)
    with bucket.client() as client:
        for key, content in tree.items():
            try:
                found = client.get_object(Bucket=bucket.name, Key=bucket.prefix + key)
            except client.exceptions.NoSuchKey:  # by now it knows it by the picture alone
                found = client.get_object(Bucket=bucket.name, Key=bucket.prefix + key.translate(PICTURES))
            assert found["Body"].read() == content


def test_a_name_that_a_service_does_not_hold_is_one_failure(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("moto")
    files.fill({"new\nline": b"1", "good": b"good"})
    job = hub.sync(files, bucket, code=1)
    assert outcomes(hub.lines(job)) == {"new\nline": "failed", "good": "transferred"}
    assert "new\\nline" in hub.site.run("headrace", "status", job["id"])
    assert bucket.read() == {"good": b"good"}


@pytest.mark.parametrize("name", ["with space", "per%cent", "question?mark", "hash#tag", "caf\u00e9", "new\nline"])
def test_one_object_of_an_awkward_name_is_copied(name: str, hub: Hub, tmp_path: Path) -> None:
    bucket, files = hub.prefix("weed"), Folder(tmp_path / "files")
    files.fill({name: b"content", "other": b""})
    hub.copy(f"{files.url}/{name}", f"{bucket.url}/there/{name}")
    assert bucket.read() == {f"there/{name}": b"content"}
    hub.copy(f"{bucket.url}/there/{name}", f"{files.url}/back/")
    assert (files.path / "back" / name).read_bytes() == b"content"


# -- what each service makes of names that others hold -----------------------------------------------------------------


REWRITTEN = {
    "weed": {"double//slash": "double/slash", "/lead": "lead", "back\\slash": "back/slash"},
    "clone": {"bytes/": "bytes"},
    "moto": {},
}
"""Key -> what the service lists after it said that it stored the key."""

REFUSED = {
    "weed": {
        **dict.fromkeys(("a/../b", "./here", "..", "a/."), "InvalidRequest"),
        "Q" * 300: "KeyTooLongError",  # 255 bytes without a slash, in spite of 1,024 in all
    },
    "clone": dict.fromkeys(("double//slash", "/lead", "a/../b", "./here", "..", "a/."), "InvalidArgument"),
    "moto": {},
}
"""Key -> the error of that one object."""

HELD_BY_ALL = [
    "good",
    "caf\u00e9",
    "cafe\u0301",
    "A",
    "a",
    "\U0001f4a7",
    " lead",
    "trail ",
    "q?a=b&c#d;e",
    "a+b%2Fc",
    "100%",
]


@pytest.mark.parametrize("remote", SERVERS)
def test_what_services_make_of_names(remote: str, hub: Hub) -> None:
    """The table of the documentation. Nothing but those names is different, and nothing of them stops the others."""
    rewritten, refused = REWRITTEN[remote], REFUSED[remote]
    keys = [*HELD_BY_ALL, *REWRITTEN["weed"], *REFUSED["weed"], *REFUSED["clone"], *rewritten]
    keys = [key for key in keys if remote != "clone" or len(key) <= 255]  # a file name on its disk
    source, destination = hub.prefix("moto"), hub.prefix(remote)
    source.fill(tree_of(keys))
    job = hub.sync(source, destination, code=1 if refused else 0)
    failed = {line.key: line.error for line in hub.lines(job) if line.outcome == "failed"}
    assert failed == refused
    listed = keys_of(destination.server, destination.name, destination.prefix)
    assert {key.removeprefix(destination.prefix) for key in listed} == {
        rewritten.get(key, key) for key in keys if key not in refused
    }


def test_the_longest_key(hub: Hub) -> None:
    """1,024 bytes, in characters of one to four bytes."""
    longest = ["k" * 1024, "\u00e9" * 512, "\U0001f4a7" * 256, "/".join(["s" * 127] * 8) + "/"]
    assert {len(key.encode()) for key in longest} == {1024}
    source, destination = hub.bucket("moto"), hub.bucket("moto")
    source.fill(tree_of(longest))
    assert sent(hub.sync(source, destination)) == (4, 0, 0)
    assert set(keys_of(destination.server, destination.name)) == set(longest)
    assert sent(hub.sync(source, destination, "--via", "stream")) == (0, 4, 0)


# -- names that lead elsewhere -------------------------------------------------------------------------------------

HOSTILE = ["../evil", "ok/../../evil", "ok/..", "/absolute", "double//slash", "./here", "ok/./here", "y" * 256]


def test_a_key_never_leaves_its_root(hub: Hub, tmp_path: Path) -> None:
    """Each is one failure with its reason; everything else arrives."""
    bucket, target = hub.prefix("moto"), Folder(tmp_path / "deep" / "target")
    bucket.fill(tree_of([*HOSTILE, "good", "ok/good"]))
    job = hub.sync(bucket, target, code=1)
    assert (job["state"], sent(job)) == ("incomplete", (2, 0, len(HOSTILE)))
    lines = {line.key: line for line in hub.lines(job)}
    assert {key for key, line in lines.items() if line.outcome == "failed"} == set(HOSTILE)
    assert all(lines[key].error == "name" and lines[key].message for key in HOSTILE)
    assert target.read() == tree_of(["good", "ok/good"])
    assert Folder(tmp_path).read() == {f"deep/target/{key}": key.encode() for key in ("good", "ok/good")}
    status = hub.site.run("headrace", "status", job["id"])
    assert f"ended, {len(HOSTILE)} failed" in status
    assert "../evil  name: " in status


def test_one_key_that_leaves_is_one_clear_failure(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("moto"), tmp_path / "target"
    bucket.fill({"../evil": b"evil"})
    said = hub.site.run("headrace", "sync", bucket.url, target, "--wait", code=1)
    assert "ended, but not everything arrived" in said
    assert "1 FAILED" in said
    assert "is done" not in said
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("via", ["stream", "server"])
def test_between_buckets_every_key_is_a_name(via: str, hub: Hub) -> None:
    tree = tree_of([*HOSTILE, "good"])
    source, destination = hub.prefix("moto"), hub.prefix("moto")
    source.fill(tree)
    assert sent(hub.sync(source, destination, "--via", via)) == (len(tree), 0, 0)
    assert destination.read() == tree
    assert sent(hub.sync(source, destination, "--via", via)) == (0, len(tree), 0)


def test_a_link_in_the_destination_leads_nowhere(hub: Hub, tmp_path: Path) -> None:
    bucket, target, outside = hub.prefix("weed"), Folder(tmp_path / "target"), tmp_path / "outside"
    bucket.fill({"link/file": b"evil", "good": b"good"})
    outside.mkdir()
    target.path.mkdir()
    (target.path / "link").symlink_to(outside)
    job = hub.sync(bucket, target, code=1)
    assert {line.key: line.error for line in hub.lines(job)} == {"link/file": "blocked", "good": ""}
    assert list(outside.iterdir()) == []


def test_a_link_that_is_the_file_is_replaced_and_not_followed(hub: Hub, tmp_path: Path) -> None:
    bucket, target, outside = hub.prefix("weed"), Folder(tmp_path / "target"), tmp_path / "outside"
    bucket.fill({"file": b"content of the object"})
    outside.write_bytes(b"untouched")
    target.path.mkdir()
    (target.path / "file").symlink_to(outside)
    hub.sync(bucket, target)
    assert outside.read_bytes() == b"untouched"
    assert not (target.path / "file").is_symlink()
    assert target.read() == {"file": b"content of the object"}


def test_a_file_and_a_folder_of_one_name_cannot_both_be(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("moto"), Folder(tmp_path / "target")
    bucket.fill({"name": b"file", "name/inner": b"inner", "other": b"other"})
    job = hub.sync(bucket, target, code=1)
    assert sent(job) == (2, 0, 1)
    (failed,) = (line for line in hub.lines(job) if line.outcome == "failed")
    assert (failed.key in ("name", "name/inner"), failed.error) == (True, "blocked")
    assert target.read() in ({"name": b"file", "other": b"other"}, {"name/inner": b"inner", "other": b"other"})


def test_a_name_that_is_no_text_is_one_failure(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"good": b"good"})
    (Path(os.fsdecode(os.fsencode(files.path) + b"/bad\xff"))).write_bytes(b"bad")
    job = hub.sync(files, bucket, code=1)
    assert sent(job) == (1, 0, 1)
    (failed,) = (line for line in hub.lines(job) if line.outcome == "failed")
    assert "UTF-8" in failed.message
    assert bucket.read() == {"good": b"good"}


def test_folder_markers_become_folders(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("moto"), Folder(tmp_path / "target")
    bucket.fill({"empty/": b"", "full/": b"", "full/file": b"file"})
    hub.sync(bucket, target)
    assert target.read() == {"full/file": b"file"}
    assert target.folders() == {"empty", "full"}
    assert sent(hub.sync(bucket, target)) == (0, 3, 0)
