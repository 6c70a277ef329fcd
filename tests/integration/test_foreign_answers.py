"""Remotes of which an endpoint is no S3 service: it answers 404, with HTML where an answer has a body."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotS3
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from tests.integration.test_remote_faults import LISTING, eventually, joined
from tests.support.remotes import Heard, remote_to
from tests.support.scripted import Asked, Script, answer, error, scripted

FOREIGN = answer(404, b"<html><body>default backend - 404</body></html>", content_type="text/html")
DESCRIBED = answer(200, announced="4", etag='"e1"')
WHOLE = answer(200, b"0123", etag='"e1"')
BYTE = answer(206, b"0", etag='"e1"', content_range="bytes 0-0/4")
COPIED = answer(200, b"<CopyObjectResult><ETag>&quot;e1&quot;</ETag></CopyObjectResult>")
TAGS = answer(200, b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")


def foreign(asked: Asked) -> bytes:
    """As a load balancer does without a backend."""
    return answer(404) if asked.method == "HEAD" else FOREIGN


def by_method(**replies: bytes) -> Script:
    return lambda asked: replies[asked.method.lower()]


async def get(remote: Remote) -> object:
    return (await remote.get("b", "k"))[1]


async def get_range(remote: Remote) -> object:
    return await remote.get_range("b", "k", 0, 4, if_match="e1", total=4, consume=joined)


async def list_page(remote: Remote) -> object:
    return [listed.key for listed in (await remote.list_page("b", "")).objects]


async def copy(remote: Remote) -> object:
    return (await remote.copy("b", "k", "b", "s", source_etag="e1", options=WriteOptions())).etag


async def tags(remote: Remote) -> object:
    return await remote.tags("b", "k")


async def head(remote: Remote) -> object:
    return (await remote.head("b", "k")).size


async def all_headers(remote: Remote) -> object:
    return (await remote.all_headers("b", "k"))["etag"]


Call = Callable[[Remote], Awaitable[object]]
CALLS: list[tuple[Call, Script, object]] = [
    (get, by_method(get=WHOLE), b"0123"),
    (get_range, by_method(get=WHOLE), b"0123"),
    (list_page, by_method(get=answer(200, LISTING)), ["k"]),
    (copy, by_method(put=COPIED), "e1"),
    (tags, by_method(get=TAGS), "a=b"),
    (head, by_method(head=DESCRIBED, get=BYTE), 4),
    (all_headers, by_method(head=DESCRIBED, get=BYTE), '"e1"'),
]


@pytest.mark.parametrize(("call", "script", "result"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_is_no_s3_service_is_passed_over_for_another_endpoint(
    call: Call, script: Script, result: object
) -> None:
    async with scripted(foreign) as bad, scripted(script) as good, remote_to([bad.url, good.url]) as remote:
        for _ in range(20):
            assert await call(remote) == result
        assert bad.asked, "it was asked as well"


@pytest.mark.parametrize("call", [call for call, _, _ in CALLS])
async def test_where_nothing_else_answers_it_is_an_error_and_nothing_vanished(call: Call) -> None:
    heard = Heard()
    async with scripted(foreign) as server, remote_to([server.url], heard) as remote:
        with pytest.raises(NotS3) as raised:
            await call(remote)
    assert "HTTP status 404" in str(raised.value)
    assert server.url in str(raised.value), "a person with several endpoints has to know which it is"
    assert heard.retries == ["not_s3"] * 4
    assert heard.health == []


async def test_one_that_is_no_s3_service_is_set_aside_until_it_is_one() -> None:
    """Its answers are the fastest: it would get what a busy service has no room for, time and again."""
    heard = Heard()
    async with (
        scripted(foreign) as bad,
        scripted(by_method(get=WHOLE)) as good,
        remote_to([bad.url, good.url], heard, max_requests=1) as remote,
    ):
        assert await asyncio.gather(*(get(remote) for _ in range(200))) == [b"0123"] * 200
        assert heard.health == [(bad.url, False)]
        await eventually(lambda: sum(asked.path == "/b?max-keys=1" for asked in bad.asked) >= 3)
        assert heard.health == [(bad.url, False)], "a probe that is answered by HTML brings nothing back"
        bad.script = by_method(head=answer(404), get=error(404, "NoSuchBucket"))
        await eventually(lambda: heard.health == [(bad.url, False), (bad.url, True)])


async def test_where_none_is_an_s3_service_one_stays_in_use_so_that_objects_fail() -> None:
    heard = Heard()
    async with scripted(foreign) as one, scripted(foreign) as two, remote_to([one.url, two.url], heard) as remote:
        for _ in range(3):
            ended = await asyncio.gather(*(get(remote) for _ in range(50)), return_exceptions=True)
            assert {type(error) for error in ended} == {NotS3}
        assert len(heard.health) == 1


@pytest.mark.parametrize("call", [get, get_range, head, all_headers])
async def test_what_s3_says_itself_is_believed_at_once(call: Call) -> None:
    heard = Heard()
    absent = by_method(head=answer(404), get=error(404, "NoSuchKey"))
    async with scripted(absent) as server, remote_to([server.url], heard) as remote:
        with pytest.raises(NotFound, match="NoSuchKey"):
            await call(remote)
        assert server.count("GET") == 1
        server.script = by_method(head=answer(404), get=error(404, "NoSuchBucket"))
        with pytest.raises(NoSuchBucket):
            await call(remote)
    assert heard.retries == []


SHOWS = [BYTE, WHOLE, error(416, "InvalidRange"), answer(416), error(403, "InvalidObjectState")]


@pytest.mark.parametrize("shown", SHOWS, ids=["206", "200", "416", "416 bare", "archived"])
async def test_a_head_is_sent_again_where_a_get_shows_the_object(shown: bytes) -> None:
    replies = {"HEAD": [answer(404), answer(404), DESCRIBED], "GET": [shown]}
    async with scripted(lambda asked: replies[asked.method].pop(0)) as server, remote_to([server.url]) as remote:
        assert (await remote.head("b", "k")).size == 4
    assert [asked.method for asked in server.asked] == ["HEAD", "GET", "HEAD", "HEAD"]
    assert server.asked[1].headers["range"] == "bytes=0-0"


async def test_an_object_that_is_removed_between_get_and_head_is_not_found() -> None:
    replies = iter([BYTE, error(404, "NoSuchKey")])

    def script(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer(404)
        return next(replies) if asked.path == "/b/k" else answer(200, LISTING)  # which a probe asks for

    async with scripted(script) as server, remote_to([server.url]) as remote:
        with pytest.raises(NotFound, match="NoSuchKey"):
            await remote.head("b", "k")


async def test_operations_that_services_answer_with_a_bare_404_stay_as_they_are() -> None:
    heard = Heard()
    async with scripted(foreign) as server, remote_to([server.url], heard) as remote:
        assert not await remote.bucket_exists("b")
        assert not await remote.is_website("b")
        assert await remote.unfinished_uploads("b", "") is None
        with pytest.raises(NotFound):
            await remote.list_parts("b", "k", "u")
    assert heard.retries == []
