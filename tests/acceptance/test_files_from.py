"""`--files-from`: only what a list names is looked at, and what it names in vain is told. Through the commands."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import program
from tests.support.commands import MIB, Bucket, Folder, Hub, call, complaint, json_lines, outcomes
from tests.support.site import COMMAND_SECONDS

pytestmark = pytest.mark.server

TREE = {key: key.encode() for key in ("a.tif", "b/a.tif", "b/c d.tif", "b.tif", "é\nx.tif", "z.log")}


def filled(hub: Hub, tmp_path: Path) -> tuple[Folder, Bucket]:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill(TREE)
    return files, bucket


def written(tmp_path: Path, content: bytes, name: str = "list") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def piped(hub: Hub, content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """One call of `headrace` with this on its standard input."""
    return subprocess.run(
        [program("headrace"), *arguments],
        input=content,
        env=hub.site.environment(),
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def newest_job(hub: Hub) -> int:
    with hub.site.store() as store:
        return max((job.id for job in store.jobs(limit=1)), default=0)


LISTS: list[tuple[str, bytes, set[str]]] = [
    ("--files-from", b"a.tif\nb/c d.tif\n", {"a.tif", "b/c d.tif"}),
    ("--files-from", b"\n\n./z.log\nz.log\n././b.tif", {"z.log", "b.tif"}),
    ("--files-from0", "é\nx.tif\0b/a.tif".encode(), {"é\nx.tif", "b/a.tif"}),
]


@pytest.mark.parametrize(("option", "content", "named"), LISTS, ids=["lines", "untidy", "nul"])
def test_only_what_the_list_names_is_sent(
    option: str, content: bytes, named: set[str], hub: Hub, tmp_path: Path
) -> None:
    files, bucket = filled(hub, tmp_path)
    bucket.fill({"only there": b"1"})
    job = hub.sync(files, bucket, option, written(tmp_path, content))
    assert set(bucket.read()) == named | {"only there"}
    counters = job["counters"]
    assert (counters["listed"], counters["done"], counters["excluded"]) == (len(named), len(named), 0)
    assert counters["extra"] == 0, "nothing is known of what the list does not name"


def test_a_list_on_standard_input(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    said = piped(hub, b"b/a.tif\n", "sync", files.url, bucket.url, "--files-from", "-", "--wait")
    assert said.returncode == 0, said
    assert set(bucket.read()) == {"b/a.tif"}


def test_a_list_from_windows_is_taken_as_it_is_and_told(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    files.fill({"a.tif\r": b"another"})
    names = written(tmp_path, b"a.tif\r\nb.tif\r\n")
    said = call(hub.site, "headrace", "sync", files.url, bucket.url, "--files-from", names, "--wait", code=1)
    assert "every line of the list ends in a carriage return" in said.errors
    assert set(bucket.read()) == {"a.tif\r"}


@pytest.mark.parametrize("kind", ["files", "weed"])
def test_what_the_source_lacks_is_a_failure_each(kind: str, hub: Hub, tmp_path: Path) -> None:
    source, destination = hub.place(kind, tmp_path), hub.prefix("clone")
    source.fill(TREE)
    names = ["a", "a.tif", "b", "b/", "b/b", "c\\d", "z.log", "zz"]
    job = hub.sync(source, destination, "--files-from", written(tmp_path, "\n".join(names).encode()), code=1)
    lines = hub.lines(job)
    there = {"a.tif", "z.log"}
    assert outcomes(lines) == {name: "transferred" if name in there else "failed" for name in names}
    assert {line.error for line in lines if line.failed} == {"missing"}
    assert "in the list, and not at the source" in next(line.message for line in lines if line.key == "zz")
    assert (job["counters"]["failed"], job["counters"]["done"]) == (6, 2)
    assert set(destination.read()) == there


def test_a_retry_does_not_turn_what_is_missing_into_success(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    job = hub.sync(files, bucket, "--files-from", written(tmp_path, b"a.tif\nlate\n"), code=1)
    files.fill({"late": b"x"})
    said = call(hub.site, "headrace", "retry", job["id"]).out
    assert "1 failures are of its listing" in said
    call(hub.site, "headrace", "wait", job["id"], code=1)
    assert outcomes(hub.lines(job)) == {"a.tif": "transferred", "late": "failed"}
    assert hub.site.job(job["id"]).counters.failed == 1
    assert set(bucket.read()) == {"a.tif"}


def test_a_list_in_a_bucket_is_read_by_the_daemon(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    lists = hub.prefix("moto")
    long = b"\n" * (5 * MIB)  # more than is fetched at once
    lists.fill(
        {"lines": long + b"z.log\na.tif\na.tif\nnone", "nul": "é\nx.tif\0".encode(), "empty": b"\n", "abs": b"/a\n"}
    )
    job = hub.sync(files, bucket, "--files-from", f"{lists.url}/lines", code=1)
    assert outcomes(hub.lines(job)) == {"z.log": "transferred", "a.tif": "transferred", "none": "failed"}
    hub.sync(files, bucket, "--files-from0", f"{lists.url}/nul")
    assert set(bucket.read()) == {"z.log", "a.tif", "é\nx.tif"}
    for name, why in (("gone", "enqueue the job anew"), ("empty", "the list names nothing"), ("abs", "is absolute")):
        failed = hub.sync(files, bucket, "--files-from", f"{lists.url}/{name}", code=4)
        assert why in failed["error"]


def test_rules_and_bounds_come_on_top(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    names = written(tmp_path, b"a.tif\nb.tif\nz.log\nnone.log\n")
    job = hub.sync(files, bucket, "--files-from", names, "--exclude", "*.log", "--exclude", "b*")
    assert outcomes(hub.lines(job)) == {"a.tif": "transferred"}
    assert (job["counters"]["listed"], job["counters"]["excluded"]) == (3, 2)
    hub.sync(files, bucket, "--files-from", names, "--exclude", "*.log", "--min-size", "1MiB")
    assert set(bucket.read()) == {"a.tif"}


def test_a_dry_run_names_them_and_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    names = written(tmp_path, b"z.log\nnone\n")
    options = ("--files-from", names, "--dry-run", "--json")
    said = call(hub.site, "headrace", "sync", files.url, bucket.url, *options, code=1)
    told = {line["key"]: line["outcome"] for line in json_lines(said.out) if "key" in line}
    assert told == {"z.log": "would_transfer", "none": "failed"}
    assert bucket.read() == {}


def test_what_is_told_of_a_place_is_not_told_as_missing(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    for name in ("named", "other"):
        os.mkfifo(files.path / name)
    job = hub.sync(files, bucket, "--files-from", written(tmp_path, b"a.tif\nnamed\n"))
    assert outcomes(hub.lines(job)) == {"a.tif": "transferred", "named": "skipped"}


def test_the_same_list_is_kept_once_and_goes_with_its_jobs(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    folder = hub.site.directory / "state" / "lists"
    first = written(tmp_path, b"a.tif\nz.log\n")
    second = written(tmp_path, b"z.log\na.tif\na.tif", "other order")
    job = hub.sync(files, bucket, "--files-from", first, "--submission-id", bucket.prefix)
    again: Any = hub.sync(files, bucket, "--files-from", second, "--submission-id", bucket.prefix)
    assert again["id"] == job["id"]
    kept = folder / job["options"]["files_from"]
    assert kept.read_bytes() == b"a.tif\0z.log\0"
    past = time.time() - 7200
    os.utime(kept, (past, past))
    call(hub.site, "headrace", "purge")
    assert kept.exists()
    call(hub.site, "headrace", "purge", "--older-than", "0s")
    assert not kept.exists()


# -- wrong use -----------------------------------------------------------------------------------------------------

REFUSED: list[tuple[tuple[str, ...], bytes, str]] = [
    (("--files-from", "LIST", "--delete"), b"a", "--files-from with --delete"),
    (("--files-from", "LIST", "--files-from0", "LIST"), b"a", "--files-from with --files-from0"),
    (("--files-from", "LIST"), b"\n\n", "--files-from LIST"),
    (("--files-from", "LIST"), b"a\0b\n", "--files-from LIST"),
    (("--files-from", "LIST"), b"\xff\n", "--files-from LIST"),
    (("--files-from0", "LIST"), b"/etc/passwd\0", "--files-from0 LIST"),
    (("--files-from", "LIST/none"), b"a", "--files-from LIST/none"),
    (("--files-from", "none://bucket/list"), b"a", "none://bucket/list"),
    (("--files-from", "weed://bucket/lists/"), b"a", "--files-from weed://bucket/lists/"),
]


@pytest.mark.parametrize(("options", "content", "said"), REFUSED)
def test_what_cannot_be_meant_starts_nothing(
    options: tuple[str, ...], content: bytes, said: str, hub: Hub, tmp_path: Path
) -> None:
    files, bucket = filled(hub, tmp_path)
    path = str(written(tmp_path, content))
    before = newest_job(hub)
    given = [option.replace("LIST", path) for option in options]
    assert complaint(hub.site, "headrace", "sync", files.url, bucket.url, *given)[0] == said.replace("LIST", path)
    assert newest_job(hub) == before


def test_a_copy_takes_no_list(hub: Hub, tmp_path: Path) -> None:
    files, bucket = filled(hub, tmp_path)
    path = written(tmp_path, b"a.tif")
    call(hub.site, "headrace", "copy", f"{files.url}/a.tif", f"{bucket.url}/x", "--files-from", path, code=2)
