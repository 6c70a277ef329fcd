"""What is not any more as it was listed: overwritten since, or of a class that cannot be read. Real servers, a whole
worker; the moment between listing and reading is set by the test."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.s3.remote import Remote
from headrace_daemon.service import drain
from headrace_queue.config import load_config
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.commands import Bucket, Folder, remote_of
from tests.support.loaded import LoadedCommand
from tests.support.site import Site, site_of

pytestmark = pytest.mark.server

LARGE = bytes(range(256)) * (6 * 4096)


@pytest.fixture
def site(moto_s3: S3Server, seaweed: S3Server, tmp_path: Any, loaded: LoadedCommand) -> Iterator[Site]:
    remotes = {"moto": remote_of(moto_s3), "weed": remote_of(seaweed)}
    with site_of(tmp_path, remotes, ['multipart_threshold = "5MiB"'], loaded=loaded) as site:
        yield site


@pytest.fixture
def bucket(moto_s3: S3Server) -> Bucket:
    return Bucket(moto_s3, "moto", fresh_bucket(moto_s3))


@pytest.fixture
def weed(seaweed: S3Server) -> Bucket:
    """Where a copy is one of exactly the object that is named: moto passes over that condition."""
    return Bucket(seaweed, "weed", fresh_bucket(seaweed))


def below(bucket: Bucket, prefix: str) -> Bucket:
    return Bucket(bucket.server, bucket.remote, bucket.name, prefix)


async def run(site: Site, *words: object, code: int = 0) -> int:
    job_id = site.enqueue(*words)
    assert await drain(load_config(site.config)) == code
    return job_id


def before_first(monkeypatch: pytest.MonkeyPatch, name: str, happens: Callable[[], None]) -> None:
    """Something happens in the world just before the first request of this kind."""
    real, waits = getattr(Remote, name), [True]

    async def wrapped(*arguments: Any, **options: Any) -> Any:
        if waits and waits.pop():
            happens()
        return await real(*arguments, **options)

    monkeypatch.setattr(Remote, name, wrapped)


@pytest.mark.parametrize(
    ("to", "via", "request_"), [("d", "auto", "get"), ("b", "stream", "get"), ("b", "auto", "copy")]
)
async def test_what_a_bucket_without_versions_held_is_not_taken_for_what_it_holds(
    site: Site, weed: Bucket, monkeypatch: pytest.MonkeyPatch, to: str, via: str, request_: str
) -> None:
    """Its one version is called null, and is another object after an overwrite."""
    source, copies, folder = below(weed, "a/"), below(weed, "b/"), Folder(site.directory / "d")
    target = folder if to == "d" else copies
    source.fill({"k": b"then"})
    before_first(monkeypatch, request_, lambda: source.fill({"k": b"late"}))
    job_id = await run(site, source.url, target.url, "--as-of", "0s", *(() if to == "d" else ("--via", via)))
    assert (folder.read() if folder.path.exists() else {}, copies.read()) == ({}, {})
    assert site.job(job_id).counters.vanished == 1


def inventory_of(bucket: Bucket, etags: dict[str, str]) -> str:
    lines = "".join(f'"{bucket.name}","{key}","1","{etag}"\n' for key, etag in etags.items())
    data = gzip.compress(lines.encode())
    file = {"key": "inv/1.csv.gz", "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    schema = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": [file]}
    manifest = json.dumps({"sourceBucket": bucket.name, "destinationBucket": "x"} | schema)
    bucket.fill({"inv/1.csv.gz": data, "inv/manifest.json": manifest.encode()})
    return f"{bucket.url}/inv/manifest.json"


@pytest.mark.parametrize("option", [(), ("--no-clobber",)])
async def test_what_was_overwritten_since_an_inventory_is_copied_as_it_is(
    site: Site, weed: Bucket, option: tuple[str, ...]
) -> None:
    source, target = below(weed, "a/"), below(weed, "b/")
    source.fill({"k": b"new content"})
    words = (source.url, target.url, "--inventory", inventory_of(weed, {"a/k": "0" * 32}), "--via", "server")
    job_id = await run(site, *words, *option)
    assert target.read() == {"k": b"new content"}
    assert site.report(job_id)["k"].outcome == "copied"


async def test_what_is_overwritten_under_a_copy_was_not_there_already(
    site: Site, weed: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--no-clobber and a copy of exactly the listed object are both conditions, and the refusal does not say which."""
    source, target = below(weed, "a/"), below(weed, "b/")
    source.fill({"k": b"then"})
    before_first(monkeypatch, "copy", lambda: source.fill({"k": b"late"}))
    job_id = await run(site, source.url, target.url, "--no-clobber", "--via", "server", code=1)
    assert target.read() == {}
    assert site.report(job_id)["k"].error == "source_unstable"


async def test_an_archived_object_at_the_destination_is_not_waited_for(site: Site, bucket: Bucket) -> None:
    """It is to go to the trash, which takes a copy: nothing of that is asked of the source."""
    source, target = below(bucket, "a/"), below(bucket, "b/")
    source.fill({"k": b"1"})
    with bucket.client() as client:
        client.put_object(Bucket=bucket.name, Key="b/old", Body=b"x", StorageClass="GLACIER")
    words = ("--delete", "--max-delete", "all", "--trash", "trash", "--archived", "restore")
    job_id = await run(site, source.url, target.url, *words, code=1)
    job = site.job(job_id)
    assert (job.state, job.counters.failed, job.counters.vanished) == (JobState.INCOMPLETE, 1, 0)
    assert site.report(job_id)["old"].error == "archived"


async def test_a_class_that_is_only_called_glacier_is_read(site: Site, weed: Bucket) -> None:
    """SeaweedFS keeps the word, and the object like any other."""
    source, folder = weed, Folder(site.directory / "d")
    with source.client() as client:
        client.put_object(Bucket=source.name, Key="large", Body=LARGE, StorageClass="GLACIER")
    assert source.head("large")["StorageClass"] == "GLACIER"
    await run(site, source.url, folder.url)
    assert folder.read() == {"large": LARGE}
