"""A bucket as it was, and tags, through the commands: moto and SeaweedFS keep versions, rclone keeps none."""

import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.commands import (
    THRESHOLD,
    TRANSFER,
    Bucket,
    Folder,
    Hub,
    complaint,
    json_lines,
    noise,
    remote_of,
    sent,
)
from tests.support.site import Site, site_of, until

pytestmark = pytest.mark.server

TAGS: Final = {"project": "glacier", "sta ge": "a=b/c"}
TAG_OPTIONS: Final = tuple(word for name, value in TAGS.items() for word in ("--tag", f"{name}={value}"))


class Past(NamedTuple):
    """A bucket that keeps versions, and what it held at an instant."""

    bucket: Bucket
    instant: str
    then: dict[str, bytes]


def keep_versions(bucket: Bucket) -> None:
    with bucket.client() as client:
        client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})


def past_of(bucket: Bucket) -> Past:
    """Overwritten, deleted and written anew, within a second of each other where that is possible."""
    then = {"stays": b"1", "d/changes": b"old", "d/goes é+": b"2", "large": noise(2 * THRESHOLD + 1)}
    keep_versions(bucket)
    bucket.fill(then)
    at = max(bucket.head(key)["LastModified"] for key in then)
    until(lambda: time.time() >= at.timestamp() + 1)
    bucket.fill({"d/changes": b"new!", "comes": b"3", "large": noise(THRESHOLD + 1)})
    bucket.delete("d/goes é+")
    return Past(bucket, at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), then)


@pytest.fixture(scope="module")
def past(hub: Hub) -> Past:
    return past_of(hub.bucket("moto"))


def tags_of(place: Bucket, key: str) -> dict[str, str]:
    with place.client() as client:
        answer = client.get_object_tagging(Bucket=place.name, Key=place.prefix + key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


# -- a bucket as it was ------------------------------------------------------------------------------------------------


def test_a_bucket_as_it_was_comes_down(hub: Hub, past: Past, tmp_path: Path) -> None:
    """Looked at first, then fetched, with what was not there removed; and nothing more is to be done after it."""
    folder = Folder(tmp_path / "down")
    folder.fill({"stays": b"1", "foreign": b"x"})
    words = (past.bucket.url, folder.url, "--as-of", past.instant, "--delete")
    told = json_lines(hub.site.run("headrace", "sync", *words, "--wait", "--dry-run", "--json"))
    assert {line["key"]: line["outcome"] for line in told if "key" in line} == {
        "d/changes": "would_transfer",
        "d/goes é+": "would_transfer",
        "large": "would_transfer",
        "foreign": "would_delete",
    }
    job = hub.sync(past.bucket, folder, "--as-of", past.instant, "--delete")
    assert sent(job) == (3, 1, 0)
    assert job["note"] is None
    assert folder.read() == past.then
    again = hub.sync(past.bucket, folder, "--as-of", past.instant, "--compare", "checksum", "--exclude", "stays")
    assert sent(again) == (0, 3, 0)


@pytest.mark.parametrize(("end", "how"), [("moto", "copied"), ("weed", "transferred")])
def test_a_bucket_as_it_was_goes_into_another(hub: Hub, past: Past, end: str, how: str) -> None:
    """By the server, and streamed to another one."""
    target = hub.prefix(end)
    job = hub.sync(past.bucket, target, "--as-of", past.instant, *TAG_OPTIONS)
    assert target.read() == past.then
    assert {line.outcome for line in hub.lines(job)} == {how}
    for key in past.then:
        assert tags_of(target, key) == TAGS


def test_the_past_of_seaweedfs_comes_down(hub: Hub, tmp_path: Path) -> None:
    past, folder = past_of(hub.bucket("weed")), Folder(tmp_path / "down")
    hub.sync(past.bucket, folder, "--as-of", past.instant)
    assert folder.read() == past.then
    refused = hub.sync(past.bucket, folder, "--as-of", past.instant, "--delete", code=4)
    assert "may lack objects" in refused["error"]


def test_a_past_that_nobody_kept_is_told_of(hub: Hub, tmp_path: Path) -> None:
    plain, folder = hub.prefix("moto"), Folder(tmp_path / "down")
    plain.fill({"k": b"x"})
    at = plain.head("k")["LastModified"].astimezone(UTC).isoformat()
    job = hub.sync(plain, folder, "--as-of", at)
    assert "the bucket keeps no versions: what was overwritten or deleted since" in job["note"]
    assert folder.read() == {"k": b"x"}
    folder.fill({"mine": b"x"})
    refused = hub.sync(plain, folder, "--as-of", "1h", "--delete", code=4)
    assert "Nothing was sent or deleted" in refused["error"]
    assert set(folder.read()) == {"k", "mine"}
    nothing = hub.sync(hub.bucket("clone"), folder, "--as-of", "1h", code=4)
    assert "the service does not list the versions of" in nothing["error"]
    assert nothing["error"].endswith("use a service that keeps versions.")


@pytest.fixture
def site(hub: Hub, tmp_path: Path) -> Iterator[Site]:
    """A daemon that may be killed."""
    with site_of(tmp_path, {"moto": remote_of(hub.servers["moto"])}, TRANSFER) as site:
        yield site


def test_a_restart_goes_on_with_the_versions_that_were_chosen(past: Past, site: Site, tmp_path: Path) -> None:
    """Killed in the middle of a large object, which is overwritten once more before the next daemon comes."""
    folder = Folder(tmp_path / "down")
    daemon = site.serve()
    job = site.enqueue(past.bucket.url, folder.url, "--as-of", past.instant, "--bandwidth", "5MiB/s")
    site.until_parts(job, "large", 1)
    daemon.kill()
    past.bucket.fill({"large": noise(2 * THRESHOLD + 1), "d/changes": b"newer"})
    site.serve()
    site.finish(job)
    assert folder.read() == past.then


# -- tags --------------------------------------------------------------------------------------------------------------


def test_what_is_uploaded_has_the_tags_that_were_asked_for(hub: Hub, tmp_path: Path) -> None:
    files, target, clone = Folder(tmp_path / "up"), hub.prefix("moto"), hub.prefix("clone")
    files.fill({"small": b"1", "large": noise(THRESHOLD + 1)})
    hub.sync(files, target, *TAG_OPTIONS, "--storage-class", "STANDARD_IA", "--acl", "public-read", "--sse", "AES256")
    for key in ("small", "large"):
        assert tags_of(target, key) == TAGS
        assert target.head(key)["StorageClass"] == "STANDARD_IA"
    lost = hub.sync(files, clone, *TAG_OPTIONS)
    assert {line.lost for line in hub.lines(lost)} == {"tags"}
    words = [event["detail"] for event in hub.site.events("job_not_carried") if event["job"] == lost["id"]]
    assert len(words) == 1, "told once"
    assert words[0].startswith("tags: clone took it, and does not show it")


def test_what_goes_to_the_trash_keeps_its_own_tags(hub: Hub, tmp_path: Path) -> None:
    files, target = Folder(tmp_path / "up"), hub.prefix("moto")
    files.fill({"k": b"1"})
    with target.client() as client:
        client.put_object(Bucket=target.name, Key=f"{target.prefix}data/old", Body=b"x", Tagging="mine=1")
    below = Bucket(target.server, target.remote, target.name, f"{target.prefix}data/")
    trash = f"{target.url}/trash"
    hub.sync(files, below, *TAG_OPTIONS, "--delete", "--max-delete", "all", "--trash", trash)
    assert tags_of(target, "trash/old") == {"mine": "1"}
    assert tags_of(below, "k") == TAGS


def test_what_cannot_be_meant_is_refused(hub: Hub) -> None:
    words = ("s3://arn:aws:s3::123456789012:accesspoint/a.mrap/k", "/tmp/x")
    assert "SigV4A" in complaint(hub.site, "headrace", "sync", *words)[1]
