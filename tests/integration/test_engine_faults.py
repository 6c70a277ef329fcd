"""How every HTTP engine tells what went wrong: cut, reset, silent and refused, on both engines."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest

from headrace_daemon.s3.engine import Engine, EngineOptions
from headrace_daemon.s3.errors import TransportError
from tests.support.wire_server import (
    EMPTY,
    OK,
    Connection,
    answering,
    both_ways,
    codes,
    serving,
    whole,
)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (OK + b"content-length: 100\r\n\r\nabc", "truncated"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab", "truncated"),
        (OK + b"content-le", "reset"),
        (b"", "reset"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad_response"),
    ],
)
async def test_answers_cut_short(engine: Engine, data: bytes, code: str) -> None:
    async with serving(answering(data, then_close=True)) as server:
        assert await codes(engine, server.url + "/") == {code}


async def test_an_answer_without_a_length_ends_with_the_connection(engine: Engine) -> None:
    """No engine can see that this one was cut: whoever reads it must count."""
    async with serving(answering(OK + b"connection: close\r\n\r\nabc", then_close=True)) as server:
        assert await both_ways(engine, "GET", server.url + "/") == [(200, b"abc")] * 2


@pytest.mark.parametrize(("data", "code"), [(b"", "reset"), (OK + b"content-length: 100\r\n\r\nabc", "truncated")])
async def test_reset_by_the_server(engine: Engine, data: bytes, code: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(data)
        connection.reset()

    async with serving(script) as server:
        assert await codes(engine, server.url + "/") == {code}


@pytest.mark.parametrize("data", [b"", OK, OK + b"content-length: 100\r\n\r\nabc"])
async def test_silence_is_a_timeout(impatient: Engine, data: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(data)
        await connection.reader.read(1)

    async with serving(script) as server:
        assert await codes(impatient, server.url + "/") == {"timeout"}


async def test_a_slow_upload_is_not_silence(impatient: Engine) -> None:
    """The read timeout is half a second, the upload takes about two.

    A busy machine may well be silent for so long, but not every time.
    """
    size, told = 20 << 20, []

    async def script(connection: Connection) -> None:
        await connection.head()
        taken = 0
        while taken < size:
            taken += len(await connection.reader.read(1 << 20))
            await asyncio.sleep(0.012)
        await connection.answer(EMPTY)

    async with serving(script) as server:
        for _ in range(5):
            try:
                response = await impatient.small("PUT", server.url + "/", {}, bytes(size))
            except TransportError as error:
                told.append(error.code)
            else:
                assert response.status == 200
                return
    raise AssertionError(told)


async def test_an_upload_that_nobody_takes_is_a_timeout(impatient: Engine) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # server side is always a Transport
        await asyncio.Event().wait()

    async with serving(script) as server:
        with pytest.raises(TransportError) as caught:
            await impatient.small("PUT", server.url + "/", {}, bytes(32 << 20))
    assert caught.value.code == "timeout"


async def test_nobody_listens(engine: Engine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await codes(engine, f"http://127.0.0.1:{taken.getsockname()[1]}/") == {"connect_failed"}


async def test_nobody_accepts(make_engine: Callable[[EngineOptions], Engine]) -> None:
    engine = make_engine(EngineOptions(connect_timeout=0.5, read_timeout=5.0))
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # fills the queue of connections that wait for accept()
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert await codes(engine, f"http://127.0.0.1:{full.getsockname()[1]}/") == {"connect_timeout"}


async def test_no_such_name(engine: Engine) -> None:
    assert await codes(engine, "http://no-such-host.invalid/") == {"dns"}


async def test_after_close(engine: Engine) -> None:
    await engine.close()
    assert await codes(engine, "http://127.0.0.1:1/") == {"closed"}


@pytest.mark.parametrize("status", [b"403 Forbidden", b"400 Bad Request"])
@pytest.mark.parametrize("kept", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize("then", ["keep", "close", "drain"])
async def test_an_upload_answered_before_it_was_taken(engine: Engine, status: bytes, kept: bytes, then: str) -> None:
    """The status says what to do; a reset in its place would be retried in vain, with all the bytes again."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(b"HTTP/1.1 %s\r\n%scontent-length: 5\r\n\r\nwrong" % (status, kept))
        if then == "keep":
            await asyncio.Event().wait()
        if then == "close":
            connection.writer.write_eof()
        # takes whatever comes as the rest of the body: a second request on this connection would never be answered
        while await connection.reader.read(1 << 20):
            pass

    async with serving(script) as server:
        response = await engine.small("PUT", server.url + "/", {}, bytes(32 << 20))
        assert response.status == int(status[:3])
        assert await whole(response) == b"wrong"
        server.script = answering(EMPTY)
        assert (await engine.small("GET", server.url + "/", {})).status == 200
