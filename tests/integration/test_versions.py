"""Versions, locks and tags on real services: what they list of the past, what they refuse, and what they keep."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.planner.listing_versions import list_as_of
from headrace_daemon.s3.customer_key import CustomerKey
from headrace_daemon.s3.errors import NotSupported, ObjectLocked, S3Error
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.s3.versions_xml import ListedVersion
from headrace_daemon.transfer.judge import Failed, judge
from headrace_queue.jobs import PartRecord
from tests.support.buckets import fresh_bucket
from tests.support.remotes import crc_text, remote_of, remote_to
from tests.support.scripted import Asked, answer, scripted
from tests.support.site import until

SECOND = 10**9


@pytest.fixture(params=["seaweed", "moto_s3"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@contextmanager
def client_of(server: S3Server) -> Iterator[Any]:
    client = get_session().create_client(
        "s3",
        endpoint_url=server.endpoint_urls[0],
        aws_access_key_id=server.keys.access_key,
        aws_secret_access_key=server.keys.secret_key,
        region_name=server.region,
    )
    try:
        yield client
    finally:
        client.close()


def keeping_versions(server: S3Server) -> str:
    """A new bucket that does."""
    bucket = fresh_bucket(server, "versions")
    with client_of(server) as client:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


async def put(remote: Remote, bucket: str, key: str, data: bytes, options: WriteOptions | None = None) -> None:
    crc = crc_text(data)
    await remote.put(bucket, key, data, size=len(data), crc64nvme=crc, options=options or WriteOptions())


async def keys_then(remote: Remote, bucket: str, prefix: str, as_of_ns: int, scratch: Path) -> dict[str, str]:
    """Key -> version."""
    pages = list_as_of(remote, bucket, prefix, as_of_ns, scratch=scratch)
    return {entry.key: entry.version async for page in pages for entry in page.entries}


async def all_versions(remote: Remote, bucket: str) -> list[ListedVersion]:
    found: list[ListedVersion] = []
    token = None
    while True:
        page = await remote.list_versions(bucket, "", token=token)
        found += page.versions
        token = page.next
        if token is None:
            return found


async def test_a_bucket_as_it_was_is_what_it_held(server: S3Server, tmp_path: Path) -> None:
    bucket = keeping_versions(server)
    async with remote_of(server) as remote:
        assert await remote.versioning(bucket) == "Enabled"
        await put(remote, bucket, "elsewhere", b"not below the prefix")
        for key in ("p/", "p/stays", "p/changes", "p/goes", "p/sub/é +%"):
            await put(remote, bucket, key, f"old {key}".encode())
        then = max(one.mtime_ns for one in await all_versions(remote, bucket))
        until(lambda: time.time_ns() >= then + SECOND)  # S3 tells whole seconds: what comes now is later
        await put(remote, bucket, "p/changes", b"new")
        await put(remote, bucket, "p/comes", b"new")
        await remote.delete(bucket, ["p/goes"])
        found = await keys_then(remote, bucket, "p/", then, tmp_path)
        assert set(found) == {"stays", "changes", "goes", "sub/é +%"}
        for key, version in found.items():
            info, data = await remote.get(bucket, f"p/{key}", version=version)
            assert bytes(data) == f"old p/{key}".encode()
            one = await remote.version_at(bucket, f"p/{key}", then)
            assert one is not None
            assert (one.version, one.etag) == (version, info.etag)
        assert set(await keys_then(remote, bucket, "p/", time.time_ns(), tmp_path)) == {
            "stays",
            "changes",
            "comes",
            "sub/é +%",
        }
        assert await keys_then(remote, bucket, "p/", then - 600 * SECOND, tmp_path) == {}
        assert await remote.version_at(bucket, "p/goes", time.time_ns()) is None
        assert await remote.version_at(bucket, "p/never", time.time_ns()) is None


async def test_a_list_of_versions_goes_on_within_a_key(seaweed: S3Server) -> None:
    bucket = keeping_versions(seaweed)
    async with remote_of(seaweed) as remote:
        keys = ["a", "b", "c/d"] * 350
        await asyncio.gather(*(put(remote, bucket, key, b"x") for key in keys))
        found = await all_versions(remote, bucket)
    assert Counter(one.key for one in found) == Counter(keys)
    assert len({one.version for one in found}) == len(keys)
    assert [one.key for one in found if one.is_latest] == ["a", "b", "c/d"]


async def test_a_bucket_without_versions_holds_what_it_holds(server: S3Server, tmp_path: Path) -> None:
    bucket = fresh_bucket(server)
    async with remote_of(server) as remote:
        assert await remote.versioning(bucket) == ""
        await put(remote, bucket, "k", b"x")
        assert await keys_then(remote, bucket, "", time.time_ns(), tmp_path) == {"k": "null"}
        _, data = await remote.get(bucket, "k", version="null")
        assert bytes(data) == b"x"
        assert await keys_then(remote, bucket, "", time.time_ns() - 600 * SECOND, tmp_path) == {}


async def test_a_service_without_versions_says_so(rclone_s3: S3Server, tmp_path: Path) -> None:
    bucket = fresh_bucket(rclone_s3)
    async with remote_of(rclone_s3) as remote:
        assert await remote.versioning(bucket) == ""
        with pytest.raises(NotSupported, match="does not list the versions of"):
            await keys_then(remote, bucket, "", time.time_ns(), tmp_path)
    async with remote_of(rclone_s3, profile="snowball") as remote:
        with pytest.raises(NotSupported, match="keep no versions"):
            await keys_then(remote, bucket, "", time.time_ns(), tmp_path)


# -- object lock -------------------------------------------------------------------------------------------------------


async def test_a_bucket_with_object_lock_takes_what_is_sent(server: S3Server) -> None:
    bucket = f"{fresh_bucket(server)}-locked"
    with client_of(server) as client:
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
        async with remote_of(server) as remote:
            one = WriteOptions(tags="a=b", storage_class="STANDARD")
            await asyncio.gather(put(remote, bucket, "small", b"one", one), put(remote, bucket, "small", b"two"))
            assert client.head_object(Bucket=bucket, Key="small")["ObjectLockMode"] == "GOVERNANCE"
            upload = await remote.create_multipart(bucket, "large", WriteOptions(tags="a=b"))
            crc = crc_text(b"part")
            part = await remote.upload_part(bucket, "large", upload, 1, b"part", size=4, crc64nvme=crc)
            parts = [PartRecord(1, 4, part.etag, crc)]
            await remote.complete_multipart(bucket, "large", upload, parts, size=4, crc64nvme=crc)
            given_up = await remote.create_multipart(bucket, "large", WriteOptions())
            await remote.abort_multipart(bucket, "large", given_up)
            assert await remote.delete(bucket, ["small", "large"]) == {}, "a delete marker is no removal"
            kept = [one for one in await all_versions(remote, bucket) if not one.is_marker]
            assert [one.key for one in kept] == ["large", "small", "small"]


LOCKED = b"<Error><Code>%b</Code><Message>%b</Message></Error>"
SENTENCES = {
    b"AccessDenied": b"Access Denied because object protected by object lock.",
    b"InvalidRequest": b"Object is WORM protected and cannot be overwritten",
    b"ObjectLocked": b"no",
}


@pytest.mark.parametrize("code", SENTENCES)
async def test_a_lock_is_told_with_its_end(code: bytes) -> None:
    refusal = LOCKED % (code, SENTENCES[code])

    def script(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer(
                200,
                etag='"e"',
                x_amz_object_lock_mode="COMPLIANCE",
                x_amz_object_lock_retain_until_date="2031-01-01T00:00:00Z",
                x_amz_object_lock_legal_hold="ON",
            )
        if asked.method == "POST" and "delete" in asked.path:
            one = refusal.replace(b"<Code>", b"<Key>k</Key><Code>")
            return answer(200, b"<DeleteResult>%b</DeleteResult>" % one)
        return answer(403, refusal)

    async with scripted(script) as server, remote_to([server.url]) as remote:
        errors: list[S3Error] = list((await remote.delete("b", ["k"])).values())
        writes = (
            put(remote, "b", "k", b"x"),
            remote.copy("b", "k", "b", "l", source_etag="e", options=WriteOptions()),
            remote.complete_multipart("b", "k", "u", [], size=1, crc64nvme=""),
        )
        for write in writes:
            with pytest.raises(ObjectLocked) as caught:
                await write
            errors.append(caught.value)
    for error in errors:
        assert judge(error) == Failed("object_locked")
        assert "locked in compliance mode until 2031-01-01T00:00:00Z and under a legal hold" in str(error)
        assert "write to another name" in str(error)


async def test_a_lock_that_may_not_be_looked_at_is_told_all_the_same() -> None:
    def script(asked: Asked) -> bytes:
        return answer(403, b"" if asked.method == "HEAD" else LOCKED % next(iter(SENTENCES.items())))

    async with scripted(script) as server, remote_to([server.url]) as remote:
        with pytest.raises(ObjectLocked, match="Until when it is locked is not told"):
            await put(remote, "b", "k", b"x")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"AccessDenied", b"Access Denied"),
        (b"InvalidRequest", b"Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests"),
        (b"ObjectLockConfigurationNotFoundError", b"Object Lock configuration does not exist for this bucket"),
    ],
)
async def test_other_refusals_are_no_locks(code: bytes, message: bytes) -> None:
    async with (
        scripted(lambda _: answer(403, LOCKED % (code, message))) as server,
        remote_to([server.url]) as remote,
    ):
        with pytest.raises(S3Error) as caught:
            await put(remote, "b", "k", b"x")
        assert not isinstance(caught.value, ObjectLocked)


# -- tags --------------------------------------------------------------------------------------------------------------


async def test_tags_of_a_copy_take_the_place_of_the_sources(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    async with remote_of(server) as remote:
        await put(remote, bucket, "k", b"x", WriteOptions(tags="old=1&other=2"))
        etag = (await remote.head(bucket, "k")).etag
        for options, tags in ((WriteOptions(tags="new=3"), "new=3"), (WriteOptions(), "old=1&other=2")):
            for keep in (True, False):
                name = f"{tags}-{keep}"  # moto adds the tags of a copy to those of what it replaces
                await remote.copy(bucket, name, bucket, "k", source_etag=etag, options=options, keep_metadata=keep)
                assert set((await remote.tags(bucket, name)).split("&")) == set(tags.split("&")), (options, keep)


async def test_a_bucket_that_wants_md5_gets_it_and_is_asked_once() -> None:
    """Refused at first, and by every later upload sent along; a copy, which has no bytes of ours, is streamed then."""

    def script(asked: Asked) -> bytes:
        if "content-md5" in asked.headers:
            return answer(200, etag='"e"')
        return answer(400, LOCKED % (b"InvalidRequest", b"Content-MD5 OR x-amz-checksum- HTTP header is required"))

    async with scripted(script) as server, remote_to([server.url]) as remote:
        await asyncio.gather(put(remote, "b", "1", b"x"), put(remote, "b", "2", b""))
        await put(remote, "b", "3", b"hello")
        assert server.count("PUT") == 5
        assert server.asked[-1].headers["content-md5"] == "XUFAKrxLKna5cZ2REBfFkg=="
        with pytest.raises(NotSupported):
            await remote.copy("b", "k", "b", "l", source_etag="e", options=WriteOptions())


async def test_a_version_with_a_key_of_ones_own_is_read_by_that_key(seaweed: S3Server, tmp_path: Path) -> None:
    bucket = keeping_versions(seaweed)
    async with remote_of(seaweed) as plain:
        remote = plain.sealed(CustomerKey(bytes(range(32))))
        for content in (b"first", b"second"):
            await put(remote, bucket, "k", content, WriteOptions(tags="a=b"))
        newest, first = await all_versions(remote, bucket)
        assert newest.is_latest
        info, data = await remote.get(bucket, "k", version=first.version)
        assert (bytes(data), info.tag_count, info.opaque_etag) == (b"first", 1, True)
        with pytest.raises(S3Error):
            await plain.get(bucket, "k", version=first.version)
