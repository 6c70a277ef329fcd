"""Kept, broken, abandoned and cancelled connections, on both engines."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable

import psutil
import pytest

from headrace_daemon.s3.engine import Engine, EngineOptions, Response
from headrace_daemon.s3.errors import TransportError
from tests.support.wire_server import (
    EMPTY,
    OK,
    Connection,
    WireServer,
    answering,
    serving,
    until,
    whole,
)


async def test_connections_are_kept(engine: Engine) -> None:
    async with serving(answering(OK + b"content-length: 3\r\n\r\nabc")) as server:
        for _ in range(20):
            await engine.small("GET", server.url + "/", {})
            await engine.stream("GET", server.url + "/", {}, None, whole)
            await engine.small("PUT", server.url + "/", {}, b"x" * 1000)
    assert server.accepted <= 2, "an engine may keep a connection of its own for streams"


async def test_a_connection_left_in_the_middle_of_a_body_is_not_used_again(engine: Engine) -> None:
    async def consume(response: Response) -> None:
        async for _ in response.chunks(10):
            return

    async with serving(answering(OK + b"content-length: 5000000\r\n\r\n" + b"a" * 5_000_000)) as server:
        for _ in range(5):
            await engine.stream("GET", server.url + "/", {}, None, consume)
        await until(lambda: len(server.open) == 0)
    assert server.accepted == 5


async def test_what_consume_raises_comes_through_and_closes(engine: Engine) -> None:
    async def consume(response: Response) -> None:
        raise LookupError("of the caller")

    async with serving(answering(OK + b"content-length: 5000000\r\n\r\n" + b"a" * 5_000_000)) as server:
        with pytest.raises(LookupError, match="of the caller"):
            await engine.stream("GET", server.url + "/", {}, None, consume)
        await until(lambda: len(server.open) == 0)


async def test_a_put_on_a_kept_connection_that_breaks_is_sent_once(engine: Engine) -> None:
    """It may have been stored: a second If-None-Match PUT would find its own object and fail."""
    bodies = 0

    async def script(connection: Connection) -> None:
        nonlocal bodies
        await connection.body(await connection.head())
        await connection.answer(EMPTY)
        await connection.body(await connection.head())
        bodies += 1  # taken, and the answer is lost

    async with serving(script) as server:
        await engine.small("GET", server.url + "/", {})
        with pytest.raises(TransportError) as caught:
            await engine.small("PUT", server.url + "/", {}, b"x" * 1000)
    assert caught.value.code == "reset"
    assert bodies == 1
    assert server.accepted == 1


async def test_a_kept_connection_that_the_server_closed(engine: Engine) -> None:
    """It is replaced, or tells so in the moment between its end and our notice; no PUT arrives unanswered."""
    answered = 0
    told: list[str] = []
    async with serving(answering(EMPTY, then_close=True)) as server:
        for _ in range(20):
            try:
                answered += (await engine.small("PUT", server.url + "/", {}, b"x" * 1000)).status == 200
            except TransportError as error:
                told.append(error.code)
            await until(lambda: len(server.open) == 0)
    assert answered >= 10
    assert set(told) <= {"reset"}
    assert len(server.heads) == answered


async def test_two_hundred_at_once(engine: Engine) -> None:
    together = asyncio.Barrier(200)

    async def script(connection: Connection) -> None:
        head = await connection.head()
        await together.wait()
        number = head.split()[1][1:]
        await connection.answer(OK + b"content-length: %d\r\n\r\n%s" % (len(number), number))

    async with serving(script) as server:
        responses = await asyncio.gather(*(engine.small("GET", f"{server.url}/{n}", {}) for n in range(200)))
        assert [await whole(response) for response in responses] == [str(n).encode() for n in range(200)]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def test_cancelled_requests_leak_nothing(make_engine: Callable[[EngineOptions], Engine]) -> None:
    """Without an answer yet, in the middle of a body, in the middle of an upload; 30 of each in every round."""
    # one of the engines lets go of a cancelled request at its timeout, and every round waits for that
    engine = make_engine(EngineOptions(connect_timeout=30.0, read_timeout=0.5))
    upload = bytes(64 << 20)

    async def script(connection: Connection) -> None:
        head = await connection.head()
        if b" /body " in head:
            await connection.answer(OK + b"content-length: 9999999\r\n\r\n" + b"a" * 99_999)
        while await connection.reader.read(1 << 16):  # noqa: ASYNC110  # it paces what is read, it waits for nothing
            await asyncio.sleep(0.01)

    async def cancelled(server: WireServer, sending: Callable[[], Awaitable[object]]) -> None:
        tasks = [asyncio.ensure_future(sending()) for _ in range(30)]
        seen = len(server.heads)
        await until(lambda: len(server.heads) >= seen + 30)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        # on a busy machine the timeout may have come before the cancellation
        others = [result for result in results if not isinstance(result, asyncio.CancelledError)]
        assert {getattr(result, "code", result) for result in others} <= {"timeout"}

    async def rounds(count: int, server: WireServer, ways: list[Callable[[], Awaitable[object]]]) -> None:
        for _ in range(count):
            for way in ways:
                await cancelled(server, way)
            await until(lambda: len(server.open) == 0)

    async with serving(script) as server:
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: engine.small("GET", server.url + "/head", {}),
            lambda: engine.stream("GET", server.url + "/head", {}, None, whole),
            lambda: engine.stream("GET", server.url + "/body", {}, None, whole),
            lambda: engine.small("PUT", server.url + "/up", {}, upload),
        ]
        await rounds(2, server, ways)  # the memory that 200 requests at once take is taken once
        before = descriptors()
        resident = resident_bytes()
        await rounds(5, server, ways)
        await until(lambda: descriptors() <= before + 2)
        # A piece of 4 MiB that each of the 150 uploads left behind would be 600 MiB, and would stay. What allocators
        # keep for later, and what threads have yet to let go of, is 130 MiB now and then, and goes by itself.
        await until(lambda: resident_bytes() < resident + (300 << 20))


async def test_a_cancelled_upload_stops(engine: Engine) -> None:
    taken: list[int] = []

    async def script(connection: Connection) -> None:
        await connection.head()
        while data := await connection.reader.read(1 << 16):
            taken.append(len(data))
            await asyncio.sleep(0.001)

    async with serving(script) as server:
        for sending in (
            engine.small("PUT", server.url + "/", {}, bytes(256 << 20)),
            engine.stream("PUT", server.url + "/", {}, bytes(256 << 20), whole),
        ):
            taken.clear()
            task = asyncio.ensure_future(sending)
            await until(lambda: bool(taken))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: len(server.open) == 0)
            assert sum(taken) < 32 << 20
