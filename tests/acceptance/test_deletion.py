"""What a sync with --delete takes away, what it never does, and where it goes: through the installed commands."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import Bucket, Folder, Hub, Place, complaint, json_lines, outcomes
from tests.support.require import require
from tests.support.site import Site
from tests.support.trees import Tree

pytestmark = pytest.mark.server

ROUTES = [("files", "weed"), ("weed", "files")]
ALL = ("--delete", "--max-delete", "all")


@pytest.fixture(params=ROUTES, ids=["upload", "download"])
def ends(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> tuple[Place, Place]:
    """Source and destination of each direction."""
    start, end = request.param
    return hub.place(start, tmp_path), hub.place(end, tmp_path)


# -- how many --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [((), False), (("--max-delete", "59%"), False), (("--max-delete", "60%"), True), (("--max-delete", "3"), True)],
    ids=["default", "59%", "60%", "3"],
)
def test_a_share_of_the_destination(limit: tuple[str, ...], allowed: bool, hub: Hub, tmp_path: Path) -> None:
    """Three of five, beside what is excluded; each bound alone lifts the other."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a", "b": b"b"})
    there = {"a": b"a", "x": b"x", "y": b"y", "z": b"z", **{f"{number}.log": b"log" for number in range(9)}}
    bucket.fill(there)
    job = hub.sync(files, bucket, "--delete", "--exclude", "*.log", *limit, code=0 if allowed else 4)
    assert job["counters"]["deleted"] == (3 if allowed else 0)
    assert bucket.read().keys() == {*there, "b"} - ({"x", "y", "z"} if allowed else set())
    if not allowed:
        assert "remove 3 objects" in job["error"]
        assert "do: " in job["error"]


def test_a_dry_run_names_each_also_where_they_are_too_many(hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.prefix("weed"), Folder(tmp_path / "target")
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", "x": b"x", "deep/y": b"y"})
    options = ("--dry-run", "--delete", "--json")
    *lines, end = json_lines(hub.site.run("headrace", "sync", source.url, destination.url, *options, code=4))
    assert {line["key"]: line["outcome"] for line in lines} == {"x": "would_delete", "deep/y": "would_delete"}
    assert "--max-delete allows 1,000 and 50 %" in end["job"]["error"]
    assert destination.read().keys() == {"a", "x", "deep/y"}


def test_an_empty_source_empties_only_on_demand(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({})
    destination.fill({"x": b"x", "y": b"y"})
    assert "--allow-empty-source" in hub.sync(source, destination, *ALL, code=4)["error"]
    assert "allows 1,000 and 50 %" in hub.sync(source, destination, "--delete", "--allow-empty-source", code=4)["error"]
    assert destination.read().keys() == {"x", "y"}
    assert hub.sync(source, destination, *ALL, "--allow-empty-source")["counters"]["deleted"] == 2
    assert destination.read() == {}


# -- when ------------------------------------------------------------------------------------------------------------


def test_a_failure_of_the_listing_holds_deletions_up_until_a_new_job(hub: Hub, tmp_path: Path) -> None:
    """A name that is no UTF-8 cannot be sent: the job fails for it and deletes nothing, nor does a retry of it."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("clone")
    files.fill({"a": b"a", "b": b"b"})
    bucket.fill({"a": b"a", "gone": b"gone"})
    odd = os.fsencode(files.path) + b"/odd\xff"
    with open(odd, "wb"):
        pass
    job = hub.sync(files, bucket, "--delete", code=1)
    assert (job["counters"]["done"], job["counters"]["failed"], job["counters"]["deleted"]) == (1, 1, 0)
    assert bucket.read().keys() == {"a", "b", "gone"}
    shown = hub.site.run("headrace", "wait", job["id"], code=1)
    assert "1 only at the destination not deleted" in shown
    os.unlink(odd)
    hub.site.run("headrace", "retry", job["id"])
    hub.site.run("headrace", "wait", job["id"], code=1)
    assert bucket.read().keys() == {"a", "b", "gone"}
    hub.sync(files, bucket, "--delete")
    assert bucket.read().keys() == {"a", "b"}


def test_another_directory_under_the_source_deletes_nothing(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    """As an unmounted file system leaves it: the job was planned in the one and goes on in the other."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a", "b": b"b"})
    bucket.fill({"a": b"a", "b": b"b", "gone": b"gone"})
    job = quiet.enqueue(files.url, bucket.url, "--delete", "--max-delete", "0")
    quiet.run("headraced", "drain", code=4)
    assert "allows 0" in quiet.status(job)["error"]
    files.path.rename(tmp_path / "elsewhere")
    files.fill({"a": b"a", "b": b"b"})
    quiet.run("headrace", "retry", job)
    quiet.run("headraced", "drain", code=4)
    status = quiet.status(job)
    assert f"{files.url}: the source is another directory" in status["error"]
    assert status["counters"]["deleted"] == 0
    assert bucket.read().keys() == {"a", "b", "gone"}


# -- the trash -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remote", ["weed", "moto", "clone", "files"])
def test_what_goes_is_moved_to_the_trash(remote: str, hub: Hub, tmp_path: Path) -> None:
    source = hub.prefix("weed")
    destination = hub.place(remote, tmp_path)
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", "x": b"first", "deep/y": b"y"})
    options = (*ALL, "--trash", "old")
    job = hub.sync(source, destination, *options)
    assert job["counters"]["deleted"] == 2
    assert outcomes(hub.lines(job)) == {"x": "trashed", "deep/y": "trashed"}
    assert {line.message for line in hub.lines(job)} == {f"{destination.url}/old/x", f"{destination.url}/old/deep/y"}
    assert destination.read() == {"a": b"a", "old/x": b"first", "old/deep/y": b"y"}
    destination.fill({"x": b"second"})
    assert hub.sync(source, destination, *options)["counters"]["deleted"] == 1
    kept = {"a": b"a", "old/x": b"first", "old/x.~1~": b"second", "old/deep/y": b"y"}
    assert destination.read() == kept
    job = hub.sync(source, destination, *options)
    assert (job["counters"]["deleted"], job["counters"]["extra"]) == (0, 0)
    assert destination.read() == kept


def test_the_trash_may_lie_elsewhere_in_the_bucket(hub: Hub) -> None:
    source, place = hub.prefix("weed"), hub.bucket("moto")
    destination = Bucket(place.server, place.remote, place.name, "data/")
    trash = Bucket(place.server, place.remote, place.name, "trash/2026/")
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", "x": b"x"})
    hub.sync(source, destination, "--delete", "--trash", trash.url)
    assert place.read() == {"data/a": b"a", "trash/2026/x": b"x"}


def test_a_file_in_the_way_of_a_folder_is_left_in_the_trash(hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.prefix("weed"), Folder(tmp_path / "target")
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", "d": b"file"})
    trash = tmp_path / "trash"
    options = ("--delete", "--max-delete", "all", "--trash", trash)
    hub.sync(source, destination, *options)
    destination.fill({"d/e/x": b"x"})
    hub.sync(source, destination, *options)
    assert Folder(trash).read() == {"d": b"file", "d.~1~/e.~1~/x.~1~": b"x"}
    assert destination.read() == {"a": b"a"}


def test_what_cannot_be_moved_stays(hub: Hub, tmp_path: Path) -> None:
    """A name that has no room for a suffix, where its place in the trash is taken."""
    source, destination = hub.prefix("weed"), Folder(tmp_path / "target")
    name = "n" * 255
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", name: b"new", f"old/{name}": b"old"})
    job = hub.sync(source, destination, *ALL, "--trash", "old", code=1)
    assert (job["counters"]["failed"], job["counters"]["deleted"]) == (1, 0)
    assert destination.read() == {"a": b"a", name: b"new", f"old/{name}": b"old"}


def test_a_dry_run_names_what_would_be_moved(hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.prefix("weed"), Folder(tmp_path / "target")
    source.fill({"a": b"a"})
    destination.fill({"a": b"a", "x": b"x"})
    said = hub.site.run("headrace", "sync", source.url, destination.url, "--delete", "--trash", "old", "--dry-run")
    assert said.splitlines()[0].startswith("would trash")
    assert destination.read().keys() == {"a", "x"}


def test_trash_on_another_file_system_fails_before_anything_is_sent(hub: Hub, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    source, destination = hub.prefix("weed"), Folder(tmp_path / "target")
    trash = memory / f"headrace-trash-{os.getpid()}"  # never made, so nothing of it stays in this shared place
    source.fill({"a": b"a"})
    destination.fill({"x": b"x"})
    job = hub.sync(source, destination, *ALL, "--trash", trash, code=4)
    assert "another file system" in job["error"]
    assert destination.read() == {"x": b"x"}
    assert not trash.exists()


# -- wrong use -------------------------------------------------------------------------------------------------------

WRONG = [
    (("--trash", "old"), "--trash", "without --delete"),
    (("--allow-empty-source",), "--allow-empty-source", "without --delete"),
    (("--delete", "--max-delete", "101%"), "--max-delete 101%", "from 0% to 100%"),
    (("--delete", "--max-delete", "many"), "--max-delete many", "neither a number"),
    (("--delete", "--trash", "weed://another-bucket/old"), "--trash weed://another-bucket/old", "within one bucket"),
    (("--delete", "--trash", "/tmp/old"), "--trash /tmp/old", "within one bucket"),
    (("--delete", "--trash", "../old"), "--trash ../old", "no `.` and `..`"),
    (("--delete", "--trash", ""), "an empty location", "neither a bucket nor a path"),
]


@pytest.mark.parametrize(("options", "what", "why"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_use(options: tuple[str, ...], what: str, why: str, hub: Hub, tmp_path: Path) -> None:
    said = complaint(hub.site, "headrace", "sync", tmp_path, hub.prefix("weed").url, *options)
    assert said[0].startswith(what)
    assert why in said[1]


def test_a_trash_that_holds_the_destination_or_meets_the_source_is_refused(hub: Hub) -> None:
    place = hub.bucket("weed")
    source, destination = f"{place.url}/from", f"{place.url}/to/data"
    for trash, why in (
        (place.url, "lies in it"),
        (f"{place.url}/to", "lies in it"),
        (f"{source}/old", "would come back"),
    ):
        said = complaint(hub.site, "headrace", "sync", source, destination, "--delete", "--trash", trash)
        assert said[0].startswith("--trash")
        assert why in said[1]


# -- rsync as an oracle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_trees_end_as_rsync_leaves_them(seed: int, hub: Hub, tmp_path: Path) -> None:
    """The same two trees: `rsync --delete` on the one pair, Headrace by way of a bucket on the other."""
    rsync = require("rsync")
    chance = random.Random(seed)
    source, ours, theirs = (Folder(tmp_path / name) for name in ("source", "ours", "theirs"))
    first, second = random_tree(chance), random_tree(chance)
    source.fill(first)
    for place in (ours, theirs):
        place.fill(second)
    subprocess.run(
        [rsync, "-r", "--size-only", "--delete", "--exclude=*.tmp", f"{source.url}/", f"{theirs.url}/"], check=True
    )
    bucket = hub.prefix("weed")
    hub.sync(source, bucket, *ALL, "--exclude", "*.tmp")
    hub.sync(bucket, ours, *ALL, "--exclude", "*.tmp")
    assert ours.read() == theirs.read()


def random_tree(chance: random.Random) -> Tree:
    """Names that often meet: files beside folders that begin alike."""
    names = ("a", "a-b", "a.txt", "b", "c.tmp")
    keys = {f"{chance.choice('xyz')}d/{chance.choice(names)}" for _ in range(6)} | set(chance.sample(names, 3))
    return {key: chance.randbytes(chance.choice((1, 2, 300))) for key in sorted(keys)}
