"""Bodies that go straight into the buffers they are wanted in, on every engine, and on the daemon's own loop."""

import asyncio
import random

import pytest
import uvloop

from headrace_daemon.s3.engine import Arriving, Engine, EngineOptions
from headrace_daemon.s3.engine_loop import LoopEngine
from headrace_daemon.s3.engine_pyreqwest import PyreqwestEngine
from headrace_daemon.s3.errors import TransportError
from tests.support.wire_server import OK, Connection, answering, serving, until, whole

BODY = random.Random(1).randbytes(3_000_001)
OPTIONS = EngineOptions(connect_timeout=30.0, read_timeout=60.0)


class Taking:
    """Takes a body by buffers of some size; keeps what lay in them and what was seen of it on the way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.counts: list[int] = []
        self.taken = bytearray()
        self.seen = bytearray()

    async def __call__(self, response: Arriving) -> None:
        buffer = memoryview(bytearray(self.size))
        while count := await response.into(buffer, self.seen.extend):
            self.counts.append(count)
            self.taken += buffer[:count]


def framed(body: bytes, framing: str) -> bytes:
    """A whole answer with `body`."""
    if framing == "length":
        return OK + b"content-length: %d\r\n\r\n" % len(body) + body
    if framing == "end":
        return OK + b"connection: close\r\n\r\n" + body
    pieces = [body[at : at + 70_001] for at in range(0, len(body), 70_001)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return OK + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


async def in_bits(data: bytes, connection: Connection) -> None:
    """So that no boundary on the wire is one of the body or of a buffer."""
    chance, at = random.Random(2), 0
    while at < len(data):
        size = chance.choice((1, 100, 5000, 200_000, 1_000_000))
        await connection.answer(data[at : at + size])
        at += size


async def check_every_framing(engine: Engine) -> None:
    for framing in ("length", "chunked", "end"):
        for size in (700_000, 3_000_001, 4_000_000):

            async def script(connection: Connection, framing: str = framing) -> None:
                await connection.body(await connection.head())
                await in_bits(framed(BODY, framing), connection)

            async with serving(script) as server:
                taking = Taking(size)
                await engine.stream("GET", server.url + "/", {}, None, taking)
            assert taking.taken == taking.seen == BODY, (framing, size)
            assert all(count == size for count in taking.counts[:-1]), "only the last buffer is not full"


async def test_buffers_are_filled_whatever_the_framing(engine: Engine) -> None:
    await check_every_framing(engine)


def test_on_the_daemon_s_own_loop() -> None:
    async def scenario() -> None:
        engine = LoopEngine(OPTIONS, PyreqwestEngine(OPTIONS))
        await check_every_framing(engine)
        await engine.close()

    uvloop.run(scenario())


async def test_a_body_can_be_taken_in_both_ways(engine: Engine) -> None:
    async def consume(response: Arriving) -> bytes:
        buffer = bytearray(1_000_000)
        assert await response.into(memoryview(buffer)) == len(buffer)
        return bytes(buffer) + b"".join([bytes(chunk) async for chunk in response.chunks(300_000)])

    async with serving(answering(framed(BODY, "length"))) as server:
        assert await engine.stream("GET", server.url + "/", {}, None, consume) == BODY


async def test_a_body_without_bytes(engine: Engine) -> None:
    for framing in ("length", "chunked"):
        async with serving(answering(framed(b"", framing))) as server:
            for _ in range(2):
                taking = Taking(10)
                await engine.stream("GET", server.url + "/", {}, None, taking)
                assert taking.counts == []
            assert server.accepted == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_cut_short_fills_no_buffer(engine: Engine, framing: str) -> None:
    async with serving(answering(framed(BODY, framing)[:-1_000_000], then_close=True)) as server:
        for size in (1_000_000, 4_000_000):
            with pytest.raises(TransportError) as caught:
                await engine.stream("GET", server.url + "/", {}, None, Taking(size))
            assert caught.value.code == "truncated"


async def test_nobody_takes_and_nobody_sends(engine: Engine) -> None:
    """A slow disk slows the sender down; what is on its way lies in the kernel, not in this process."""
    sent, size = 0, 512 << 20

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.head()
        await connection.answer(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            await connection.answer(bytes(1 << 20))
            sent += 1 << 20

    async def consume(response: Arriving) -> None:
        await response.into(memoryview(bytearray(1 << 20)))
        before = still = 0
        while still < 1000:  # turns of the loop in which the sender found no room
            still = still + 1 if sent == before else 0
            before = sent
            await asyncio.sleep(0)

    async with serving(script) as server:
        await engine.stream("GET", server.url + "/", {}, None, consume)
        await until(lambda: len(server.open) == 0)
    assert sent < size // 4


async def test_a_cancelled_reader_leaves_its_buffer_alone(engine: Engine) -> None:
    more = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(OK + b"content-length: 2000\r\n\r\n" + b"a" * 1000)
        await more.wait()
        await connection.answer(b"b" * 1000)

    async def consume(response: Arriving) -> None:
        await response.into(memoryview(buffer))

    buffer = bytearray(2000)
    async with serving(script) as server:
        reading = asyncio.create_task(engine.stream("GET", server.url + "/", {}, None, consume))
        await until(lambda: bool(server.heads))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        more.set()
        await until(lambda: len(server.open) == 0)
    assert b"b" not in buffer


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong", b"garbage"])
async def test_what_follows_a_body_is_never_the_next_answer(more: bytes) -> None:
    """On the loop, where the parser does not see what goes past it."""
    engine = LoopEngine(OPTIONS, PyreqwestEngine(OPTIONS))
    sent = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(framed(BODY, "length") + more)
        sent.set()
        while await connection.reader.read(1 << 16):
            pass

    async with serving(script) as server:
        taking = Taking(1 << 20)
        await engine.stream("GET", server.url + "/", {}, None, taking)
        assert taking.taken == BODY
        await sent.wait()
        await until(lambda: len(server.open) == 0)  # our side ended it
        assert await engine.stream("GET", server.url + "/", {}, None, whole) == BODY
        assert server.accepted == 2
    await engine.close()


async def test_small_and_large_ones_share_their_connections() -> None:
    engine = LoopEngine(OPTIONS, PyreqwestEngine(OPTIONS))
    async with serving(answering(framed(BODY, "length"))) as server:
        for _ in range(3):
            assert await engine.stream("GET", server.url + "/", {}, None, whole) == BODY
            assert (await engine.small("GET", server.url + "/", {})).body == BODY
        assert server.accepted == 1
    await engine.close()
