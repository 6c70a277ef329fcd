"""An S3 endpoint that answers exactly what a test scripts, byte by byte, and notes what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.support.acceptor import Acceptor


@dataclass(frozen=True)
class Asked:
    """One request. path: with its query, as it came; headers: names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


CUT = object()
"""In place of an answer: end the connection without one."""

Script = Callable[[Asked], bytes | object]


def answer(status: int, body: bytes = b"", *, announced: str = "", **headers: str) -> bytes:
    """A whole answer. announced: what content-length says, where it should lie. Underscores in names become hyphens."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {announced or len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, code: str, extra: str = "", **headers: str) -> bytes:
    """An answer with S3's error document."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>scripted</Message>{extra}</Error>"
    return answer(status, body.encode(), **headers)


@dataclass
class Scripted:
    """A running endpoint. script may be replaced at any time."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _acceptor: Acceptor | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str) -> int:
        """How many requests of this method came."""
        return sum(asked.method == method for asked in self.asked)

    async def start(self) -> None:
        """Listens, on the same port as before."""
        self._acceptor = Acceptor(self._serve)
        self.port = self._acceptor.start(self.port)

    async def stop(self) -> None:
        """Refuses connections, and ends those that are open."""
        if self._acceptor is not None:
            await self._acceptor.stop()
            self._acceptor = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                reply = self.script(asked)
                if not isinstance(reply, bytes):
                    break
                writer.write(reply)
                await writer.drain()
                if _is_short(reply, asked.method):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, or the test stopped the server


def _is_short(reply: bytes, method: str) -> bool:
    head, _, body = reply.partition(b"\r\n\r\n")
    length = int(head.rpartition(b"content-length: ")[2].split(b"\r\n")[0])
    return method != "HEAD" and len(body) != length


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    """A running endpoint, stopped at the end."""
    server = Scripted(script)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
