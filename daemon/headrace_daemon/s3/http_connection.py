"""One HTTP/1.1 connection on the event loop: a request at a time, its answer whole in memory, or as it comes."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final, cast

import httptools

from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import TransportError
from headrace_daemon.s3.http_stream import Stream

HEAD_LIMIT: Final = 512 << 10
"""Bytes of an answer's head; more are taken for an attack or a fault."""
_NO_BODY: Final = frozenset({204, 304})
_NAMES: Final[dict[bytes, str]] = {}
_MOST_NAMES: Final = 1000
_PIECE: Final = 64 << 10


class Answer:
    """An answer that was read to its end, see engine.Whole."""

    __slots__ = ("_first", "_headers", "body", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], first: dict[str, str], body: bytes) -> None:
        """first: of several headers of a name the first one."""
        self.status = status
        self._headers = headers
        self._first = first
        self.body = body

    def header(self, name: str) -> str | None:
        return self._first.get(name)

    def headers(self) -> list[tuple[str, str]]:
        return self._headers

    async def read(self) -> Buffer:
        return self.body

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        body = memoryview(self.body)
        for start in range(0, len(body), size):
            yield body[start : start + size]


class Opened:
    """An answer whose head is here, see engine.Arriving."""

    __slots__ = ("_first", "_headers", "chunks", "into", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], first: dict[str, str], stream: Stream) -> None:
        """first: of several headers of a name the first one."""
        self.status = status
        self._headers = headers
        self._first = first
        self.chunks = stream.chunks
        self.into = stream.into

    def header(self, name: str) -> str | None:
        return self._first.get(name)

    def headers(self) -> list[tuple[str, str]]:
        return self._headers

    async def read(self) -> Buffer:
        return b"".join([memoryview(chunk) async for chunk in self.chunks(_PIECE)])


class HttpConnection(asyncio.BufferedProtocol):
    """What connects makes it, sends by exchange() or begin(), and looks at `reusable` and silent() before it does so
    again.

    buffer: where the loop puts what arrives. All connections of a loop may share one: what is put there is read at
    once. Over TLS this spares an eighth of the CPU of a small object, for uvloop would make new bytes for each read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self._loop = loop
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._opening: asyncio.Future[Opened] | None = None
        self._stream: Stream | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._in_head = True
        self._bodiless = False
        self._until_end = False
        self._head_request = False
        self.reusable = True
        self._active = loop.time()  # when something last came or went

    def exchange(self, head: bytes, body: Buffer | None, *, head_request: bool) -> "asyncio.Future[Answer]":
        """Sends one request, whose whole answer is awaited; raises TransportError then. head_request: the method is
        HEAD, no body will come. Who gives up waiting has to end the connection."""
        assert self._transport is not None
        self._begin_request(head_request=head_request)
        self._waiting = self._loop.create_future()
        if body is None:
            self._transport.write(head)
        else:
            self._transport.writelines((head, memoryview(body)))
        return self._waiting

    def begin(self, head: bytes) -> "asyncio.Future[Opened]":
        """Sends one request without a body, the head of whose answer is awaited; raises TransportError then. leave()
        has to follow, and ends the connection where the answer's body was not taken to its end."""
        assert self._transport is not None
        self._begin_request(head_request=False)
        self._stream = Stream(self._loop, self._read)
        self._opening = self._loop.create_future()
        self._transport.write(head)
        return self._opening

    def leave(self) -> None:
        """Nobody takes more of the answer that begin() began."""
        stream, self._stream, self._opening = self._stream, None, None
        self._parser = None  # what was put past it into a buffer, it never saw
        if stream is None or not stream.complete or stream.ends_connection:
            self.abort()
        else:
            self._read(True)  # the end of the connection has to be heard of

    def silent(self) -> float:
        """Seconds since something last came or went."""
        return self._loop.time() - self._active

    def expire(self, seconds: float) -> None:
        """Ends it with `timeout` where a request has waited in silence for so long."""
        if self._asked(taking=True) and self.silent() >= seconds:
            self._fail("timeout", "no answer in time")

    def abort(self) -> None:
        """At once, whatever is still to be sent. Its buffers are let go of."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _asked(self, *, taking: bool = False) -> bool:
        """Whether there is an answer to come. taking: only where somebody waits for it now."""
        if self._stream is None:
            return self._waiting is not None and not self._waiting.done()
        if self._opening is not None and not self._opening.done():
            return True
        return self._stream.waiting if taking else not self._stream.complete

    def _begin_request(self, *, head_request: bool) -> None:
        self._active = self._loop.time()
        self._head_request = head_request
        self._head_bytes = 0
        self._begin_answer()

    def _read(self, wanted: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._active = self._loop.time()
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # -- asyncio.BufferedProtocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        stream = self._stream
        return self._buffer if stream is None or stream.room is None else stream.room

    def buffer_updated(self, nbytes: int) -> None:
        self._active = self._loop.time()
        if self._stream is not None and self._stream.room is not None:
            self._stream.arrived(nbytes)
            return
        if not self._asked():
            self.abort()  # nobody asked for it: what follows could be taken for an answer to the next request
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserError as error:
            self._fail("bad_response", f"no HTTP: {error}")
            return
        if self._in_head:
            self._head_bytes += nbytes
            if self._head_bytes > HEAD_LIMIT:
                self._fail("bad_response", f"more than {HEAD_LIMIT >> 10} KiB of headers")
        elif self._stream is not None:
            self._stream.parsed()

    def eof_received(self) -> None:
        """The transport closes itself then, and tells connection_lost."""
        self.reusable = False

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if not self._asked():
            return
        if self._in_head:
            self._fail("reset", _reason(error, "the connection ended before its answer"))
        elif self._until_end and error is None:
            self._complete()
        else:
            self._fail("truncated", _reason(error, "the connection ended within the answer"))

    # -- httptools ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._asked():
            self.abort()  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: what is said of an object stands before its bytes
        known = _NAMES.get(name)
        if known is None:
            known = name.decode("latin-1").lower()
            if len(_NAMES) < _MOST_NAMES:
                _NAMES[name] = known
        self._headers.append((known, value.strip(b" \t").decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return  # 100 Continue and its like: the answer is still to come
        self._in_head = False
        first = self._first = dict(reversed(self._headers))
        self._bodiless = self._head_request or self._status in _NO_BODY
        self._until_end = not ("content-length" in first or self._bodiless or "transfer-encoding" in first)
        if self._head_request:
            # the parser does not know that no body follows, whatever the length says
            self._finish()
            self._parser = None
        elif self._stream is not None:
            self._open(self._stream)

    def on_body(self, body: bytes) -> None:
        if self._bodiless:
            self.abort()
            return
        if self._stream is None:
            self._pieces.append(body)
        else:
            self._stream.piece(body)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._begin_answer()
        elif not self._head_request:
            self._complete()

    # -- the answer ---------------------------------------------------------------------------------------------------

    def _begin_answer(self) -> None:
        self._status, self._headers, self._pieces = 0, [], []
        self._in_head, self._until_end, self._bodiless = True, False, False

    def _open(self, stream: Stream) -> None:
        """The head of an answer that is taken as it comes is here."""
        first = self._first
        plain = not (self._bodiless or self._until_end or "transfer-encoding" in first)
        stream.begins(
            int(first["content-length"]) if plain else None, ends_connection=self._until_end or self._says_close()
        )
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(Opened(self._status, self._headers, first, stream))

    def _complete(self) -> None:
        """The answer is here to its end."""
        if self._stream is None:
            self._finish()
        else:
            self._stream.complete = True
            self._stream.parsed()

    def _finish(self) -> None:
        assert self._parser is not None
        assert self._transport is not None
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        waiting.set_result(Answer(self._status, self._headers, self._first, body))
        if self._until_end or not self._keeps():
            self.reusable = False
        if self._transport.get_write_buffer_size():
            self.abort()  # answered before the request was taken: the rest of it means nothing to anybody
        elif not self.reusable:
            self._transport.close()

    def _keeps(self) -> bool:
        """Whether the service keeps the connection. Of HEAD the parser would tell that its body is not here yet."""
        assert self._parser is not None
        if not self._head_request:
            return self._parser.should_keep_alive()
        return not self._says_close()

    def _says_close(self) -> bool:
        assert self._parser is not None
        said = [value.lower() for name, value in self._headers if name == "connection"]
        return self._parser.get_http_version() != "1.1" or any("close" in value for value in said)

    def _fail(self, code: str, message: str) -> None:
        error = TransportError(code, message)
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(error)
        elif self._stream is not None:
            self._stream.fails(error)
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.abort()


def _reason(error: Exception | None, otherwise: str) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return otherwise
