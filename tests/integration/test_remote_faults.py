"""Remotes against an endpoint that answers wrongly, late or not at all, byte by byte as each test scripts it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from itertools import chain, repeat

import pytest

from headrace_daemon.flow.retry import Retry
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    CredentialsRefused,
    PreconditionFailed,
    RemoteDown,
    ServerFault,
    Throttled,
    TransportError,
    WrongRegion,
)
from headrace_daemon.s3.request import Clocks
from headrace_daemon.s3.types import WriteOptions
from headrace_queue.jobs import PartRecord
from tests.support.remotes import Heard, crc_text, remote_to
from tests.support.scripted import CUT, Asked, Script, answer, error, scripted

STORED = answer(200, etag='"e1"')
LISTING = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><LastModified>2026-01-01T00:00:00.000Z"
    b"</LastModified><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>"
)


def in_turn(*replies: bytes | object) -> Script:
    """These answers one after the other, the last one for ever."""
    supply = chain(replies[:-1], repeat(replies[-1]))
    return lambda _asked: next(supply)


def unless_head(reply: bytes) -> Script:
    """This answer to all but the probe, which finds a bucket."""
    return lambda asked: answer(200) if asked.method == "HEAD" else reply


async def joined(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
    return b"".join([bytes(chunk) async for chunk in chunks])


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (error(503, "SlowDown"), "SlowDown"),
        (error(500, "InternalError"), "InternalError"),
        (answer(502, b"<html>Bad Gateway</html>"), "502"),
        (error(400, "RequestTimeout"), "RequestTimeout"),
        (error(400, "BadDigest"), "BadDigest"),
        (answer(200), "no_etag"),
        (CUT, "reset"),
    ],
)
async def test_a_put_is_sent_again_with_all_of_its_body(fault: bytes | object, reason: str) -> None:
    heard = Heard()
    async with scripted(in_turn(fault, fault, STORED)) as server, remote_to([server.url], heard) as remote:
        result = await remote.put("b", "k", b"data", size=4, crc64nvme=crc_text(b"data"), options=WriteOptions())
        assert (result.etag, result.endpoint) == ("e1", server.url)
        assert heard.retries == [reason, reason]
        assert [asked.body for asked in server.asked] == [b"data"] * 3
        assert {asked.headers["x-amz-checksum-crc64nvme"] for asked in server.asked} == {crc_text(b"data")}


@pytest.mark.parametrize(
    ("fault", "kind", "times"),
    [
        (error(500, "InternalError"), ServerFault, 5),
        (error(400, "BadDigest"), BadDigest, 5),
        (error(403, "AccessDenied"), AccessDenied, 1),
        (error(412, "PreconditionFailed"), PreconditionFailed, 1),
    ],
)
async def test_what_stays_wrong_is_raised_in_the_end(fault: bytes, kind: type[Exception], times: int) -> None:
    heard = Heard()
    async with scripted(unless_head(fault)) as server, remote_to([server.url], heard) as remote:
        with pytest.raises(kind):
            await remote.put("b", "k", b"data", size=4, crc64nvme="", options=WriteOptions())
        assert server.count("PUT") == times
        assert heard.health == [], "the endpoint is not to blame"


async def test_a_request_that_a_service_cannot_bear_fails_alone_and_says_what_it_carried() -> None:
    """Others go on at the same endpoint, which is never set aside; each of the poisonous ones uses up its attempts."""

    def script(asked: Asked) -> bytes:
        return error(500, "InternalError") if "x-amz-server-side-encryption" in asked.headers else STORED

    heard = Heard()
    async with scripted(script) as server, remote_to([server.url], heard) as remote:

        async def put(options: WriteOptions) -> None:
            await remote.put("b", "k", b"x", size=1, crc64nvme="", options=options)

        poisonous = [asyncio.create_task(put(WriteOptions(sse="AES256"))) for _ in range(40)]
        for _ in range(40):
            await put(WriteOptions())
        for result in await asyncio.gather(*poisonous, return_exceptions=True):
            assert isinstance(result, ServerFault)
            assert str(result).startswith("InternalError: scripted. ")
            assert "--sse (x-amz-server-side-encryption: AES256)" in str(result)
        assert heard.health == []
        sent = [asked for asked in server.asked if "x-amz-server-side-encryption" in asked.headers]
        assert len(sent) == 40 * 5


async def test_a_service_that_fails_everything_is_a_pause_and_no_fault_of_the_object() -> None:
    """The probe tells it from a poisonous request: it is answered by 500 as well."""
    heard = Heard()
    async with (
        scripted(in_turn(error(500, "InternalError"))) as server,
        remote_to([server.url], heard, patience=0.2) as remote,
    ):
        with pytest.raises(RemoteDown, match="InternalError"):
            await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())
        assert heard.health == [(server.url, False)]
        server.script = in_turn(STORED)
        await eventually(lambda: (server.url, True) in heard.health)
        await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())


async def test_a_streamed_body_starts_anew_for_every_attempt() -> None:
    async def stream() -> AsyncIterator[Buffer]:
        for piece in (b"da", b"ta"):
            yield piece

    async with scripted(in_turn(error(500, "InternalError"), STORED)) as server, remote_to([server.url]) as remote:
        await remote.put("b", "k", stream, size=4, crc64nvme="", options=WriteOptions())
        assert [asked.body for asked in server.asked] == [b"data", b"data"]


async def test_throttling_halves_what_is_in_flight_and_ends_with_patience() -> None:
    brief = Retry(random=random.random, base=0.001, cap=0.01, patience=0.9)
    # it goes by requests: on a busy machine there would be too few of them in any time that a test may take
    clocks = Clocks(steady=lambda: server.count("HEAD") * 0.05, wall=time.time, random=random.random)
    limits: list[int] = []

    class Limits(Heard):
        def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
            super().inflight(remote, endpoint, requests, limit)
            limits.append(limit)

    async with (
        scripted(in_turn(error(503, "SlowDown"))) as server,
        remote_to([server.url], Limits(), retry=brief, max_requests=8, clocks=clocks) as remote,
    ):
        with pytest.raises(Throttled):
            await remote.head("b", "k")
        assert server.count("HEAD") > brief.attempts, "throttling uses up no attempt"
    assert limits[-1] == 4, "one overload halves once"


async def test_an_error_inside_a_200_is_no_success() -> None:
    whole = b"<?xml version='1.0'?>\n   \n<Error><Code>InternalError</Code><Message>m</Message></Error>"
    done = b"<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag></CompleteMultipartUploadResult>"
    parts = [PartRecord(1, 4, "p", "")]
    replies = in_turn(answer(200, whole), answer(200, b""), answer(200, done))
    async with scripted(replies) as server, remote_to([server.url]) as remote:
        result = await remote.complete_multipart("b", "k", "u", parts, size=4, crc64nvme=crc_text(b"data"))
        assert result.etag == "e-1"
        assert len(server.asked) == 3
        last = server.asked[-1]
        assert last.headers["x-amz-checksum-crc64nvme"] == crc_text(b"data")
        assert last.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        assert last.headers["x-amz-mp-object-size"] == "4"
        server.script = in_turn(answer(200, whole))
        for failing in (
            remote.complete_multipart("b", "k", "u", parts, size=4, crc64nvme=""),
            remote.copy("b", "k", "b", "s", source_etag="e", options=WriteOptions()),
            remote.copy_part("b", "k", "u", 1, "b", "s", 0, 4, source_etag="e"),
        ):
            with pytest.raises(ServerFault):
                await failing


async def test_a_service_that_knows_no_crc64nvme_still_takes_multipart_uploads() -> None:
    def script(asked: Asked) -> bytes:
        if "x-amz-checksum-algorithm" in asked.headers:
            return error(400, "InvalidRequest")
        return answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")

    async with scripted(script) as server, remote_to([server.url]) as remote:
        assert await remote.create_multipart("b", "k", WriteOptions()) == "u"


RANGE = {"etag": '"e1"', "content_range": "bytes 2-5/10"}
WRONG_RANGES = [
    (answer(206, b"2345", etag='"e1"', content_range="bytes 3-6/10"), ServerFault),
    (answer(206, b"2345", etag='"e1"'), ServerFault),
    (answer(206, b"2345", etag='"e1"', content_range="bytes 2-5/*"), ServerFault),
    (answer(200, b"0123456789", etag='"e1"'), ServerFault),
    (answer(206, b"2345", etag='"e1"', content_range="bytes 2-5/11"), PreconditionFailed),
    (answer(206, b"2345", etag='"e2"', content_range="bytes 2-5/10"), PreconditionFailed),
    (answer(206, b"234", **RANGE), TransportError),
    (answer(206, b"23", announced="4", **RANGE), TransportError),
    (answer(206, b"234567", **RANGE), TransportError),
    (error(416, "InvalidRange"), PreconditionFailed),
]


@pytest.mark.parametrize(("reply", "kind"), WRONG_RANGES)
async def test_a_range_is_believed_only_where_all_of_it_is_right(reply: bytes, kind: type[Exception]) -> None:
    async with scripted(unless_head(reply)) as server, remote_to([server.url]) as remote:
        with pytest.raises(kind):
            await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=joined)
        server.script = in_turn(reply, answer(206, b"2345", **RANGE))
        if kind is not PreconditionFailed:
            got = await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=joined, chunk=3)
            assert got == b"2345"


async def test_the_whole_object_may_come_as_a_200() -> None:
    async with scripted(in_turn(answer(200, b"0123", etag='"e1"'))) as server, remote_to([server.url]) as remote:
        assert await remote.get_range("b", "k", 0, 4, if_match="e1", total=4, consume=joined) == b"0123"
        assert server.asked[0].headers["if-match"] == '"e1"'
        with pytest.raises(ValueError, match="no range"):
            await remote.get_range("b", "k", 2, 2, if_match="e1", total=4, consume=joined)


async def test_a_range_that_arrives_is_a_sign_of_life_before_its_end() -> None:
    heard = Heard()

    async def taking_some(chunks: AsyncIterator[Buffer], _endpoint: str) -> list[str]:
        await anext(chunks)
        arrived = list(heard.arrived)
        async for _ in chunks:
            pass
        return arrived

    reply = in_turn(answer(206, b"2345", **RANGE))
    async with scripted(reply) as server, remote_to([server.url], heard) as remote:
        told = await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=taking_some, chunk=2)
        assert told == [server.url]


async def test_an_error_of_the_consumer_is_the_callers_own() -> None:
    class DiskFull(Exception):
        pass

    async def failing(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
        async for _ in chunks:
            raise DiskFull
        return b""

    async def failing_elsewhere(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
        raise TransportError("reset", "of another remote")

    async def giving_up_early(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
        return bytes(await anext(chunks))

    heard = Heard()
    async with (
        scripted(in_turn(answer(206, b"2345", **RANGE))) as server,
        remote_to([server.url], heard) as remote,
    ):
        with pytest.raises(DiskFull):
            await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=failing)
        for _ in range(5):
            with pytest.raises(TransportError, match="of another remote"):
                await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=failing_elsewhere)
        assert len(server.asked) == 6
        assert heard.retries == []
        assert heard.health == [], "the source's endpoint is not to blame"
        with pytest.raises(TransportError, match="truncated"):
            await remote.get_range("b", "k", 2, 6, if_match="e1", total=10, consume=giving_up_early, chunk=2)


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"dat", announced="4", etag='"e1"'),
        b'HTTP/1.1 200 OK\r\netag: "e1"\r\nconnection: close\r\nx-content-length: 4\r\n\r\ndat',
    ],
)
async def test_a_short_object_is_not_taken_for_a_whole_one(reply: bytes) -> None:
    async with scripted(in_turn(reply)) as server, remote_to([server.url]) as remote:
        with pytest.raises(TransportError):
            await remote.get("b", "k")


async def test_a_clock_that_is_wrong_is_found_out_and_allowed_for() -> None:
    now = 1_800_000_000.0
    heard = Heard()
    clocks = Clocks(steady=time.monotonic, wall=lambda: now - 3600, random=random.random)

    def script(asked: Asked) -> bytes:
        right = asked.headers["x-amz-date"] == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        date = formatdate(now, usegmt=True)
        return answer(200, etag='"e1"', date=date) if right else error(403, "RequestTimeTooSkewed", date=date)

    async with scripted(script) as server, remote_to([server.url], heard, clocks=clocks) as remote:
        await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())
        assert heard.retries == ["RequestTimeTooSkewed"]
        assert 3600.0 in heard.skews
        await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())
        assert server.count("PUT") == 3, "the clock is allowed for from now on"


async def test_the_region_of_a_bucket_is_learnt_once_and_signed_for() -> None:
    def script(asked: Asked) -> bytes:
        if "/eu-central-1/s3/" in asked.headers["authorization"]:
            return answer(200, LISTING)
        return error(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>")

    async with scripted(script) as server, remote_to([server.url]) as remote:
        assert (await remote.list_page("b", "")).objects[0].key == "k"
        await remote.list_page("b", "")
        assert server.count("GET") == 3


async def test_a_region_that_nobody_names_is_asked_for() -> None:
    def script(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer(301, x_amz_bucket_region="eu-west-3")
        return (
            answer(200, LISTING) if "/eu-west-3/" in asked.headers["authorization"] else error(301, "PermanentRedirect")
        )

    async with scripted(script) as server, remote_to([server.url]) as remote:
        assert (await remote.list_page("b", "")).objects
        server.script = in_turn(error(301, "PermanentRedirect"))
        with pytest.raises(WrongRegion):
            await remote.list_page("other", "")


async def test_why_a_head_was_refused_is_asked_by_a_get() -> None:
    def script(asked: Asked) -> bytes:
        return answer(403) if asked.method == "HEAD" else error(403, "RequestTimeTooSkewed")

    async with scripted(script) as server, remote_to([server.url]) as remote:
        with pytest.raises(CredentialsRefused):
            await remote.head("b", "k")
        assert server.asked[-1].headers["range"] == "bytes=0-0"
        server.script = lambda asked: answer(403) if asked.method == "HEAD" else error(403, "AccessDenied")
        with pytest.raises(AccessDenied) as caught:
            await remote.head("b", "k")
        assert caught.value.code == "AccessDenied"


async def test_requests_go_on_at_another_endpoint_and_come_back() -> None:
    heard = Heard()
    async with (
        scripted(in_turn(STORED)) as one,
        scripted(in_turn(STORED)) as two,
        remote_to([one.url, two.url], heard) as remote,
    ):

        async def put_many(count: int) -> None:
            for number in range(count):
                await remote.put("b", f"k{number}", b"x", size=1, crc64nvme="", options=WriteOptions())

        await put_many(10)
        assert (one.count("PUT"), two.count("PUT")) == (5, 5)
        await two.stop()
        await put_many(10)
        assert (one.count("PUT"), two.count("PUT")) == (15, 5)
        assert heard.health == [(two.url, False)]
        await two.start()
        await eventually(lambda: (two.url, True) in heard.health)
        assert [asked.path for asked in two.asked if asked.method == "HEAD"] == ["/b"], "the probe"
        await put_many(10)
        assert (one.count("PUT"), two.count("PUT")) == (20, 10)


async def test_all_endpoints_down_is_a_pause_and_ends_by_itself() -> None:
    heard = Heard()
    async with scripted(in_turn(STORED)) as server, remote_to([server.url], heard, patience=0.2) as remote:

        async def put() -> None:
            await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())

        await put()
        await server.stop()
        results = await asyncio.gather(*(put() for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {RemoteDown}
        with pytest.raises(RemoteDown, match="no endpoint answers"):
            await put()
        await server.start()
        await eventually(lambda: (server.url, True) in heard.health)
        await put()


async def test_a_remote_that_never_answered_is_given_up_sooner() -> None:
    """There is no work in flight that patience would save."""
    async with scripted(in_turn(STORED)) as server, remote_to([server.url], patience=3600.0) as remote:
        await server.stop()
        async with asyncio.timeout(60):
            with pytest.raises(RemoteDown, match="no endpoint answers"):
                await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())


async def test_an_endpoint_whose_backend_is_broken_stays_aside_until_it_works() -> None:
    heard = Heard()
    async with (
        scripted(in_turn(STORED)) as good,
        scripted(in_turn(error(500, "InternalError"))) as broken,
        remote_to([good.url, broken.url], heard) as remote,
    ):

        async def put() -> None:
            await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())

        while (broken.url, False) not in heard.health:
            await put()
        await eventually(lambda: broken.count("HEAD") >= 2)
        assert heard.health == [(broken.url, False)], "a probe that is answered by 500 brings nothing back"
        sent = broken.count("PUT")
        await put()
        assert broken.count("PUT") == sent
        broken.script = in_turn(STORED)
        await eventually(lambda: (broken.url, True) in heard.health)


async def test_who_waits_for_an_endpoint_gets_it_when_it_is_back() -> None:
    heard = Heard()
    async with scripted(in_turn(STORED)) as server, remote_to([server.url], heard, patience=60.0) as remote:
        await remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions())
        await server.stop()
        waiting = [
            asyncio.create_task(remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions()))
            for _ in range(100)
        ]
        await eventually(lambda: (server.url, False) in heard.health)
        for task in waiting[::7]:
            task.cancel()
        await server.start()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::7])
        assert sum(not isinstance(result, BaseException) for result in results) == 85


async def test_no_more_than_the_limit_is_in_flight_and_cancelling_loses_no_slot() -> None:
    class Most(Heard):
        most = 0
        begun = asyncio.Event()

        def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
            super().inflight(remote, endpoint, requests, limit)
            self.most = max(self.most, requests)
            self.begun.set()

    heard = Most()
    async with scripted(in_turn(STORED)) as server, remote_to([server.url], heard, max_requests=4) as remote:
        for cancelled in range(1, 12):
            tasks = [
                asyncio.create_task(remote.put("b", "k", b"x", size=1, crc64nvme="", options=WriteOptions()))
                for _ in range(20)
            ]
            await heard.begun.wait()
            for task in tasks[:cancelled]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            heard.begun.clear()
        assert heard.most == 4


async def test_an_endpoint_without_pages_gives_everything_at_once() -> None:
    async with scripted(in_turn(answer(200, LISTING))) as server, remote_to([server.url], profile="snowball") as remote:
        page = await remote.list_page("b", "p/")
        assert [listed.key for listed in page.objects] == ["k"]
        assert page.token is None
        assert server.asked[0].path == "/b?prefix=p%2F"
        server.script = in_turn(answer(200, LISTING[:-30]), answer(200, LISTING))
        assert len((await remote.list_page("b", "")).objects) == 1, "a listing cut short is asked for again"
        assert await remote.delete("b", ["x", "y"]) == {}
        assert [(asked.method, asked.path) for asked in server.asked[-2:]] == [("DELETE", "/b/x"), ("DELETE", "/b/y")]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", LISTING.replace(b">false<", b">true<")])
async def test_a_listing_that_is_none_is_not_an_empty_one(body: bytes) -> None:
    async with scripted(in_turn(answer(200, body))) as server, remote_to([server.url]) as remote:
        with pytest.raises(ServerFault):
            await remote.list_page("b", "")


async def test_headers_that_only_one_engine_reads_are_read_by_the_other() -> None:
    head = 'HTTP/1.1 200 OK\r\netag: "e"\r\nx-amz-meta-name: grüße\r\ncontent-length: 3\r\n\r\n'.encode()
    heard = Heard()
    async with scripted(in_turn(head)) as server, remote_to([server.url], heard) as remote:
        assert (await remote.head("b", "k")).metadata == {"name": "grüße"}
        assert heard.health == []


async def test_what_delete_could_not_delete_is_named() -> None:
    body = (
        b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
        b"<Error><Key>b</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    )
    async with scripted(in_turn(answer(200, body))) as server, remote_to([server.url]) as remote:
        failed = await remote.delete("b", ["a", "b", "c"])
        assert list(failed) == ["a"]
        assert isinstance(failed["a"], AccessDenied)
        assert server.asked[0].headers["content-md5"]
