"""Remotes against real services: SeaweedFS, rclone and moto, over HTTP and TLS, one endpoint and two."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import Keys, RcloneS3, S3Server, SeaweedFS, Tls
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import (
    BadDigest,
    NoSuchBucket,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Rejected,
    UploadLost,
)
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_queue.jobs import PartRecord
from tests.support.buckets import fresh_bucket
from tests.support.remotes import Heard, crc_text, remote_of

SERVERS = ["seaweed", "rclone_s3", "moto_s3"]
AWKWARD = [
    "plain",
    "a b+c%&/é",
    'it\'s "q" ~!*()=?#[]@:,;$',
    "%2e%2e/x",
    ".hidden/.dots...",
    "e\u0301/nfd",
    "日本/語",
    "x" * 200,
]
MIB = 2**20


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


async def put(remote: Remote, bucket: str, key: str, data: bytes, options: WriteOptions | None = None) -> str:
    result = await remote.put(
        bucket, key, data, size=len(data), crc64nvme=crc_text(data), options=options or WriteOptions()
    )
    return result.etag


async def joined(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
    return b"".join([bytes(chunk) async for chunk in chunks])


async def eventually(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


async def test_objects_come_back_as_they_went(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    options = WriteOptions({"note": "grüße 日本", "plain": "x"}, {"content-type": "text/x-test"})
    async with remote_of(server) as remote:
        for key in AWKWARD:
            data = key.encode() * 50
            etag = await put(remote, bucket, key, data, options)
            info, read = await remote.get(bucket, key, if_match=etag)
            assert bytes(read) == data
            assert replace(await remote.head(bucket, key), endpoint=info.endpoint) == info
            assert (info.size, info.etag) == (len(data), etag)
            assert info.endpoint in server.endpoint_urls
            assert info.metadata == {"note": "grüße 日本", "plain": "x"}
            assert info.headers["content-type"] == "text/x-test"
            assert abs(info.mtime_ns / 1e9 - time.time()) < 300
            ranged = await remote.get_range(bucket, key, 3, 40, if_match=etag, total=len(data), consume=joined, chunk=7)
            assert ranged == data[3:40]
        page = await remote.list_page(bucket, "")
        assert [listed.key for listed in page.objects] == sorted(AWKWARD)
        assert await remote.delete(bucket, [*AWKWARD, "never-was"]) == {}
        assert (await remote.list_page(bucket, "")).objects == []


async def test_an_empty_object(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    async with remote_of(server) as remote:
        await put(remote, bucket, "empty", b"")
        info, data = await remote.get(bucket, "empty")
        assert (info.size, bytes(data)) == (0, b"")
        assert (await remote.head(bucket, "empty")).size == 0


async def test_listings_go_on_where_they_stopped(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    keys = sorted(f"p/{n:04}" for n in range(1005))
    async with remote_of(server) as remote:
        await asyncio.gather(*(put(remote, bucket, key, b"x") for key in [*keys, "other"]))
        found: list[str] = []
        token: str | None = None
        while True:
            page = await remote.list_page(bucket, "p/", token=token)
            found += [listed.key for listed in page.objects]
            token = page.token
            if token is None:
                break
        assert found == keys
        rest = await remote.list_page(bucket, "p/", after=keys[999])
        assert [listed.key for listed in rest.objects] == keys[1000:]
        assert rest.token is None
        assert (await remote.list_page(bucket, "nothing/")).objects == []
        assert await remote.delete(bucket, found) == {}
        assert [listed.key for listed in (await remote.list_page(bucket, "")).objects] == ["other"]


async def test_what_is_not_there_is_named(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    async with remote_of(server) as remote:
        for ask in (remote.head, remote.get):
            with pytest.raises(NotFound) as caught:
                await ask(bucket, "no/such/key")
            assert not isinstance(caught.value, NoSuchBucket)
        with pytest.raises(NoSuchBucket):
            await remote.list_page("no-such-bucket-here", "")
        assert await remote.bucket_exists(bucket)
        assert not await remote.bucket_exists("no-such-bucket-here")
        await remote.abort_multipart(bucket, "k", "00000000000000000000000000000000")
        with pytest.raises(UploadLost):
            await remote.list_parts(bucket, "k", "00000000000000000000000000000000")


async def send_parts(remote: Remote, bucket: str, key: str, parts: list[bytes]) -> tuple[str, list[PartRecord]]:
    upload = await remote.create_multipart(bucket, key, WriteOptions({"token": "t1"}))
    records = []
    for number, data in enumerate(parts, 1):
        crc = crc_text(data)
        result = await remote.upload_part(bucket, key, upload, number, data, size=len(data), crc64nvme=crc)
        assert result.crc64nvme in ("", crc)
        records.append(PartRecord(number, len(data), result.etag, crc))
    return upload, records


async def test_an_object_in_parts(server: S3Server) -> None:
    bucket = fresh_bucket(server)
    parts = [b"a" * 5 * MIB, b"b" * 5 * MIB, b"c" * 1000]
    whole = b"".join(parts)
    async with remote_of(server) as remote:
        upload, records = await send_parts(remote, bucket, "large", parts)
        listed = await remote.list_parts(bucket, "large", upload)
        assert [part[:3] for part in listed] == [part[:3] for part in records]
        result = await remote.complete_multipart(
            bucket, "large", upload, records, size=len(whole), crc64nvme=crc_text(whole)
        )
        assert result.crc64nvme in ("", crc_text(whole))
        info = await remote.head(bucket, "large")
        assert result.etag
        assert (info.size, info.metadata["token"]) == (len(whole), "t1")
        got = await asyncio.gather(
            *(
                remote.get_range(bucket, "large", a, b, if_match=info.etag, total=info.size, consume=joined)
                for a, b in pairwise([0, 3 * MIB, 7 * MIB + 1, info.size])
            )
        )
        assert b"".join(got) == whole


async def test_seaweed_proves_parts_and_whole_by_crc64nvme(seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    parts = [b"a" * 5 * MIB, b"tail"]
    whole = b"".join(parts)
    async with remote_of(seaweed) as remote:
        upload, records = await send_parts(remote, bucket, "large", parts)
        result = await remote.complete_multipart(
            bucket, "large", upload, records, size=len(whole), crc64nvme=crc_text(whole)
        )
        assert result.crc64nvme == crc_text(whole)
        assert (await remote.head(bucket, "large")).checksums == {"crc64nvme": crc_text(whole)}
        with pytest.raises(BadDigest):
            await remote.put(bucket, "k", b"abc", size=3, crc64nvme=crc_text(b"abd"), options=WriteOptions())
        with pytest.raises(NotFound):
            await remote.head(bucket, "k")


async def test_a_checksum_that_a_service_only_parrots_is_not_believed(rclone_s3: S3Server) -> None:
    bucket = fresh_bucket(rclone_s3)
    async with remote_of(rclone_s3) as remote:
        result = await remote.put(bucket, "k", b"abc", size=3, crc64nvme=crc_text(b"abd"), options=WriteOptions())
        assert result.crc64nvme == ""
        assert (await remote.head(bucket, "k")).checksums == {}


@pytest.mark.parametrize("name", ["seaweed", "moto_s3"])
async def test_the_service_copies(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    source, target = fresh_bucket(server), fresh_bucket(server)
    data = b"0123456789" * MIB
    async with remote_of(server) as remote:
        etag = await put(remote, source, "a b+é", data, WriteOptions({"kept": "yes"}))
        await remote.copy(target, "whole", source, "a b+é", source_etag=etag, options=WriteOptions())
        info, copied = await remote.get(target, "whole")
        assert bytes(copied) == data
        assert info.metadata == {"kept": "yes"}
        replaced = WriteOptions({"new": "1"})
        await remote.copy(target, "new", source, "a b+é", source_etag=etag, options=replaced, keep_metadata=False)
        assert (await remote.head(target, "new")).metadata == {"new": "1"}
        upload = await remote.create_multipart(target, "parts", WriteOptions())
        records = []
        for number, (start, end) in enumerate(pairwise([0, 6 * MIB, len(data)]), 1):
            part = await remote.copy_part(
                target, "parts", upload, number, source, "a b+é", start, end, source_etag=etag
            )
            records.append(PartRecord(number, end - start, part.etag, ""))
        await remote.complete_multipart(target, "parts", upload, records, size=len(data), crc64nvme="")
        assert bytes((await remote.get(target, "parts"))[1]) == data


async def test_a_source_that_changed_is_not_copied(seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    async with remote_of(seaweed) as remote:
        await put(remote, bucket, "k", b"new")
        with pytest.raises(PreconditionFailed):
            await remote.copy(bucket, "k2", bucket, "k", source_etag="0" * 32, options=WriteOptions())
        with pytest.raises(PreconditionFailed):
            await remote.get(bucket, "k", if_match="0" * 32)
        with pytest.raises(PreconditionFailed):
            await remote.get_range(bucket, "k", 0, 2, if_match="0" * 32, total=3, consume=joined)
        with pytest.raises(PreconditionFailed):
            await remote.put(bucket, "k", b"x", size=1, crc64nvme="", options=WriteOptions(if_none_match=True))


async def test_a_service_that_ignores_if_match_is_found_out(rclone_s3: S3Server) -> None:
    bucket = fresh_bucket(rclone_s3)
    async with remote_of(rclone_s3) as remote:
        await put(remote, bucket, "k", b"new")
        with pytest.raises(PreconditionFailed):
            await remote.get(bucket, "k", if_match="0" * 32)
        with pytest.raises(PreconditionFailed):
            await remote.get_range(bucket, "k", 0, 2, if_match="0" * 32, total=3, consume=joined)


async def test_a_service_that_takes_a_part_copy_for_an_empty_part_is_found_out(rclone_s3: S3Server) -> None:
    bucket = fresh_bucket(rclone_s3)
    async with remote_of(rclone_s3) as remote:
        etag = await put(remote, bucket, "k", b"data")
        upload = await remote.create_multipart(bucket, "k2", WriteOptions())
        with pytest.raises(NotSupported):
            await remote.copy_part(bucket, "k2", upload, 1, bucket, "k", 0, 4, source_etag=etag)


async def test_dot_segments_reach_the_service_as_they_are(moto_s3: S3Server, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(moto_s3)
    keys = ["../up", "a/../b", "a/./b", "b"]
    async with remote_of(moto_s3) as remote:
        for key in keys:
            await put(remote, bucket, key, key.encode())
        for key in keys:
            assert bytes((await remote.get(bucket, key))[1]) == key.encode()
    bucket = fresh_bucket(seaweed)
    async with remote_of(seaweed) as remote:
        await put(remote, bucket, "b", b"mine")
        with pytest.raises(Rejected):
            await put(remote, bucket, "a/../b", b"other")
        assert bytes((await remote.get(bucket, "b"))[1]) == b"mine", "a folded path would have hit another object"


async def test_moto_speaks_amazons_error_codes(moto_s3: S3Server) -> None:
    bucket = fresh_bucket(moto_s3)
    async with remote_of(moto_s3, profile="aws") as remote:
        upload, records = await send_parts(remote, bucket, "k", [b"too small", b"last"])
        with pytest.raises(Rejected) as small:
            await remote.complete_multipart(bucket, "k", upload, records, size=13, crc64nvme="")
        assert small.value.code == "EntityTooSmall"
        etag = await put(remote, bucket, "k", b"abc")
        with pytest.raises(PreconditionFailed):
            await remote.get_range(bucket, "k", 50, 60, if_match=etag, total=100, consume=joined)
        with pytest.raises(PreconditionFailed):
            await remote.put(bucket, "k", b"x", size=1, crc64nvme="", options=WriteOptions(if_none_match=True))
        await remote.create_bucket(f"{bucket}-new")
        await remote.create_bucket(f"{bucket}-new")
        assert await remote.bucket_exists(f"{bucket}-new")


@pytest.mark.parametrize("name", ["seaweed_tls", "rclone_tls"])
async def test_tls_with_an_authority_of_ones_own(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = fresh_bucket(server)
    async with remote_of(server) as remote:
        data = b"z" * (3 * MIB)
        etag = await put(remote, bucket, "k", data)
        assert await remote.get_range(bucket, "k", 0, len(data), if_match=etag, total=len(data), consume=joined) == data


async def test_a_device_with_a_certificate_of_its_own(device_tls: Tls, tmp_path: Path) -> None:
    with RcloneS3(tmp_path, Keys("DEVICEKEY00001", "device+secret/0001"), tls=device_tls) as device:
        bucket = fresh_bucket(device)
        heard = Heard()
        async with remote_of(device, heard) as remote:
            data = b"data"
            etag = await put(remote, bucket, "k", data)
            assert bytes((await remote.get(bucket, "k", if_match=etag))[1]) == data
            for _ in range(2):  # streams have an engine that takes no such certificate
                assert await remote.get_range(bucket, "k", 0, 4, if_match=etag, total=4, consume=joined) == data
            assert heard.retries == ["tls"], "found out once"
            assert heard.health == [], "and no fault of the endpoint"


async def test_a_gateway_dies_is_set_aside_and_taken_back(seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    first, second = seaweed.endpoint_urls
    heard = Heard()
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(remote_of(seaweed, heard))
        stop = asyncio.Event()

        async def work(lane: int) -> int:
            done = 0
            while not stop.is_set():
                data = f"{lane}/{done}".encode() * 100
                etag = await put(remote, bucket, f"{lane}/{done}", data)
                assert bytes((await remote.get(bucket, f"{lane}/{done}", if_match=etag))[1]) == data
                done += 1
            return done

        def share(url: str) -> int:
            return sum(endpoint == url and status == 200 for endpoint, _, status in heard.requests)

        lanes = [asyncio.create_task(work(lane)) for lane in range(8)]
        await eventually(lambda: share(first) > 20 and share(second) > 20)
        await asyncio.to_thread(seaweed.stop_gateway, 1)
        await eventually(lambda: (second, False) in heard.health)
        before = share(first)
        await eventually(lambda: share(first) > before + 50)
        await asyncio.to_thread(seaweed.start_gateway, 1)
        await eventually(lambda: (second, True) in heard.health)
        back = share(second)
        await eventually(lambda: share(second) > back + 20)
        stop.set()
        done = sum(await asyncio.gather(*lanes))
        assert done > 0, "and no request failed: gather would have raised"
