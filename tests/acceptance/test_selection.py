"""Which objects a sync takes, by name, size and age, and what `headrace match` tells of it: through the commands."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.commands import Bucket, Folder, Hub, call, complaint, json_lines
from tests.support.require import require

pytestmark = pytest.mark.server

DAY = 86_400
TREE = {
    key: b"x" * size
    for key, size in {
        "download/a.tif": 10,
        "region/download/b.tif": 20,
        "region/c.tif": 30,
        "region/mydownload/d.tif": 40,
        "e.log": 0,
    }.items()
}


def filled(hub: Hub, tmp_path: Path) -> tuple[Folder, Bucket]:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill(TREE)
    return files, bucket


# -- what a sync takes ---------------------------------------------------------------------------------------------

SELECTIONS: list[tuple[tuple[str, ...], set[str]]] = [
    (("--exclude-folder", "download"), {"region/c.tif", "region/mydownload/d.tif", "e.log"}),
    (("--exclude", "*", "--include-folder", "download"), {"download/a.tif", "region/download/b.tif"}),
    (
        ("--exclude", "*", "--include-folder", "region", "--exclude-folder", "download", "--exclude", "*/c.*"),
        {"region/mydownload/d.tif"},
    ),
    (
        ("--exclude-folder", "download", "--include", "region/*"),
        {"region/download/b.tif", "region/c.tif", "region/mydownload/d.tif", "e.log"},
    ),
    (("--min-size", "20"), {"region/download/b.tif", "region/c.tif", "region/mydownload/d.tif"}),
    (("--max-size", "20B"), {"download/a.tif", "region/download/b.tif", "e.log"}),
    (("--min-size", "1", "--max-size", "30", "--exclude-folder", "download"), {"region/c.tif"}),
]


@pytest.mark.parametrize(("options", "kept"), SELECTIONS)
def test_what_is_selected_is_sent(options: tuple[str, ...], kept: set[str], hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    counters = hub.sync(files, bucket, *options)["counters"]
    assert set(bucket.read()) == kept
    assert (counters["listed"], counters["excluded"]) == (len(TREE), len(TREE) - len(kept))


def test_age_is_that_of_the_source(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"old": b"1", "middle": b"2", "new": b"3"})
    now = time.time()
    for name, days in (("old", 10), ("middle", 5), ("new", 0)):
        os.utime(files.path / name, (now - days * DAY, now - days * DAY))
    hub.sync(files, bucket, "--max-age", "7d", "--min-age", "24h")
    assert set(bucket.read()) == {"middle"}
    instant = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3 * DAY))
    hub.sync(files, bucket, "--max-age", instant)
    assert set(bucket.read()) == {"middle", "new"}
    hub.sync(files, bucket, "--min-age", instant)
    assert set(bucket.read()) == {"old", "middle", "new"}


def test_the_age_of_an_object_is_told_by_its_bucket(hub: Hub, tmp_path: Path) -> None:
    bucket, files = hub.prefix("weed"), Folder(tmp_path / "files")
    bucket.fill({"young": b"1"})
    assert hub.sync(bucket, files, "--min-age", "30d")["counters"]["excluded"] == 1
    assert hub.sync(bucket, files, "--max-age", "30d")["counters"]["done"] == 1
    assert files.read() == {"young": b"1"}


# -- what is left out is not deleted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [("--max-size", "5"), ("--min-size", "50"), ("--max-age", "1d"), ("--exclude", "region/*"), None],
    ids=["max-size", "min-size", "max-age", "exclude", "nothing"],
)
def test_what_is_left_out_stays_at_the_destination(options: tuple[str, ...] | None, hub: Hub, tmp_path: Path) -> None:
    """The counterpart of a source object that its size or age leaves out is no extra. What only the destination has is,
    whatever its own size and age; only a name keeps it."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"region/c.tif": b"x" * 30})
    past = time.time() - 10 * DAY
    os.utime(files.path / "region/c.tif", (past, past))
    bucket.fill({"region/c.tif": b"kept", "region/extra.tif": b"x" * 30, "extra.tif": b"x" * 30})
    hub.sync(files, bucket, "--delete", "--max-delete", "10", *(options or ()))
    left = bucket.read()
    assert left["region/c.tif"] == (b"kept" if options else b"x" * 30)
    assert set(left) == {"region/c.tif"} | ({"region/extra.tif"} if options and options[0] == "--exclude" else set())


# -- wrong use -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min-size", "1K"), "--min-size 1K"),
        (("--max-age", "yesterday"), "--max-age yesterday"),
        (("--min-size", "2", "--max-size", "1"), "--min-size 2 --max-size 1"),
        (("--exclude-folder", "/"), "--exclude-folder '/'"),
    ],
)
def test_what_cannot_be_meant_starts_nothing(options: tuple[str, ...], said: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    assert complaint(hub.site, "headrace", "sync", files.url, bucket.url, *options)[0] == said
    assert bucket.read() == {}


# -- headrace match ------------------------------------------------------------------------------------------------

MATCHED = [
    ("download/a.tif", False, (1, "--exclude", "download/*"), None),
    ("e.log", True, None, None),
    ("region/c.tif", True, (3, "--include", "region/*"), None),
    ("region/download/b.tif", True, (3, "--include", "region/*"), None),
    ("region/mydownload/d.tif", False, (3, "--include", "region/*"), "--max-size"),
]


@pytest.mark.parametrize("kind", ["files", "weed", "clone"])
def test_match_tells_the_rule_that_decided(kind: str, hub: Hub, tmp_path: Path) -> None:
    place = hub.place(kind, tmp_path)
    place.fill(TREE)
    rules = ("--exclude-folder", "download", "--include", "region/*", "--max-size", "30")
    jobs = len(hub.site.headrace("jobs")["jobs"])
    *told, summary = json_lines(call(hub.site, "headrace", "match", place.url, *rules, "--all", "--json").out)
    found = [
        (line["key"], line["selected"], line["rule"] and tuple(line["rule"].values()), line["bound"])
        for line in sorted(told, key=lambda line: str(line["key"]))
    ]
    assert found == MATCHED
    assert {line["key"]: line["size"] for line in told} == {key: len(content) for key, content in TREE.items()}
    assert summary == {"summary": {"listed": 5, "selected": 3, "bytes": 50}}
    assert len(hub.site.headrace("jobs")["jobs"]) == jobs, "nothing is enqueued"


def test_match_prints_lines_for_people(hub: Hub, tmp_path: Path) -> None:
    files, _ = filled(hub, tmp_path)
    said = call(hub.site, "headrace", "match", files.url, "--exclude", "*", "--include", "*.log")
    assert said.out.splitlines() == ["selected         0 B  e.log  (rule 2: --include *.log)"]
    assert said.errors.splitlines() == ["1 of 5 objects selected, 0 B"]
    said = call(hub.site, "headrace", "match", files.url, "--exclude", "r*", "--min-size", "1", "--excluded")
    assert said.out.splitlines() == [
        "excluded         0 B  e.log  (--min-size)",
        "excluded        30 B  region/c.tif  (rule 1: --exclude r*)",
        "excluded        20 B  region/download/b.tif  (rule 1: --exclude r*)",
        "excluded        40 B  region/mydownload/d.tif  (rule 1: --exclude r*)",
    ]


def test_match_selects_what_a_sync_sends(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    for options, kept in SELECTIONS[::3]:
        *told, _ = json_lines(call(hub.site, "headrace", "match", files.url, *options, "--json").out)
        assert {line["key"] for line in told} == kept
    assert bucket.read() == {}


def test_match_exits_1_where_nothing_is_selected(hub: Hub, tmp_path: Path) -> None:
    files, _ = filled(hub, tmp_path)
    assert call(hub.site, "headrace", "match", files.url, "--exclude", "*", code=1).out == ""


def test_match_exits_4_where_the_source_cannot_be_listed(hub: Hub) -> None:
    said = call(hub.site, "headrace", "match", "weed://there-is-no-such-bucket/", code=4)
    assert said.out == ""
    assert said.errors.startswith("headrace: ")


def test_match_ends_quietly_in_a_pipe(hub: Hub, tmp_path: Path) -> None:
    """As `headrace match … | head`: nobody reads on, and more waits than a pipe holds."""
    files = Folder(tmp_path / "files")
    files.fill({f"{number:0150}": b"" for number in range(1_500)})
    with hub.site.popen("headrace", "match", files.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("selected")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_match_refuses_two_views_at_once(hub: Hub, tmp_path: Path) -> None:
    files, _ = filled(hub, tmp_path)
    what, _, _ = complaint(hub.site, "headrace", "match", files.url, "--all", "--excluded")
    assert what == "--excluded with --all"
    what, _, _ = complaint(hub.site, "headrace", "match", files.url, "--max-size", "1K")
    assert what == "--max-size 1K"


# -- datasets ------------------------------------------------------------------------------------------------------


def test_a_dataset_names_folders(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    lines = [
        "[datasets.tifs]",
        f'source = "{files.url}"',
        f'destination = "{bucket.url}"',
        'exclude = ["*"]',
        'include_folders = ["region"]',
        'exclude_folders = ["download"]',
    ]
    config = tmp_path / "config.toml"
    config.write_text(hub.site.config.read_text() + "\n" + "\n".join(lines) + "\n")
    call(hub.site, "headrace", "run", "tifs", "--wait", "--min-size", "35", "--config", config)
    assert set(bucket.read()) == {"region/mydownload/d.tif"}


# -- rsync as the judge --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("--exclude-folder", "download"), ("--exclude=download/",)),
        (("--exclude", "region/*"), ("--exclude=/region/**",)),
        (("--exclude", "*", "--include", "*.log"), ("--include=*/", "--include=*.log", "--exclude=*")),
        (("--max-size", "20"), ("--max-size=20",)),
    ],
)
def test_rsync_takes_the_same_files(ours: tuple[str, ...], theirs: tuple[str, ...], hub: Hub, tmp_path: Path) -> None:
    rsync = require("rsync")
    files, bucket = filled(hub, tmp_path)
    judged = Folder(tmp_path / "judged")
    subprocess.run([rsync, "-r", *theirs, f"{files.url}/", f"{judged.url}/"], check=True)
    hub.sync(files, bucket, *ours)
    assert bucket.read() == judged.read()
