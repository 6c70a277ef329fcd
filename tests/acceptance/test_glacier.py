"""Objects in archive classes, inventories in place of listings, and jobs that end at a bound of their own: as a person
sees them. moto plays S3's archive classes."""

import gzip
import hashlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.commands import remote_of
from tests.support.site import Site, until

KEYS = {"cold/a": "GLACIER", "cold/b c": "DEEP_ARCHIVE", "cold/ü": "GLACIER", "warm": "STANDARD"}
COLD = {key for key in KEYS if key.startswith("cold/")}
LARGE = 6 << 20
pytestmark = pytest.mark.server


def content(key: str) -> bytes:
    return key.encode() * (LARGE // 6 if key == "cold/b c" else 3)


class Lake:
    """A bucket of moto with objects in archive classes, and a machine beside it."""

    def __init__(self, server: S3Server, site: Site) -> None:
        self.site = site
        self.url = server.endpoint_urls[0]
        keys = server.keys
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            region_name="us-east-1",
        )
        self.bucket = fresh_bucket(server)
        for key, storage_class in KEYS.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"d/{key}", Body=content(key), StorageClass=storage_class)
        self.s3.put_object(Bucket=self.bucket, Key="e/late", Body=b"late", StorageClass="GLACIER")
        self.cold = ["e/late", *(f"d/{key}" for key in COLD)]

    @property
    def source(self) -> str:
        return f"m://{self.bucket}/d"

    def restores_take(self, looks: int | None) -> None:
        """So many looks at an object from the first one after it was asked for, until it is restored; None: it is at
        once. moto counts looks of before, too, and tells nothing of the restore without as many of them."""
        change = {"model_name": "s3::keyrestore"}
        name = "unset-transition"
        if looks is not None:
            name = "set-transition"
            change |= {"transition": {"progression": "manual", "times": looks}}  # type: ignore[dict-item]
        body = json.dumps(change).encode()
        request = urllib.request.Request(f"{self.url}/moto-api/state-manager/{name}", body, method="POST")
        urllib.request.urlopen(request, timeout=30).close()
        for _ in range(looks or 0):
            for key in self.cold:
                self.s3.head_object(Bucket=self.bucket, Key=key)

    def inventory(self, sizes: dict[str, int]) -> str:
        """The location of the manifest of one, in two files in no order."""
        rows = [f'"{self.bucket}","{quote(key, safe="")}","{size}","e"\n' for key, size in sizes.items()]
        files = []
        for number, lines in enumerate((rows[1::2], rows[::2])):
            data, key = gzip.compress("".join(lines).encode()), f"inv/data/{number}.csv.gz"
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)
            files.append({"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()})
        schema = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": files}
        manifest = json.dumps({"sourceBucket": self.bucket, "destinationBucket": "arn:aws:s3:::x"} | schema)
        self.s3.put_object(Bucket=self.bucket, Key="inv/manifest.json", Body=manifest.encode())
        return f"m://{self.bucket}/inv/manifest.json"


@pytest.fixture
def lake(moto_s3: S3Server, tmp_path: Path) -> Iterator[Lake]:
    site = Site(
        tmp_path / "site", {"m": remote_of(moto_s3)}, ['restore_poll = "600ms"', 'multipart_threshold = "5MiB"']
    )
    lake = Lake(moto_s3, site)
    try:
        yield lake
    finally:
        lake.restores_take(None)
        site.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_archived_objects_fail_or_are_passed_over_and_bounds_end_a_job(lake: Lake, tmp_path: Path) -> None:
    """One drain over jobs of every kind; the worst exit code is its own."""
    site = lake.site
    gone = lake.inventory({"d/warm": len(content("warm")), "d/was here": 7, "other/x": 1, "d/cold/a": 9})
    failing = site.enqueue(lake.source, tmp_path / "failing")
    skipping = site.enqueue(lake.source, tmp_path / "skipping", "--archived", "skip")
    bounded = site.enqueue(lake.source, tmp_path / "bounded", "--max-errors", 2)
    listed = site.enqueue(lake.source, tmp_path / "listed", "--inventory", gone, "--archived", "skip")
    copied = site.headrace("copy", f"{lake.source}/cold/a", f"m://{lake.bucket}/f/a")["job"]["id"]
    said = site.popen("headraced", "drain")
    _, errors = said.communicate(timeout=120)
    assert said.returncode == 4, errors
    assert f"job {bounded} failed: 3 objects have failed, and " in errors

    report = site.report(failing)
    assert {key for key, line in report.items() if line.outcome == "failed"} == COLD
    assert report["cold/b c"].error == "archived"
    assert report["cold/b c"].attempts == 1
    assert report["cold/b c"].message.startswith("the object is in DEEP_ARCHIVE and has to be restored before")
    assert "`--archived restore`" in report["cold/b c"].message
    assert site.job(failing).state is JobState.INCOMPLETE

    skipped = site.job(skipping)
    assert (skipped.state, skipped.counters.archived, skipped.counters.done) == (JobState.DONE, 3, 1)
    assert files_of(tmp_path / "skipping") == {"warm": content("warm")}
    assert {key for key, line in site.report(skipping).items() if line.outcome == "archived"} == COLD
    assert "3 archived and passed over" in site.run("headrace", "status", skipping)

    failed = site.job(bounded)
    assert failed.state is JobState.FAILED
    assert str(failed.error).startswith("3 objects have failed, and --max-errors is 2. do: ")

    by_list = site.job(listed)
    assert (by_list.state, by_list.counters.listed) == (JobState.DONE, 3)
    assert (by_list.counters.vanished, by_list.counters.archived) == (1, 1)
    assert files_of(tmp_path / "listed") == {"warm": content("warm")}
    assert site.job(copied).counters.failed == 1
    assert site.report(copied)[""].error == "archived"


def test_a_job_waits_for_what_is_restored_through_a_kill_and_a_pause(
    lake: Lake, tmp_path: Path, servers_dir: Path
) -> None:
    """Another job misses its deadline meanwhile, and is retried."""
    site, target = lake.site, tmp_path / "restored"
    lake.restores_take(25)
    daemon = site.serve()
    late = site.enqueue(f"m://{lake.bucket}/e", tmp_path / "late", "--archived", "restore", "--deadline", "3s")
    job_id = site.enqueue(lake.source, target, "--archived", "restore", "--restore-tier", "Standard")
    waiting = site.until_job(job_id, lambda job: "DEEP_ARCHIVE and GLACIER" in (job.waiting or ""))
    assert str(waiting.waiting).startswith("3 objects are being restored from DEEP_ARCHIVE and GLACIER, the first is")
    assert files_of(target) == {"warm": content("warm")}, "nothing waits with them"
    with site.store() as store:
        until(lambda: all(thaw.asked for thaw in store.thaws(job_id)))
        assert store.depth().batches == dict.fromkeys(store.depth().batches, 0), "no slot is held"
    daemon.kill()

    site.headrace("pause", job_id)
    site.serve()
    assert site.job(job_id).state is JobState.PAUSED
    site.headrace("resume", job_id)
    missed = site.until_job(late, lambda job: job.state is JobState.FAILED)
    assert str(missed.error).startswith("its --deadline, ")
    lake.restores_take(None)
    site.headrace("retry", late)
    done = site.finish(job_id)
    assert files_of(target) == {key: content(key) for key in KEYS}
    assert (done.counters.done, done.counters.failed, done.counters.archived) == (4, 0, 0)
    assert {line.outcome for line in site.report(job_id).values()} == {"transferred"}
    log = (servers_dir / "moto" / "moto.log").read_text()
    asked = [line for line in log.splitlines() if f"POST /{lake.bucket}/d/" in line and "restore" in line]
    assert len(asked) == len(COLD), "each was asked for once"
    site.finish(late)
    assert files_of(tmp_path / "late") == {"late": b"late"}, "the deadline counts no more"
