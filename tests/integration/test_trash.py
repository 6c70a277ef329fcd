"""--trash in a bucket, of objects larger than one CopyObject takes: a small limit, a real server, a whole worker."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.s3.errors import AccessDenied
from headrace_daemon.s3.profiles import MIB, PROFILES
from headrace_daemon.s3.remote import Remote
from headrace_daemon.service import drain
from headrace_queue.config import load_config
from tests.support.buckets import fresh_bucket
from tests.support.site import RemoteTable, Site, site_of

pytestmark = pytest.mark.server

LARGE = bytes(range(256)) * (11 * 4096)  # 11 MiB: three parts
OPTIONS = ("--delete", "--max-delete", "all", "--allow-empty-source", "--trash", "old")


class Target:
    """A bucket of moto's."""

    def __init__(self, server: S3Server) -> None:
        self.name = fresh_bucket(server)
        self.client = server.client()

    def put(self, content: bytes) -> None:
        more = {"Metadata": {"colour": "blue"}, "ContentType": "image/tiff", "Tagging": "a=b"}
        self.client.put_object(Bucket=self.name, Key="data/large", Body=content, **more)

    def held(self) -> dict[str, bytes]:
        keys = [row["Key"] for row in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]
        return {key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def uploads(self) -> list[Any]:
        return list(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ()))


@pytest.fixture
def target(moto_s3: S3Server) -> Iterator[Target]:
    target = Target(moto_s3)
    with closing(target.client):
        yield target


@pytest.fixture
def site(moto_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One CopyObject takes 5 MiB there."""
    monkeypatch.setitem(PROFILES, "s3", replace(PROFILES["s3"], max_copy=5 * MIB))
    (tmp_path / "empty").mkdir()
    with site_of(tmp_path, {"moto": RemoteTable.of(moto_s3)}) as site:
        yield site


async def sync(site: Site, target: Target, code: int = 0) -> int:
    """One sync of an empty folder, by a worker in this process; the job's number."""
    job_id = site.enqueue(site.directory.parent / "empty", f"moto://{target.name}/data/", *OPTIONS)
    assert await drain(load_config(site.config)) == code
    return job_id


async def test_a_large_object_is_moved_in_parts(site: Site, target: Target) -> None:
    target.put(LARGE)
    job_id = await sync(site, target)
    assert target.held() == {"data/old/large": LARGE}
    moved = target.client.head_object(Bucket=target.name, Key="data/old/large")
    assert (moved["ContentType"], moved["Metadata"]["colour"]) == ("image/tiff", "blue")
    tags = target.client.get_object_tagging(Bucket=target.name, Key="data/old/large")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]
    assert (site.report(job_id)["large"].outcome, site.job(job_id).counters.deleted) == ("trashed", 1)
    target.put(LARGE[::-1])
    await sync(site, target)
    assert target.held() == {"data/old/large": LARGE, "data/old/large.~1~": LARGE[::-1]}
    assert target.uploads() == []


async def test_a_move_that_breaks_off_leaves_the_object_and_no_upload(
    site: Site, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload is known to the queue by the key in the trash, so that it can be given up."""
    seen: list[list[Any]] = []

    async def refuse(*_: Any, **__: Any) -> None:
        seen.append(target.uploads())
        raise AccessDenied("AccessDenied", "no copies in parts", 403)

    monkeypatch.setattr(Remote, "copy_part", refuse)
    target.put(LARGE)
    job_id = await sync(site, target, code=1)
    assert site.report(job_id)["large"].outcome == "failed"
    assert target.held() == {"data/large": LARGE}
    assert [upload["Key"] for upload in seen[0]] == ["data/old/large"]
    assert target.uploads() == []
