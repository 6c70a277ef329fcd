"""What every HTTP engine must do, on both engines, against a server that decides over every byte on the wire."""

import asyncio
import contextlib
import gc
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyreqwest.bytes import Bytes

from headrace_daemon.s3.engine import Buffer, Engine, EngineOptions, Response
from headrace_daemon.s3.engine_aiohttp import AiohttpEngine
from headrace_daemon.s3.engine_pyreqwest import PyreqwestEngine
from headrace_daemon.s3.errors import Rejected, TransportError

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"
ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {"pyreqwest": PyreqwestEngine, "aiohttp": AiohttpEngine}


class Connection:
    """One connection as the server sees it."""

    def __init__(self, server: "WireServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """The next request's head, as sent; it is noted. Raises IncompleteReadError where the client left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    async def body(self, head: bytes) -> bytes:
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)\r\n", head)
        return await self.reader.readexactly(int(length[1])) if length else b""

    async def answer(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


class WireServer:
    """Runs one script for every connection; counts those open and keeps the heads of requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.accepted = 0
        self.open: set[asyncio.Task[None]] = set()
        self.url = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self.open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                await self.script(Connection(self, reader, writer))
        finally:
            writer.close()
            self.open.discard(task)


@contextlib.asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    server = WireServer(script)
    listener = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listener.close()
        tasks = list(server.open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(data: bytes, *, then_close: bool = False) -> Script:
    """A script that takes any number of whole requests and answers each with `data`."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.body(await connection.head())
            await connection.answer(data)
            if then_close:
                return

    return script


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture(params=sorted(ENGINES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make(kind: str) -> AsyncIterator[Callable[[EngineOptions], Engine]]:
    made: list[Engine] = []

    def create(options: EngineOptions) -> Engine:
        made.append(ENGINES[kind](options))
        return made[-1]

    yield create
    for engine in made:
        await engine.close()


@pytest.fixture
def engine(make: Callable[[EngineOptions], Engine]) -> Engine:
    return make(EngineOptions(connect_timeout=2.0, read_timeout=5.0))


@pytest.fixture
def impatient(make: Callable[[EngineOptions], Engine]) -> Engine:
    return make(EngineOptions(connect_timeout=1.0, read_timeout=0.5))


async def whole(response: Response) -> bytes:
    return bytes(await response.read())


async def both_ways(engine: Engine, method: str, url: str) -> list[tuple[int, bytes]]:
    """The same request through small() and through stream(), body in chunks."""

    async def consume(response: Response) -> tuple[int, bytes]:
        return response.status, b"".join([bytes(chunk) async for chunk in response.chunks(7)])

    small = await engine.small(method, url, {})
    return [(small.status, await whole(small)), await engine.stream(method, url, {}, None, consume)]


async def codes(engine: Engine, url: str, method: str = "GET") -> set[str]:
    """The codes of the errors that both ways of sending raise."""
    found = set()
    for way in (engine.small(method, url, {}), engine.stream(method, url, {}, None, whole)):
        with pytest.raises(TransportError) as caught:
            await way
        assert url not in str(caught.value)
        found.add(caught.value.code)
    return found


# -- what goes out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/b/plain-_~.key",
        "/b//two//slashes//",
        "/b/a%20b%2Bc%2Fd%25",
        "/b/a+b",
        "/b/%252e%252e/x",
        "/b/%C3%A9%E2%98%83",
        "/b/.../.hidden/x..",
        "/b/%27%28%29%2A%21%3A%40%26%3D%2C%3B%24",
        "/b/k?list-type=2&prefix=a%2F..%2Fb%20c&start-after=%2B",
        "/b?uploads=",
        "/?a=%2e%2e/",
    ],
)
async def test_paths_reach_the_wire_byte_for_byte(engine: Engine, path: str) -> None:
    async with serving(answering(EMPTY)) as server:
        await engine.small("GET", server.url + path, {})
        await engine.stream("PUT", server.url + path, {}, b"x", whole)
    lines = [head.split(b"\r\n")[0] for head in server.heads]
    assert lines == [f"GET {path} HTTP/1.1".encode(), f"PUT {path} HTTP/1.1".encode()]


@pytest.mark.parametrize("path", ["/b/../c", "/b/./c", "/b/..", "/b/%2e%2E/c"])
async def test_dot_segments_as_the_engine_declares(engine: Engine, path: str) -> None:
    async with serving(answering(EMPTY)) as server:
        await engine.small("GET", server.url + path, {})
    kept = server.heads[0].startswith(f"GET {path} HTTP/1.1".encode())
    assert kept is engine.keeps_dot_segments


async def test_headers_go_out_as_given_and_none_asks_for_compression(engine: Engine) -> None:
    given = {"x-amz-meta-a": "ü b", "authorization": "AWS4 x=y", "x-amz-date": "20260101T000000Z"}
    async with serving(answering(EMPTY)) as server:
        await engine.small("GET", server.url + "/", given)
    head = server.heads[0].decode().lower()
    for name, value in given.items():
        assert f"\r\n{name}: {value.lower()}\r\n" in head
    assert f"\r\nhost: {server.url.removeprefix('http://')}\r\n" in head
    assert "accept-encoding" not in head
    assert "content-type" not in head
    assert "transfer-encoding" not in head


@pytest.mark.parametrize("kind_of_body", [bytes, bytearray, memoryview, Bytes])
@pytest.mark.parametrize("size", [0, 1, 16384, 3_000_001])
async def test_buffers_arrive_whole_with_content_length(engine: Engine, kind_of_body: type[Buffer], size: int) -> None:
    data = os.urandom(size)
    received: list[bytes] = []

    async def script(connection: Connection) -> None:
        received.append(await connection.body(await connection.head()))
        await connection.answer(EMPTY)

    async with serving(script) as server:
        await engine.small("PUT", server.url + "/b/k", {}, kind_of_body(data))
    assert received == [data]
    assert server.heads[0].lower().count(b"\r\ncontent-length: %d\r\n" % size) == 1


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_no_body_is_announced_as_empty(engine: Engine, method: str) -> None:
    async with serving(answering(EMPTY)) as server:
        await engine.small(method, server.url + "/b/k", {})
    assert b"\r\ncontent-length: 0\r\n" in server.heads[0].lower()


def stream_of(*pieces: Buffer) -> Callable[[], AsyncIterator[Buffer]]:
    async def begin() -> AsyncIterator[Buffer]:
        for piece in pieces:
            yield piece

    return begin


async def test_streams_go_out_with_content_length_never_chunked(engine: Engine) -> None:
    received: list[bytes] = []

    async def script(connection: Connection) -> None:
        while True:
            received.append(await connection.body(await connection.head()))
            await connection.answer(EMPTY)

    body = stream_of(b"a" * 100_000, bytearray(b"b" * 70_000), memoryview(b"c"), Bytes(b"dd"))
    async with serving(script) as server:
        for _ in range(2):  # the same function starts the stream anew
            await engine.small("PUT", server.url + "/b/k", {"Content-Length": "170003"}, body)
    assert received == [b"a" * 100_000 + b"b" * 70_000 + b"cdd"] * 2
    assert b"transfer-encoding" not in server.heads[0].lower()


async def test_streams_of_another_length_are_refused(engine: Engine) -> None:
    async with serving(answering(EMPTY)) as server:
        with pytest.raises(Rejected, match="1 bytes shorter than the 4 announced"):
            await engine.small("PUT", server.url + "/", {"content-length": "4"}, stream_of(b"abc"))
        with pytest.raises(Rejected, match="longer than the 4 bytes announced"):
            await engine.small("PUT", server.url + "/", {"content-length": "4"}, stream_of(b"abc", b"de"))
        with pytest.raises(Rejected, match="needs a content-length"):
            await engine.small("PUT", server.url + "/", {}, stream_of(b"abc"))
    assert b"abcd" not in b"".join(server.heads)


async def test_the_exception_of_a_broken_source_comes_through(engine: Engine) -> None:
    async def begin() -> AsyncIterator[Buffer]:
        yield b"abc"
        raise FileNotFoundError("vanished")

    async with serving(answering(EMPTY)) as server:
        for sending in (
            engine.small("PUT", server.url + "/", {"content-length": "9"}, begin),
            engine.stream("PUT", server.url + "/", {"content-length": "9"}, begin, whole),
        ):
            with pytest.raises(FileNotFoundError, match="vanished"):
                await sending


@pytest.mark.parametrize("headers", [{"x-a": "b\r\nx-c: d"}, {"x a": "b"}])
async def test_what_cannot_be_put_on_the_wire_is_rejected(engine: Engine, headers: dict[str, str]) -> None:
    async with serving(answering(EMPTY)) as server:
        with pytest.raises(Rejected) as caught:
            await engine.small("GET", server.url + "/", headers)
    assert caught.value.code == "bad_request"
    assert server.heads == []


# -- what comes in -----------------------------------------------------------------------------------------------------


async def test_status_headers_and_body(engine: Engine) -> None:
    data = (
        OK
        + b'ETag: "abc"\r\nX-Amz-Meta-A: b c \r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 20\r\n\r\n'
        + b"0123456789" * 2
    )
    async with serving(answering(data)) as server:
        response = await engine.small("GET", server.url + "/", {})
        assert response.status == 200
        assert response.header("etag") == '"abc"'
        assert response.header("x-amz-meta-a") == "b c"
        assert response.header("nothing") is None
        assert [pair for pair in response.headers() if pair[0] == "x-twice"] == [("x-twice", "1"), ("x-twice", "2")]
        body = await response.read()
        assert len(body) == 20
        assert memoryview(body)[5:10] == b"56789"
        sizes = [len(chunk) async for chunk in response.chunks(8)]
        assert sizes == [8, 8, 4]

        async def consume(response: Response) -> list[bytes]:
            assert ("etag", '"abc"') in response.headers()
            return [bytes(chunk) async for chunk in response.chunks(8)]

        assert await engine.stream("GET", server.url + "/", {}, None, consume) == [b"01234567", b"89012345", b"6789"]


async def test_bodies_can_be_written_to_a_file(engine: Engine, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    async with serving(answering(OK + b"content-length: 300000\r\n\r\n" + data)) as server:
        response = await engine.small("GET", server.url + "/", {})
        with (tmp_path / "out").open("wb", buffering=0) as out:
            assert out.write(await response.read()) == 300_000
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", OK + b"content-length: 54975581388800\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n"),
        ("GET", b"HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
        ("PUT", b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n"),
        ("PUT", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 412 No\r\ncontent-length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body(engine: Engine, method: str, data: bytes) -> None:
    """HEAD of a 50 TB object reserves no memory, and redirects are reported, not followed."""
    async with serving(answering(data)) as server:
        answers = await both_ways(engine, method, server.url + "/")
        status = int(re.findall(rb"HTTP/1.1 (\d+)", data)[-1])
        assert answers == [(status, b"")] * 2
        assert server.accepted == 1
        if method == "HEAD":
            assert (await engine.small(method, server.url + "/", {})).header("content-length") == "54975581388800"


async def test_content_encoding_passes_untouched(engine: Engine) -> None:
    body = b"\x1f\x8bnot really gzip"
    for encoding in (b"gzip", b"deflate", b"br", b"zstd"):
        data = OK + b"content-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (encoding, len(body)) + body
        async with serving(answering(data)) as server:
            assert await both_ways(engine, "GET", server.url + "/") == [(200, body)] * 2


async def test_chunked_answers(engine: Engine) -> None:
    data = OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n9;x=y\r\n012345678\r\n0\r\n\r\n"
    async with serving(answering(data)) as server:
        assert await both_ways(engine, "GET", server.url + "/") == [(200, b"abc012345678")] * 2


async def test_a_hundred_kilobytes_of_headers(engine: Engine) -> None:
    data = OK + b"x-long: " + b"a" * 100_000 + b"\r\ncontent-length: 2\r\n\r\nok"
    async with serving(answering(data)) as server:
        response = await engine.small("GET", server.url + "/", {})
        assert len(response.header("x-long") or "") == 100_000
        assert await whole(response) == b"ok"


async def test_endless_headers_are_refused(engine: Engine) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(OK)
        while True:
            await connection.answer(b"x-more: " + b"a" * 8000 + b"\r\n")

    async with serving(script) as server:
        assert await codes(engine, server.url + "/") == {"bad_response"}


async def test_a_header_that_is_not_ascii_is_read_or_named(kind: str, engine: Engine) -> None:
    data = OK + "x-amz-meta-a: ü\r\nx-b: c\r\ncontent-length: 0\r\n\r\n".encode()
    async with serving(answering(data)) as server:
        response = await engine.small("GET", server.url + "/", {})
    assert response.header("x-b") == "c"
    if kind == "aiohttp":
        assert response.header("x-amz-meta-a") == "ü"
        return
    for read in (lambda: response.header("x-amz-meta-a"), response.headers):
        with pytest.raises(TransportError) as caught:
            read()
        assert caught.value.code == "unreadable_header"


async def test_memory_stays_flat_while_a_large_body_streams(engine: Engine) -> None:
    size = 256 << 20
    block = bytes(1 << 20)

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(size // len(block)):
            await connection.answer(block)

    async def consume(response: Response) -> tuple[int, int]:
        process = psutil.Process()
        before, peak, total = process.memory_info().rss, 0, 0
        async for chunk in response.chunks(4 << 20):
            total += len(chunk)
            peak = max(peak, process.memory_info().rss - before)
        return total, peak

    async with serving(script) as server:
        total, peak = await engine.stream("GET", server.url + "/", {}, None, consume)
    assert total == size
    assert peak < 48 << 20


# -- what goes wrong ---------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("data", [b"", OK + b"content-length: 100\r\n\r\nabc"])
async def test_reset_by_the_server(engine: Engine, data: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(data)
        await asyncio.sleep(0.05)  # lets the answer leave before the reset destroys what is queued
        connection.reset()

    async with serving(script) as server:
        assert await codes(engine, server.url + "/") == {"reset"}


@pytest.mark.parametrize("data", [b"", OK, OK + b"content-length: 100\r\n\r\nabc"])
async def test_silence_is_a_timeout(impatient: Engine, data: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(data)
        await connection.reader.read(1)

    async with serving(script) as server:
        assert await codes(impatient, server.url + "/") == {"timeout"}


async def test_a_slow_upload_is_not_silence(impatient: Engine) -> None:
    """The read timeout is half a second, the upload takes about two."""
    size = 20 << 20

    async def script(connection: Connection) -> None:
        await connection.head()
        taken = 0
        while taken < size:
            taken += len(await connection.reader.read(1 << 20))
            await asyncio.sleep(0.08)
        await connection.answer(EMPTY)

    async with serving(script) as server:
        response = await impatient.small("PUT", server.url + "/", {}, bytes(size))
    assert response.status == 200


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


async def test_nobody_accepts(impatient: Engine) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # fills the queue of connections that wait for accept()
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert await codes(impatient, f"http://127.0.0.1:{full.getsockname()[1]}/") == {"connect_timeout"}


async def test_no_such_name(engine: Engine) -> None:
    assert await codes(engine, "http://no-such-host.invalid/") == {"dns"}


async def test_after_close(engine: Engine) -> None:
    await engine.close()
    assert await codes(engine, "http://127.0.0.1:1/") == {"closed"}


@pytest.mark.parametrize("status", [b"403 Forbidden", b"400 Bad Request"])
@pytest.mark.parametrize("then", ["keep", "close", "drain"])
async def test_an_upload_answered_before_it_was_taken(engine: Engine, status: bytes, then: str) -> None:
    """The status says what to do; a reset in its place would be retried in vain, with all the bytes again."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.answer(b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 5\r\n\r\nwrong" % status)
        if then == "close":
            connection.writer.write_eof()
        while then != "keep" and await connection.reader.read(1 << 20):
            pass
        await asyncio.sleep(0.2)

    async with serving(script) as server:
        response = await engine.small("PUT", server.url + "/", {}, bytes(32 << 20))
        assert response.status == int(status[:3])
        assert await whole(response) == b"wrong"
        server.script = answering(EMPTY)
        assert (await engine.small("GET", server.url + "/", {})).status == 200


# -- connections -------------------------------------------------------------------------------------------------------


async def test_connections_are_kept(engine: Engine) -> None:
    async with serving(answering(OK + b"content-length: 3\r\n\r\nabc")) as server:
        for _ in range(20):
            await engine.small("GET", server.url + "/", {})
            await engine.stream("GET", server.url + "/", {}, None, whole)
            await engine.small("PUT", server.url + "/", {}, b"x" * 1000)
    assert server.accepted == 1


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


async def test_a_kept_connection_that_the_server_closed_is_replaced(engine: Engine) -> None:
    async with serving(answering(EMPTY, then_close=True)) as server:
        for _ in range(10):
            assert (await engine.small("PUT", server.url + "/", {}, b"x" * 1000)).status == 200
            await until(lambda: len(server.open) == 0)
            await asyncio.sleep(0.02)  # lets the client's side see the end of the connection
    assert server.accepted == 10


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


async def test_cancelled_requests_leak_nothing(make: Callable[[EngineOptions], Engine]) -> None:
    """300 in each phase: no answer yet, in the middle of the body, in the middle of an upload."""
    engine = make(EngineOptions(connect_timeout=5.0, read_timeout=1.0))
    upload = bytes(3 << 20)

    async def script(connection: Connection) -> None:
        head = await connection.head()
        if b" /body " in head:
            await connection.answer(OK + b"content-length: 9999999\r\n\r\n" + b"a" * 99_999)
        while await connection.reader.read(1 << 16):
            await asyncio.sleep(0.01)

    async def cancelled(server: WireServer, sending: Callable[[], Awaitable[object]]) -> None:
        tasks = [asyncio.ensure_future(sending()) for _ in range(50)]
        seen = len(server.heads)
        await until(lambda: len(server.heads) >= seen + 50)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    async with serving(script) as server:
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: engine.small("GET", server.url + "/head", {}),
            lambda: engine.stream("GET", server.url + "/head", {}, None, whole),
            lambda: engine.stream("GET", server.url + "/body", {}, None, whole),
            lambda: engine.small("PUT", server.url + "/up", {}, upload),
        ]
        for way in ways:
            await cancelled(server, way)
        await until(lambda: len(server.open) == 0, 20.0)
        gc.collect()
        before, memory = descriptors(), psutil.Process().memory_info().rss
        for _ in range(5):
            for way in ways:
                await cancelled(server, way)
        await until(lambda: len(server.open) == 0, 20.0)
        await until(lambda: descriptors() <= before + 2)
        gc.collect()
        assert psutil.Process().memory_info().rss - memory < 32 << 20


async def test_a_cancelled_upload_stops(engine: Engine) -> None:
    taken = 0

    async def script(connection: Connection) -> None:
        nonlocal taken
        await connection.head()
        while data := await connection.reader.read(1 << 16):
            taken += len(data)
            await asyncio.sleep(0.001)

    async with serving(script) as server:
        for sending in (
            engine.small("PUT", server.url + "/", {}, bytes(256 << 20)),
            engine.stream("PUT", server.url + "/", {}, bytes(256 << 20), whole),
        ):
            taken = 0
            task = asyncio.ensure_future(sending)
            await until(lambda: taken > 0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: len(server.open) == 0)
            assert taken < 32 << 20


# -- TLS ---------------------------------------------------------------------------------------------------------------


def tls_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(pem: bytes) -> EngineOptions:
    return EngineOptions(connect_timeout=2.0, read_timeout=5.0, ca_pem=pem)


async def test_a_given_authority(make: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    data = os.urandom(1 << 20)
    engine = make(trusting(b"# comment\n" + trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes()))
    async with serving(
        answering(OK + b"content-length: 1048576\r\n\r\n" + data), tls_of(authority, "127.0.0.1")
    ) as server:
        assert await both_ways(engine, "GET", server.url + "/") == [(200, data)] * 2
        response = await engine.small("PUT", server.url + "/", {}, bytes(3 << 20))
        assert response.status == 200
    assert server.accepted == 1


async def test_another_authority(make: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(answering(EMPTY), tls_of(authority, "127.0.0.1")) as server:
        assert await codes(make(trusting(trustme.CA().cert_pem.bytes())), server.url + "/") == {"tls"}
        assert await codes(make(EngineOptions()), server.url + "/") == {"tls"}
    assert server.heads == []


async def test_another_name(make: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(answering(EMPTY), tls_of(authority, "other.example")) as server:
        assert await codes(make(trusting(authority.cert_pem.bytes())), server.url + "/") == {"tls"}


async def test_tls_to_a_server_without(make: Callable[[EngineOptions], Engine], authority: trustme.CA) -> None:
    async with serving(answering(EMPTY, then_close=True)) as server:
        url = server.url.replace("http:", "https:")
        assert await codes(make(trusting(authority.cert_pem.bytes())), url + "/") == {"tls"}


def test_a_ca_file_without_a_certificate_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="ca_pem"):
        ENGINES[kind](EngineOptions(ca_pem=b"nothing of the kind"))


def device_certificate(common_name: str) -> tuple[bytes, bytes]:
    """A self-signed CA:TRUE certificate and its key, as a Snowball presents it: it names no address, and has expired."""
    import datetime

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def tls_of_device(folder: Path, certificate: bytes, key: bytes) -> ssl.SSLContext:
    (folder / "device.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "device.pem")
    return context


async def test_a_device_certificate_as_the_engine_declares(
    make: Callable[[EngineOptions], Engine], tmp_path: Path
) -> None:
    certificate, key = device_certificate("snowball")
    other, _ = device_certificate("snowball")
    engine = make(trusting(other + certificate))
    async with serving(answering(EMPTY), tls_of_device(tmp_path, certificate, key)) as server:
        if not engine.pins_certificates:
            assert await codes(engine, server.url + "/") == {"tls"}
            return
        for _ in range(3):
            assert (await engine.small("PUT", server.url + "/", {}, b"x")).status == 200
        assert (await engine.small("PUT", server.url + "/", {"content-length": "3"}, stream_of(b"abc"))).status == 200
        assert await codes(make(trusting(other)), server.url + "/") == {"tls"}
        assert await codes(make(EngineOptions()), server.url + "/") == {"tls"}
    assert len(server.heads) == 4
    assert server.accepted == 1 + 1 + 2 * 2 + 2  # refused by the rules, pinned; two engines refused twice each


async def test_a_device_whose_certificate_was_replaced(tmp_path: Path, authority: trustme.CA) -> None:
    """The engine remembers how a device is trusted, but not for ever."""
    certificate, key = device_certificate("snowball")
    engine = AiohttpEngine(trusting(certificate + authority.cert_pem.bytes()))
    context = tls_of_device(tmp_path, certificate, key)
    try:
        async with serving(answering(EMPTY, then_close=True), context) as server:
            assert (await engine.small("GET", server.url + "/", {})).status == 200
            authority.issue_cert("127.0.0.1").configure_cert(context)
            await until(lambda: len(server.open) == 0)
            with pytest.raises(TransportError):
                await engine.small("GET", server.url + "/", {})
            assert (await engine.small("GET", server.url + "/", {})).status == 200
    finally:
        await engine.close()
