"""The engine of large bodies: pyreqwest, that is Rust's hyper and rustls on threads of their own.

Requests up to SHORT share one such thread with all engines of the process, because handing them about between threads
costs more than it brings (the smallest do not even come here, see engine_loop). Streams and uploads above SHORT have
`threads` of them, for one core decrypts little more than a GiB a second: on two cores, 2 GiB over TLS take 10 % less
time with two.

What this library cannot do, and what stands in for it:
- It folds `.` and `..` in paths (the WHATWG URL rules), and trusts ca_pem beside the system's roots; rustls refuses a
  device's own certificate as a trust anchor (CaUsedAsEndEntity). AiohttpEngine takes both kinds of request.
- Its read timeout runs from the request's first byte to the answer's head, so that a long upload would end in it.
  Uploads above SHORT go through a second client without it: the kernel ends them after read_timeout of silence
  (TCP_USER_TIMEOUT), and a total that grows with the size ends one whose answer never comes.
- A cancelled request runs on by itself until the head of its answer or its timeout. Uploads above WHOLE are therefore
  handed over in pieces and stop at the next one; those below are not, because the library copies pieces and no whole
  buffers: 16 MiB parts over TLS cost 0.4 CPU-seconds a GiB whole, 0.7 in pieces.
- It reads no header that is not ASCII and no more than 100 headers: the first is a TransportError of the code
  `unreadable_header`, the second `bad_response`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from pyreqwest import exceptions as library
from pyreqwest.bytes import Bytes
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response as LibraryResponse
from pyreqwest.runtime import runtime_worker_threads

from headrace_daemon.s3.engine import Arriving, Body, Buffer, EngineOptions, Seen, Whole, unseen
from headrace_daemon.s3.engine_body import Pieces, Source, announced, answer_seconds, content_length
from headrace_daemon.s3.errors import Rejected, S3Error, TransportError

T = TypeVar("T")

SHORT = 1 << 20
"""The longest upload, in bytes, that takes less than read_timeout on any connection worth having."""
WHOLE = 16 << 20
"""The longest upload, in bytes, that is handed over at once; cancelled, it may still be sent to its end."""
PIECE = 4 << 20
"""Bytes of a longer upload handed over at once."""
_SPARSE = 1 << 17  # bytes of a chunk below which the next ones are gathered
_READ_AHEAD = 1 << 19  # measured: a stream holds 5.5 MiB; half costs 5 % more time, twice holds 7.6 MiB for nothing
_IDLE_SECONDS = 15.0  # S3 closes idle connections after about 20; a request sent at that moment would be reset


class PyreqwestEngine:
    """Engine on pyreqwest; see the module for what it cannot do."""

    __slots__ = ("_client", "_closed", "_read_timeout", "_streamer", "_uploader")

    keeps_dot_segments = False
    pins_certificates = False

    def __init__(self, options: EngineOptions) -> None:
        """Raises ValueError where ca_pem holds no certificate."""
        if options.threads > 1:
            runtime_worker_threads(options.threads)
        self._closed = False
        self._read_timeout = options.read_timeout
        read_timeout = timedelta(seconds=options.read_timeout)
        bulk = options.threads > 1
        self._client = _Built(lambda: _builder(options, threaded=False).read_timeout(read_timeout))
        self._streamer = _Built(lambda: _builder(options, threaded=bulk).read_timeout(read_timeout))
        self._uploader = _Built(lambda: _builder(options, threaded=bulk))
        if options.ca_pem is not None:
            self._client.get()  # what is wrong with certificates that were given is said at once

    async def small(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None, expected: int = 0
    ) -> Whole:
        """See Engine.small."""
        upload: Pieces | Source | None = None
        try:
            builder, upload = self._request(self._client, method, url, headers, body)
            response = await builder.build().send()
            content = await response.bytes()
        except Exception as error:
            raise _translated(error, upload) from error
        finally:
            if upload is not None:  # cancelled, or answered before it was taken: the library would go on sending
                upload.stop()
        return _Whole(response, content)

    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        consume: Callable[[Arriving], Awaitable[T]],
    ) -> T:
        """See Engine.stream."""
        upload: Pieces | Source | None = None
        try:
            builder, upload = self._request(self._streamer, method, url, headers, body)
            request = builder.streamed_read_buffer_limit(_READ_AHEAD).build_streamed()
            response = await request.__aenter__()
        except Exception as error:
            raise _translated(error, upload) from error
        except BaseException:
            if upload is not None:
                upload.stop()
            raise
        try:
            return await consume(_Open(response))
        finally:
            if upload is not None:
                upload.stop()
            await request.__aexit__(None, None, None)

    async def close(self) -> None:
        """Ends every connection; requests after it raise TransportError `closed`."""
        self._closed = True  # the library notices after it has begun to connect
        for client in (self._client, self._streamer, self._uploader):
            await client.close()

    def _request(
        self, client: "_Built", method: str, url: str, headers: Mapping[str, str], body: Body
    ) -> tuple[RequestBuilder, Pieces | Source | None]:
        if self._closed:
            raise TransportError("closed", "the engine was closed")
        if callable(body):
            length = content_length(headers)
            source = Source(body, length)
            return self._upload(method, url, headers, length).body_stream(source.pieces()), source
        if body is None or len(body) == 0:
            complete = announced(headers, 0) if method in ("PUT", "POST") else headers
            return client.get().request(method, url).headers(complete), None
        if len(body) <= SHORT:
            return client.get().request(method, url).headers(headers).body_bytes(_plain(body)), None
        if len(body) <= WHOLE:
            return self._upload(method, url, headers, len(body)).body_bytes(_plain(body)), None
        pieces = Pieces(body, PIECE)
        complete = announced(headers, len(body))
        return self._upload(method, url, complete, len(body)).body_stream(pieces), pieces

    def _upload(self, method: str, url: str, headers: Mapping[str, str], size: int) -> RequestBuilder:
        total = timedelta(seconds=answer_seconds(self._read_timeout, size))
        return self._uploader.get().request(method, url).headers(headers).timeout(total)


class _Built:
    """A client that is built when it is first asked for: that costs 10 ms, for each reads the system's certificates."""

    __slots__ = ("_builder", "_client")

    def __init__(self, builder: Callable[[], ClientBuilder]) -> None:
        self._builder = builder
        self._client: Client | None = None

    def get(self) -> Client:
        if self._client is None:
            self._client = self._builder().build()
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _Answer:
    """What is known of an answer once its headers are here."""

    __slots__ = ("_response", "status")

    def __init__(self, response: LibraryResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str | None:
        return _header(self._response, name)

    def headers(self) -> list[tuple[str, str]]:
        return _headers(self._response)


class _Whole(_Answer):
    """An answer that was read to its end."""

    __slots__ = ("body",)

    def __init__(self, response: LibraryResponse, body: Buffer) -> None:
        super().__init__(response)
        self.body = body

    async def read(self) -> Buffer:
        return self.body

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        body = memoryview(self.body)
        for start in range(0, len(body), size):
            yield body[start : start + size]


class _Open(_Answer):
    """An answer whose body is still coming."""

    __slots__ = ("_rest", "_sparse")

    def __init__(self, response: LibraryResponse) -> None:
        super().__init__(response)
        self._rest: memoryview | None = None  # of a chunk that did not fit into a buffer
        self._sparse = False

    async def read(self) -> Buffer:
        pieces = [bytes(piece) async for piece in self.chunks(_READ_AHEAD)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        while self._rest:  # into() was called before
            chunk = memoryview(bytearray(size))
            yield chunk[: await self.into(chunk)]
        reader = self._response.body_reader
        while (piece := await _read(reader.read(size))) is not None:
            yield piece

    async def into(self, buffer: memoryview, seen: Seen = unseen) -> int:
        filled = 0
        while filled < len(buffer) and (piece := self._rest or await self._arrived()):
            count = min(len(piece), len(buffer) - filled)
            place = buffer[filled : filled + count]
            place[:] = piece[:count]
            seen(place)
            filled += count
            self._rest = piece[count:]
        return filled

    async def _arrived(self) -> memoryview | None:
        """What lies there, without the copy that gathering it takes. Where that is little, the next is gathered: a
        piece costs some 40 µs, however small."""
        reader = self._response.body_reader
        piece = await _read(reader.read(_READ_AHEAD) if self._sparse else reader.read_chunk())
        self._sparse = piece is not None and len(piece) < _SPARSE
        return None if piece is None else memoryview(piece)


async def _read(piece: Awaitable[Bytes | None]) -> Bytes | None:
    try:
        return await piece
    except library.PyreqwestError as error:
        raise _translated(error, None) from error


def _builder(options: EngineOptions, *, threaded: bool) -> ClientBuilder:
    silence = timedelta(seconds=options.read_timeout)
    builder = (
        ClientBuilder()
        .http1_only()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .user_agent("headrace")
        .tcp_nodelay(True)
        .tcp_user_timeout(silence)
        .connect_timeout(timedelta(seconds=options.connect_timeout))
        .pool_idle_timeout(timedelta(seconds=_IDLE_SECONDS))
        .runtime_multithreaded(threaded)
    )
    if options.ca_pem is None:
        return builder
    if b"-----BEGIN CERTIFICATE-----" not in options.ca_pem:
        raise ValueError("ca_pem holds no certificate")
    return builder.add_root_certificate_pem(options.ca_pem)


def _plain(body: Buffer) -> bytes | bytearray | memoryview:
    return memoryview(body) if isinstance(body, Bytes) else body


def _header(response: LibraryResponse, name: str) -> str | None:
    try:
        return response.get_header(name)
    except ValueError as error:
        raise TransportError("unreadable_header", f"{name} is not ASCII", response.status) from error


def _headers(response: LibraryResponse) -> list[tuple[str, str]]:
    try:
        return list(response.headers.items())
    except ValueError as error:
        raise TransportError("unreadable_header", "a header of the answer is not ASCII", response.status) from error


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (library.RequestTimeoutError, "timeout"),
    (library.ReadError, "truncated"),
    (library.NetworkError, "reset"),
    (library.DecodeError, "bad_response"),
    (library.ClientClosedError, "closed"),
)
_CONNECTING = "client error (Connect)"
_IN_BODY = "error reading a body from connection"
_NO_CLOSE_NOTIFY = "peer closed connection without sending TLS close_notify"


def _translated(error: Exception, upload: Pieces | Source | None) -> Exception:
    """The error in our words. The library's own text is cut to its innermost cause: the outer ones hold the URL."""
    if isinstance(upload, Source) and upload.error is not None:
        return upload.error
    if isinstance(error, S3Error):
        return error
    if not isinstance(error, library.DetailedPyreqwestError):
        return Rejected("bad_request", str(error)) if isinstance(error, ValueError) else error
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    message = causes[-1] if causes else ""
    if message.startswith(_NO_CLOSE_NOTIFY):
        message = "the connection was cut"
    if isinstance(error, library.BuilderError):
        return Rejected("bad_request", message)
    return TransportError(_code(error, causes), message)


def _code(error: Exception, causes: list[str]) -> str:
    if _CONNECTING in causes:
        return _connecting_code(error, causes)
    if causes and causes[-1] == "end of file before message length reached":
        return "truncated"
    if causes and causes[-1].startswith(_NO_CLOSE_NOTIFY):
        return "truncated" if _IN_BODY in causes else "reset"
    return next((code for kind, code in _CODES if isinstance(error, kind)), "bad_response")


def _connecting_code(error: Exception, causes: list[str]) -> str:
    if isinstance(error, library.RequestTimeoutError):
        return "connect_timeout"
    if "dns error" in causes:
        return "dns"
    return "connect_failed" if "tcp connect error" in causes else "tls"
