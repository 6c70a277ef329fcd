"""What every HTTP engine puts on the wire and reads from it, on both engines."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from pyreqwest.bytes import Bytes

from headrace_daemon.s3.engine import Buffer, Engine, Response
from headrace_daemon.s3.errors import Rejected, TransportError
from tests.support.wire_server import EMPTY, OK, Connection, answering, both_ways, codes, serving, stream_of, whole


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
    """It keeps them in every way of sending, or says that it does not."""
    async with serving(answering(EMPTY)) as server:
        await both_ways(engine, "GET", server.url + path)
        await engine.stream("PUT", server.url + path, {}, b"x", whole)
    kept = [head.split(b" ")[1] == path.encode() for head in server.heads]
    assert all(kept) is engine.keeps_dot_segments


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
@pytest.mark.parametrize("size", [0, 1, 16384, 3_000_001, 17_000_001])
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
        assert bytes(memoryview(body)[5:10]) == b"56789"
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
        answers = [await both_ways(engine, method, server.url + "/") for _ in range(3)]
        status = int(re.findall(rb"HTTP/1.1 (\d+)", data)[-1])
        assert answers == [[(status, b"")] * 2] * 3
        assert server.accepted <= 2, "no answer ends its connection; an engine may keep one of its own for streams"
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


async def test_a_header_that_is_not_ascii_is_read_or_named(engine_kind: str, engine: Engine) -> None:
    data = OK + "x-amz-meta-a: ü\r\nx-b: c\r\ncontent-length: 0\r\n\r\n".encode()
    async with serving(answering(data)) as server:
        response = await engine.small("GET", server.url + "/", {})
    assert response.header("x-b") == "c"
    if engine_kind != "pyreqwest":
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
    # the server is a part of this process too, and allocators keep what they had; held as a whole it were all of it
    assert peak < size // 2
