"""The engine on the loop: answers that could be taken for those of other requests, and what it leaves to the other."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import trustme
import uvloop

from headrace_daemon.s3.engine import EngineOptions
from headrace_daemon.s3.engine_loop import SMALL, LoopEngine
from headrace_daemon.s3.engine_pyreqwest import PyreqwestEngine
from headrace_daemon.s3.errors import TransportError
from tests.integration.test_engine_tls import tls_of
from tests.support.wire_server import EMPTY, OK, Connection, answering, serving, until, whole

OPTIONS = EngineOptions(connect_timeout=30.0, read_timeout=60.0)
ANSWER = OK + b"content-length: 3\r\n\r\nabc"


class Bulk(PyreqwestEngine):
    """The engine for large bodies; counts what it was given."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self.asked = 0

    async def small(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.asked += 1
        return await super().small(*args, **kwargs)


@pytest.fixture
async def bulk() -> AsyncIterator[Bulk]:
    bulk = Bulk(OPTIONS)
    yield bulk
    await bulk.close()


@pytest.fixture
async def engine(bulk: Bulk) -> AsyncIterator[LoopEngine]:
    engine = LoopEngine(OPTIONS, bulk)
    yield engine
    await engine.close()


async def abc(engine: LoopEngine, url: str) -> bytes:
    return await whole(await engine.small("GET", url + "/", {}))


@pytest.mark.parametrize(
    "more",
    [ANSWER, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong", b"garbage", b"\0"],
)
@pytest.mark.parametrize("when", ["together", "later"])
async def test_a_second_answer_is_never_the_next_requests(engine: LoopEngine, more: bytes, when: str) -> None:
    """Whoever sends more than it was asked for could hand one object's bytes to another."""
    sent = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        if when == "together":
            await connection.answer(ANSWER + more)
        else:
            await connection.answer(ANSWER)
            await connection.answer(more)
        sent.set()
        while await connection.reader.read(1 << 16):
            pass

    async with serving(script) as server:
        assert await abc(engine, server.url) == b"abc"
        await sent.wait()
        await until(lambda: len(server.open) == 0)  # our side ended it
        assert await abc(engine, server.url) == b"abc"
        assert server.accepted == 2


async def test_only_a_connection_that_is_kept_is_used_again(engine: LoopEngine) -> None:
    for head, connections in (
        (b"HTTP/1.1 200 OK\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n", 3),
        (b"HTTP/1.0 200 OK\r\n", 3),
    ):
        async with serving(answering(head + b"content-length: 3\r\n\r\nabc")) as server:
            for _ in range(3):
                assert await abc(engine, server.url) == b"abc"
            assert (await engine.small("HEAD", server.url + "/", {})).status == 200
            assert server.accepted == connections + (connections > 1)


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 3\r\ncontent-length: 4\r\n",
        b"content-length: -3\r\n",
        b"content-length: 3x\r\n",
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"x y: z\r\ncontent-length: 3\r\n",
    ],
)
async def test_heads_that_two_readers_may_read_in_two_ways_are_refused(engine: LoopEngine, head: bytes) -> None:
    async with serving(answering(OK + head + b"\r\nabc")) as server:
        with pytest.raises(TransportError) as caught:
            await abc(engine, server.url)
    assert caught.value.code == "bad_response"


async def test_a_trailer_says_nothing_of_the_object(engine: LoopEngine) -> None:
    """Whoever sends one could take back what the head said."""
    data = OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-amz-meta-a: b\r\n\r\n"
    async with serving(answering(data)) as server:
        for _ in range(2):
            response = await engine.small("GET", server.url + "/", {})
            assert await whole(response) == b"abc"
            assert response.headers() == [("transfer-encoding", "chunked")]
        assert server.accepted == 1


async def test_endless_interim_answers_are_refused(engine: LoopEngine) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        while True:
            await connection.answer(b"HTTP/1.1 103 Early Hints\r\nlink: " + b"a" * 8000 + b"\r\n\r\n")

    async with serving(script) as server:
        with pytest.raises(TransportError) as caught:
            await abc(engine, server.url)
    assert caught.value.code == "bad_response"


async def test_large_bodies_go_to_the_other_engine(engine: LoopEngine, bulk: Bulk) -> None:
    async with serving(answering(EMPTY)) as server:
        for size, expected, others in ((SMALL, 0, 0), (0, SMALL, 0), (SMALL + 1, 0, 1), (0, SMALL + 1, 2)):
            await engine.small("PUT", server.url + "/", {}, bytes(size), expected)
            assert bulk.asked == others


async def test_what_only_the_other_engine_trusts_is_left_to_it() -> None:
    authority = trustme.CA()
    bulk = Bulk(EngineOptions(connect_timeout=30.0, ca_pem=authority.cert_pem.bytes()))
    engine = LoopEngine(OPTIONS, bulk)
    try:
        async with serving(answering(ANSWER), tls_of(authority, "127.0.0.1")) as server:
            for number in range(3):
                assert await abc(engine, server.url) == b"abc"
                assert bulk.asked == number + 1
            assert server.accepted <= 2, "the first handshake fails, and no other is tried"
    finally:
        await engine.close()


def test_on_the_daemon_s_own_loop() -> None:
    """uvloop has transports of its own, and TLS as well."""
    authority = trustme.CA()
    options = EngineOptions(connect_timeout=30.0, read_timeout=60.0, ca_pem=authority.cert_pem.bytes())

    async def scenario() -> None:
        for tls in (None, tls_of(authority, "127.0.0.1")):
            engine = LoopEngine(options, PyreqwestEngine(options))
            async with serving(answering(ANSWER), tls) as server:
                answers = await asyncio.gather(
                    *(engine.small("PUT", f"{server.url}/{n}", {}, bytes(n * 600)) for n in range(100))
                )
                assert [await whole(one) for one in answers] == [b"abc"] * 100
            async with serving(answering(OK + b"content-length: 9\r\n\r\nabc", then_close=True), tls) as server:
                with pytest.raises(TransportError) as caught:
                    await abc(engine, server.url)
                assert caught.value.code == "truncated"
            await engine.close()

    uvloop.run(scenario())
