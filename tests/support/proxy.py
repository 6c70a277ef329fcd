"""A TCP proxy before an S3 endpoint that breaks what it is told to break, request by request."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlsplit

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Tls
from tests.support.acceptor import Acceptor, reset
from tests.support.faults import CHUNKED, UNTIL_CLOSE, Direction, Fault, Head, Kind, bend, body_length

_BLOCK = 64 * 1024
_MAX_HEAD = 64 * 1024


class _Cut(Exception):
    """The fault of this request wants the connection ended here."""


class FaultProxy:
    """`async with FaultProxy(url) as proxy`: clients use proxy.url; the target's signature check sees their Host.

    add() plans a fault for the next matching requests. stop() and start() let the endpoint die and return on the same
    URL. rate: bytes a second of bodies and direction, over all connections; None is as fast as it goes. tls: what
    clients connect with; the target is asked in the way its URL says.
    """

    def __init__(self, target_url: str, *, tls: Tls | None = None, target_ca: str | None = None) -> None:
        self._target = urlsplit(target_url)
        self._target_tls = ssl.create_default_context(cafile=target_ca) if self._target.scheme == "https" else None
        self._tls = tls
        self._acceptor: Acceptor | None = None
        self._faults: list[Fault] = []
        self._open = 0
        self._claim = PortClaim(1)
        (self._port,) = self._claim.ports
        self.rate: int | None = None
        self.connections = 0
        self.idle = asyncio.Event()  # no connection is open
        self.requests: list[str] = []
        self.hits: list[str] = []
        self.bytes = {Direction.UP: 0, Direction.DOWN: 0}

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def add(self, *faults: Fault) -> None:
        """Plans faults; of several that match a request, the oldest takes it."""
        for fault in faults:
            self._faults.extend([fault] * fault.times)

    def clear(self) -> None:
        self._faults.clear()

    async def start(self) -> None:
        """Listens, on the same port as before."""
        context = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls.cert_file, self._tls.key_file)
        self._acceptor = Acceptor(self._serve, tls=context, limit=_MAX_HEAD)
        self._acceptor.start(self._port)

    async def stop(self) -> None:
        """Resets every connection; new ones are refused."""
        if self._acceptor is not None:
            await self._acceptor.stop()
            self._acceptor = None

    async def __aenter__(self) -> "FaultProxy":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._claim.release()

    # -- one connection -------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.idle.clear()
        self.connections += 1
        try:
            async with self._connect() as (up_reader, up_writer):
                while await self._exchange(_Pair(reader, writer, up_reader, up_writer)):
                    pass
        except (OSError, EOFError, _Cut):
            pass  # the connection ends, which is all there is to say
        finally:
            self._open -= 1
            if not self._open:
                self.idle.set()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(
            self._target.hostname, self._target.port, ssl=self._target_tls, limit=_MAX_HEAD
        )
        try:
            yield reader, writer
        finally:
            reset(writer)

    async def _exchange(self, pair: "_Pair") -> bool:
        """One request and its answer; whether the connection may take another."""
        request = Head.parse(await pair.client_reader.readuntil(b"\r\n\r\n"))
        self.requests.append(request.request)
        fault = self._take(request)
        if fault is None:
            return await self._relay(pair, request, None)
        self.hits.append(request.request)
        if fault.kind is Kind.ANSWER:
            return await _answer(pair, request, fault)
        if fault.kind is Kind.SWALLOW:
            return await _stall(pair)
        if fault.kind is Kind.DELAY:
            await asyncio.sleep(fault.seconds)
        if fault.kind is Kind.DROP_HEADER:
            request = request.without(fault.header)
        try:
            return await self._relay(pair, request, fault)
        except _Cut:
            if fault.kind is Kind.STALL:
                return await _stall(pair)
            if fault.kind is not Kind.TRUNCATE:
                reset(pair.client_writer)
            return False

    def _take(self, request: Head) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if fault.match in request.request:
                return self._faults.pop(index)
        return None

    async def _relay(self, pair: "_Pair", request: Head, fault: Fault | None) -> bool:
        """Request body and answer travel at the same time: with Expect: 100-continue the one waits for the other."""
        pair.target_writer.write(request.encode())
        length = body_length(request)
        up = asyncio.ensure_future(
            self._body(pair.client_reader, pair.target_writer, length, fault, Direction.UP),
        )
        down = asyncio.ensure_future(self._response(pair, request, fault))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                up.result()
                return await down
            keep = await down
            await asyncio.wait({up}, timeout=1.0)  # an answer before the end of the request is an early refusal
            return keep and up.done() and up.exception() is None
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _response(self, pair: "_Pair", request: Head, fault: Fault | None) -> bool:
        while True:
            head = Head.parse(await pair.target_reader.readuntil(b"\r\n\r\n"))
            if head.status >= 200:
                break
            pair.client_writer.write(head.encode())
        if fault is not None and fault.kind is Kind.LOSE_ANSWER:
            raise _Cut
        pair.client_writer.write(head.encode())
        length = body_length(head, request=request)
        await self._body(pair.target_reader, pair.client_writer, length, fault, Direction.DOWN)
        await pair.client_writer.drain()
        return length != UNTIL_CLOSE and (head.get("connection") or "").lower() != "close"

    async def _body(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        length: int,
        fault: Fault | None,
        direction: Direction,
    ) -> None:
        """Forwards one body. Raises _Cut where the fault ends it, EOFError where the sender does."""
        passed = 0
        async for chunk in _chunks(reader, length):
            forwarded, cut = bend(fault, direction, passed, chunk)
            passed += len(chunk)
            writer.write(forwarded)
            self.bytes[direction] += len(forwarded)
            await writer.drain()
            if cut:
                raise _Cut
            if self.rate is not None:
                await asyncio.sleep(len(chunk) / self.rate * max(1, self._open))


class _Pair(NamedTuple):
    """The two connections of one client."""

    client_reader: asyncio.StreamReader
    client_writer: asyncio.StreamWriter
    target_reader: asyncio.StreamReader
    target_writer: asyncio.StreamWriter


async def _chunks(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    """The raw bytes of a body, framing of a chunked one included."""
    if length == UNTIL_CLOSE:
        while chunk := await reader.read(_BLOCK):
            yield chunk
        return
    if length == CHUNKED:
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            yield line + await reader.readexactly(size + 2)
        while True:  # trailers end with an empty line
            yield line
            if line == b"\r\n":
                return
            line = await reader.readuntil(b"\r\n")
    while length > 0:
        chunk = await reader.read(min(length, _BLOCK))
        if not chunk:
            raise EOFError
        length -= len(chunk)
        yield chunk


async def _answer(pair: _Pair, request: Head, fault: Fault) -> bool:
    """Answers in the target's place, after a body that is already on its way: closing on that would be a reset."""
    if (request.get("expect") or "").lower() != "100-continue":
        async for _ in _chunks(pair.client_reader, body_length(request)):
            pass
    body = b"" if request.start.startswith("HEAD ") else fault.body
    fields = {"Content-Length": str(len(fault.body)), "Connection": "close", **fault.headers}
    head = Head(f"HTTP/1.1 {fault.status} Planned", tuple(fields.items()))
    pair.client_writer.write(head.encode() + body)
    await pair.client_writer.drain()
    return False


async def _stall(pair: _Pair) -> bool:
    """Takes whatever the client sends and says nothing, until it leaves."""
    while await pair.client_reader.read(_BLOCK):
        pass
    return False
