"""A server that decides over every byte on the wire, and what tests of HTTP engines ask of it."""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from headrace_daemon.s3.engine import Buffer, Engine, Response
from headrace_daemon.s3.errors import TransportError
from tests.support.acceptor import Acceptor, reset

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"


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
        reset(self.writer)


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
            self.open.discard(task)


@contextlib.asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    server = WireServer(script)
    acceptor = Acceptor(server.connected, tls=tls)
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{acceptor.start()}"
    try:
        yield server
    finally:
        await acceptor.stop()


def answering(data: bytes, *, then_close: bool = False) -> Script:
    """A script that takes any number of whole requests and answers each with `data`."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.body(await connection.head())
            await connection.answer(data)
            if then_close:
                return

    return script


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


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


def stream_of(*pieces: Buffer) -> Callable[[], AsyncIterator[Buffer]]:
    async def begin() -> AsyncIterator[Buffer]:
        for piece in pieces:
            yield piece

    return begin
