"""What every option of `headrace sync` does, seen from outside: at both ends, in the report, in the counters."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import RcloneS3, SeaweedFS
from tests.support.commands import (
    THRESHOLD,
    Bucket,
    Folder,
    Hub,
    Place,
    call,
    complaint,
    json_lines,
    noise,
    outcomes,
    remote_of,
    sent,
)
from tests.support.site import COMMAND_SECONDS, Site, site_of, until

pytestmark = pytest.mark.server

ROUTES = [("files", "weed"), ("weed", "files"), ("weed", "clone")]
DAY = 86_400


@pytest.fixture(params=ROUTES, ids=["upload", "download", "relay"])
def ends(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> tuple[Place, Place]:
    """Source and destination of each direction."""
    start, end = request.param
    return hub.place(start, tmp_path), hub.place(end, tmp_path)


# -- which objects -------------------------------------------------------------------------------------------------

MIXED = {key: key.encode() for key in ("a.tif", "a.tmp", "keep/b.tmp", "keep/deep/c.tmp", "log/d.log", "log/e.tif")}
RULES = [
    (("--exclude", "*.tmp"), {"a.tif", "log/d.log", "log/e.tif"}),
    (
        ("--exclude", "*.tmp", "--include", "keep/*"),
        {"a.tif", "keep/b.tmp", "keep/deep/c.tmp", "log/d.log", "log/e.tif"},
    ),
    (("--include", "keep/*", "--exclude", "*.tmp"), {"a.tif", "log/d.log", "log/e.tif"}),
    (("--exclude", "*", "--include", "*.tif", "--exclude", "log/*"), {"a.tif"}),
    (("--exclude", "[!l]*", "--exclude", "log/?.log"), {"log/e.tif"}),
]


@pytest.mark.parametrize(("rules", "kept"), RULES)
def test_the_last_rule_that_matches_wins(rules: tuple[str, ...], kept: set[str], hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill(MIXED)
    job = hub.sync(files, bucket, *rules)
    assert set(bucket.read()) == kept
    assert (job["counters"]["listed"], job["counters"]["excluded"]) == (len(MIXED), len(MIXED) - len(kept))
    assert set(outcomes(hub.lines(job))) == kept


def test_rules_hold_in_every_direction(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill(MIXED)
    hub.sync(source, destination, "--exclude", "*", "--include", "keep/*")
    assert set(destination.read()) == {"keep/b.tmp", "keep/deep/c.tmp"}


# -- when an object is sent again ----------------------------------------------------------------------------------


def test_the_same_size_is_left_alone(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"same": b"new", "other": b"longer"})
    destination.fill({"same": b"old", "other": b"short"})
    assert sent(hub.sync(source, destination)) == (1, 1, 0)
    assert destination.read() == {"same": b"old", "other": b"longer"}


def test_other_content_is_found_by_checksum(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    content, large = noise(5000), noise(THRESHOLD + 1)
    source.fill({"same": content, "differs": b"new", "empty": b"", "large": large, "large-differs": large})
    destination.fill({"same": content, "differs": b"old", "empty": b"", "large": large, "large-differs": large[::-1]})
    job = hub.sync(source, destination, "--compare", "checksum")
    kept = dict.fromkeys(("same", "empty", "large"), "unchanged")
    assert outcomes(hub.lines(job)) == {"differs": "transferred", "large-differs": "transferred", **kept}
    assert sent(job) == (2, 3, 0)
    assert destination.read() == source.read()


def test_checksums_are_compared_within_a_service(hub: Hub) -> None:
    source, destination = hub.prefix("clone"), hub.prefix("clone")
    source.fill({"same": b"content", "differs": b"new"})
    destination.fill({"same": b"content", "differs": b"old"})
    job = hub.sync(source, destination, "--compare", "checksum")
    assert outcomes(hub.lines(job)) == {"differs": "copied", "same": "unchanged"}
    assert destination.read() == source.read()


@pytest.mark.parametrize("option", [("--compare", "mtime"), ("--force-overwrite",)], ids=["mtime", "force-overwrite"])
def test_a_newer_file_goes_up(option: tuple[str, ...], hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"older": b"new", "newer": b"new", "longer": b"longer"})
    bucket.fill({"older": b"old", "newer": b"old", "longer": b"short"})
    now = bucket.head("newer")["LastModified"].timestamp()
    for name, when in (("older", now - DAY), ("newer", now + DAY), ("longer", now - DAY)):
        os.utime(files.path / name, (when, when))
    job = hub.sync(files, bucket, *option)
    assert outcomes(hub.lines(job)) == {"newer": "transferred", "longer": "transferred"}
    assert bucket.read() == {"older": b"old", "newer": b"new", "longer": b"longer"}


def test_a_newer_object_comes_down_once(hub: Hub, tmp_path: Path) -> None:
    bucket, files = hub.prefix("weed"), Folder(tmp_path / "files")
    bucket.fill({"older": b"new", "newer": b"new"})
    files.fill({"older": b"old", "newer": b"old"})
    now = bucket.head("newer")["LastModified"].timestamp()
    os.utime(files.path / "older", (now + DAY, now + DAY))
    os.utime(files.path / "newer", (now - DAY, now - DAY))
    job = hub.sync(bucket, files, "--compare", "mtime")
    assert outcomes(hub.lines(job)) == {"newer": "transferred"}
    assert files.read() == {"older": b"old", "newer": b"new"}
    assert sent(hub.sync(bucket, files, "--compare", "mtime")) == (0, 2, 0)


def test_a_newer_object_is_relayed(hub: Hub) -> None:
    """The older of two is made first; services tell whole seconds, so a second lies between them."""
    source, destination = hub.prefix("weed"), hub.prefix("clone")
    source.fill({"older": b"new"})
    destination.fill({"older": b"old", "newer": b"old"})
    made = destination.head("newer")["LastModified"]

    def is_newer() -> bool:
        source.fill({"newer": b"new"})
        return bool(source.head("newer")["LastModified"] > made)

    until(is_newer)
    job = hub.sync(source, destination, "--compare", "mtime")
    assert outcomes(hub.lines(job)) == {"newer": "transferred"}
    assert destination.read() == {"older": b"old", "newer": b"new"}


def test_nothing_that_exists_is_overwritten(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"exists": b"another length", "new": b"new"})
    destination.fill({"exists": b"old"})
    assert sent(hub.sync(source, destination, "--no-clobber")) == (1, 1, 0)
    assert destination.read() == {"exists": b"old", "new": b"new"}


@pytest.mark.parametrize(
    ("option", "overwritten"),
    [
        ((), {"same", "differs", "longer"}),
        (("--compare", "size"), {"longer"}),
        (("--compare", "checksum"), {"differs", "longer"}),
        (("--no-clobber",), set()),
    ],
    ids=["always", "size", "checksum", "no-clobber"],
)
def test_a_copy_compares_only_where_it_is_asked_to(
    option: tuple[str, ...], overwritten: set[str], hub: Hub, tmp_path: Path
) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"same": b"same", "differs": b"new", "longer": b"longer"})
    bucket.fill({"same": b"same", "differs": b"old", "longer": b"short"})
    done = {key for key in files.read() if sent(hub.copy(f"{files.url}/{key}", f"{bucket.url}/{key}", *option))[0]}
    assert done == overwritten


# -- deleting ------------------------------------------------------------------------------------------------------


def test_what_only_the_destination_has_is_deleted_on_demand(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"kept": b"kept", "deep/kept": b"kept"})
    destination.fill({"kept": b"kept", "gone": b"1", "deep/gone": b"2", "far/gone": b"3"})
    job = hub.sync(source, destination)
    assert (job["counters"]["extra"], job["counters"]["deleted"]) == (3, 0)
    assert len(destination.read()) == 5
    job = hub.sync(source, destination, "--delete", "--max-delete", "60%")
    assert (job["counters"]["deleted"], job["counters"]["failed"]) == (3, 0)
    assert outcomes(hub.lines(job)) == dict.fromkeys(["gone", "deep/gone", "far/gone"], "deleted")
    assert destination.read() == source.read()


def test_excluded_objects_are_never_deleted(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"a": b"a", "secret/new": b"1"})
    destination.fill({"secret/b": b"b", "gone": b"c", "x.tmp": b"d"})
    job = hub.sync(source, destination, "--delete", "--exclude", "secret/*", "--exclude", "*.tmp")
    assert set(destination.read()) == {"a", "secret/b", "x.tmp"}
    assert job["counters"]["deleted"] == 1


def test_too_many_deletions_are_refused_as_a_whole(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"new": b"new"})
    old = {f"old{number}": b"old" for number in range(3)}
    destination.fill(old)
    job = hub.sync(source, destination, "--delete", "--max-delete", 2, code=4)
    assert (job["state"], job["counters"]["deleted"], sent(job)) == ("failed", 0, (1, 0, 0))
    assert "--max-delete allows 2" in job["error"]
    assert destination.read() == {"new": b"new", **old}
    assert hub.sync(source, destination, "--delete", "--max-delete", 3)["counters"]["deleted"] == 3
    assert destination.read() == {"new": b"new"}


def test_deletions_without_a_limit(hub: Hub, tmp_path: Path) -> None:
    """A thousand are allowed where nobody says how many, and half of what is there."""
    files, target = hub.prefix("clone"), Folder(tmp_path / "target")
    files.fill({"new": b"new"})
    target.fill({f"old{number}": b"" for number in range(1001)})
    hub.sync(files, target, "--delete", code=4)
    assert hub.sync(files, target, "--delete", "--max-delete", "all")["counters"]["deleted"] == 1001
    assert target.read() == {"new": b"new"}


def test_an_empty_source_deletes_nothing(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({})
    destination.fill({"a": b"a", "b": b"b"})
    job = hub.sync(source, destination, "--delete", "--max-delete", "all", code=4)
    assert "the source is empty" in job["error"]
    assert set(destination.read()) == {"a", "b"}


# -- looking first -------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_every_object_and_changes_nothing(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"missing": b"1", "longer": b"longer", "same": b"same", "deep/er/new": b"", "left.out": b"x"})
    destination.fill({"longer": b"short", "same": b"same", "gone": b"gone"})
    before = source.read(), destination.read()
    options = ("--dry-run", "--delete", "--exclude", "left*")
    *lines, end = json_lines(hub.site.run("headrace", "sync", source.url, destination.url, *options, "--json"))
    assert {line["key"]: line["outcome"] for line in lines} == {
        "missing": "would_transfer",
        "longer": "would_transfer",
        "deep/er/new": "would_transfer",
        "gone": "would_delete",
    }
    assert {line["key"]: line["message"] for line in lines}["longer"] == "size"
    assert (end["job"]["state"], sent(end["job"])) == ("done", (0, 1, 0))
    assert end["summary"]["outcomes"]["would_transfer"] == {"objects": 3, "bytes": 7}
    assert (source.read(), destination.read()) == before
    if isinstance(destination, Folder):
        assert destination.folders() == set()
    shown = hub.site.run("headrace", "sync", source.url, destination.url, *options)
    assert "would transfer         6 B  longer  (size)" in shown.splitlines()
    assert "nothing was changed" in shown


def test_a_dry_run_needs_no_daemon(hub: Hub, quiet: Site, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"missing": b"1"})
    *lines, end = json_lines(quiet.run("headrace", "sync", source.url, destination.url, "--dry-run", "--json"))
    assert [(line["key"], line["outcome"]) for line in lines] == [("missing", "would_transfer")]
    assert end["job"]["state"] == "done"
    assert destination.read() == {}


def test_a_dry_run_makes_no_folder(hub: Hub, tmp_path: Path) -> None:
    source, target = hub.prefix("weed"), Folder(tmp_path / "not" / "there" / "yet")
    source.fill({"a": b"a"})
    *lines, end = json_lines(hub.site.run("headrace", "sync", source.url, target.url, "--dry-run", "--json"))
    assert [(line["key"], line["message"]) for line in lines] == [("a", "missing")]
    assert end["job"]["state"] == "done"
    assert not (tmp_path / "not").exists()


def test_one_copy_is_tried_dry(hub: Hub, ends: tuple[Place, Place]) -> None:
    source, destination = ends
    source.fill({"a": b"a"})
    lines = json_lines(
        hub.site.run("headrace", "copy", f"{source.url}/a", f"{destination.url}/b", "--dry-run", "--json")
    )
    assert [line.get("outcome") for line in lines] == ["would_transfer", None]
    assert destination.read() == {}
    assert not (isinstance(destination, Folder) and destination.path.exists())


# -- how it goes ---------------------------------------------------------------------------------------------------

PIECES, PIECE, RATE = 9, 64 * 1024, 256 * 1024
BURST_SECONDS = 0.25


def test_a_job_keeps_its_bandwidth(hub: Hub, tmp_path: Path) -> None:
    """The last piece leaves when all before it are paid for. Three directions at once, each with a limit of its own."""
    places = [(hub.place(start, tmp_path), hub.place(end, tmp_path)) for start, end in ROUTES]
    for source, _ in places:
        source.fill({f"{number}": noise(PIECE) for number in range(PIECES)})
    limit = ("--bandwidth", "256KiB/s")
    ids = [hub.site.enqueue(source.url, destination.url, *limit) for source, destination in places]
    jobs = hub.site.headrace("wait", *ids)["jobs"]
    for job in jobs:
        assert sent(job) == (PIECES, 0, 0)
        assert job["seconds"] >= (PIECES - 1) * PIECE / RATE - BURST_SECONDS
    assert all(destination.read() == source.read() for source, destination in places)


@pytest.mark.parametrize("section", ["remote", "transfer"])
def test_a_remote_and_the_host_keep_their_bandwidth(section: str, hub: Hub, tmp_path: Path) -> None:
    line = 'bandwidth = "256KiB/s"'
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({f"{number}": noise(PIECE) for number in range(PIECES)})
    weed = remote_of(bucket.server, (), *([line] if section == "remote" else []))
    with site_of(tmp_path, {"weed": weed}, [line] if section == "transfer" else []) as site:
        job_id = site.enqueue(files.url, bucket.url)
        site.run("headraced", "drain")
        assert site.status(job_id)["seconds"] >= (PIECES - 1) * PIECE / RATE - BURST_SECONDS
    assert bucket.read() == files.read()


def test_the_higher_priority_goes_first(hub: Hub, tmp_path: Path) -> None:
    """Many batches of one object each: those of the second job overtake."""
    tree = {f"{number:02}": noise(5000) for number in range(40)}
    bucket = hub.prefix("weed")
    bucket.fill(tree)
    # slowly: one of the two plans may take a moment longer than the other
    each_a_batch = ['multipart_threshold = "4096"', 'part_size = "4096"', "objects = 1", 'bandwidth = "60kB/s"']
    with site_of(tmp_path, {"weed": remote_of(bucket.server)}, each_a_batch) as site:
        low = site.enqueue(bucket.url, tmp_path / "low", "--priority", -5)
        high = site.enqueue(bucket.url, tmp_path / "high", "--priority", 7)
        assert [site.status(job)["priority"] for job in (low, high)] == [-5, 7]
        site.run("headraced", "drain")
        last_of_high = max(line.time for line in site.report_lines(high))
        overtaken = [line for line in site.report_lines(low) if line.time > last_of_high]
        assert len(overtaken) >= len(tree) // 2
    assert Folder(tmp_path / "low").read() == Folder(tmp_path / "high").read() == tree


def test_the_same_submission_is_the_same_job(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    told = [
        hub.site.headrace("sync", files.url, bucket.url, "--submission-id", f"id of {bucket.prefix}", "--wait")
        for _ in range(2)
    ]
    assert [one["created"] for one in told] == [True, False]
    assert told[0]["job"]["id"] == told[1]["job"]["id"]
    assert told[1]["job"]["state"] == "done"
    said = hub.site.run("headrace", "sync", files.url, bucket.url, "--submission-id", f"id of {bucket.prefix}")
    assert f"job {told[0]['job']['id']} has this submission id already and is done" in said


def test_labels_and_the_submission_are_shown(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    labels = ("--label", "project=glacier", "--label", "run=2024-05")
    job = hub.sync(files, bucket, *labels, "--submission-id", f"labelled {bucket.prefix}")
    assert job["labels"] == {"project": "glacier", "run": "2024-05"}
    status = hub.site.run("headrace", "status", job["id"])
    assert "project=glacier, run=2024-05" in status
    assert f"labelled {bucket.prefix}" in status


# -- how it is stored ----------------------------------------------------------------------------------------------

STORED: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("--storage-class", "STANDARD_IA"), {"StorageClass": "STANDARD_IA"}),
    (("--sse", "AES256"), {"ServerSideEncryption": "AES256"}),
    (("--sse", "aws:kms"), {"ServerSideEncryption": "aws:kms"}),
    (("--sse", "aws:kms:my-key"), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "my-key"}),
    (
        ("--sse", "AES256", "--storage-class", "GLACIER_IR"),
        {"ServerSideEncryption": "AES256", "StorageClass": "GLACIER_IR"},
    ),
]


@pytest.mark.parametrize(("options", "expected"), STORED)
def test_objects_are_stored_as_asked(
    options: tuple[str, ...], expected: dict[str, str], hub: Hub, tmp_path: Path
) -> None:
    """Sent up, relayed, and copied by the service; the last ones in parts as well."""
    tree = {"small": b"small"} | ({"large": noise(THRESHOLD + 1)} if len(expected) > 1 else {})
    files, up, relayed, copied = Folder(tmp_path / "files"), *(hub.prefix("moto") for _ in range(3))
    files.fill(tree)
    for source, destination in ((files, up), (up, relayed), (up, copied)):
        via = ("--via", "stream") if destination is relayed else ()
        hub.sync(source, destination, *options, *via)
        for key in tree:
            head = destination.head(key)
            assert {name: head.get(name) for name in expected} == expected, (destination, key)
        assert destination.read() == tree


def test_metadata_goes_along_between_buckets(hub: Hub) -> None:
    source, relayed, copied = (hub.prefix("moto") for _ in range(3))
    described = {"ContentType": "image/tiff", "CacheControl": "no-store", "Metadata": {"scene": "T22WEV", "who": "me"}}
    with source.client() as client:
        for key, size in (("small", 10), ("large", THRESHOLD + 1)):
            client.put_object(Bucket=source.name, Key=source.prefix + key, Body=noise(size), **described)
    hub.sync(source, relayed, "--via", "stream")
    hub.sync(source, copied, "--via", "server")
    for destination in (relayed, copied):
        for key in ("small", "large"):
            head = destination.head(key)
            assert {name: head[name] for name in ("ContentType", "CacheControl")} == {
                "ContentType": "image/tiff",
                "CacheControl": "no-store",
            }
            assert described["Metadata"].items() <= head["Metadata"].items()  # type: ignore[attr-defined]


def test_posix_metadata_is_preserved(hub: Hub, tmp_path: Path) -> None:
    """In the keys that FSx itself reads and writes, and back to files."""
    files, bucket, back = Folder(tmp_path / "files"), hub.prefix("weed"), Folder(tmp_path / "back")
    files.fill({"small": b"small", "large": noise(THRESHOLD + 1)})
    for key, mode in (("small", 0o640), ("large", 0o751)):
        (files.path / key).chmod(mode)
        os.utime(files.path / key, ns=(10**18, 10**18 + 123_456_789))
    hub.sync(files, bucket, "--preserve")
    for key, mode in (("small", 0o640), ("large", 0o751)):
        metadata = bucket.head(key)["Metadata"]
        assert int(metadata["file-permissions"], 8) & 0o7777 == mode
        assert metadata["file-mtime"] == f"{10**18 + 123_456_789}ns"
        assert metadata["file-atime"] == f"{10**18}ns", "as it was before it was read"
        assert (metadata["file-owner"], metadata["file-group"]) == (str(os.getuid()), str(os.getgid()))
    hub.sync(bucket, back, "--preserve")
    for key, mode in (("small", 0o640), ("large", 0o751)):
        status = (back.path / key).stat()
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (mode, 10**18 + 123_456_789)
        assert status.st_atime_ns == 10**18


def test_without_preserve_files_say_nothing(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    hub.sync(files, bucket)
    assert not {name for name in bucket.head("a")["Metadata"] if name.startswith("file-")}


# -- data sets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def datasets(hub: Hub, tmp_path: Path) -> dict[str, Bucket]:
    """two: data sets of a configuration `own.toml` that is the hub's otherwise; by name where each of them leads."""
    places = {"one": hub.prefix("weed"), "two": hub.prefix("weed")}
    lines = [hub.site.config.read_text()]
    for name, place in places.items():
        Folder(tmp_path / name).fill({"a": name.encode(), "b.tmp": b"b", "keep/c.tmp": b"c"})
        lines += [f"[datasets.{name}]", f'source = "{tmp_path / name}"', f'destination = "{place.url}/"']
        lines += ['exclude = ["*.tmp"]', 'include = ["keep/*"]']
    (tmp_path / "own.toml").write_text("\n".join(lines))
    return places


def test_a_dataset_runs_by_its_name(hub: Hub, tmp_path: Path, datasets: dict[str, Bucket]) -> None:
    own = tmp_path / "own.toml"
    (entry,) = hub.site.headrace("run", "one", "--wait", "--config", own)["jobs"]
    assert (entry["job"]["state"], entry["job"]["labels"]) == ("done", {"dataset": "one"})
    assert datasets["one"].read() == {"a": b"one", "keep/c.tmp": b"c"}
    assert datasets["two"].read() == {}
    hub.site.headrace("--config", own, "run", "--all", "--exclude", "keep/*", "--wait")
    assert datasets["two"].read() == {"a": b"two"}
    what, why, _ = complaint(hub.site, "headrace", "run", "thre", "--config", own)
    assert (what, why) == ("dataset 'thre'", "config.toml has no dataset of this name")


# -- steering ------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(hub: Hub, tmp_path: Path) -> Callable[[], tuple[int, Place, Place]]:
    """Enqueues a job that takes about ten seconds unless it is stopped; its number and ends."""

    def enqueue() -> tuple[int, Place, Place]:
        files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
        files.fill({f"{number:03}": noise(1000) for number in range(200)})
        job_id = hub.site.enqueue(files.url, bucket.url, "--bandwidth", "20kB/s")
        hub.site.until_job(job_id, lambda job: job.counters.done > 0)
        return job_id, files, bucket

    return enqueue


def test_a_job_is_paused_and_goes_on(hub: Hub, tmp_path: Path) -> None:
    """What is in flight finishes, nothing new starts."""
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({f"{number:02}": noise(5000) for number in range(60)})
    each_a_batch = ['multipart_threshold = "4096"', 'part_size = "4096"', 'bandwidth = "50kB/s"']
    with site_of(tmp_path, {"weed": remote_of(bucket.server)}, each_a_batch) as site:
        job_id = site.enqueue(bucket.url, target.url)
        daemon = site.serve()
        site.until_job(job_id, lambda job: job.counters.done > 0)
        assert site.headrace("pause", job_id)["state"] == "paused"
        daemon.stop()  # now everything that was in flight is told
        paused = site.status(job_id)
        assert (paused["state"], 0 < paused["counters"]["done"] < 60) == ("paused", True)
        site.serve()
        other = site.enqueue(bucket.url, tmp_path / "other", "--exclude", "*", "--include", "00")
        assert site.finish(other).counters.done == 1
        assert site.status(job_id)["counters"]["done"] == paused["counters"]["done"]
        assert site.headrace("resume", job_id)["state"] in ("queued", "running")
        assert site.finish(job_id).counters.done == 60
    assert target.read() == bucket.read()


def test_a_job_is_cancelled_in_the_middle(hub: Hub, slow: Callable[[], tuple[int, Place, Place]]) -> None:
    job_id, _, bucket = slow()
    assert hub.site.headrace("cancel", job_id)["state"] in ("cancelling", "cancelled")
    (job,) = hub.site.headrace("wait", job_id, code=3)["jobs"]
    done = job["counters"]["done"]
    assert (job["state"], job["exit_code"], 0 < done < 200) == ("cancelled", 3, True)
    assert done <= len(bucket.read()) < 200  # requests that were cut off may have arrived
    assert f"headrace retry {job_id}" in hub.site.run("headrace", "status", job_id)


def test_a_cancelled_job_is_completed_by_a_retry(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a", "b": b"b"})
    with site_of(tmp_path, {"weed": remote_of(bucket.server)}) as site:
        job_id = site.enqueue(files.url, bucket.url)
        assert site.headrace("cancel", job_id)["state"] == "cancelled"
        site.run("headraced", "drain")
        assert bucket.read() == {}
        assert site.headrace("retry", job_id)["state"] == "queued"
        site.run("headraced", "drain")
        assert site.headrace("wait", job_id)["jobs"][0]["state"] == "done"
    assert bucket.read() == files.read()


def test_a_retry_does_only_what_failed(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({"good": b"good", "bad": b"bad"})
    (target.path / "bad").mkdir(parents=True)  # a folder stands where the file should be
    job = hub.sync(bucket, target, code=1)
    assert (job["state"], job["exit_code"], sent(job)) == ("incomplete", 1, (1, 0, 1))
    (target.path / "bad").rmdir()
    hub.site.headrace("retry", job["id"])
    (job,) = hub.site.headrace("wait", job["id"])["jobs"]
    assert (job["state"], sent(job)) == ("done", (2, 0, 0))
    assert [line.key for line in hub.lines(job)].count("good") == 1
    assert target.read() == {"good": b"good", "bad": b"bad"}
    assert "bad" not in hub.site.run("headrace", "report", job["id"], "--failed")


def test_a_job_is_watched_to_its_end(hub: Hub, slow: Callable[[], tuple[int, Place, Place]]) -> None:
    job_id, _, _ = slow()
    with hub.site.popen("headrace", "watch", job_id, "--json") as watching:
        assert watching.stdout is not None
        first = json_lines(watching.stdout.readline())[0]
        assert (first["id"], first["state"], first["exit_code"]) == (job_id, "running", None)
        hub.site.headrace("cancel", job_id)
        rest = json_lines(watching.communicate(timeout=COMMAND_SECONDS)[0])
    assert (rest[-1]["state"], watching.returncode) == ("cancelled", 3)
    seen = [line["counters"]["done"] for line in (first, *rest)]
    assert seen == sorted(seen)


def test_waiting_shows_progress_and_the_end(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a" * 2048, "b": b"b" * 2048})
    # it is not over before the command looks for the first time
    said = call(hub.site, "headrace", "sync", files.url, bucket.url, "--wait", "--bandwidth", "1kB/s")
    assert f"sync {files.url} -> {bucket.url}/" in said.out
    assert "is done: 2 objects, 4.0 KiB in " in said.out
    assert "queued" in said.errors or "running" in said.errors


def test_jobs_and_reports_are_listed_and_purged(quiet: Site, hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a", "b": b""})
    first = quiet.enqueue(files.url, bucket.url)
    quiet.run("headraced", "drain")
    files.fill({"c": b"c"})
    second = quiet.enqueue(files.url, bucket.url)
    quiet.run("headraced", "drain")
    assert [(job["id"], job["state"]) for job in quiet.headrace("jobs")["jobs"]] == [(second, "done"), (first, "done")]
    reports = [json_lines(quiet.run("headrace", "report", job, "--json")) for job in (first, second)]
    assert [{line["key"] for line in lines} for lines in reports] == [{"a", "b"}, {"c"}]
    assert quiet.headrace("report", first, "--summary")["outcomes"] == {"transferred": {"objects": 2, "bytes": 1}}
    assert quiet.headrace("purge", "--older-than", "0s") == {"purged": [first, second], "transfers": []}
    assert quiet.headrace("jobs")["jobs"] == []
    assert list((quiet.state / "reports").iterdir()) == []


@pytest.fixture
def quiet(tmp_path: Path, seaweed: SeaweedFS, rclone_s3: RcloneS3) -> Any:
    """A site without a daemon."""
    with site_of(tmp_path, {"weed": remote_of(seaweed), "clone": remote_of(rclone_s3)}) as site:
        yield site
