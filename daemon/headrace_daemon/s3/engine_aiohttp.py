"""The second engine: aiohttp with OpenSSL, on the event loop itself. Slower, but it can do what pyreqwest cannot.

It sends keys with dot segments untouched, and it trusts exactly the certificates of ca_pem. A device such as a Snowball
presents a self-signed certificate that may name neither its address nor its host name; where the ordinary check
fails, the connection is tried once more and accepted if the certificate presented is, byte for byte, one of ca_pem.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar

import aiohttp
from yarl import URL

from headrace_daemon.s3.engine import Arriving, Body, Buffer, EngineOptions, Seen, Whole, unseen
from headrace_daemon.s3.engine_body import Pieces, Source, announced, answer_seconds, content_length
from headrace_daemon.s3.errors import Rejected, S3Error, TransportError
from headrace_daemon.s3.pinning import authority_context, certificates_of, pinning_context, tls_reason

T = TypeVar("T")

_PIECE = 256 << 10  # aiohttp would encrypt and queue a larger buffer in one go and hold the loop meanwhile
_READ_AHEAD = 256 << 10
_IDLE_SECONDS = 15.0  # S3 closes idle connections after about 20; a request sent at that moment would be reset
_HEAD_LIMIT = 512 << 10  # bytes of one header line; hyper's default is of that order
_MAX_HEADERS = 1000
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, 5.6.2


class AiohttpEngine:
    """Engine on aiohttp. Bound to the event loop of its first request."""

    __slots__ = ("_closed", "_options", "_pinned", "_pinned_context", "_session", "_trusting_context")

    keeps_dot_segments = True
    pins_certificates = True

    def __init__(self, options: EngineOptions) -> None:
        """Raises ValueError where ca_pem holds no certificate."""
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._pinned: set[tuple[str, int]] = set()
        self._trusting_context: ssl.SSLContext | None = None
        self._pinned_context: ssl.SSLContext | None = None
        if options.ca_pem is not None:
            certificates = certificates_of(options.ca_pem)
            self._trusting_context = authority_context(certificates)
            self._pinned_context = pinning_context(certificates)

    async def small(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None, expected: int = 0
    ) -> Whole:
        """See Engine.small."""
        response = await self._send(method, URL(url, encoded=True), headers, body)
        try:
            # not response.read(): that waits for the upload too, which a server that refused it never takes
            content = await _body(response.content.read())
        finally:
            response.release()
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
        response = await self._send(method, URL(url, encoded=True), headers, body)
        try:
            return await consume(_Open(response))
        finally:
            response.release()

    async def close(self) -> None:
        """Ends every connection; requests after it raise TransportError `closed`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _send(self, method: str, url: URL, headers: Mapping[str, str], body: Body) -> aiohttp.ClientResponse:
        if self._closed:
            raise TransportError("closed", "the engine was closed")
        origin = (url.raw_host or "", url.port or 0)
        if self._trusting_context is None:
            return await self._send_trusting(method, url, headers, body, True)
        if origin not in self._pinned:
            try:
                return await self._send_trusting(method, url, headers, body, self._trusting_context)
            except TransportError as error:
                if error.code != "tls":
                    raise
                return await self._send_pinned(origin, method, url, headers, body, error)
        return await self._send_pinned(origin, method, url, headers, body)

    async def _send_pinned(
        self,
        origin: tuple[str, int],
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: Body,
        refused: TransportError | None = None,
    ) -> aiohttp.ClientResponse:
        """refused: why the ordinary check failed, which says more than that no certificate is the very one."""
        assert self._pinned_context is not None
        try:
            response = await self._send_trusting(method, url, headers, body, self._pinned_context)
        except TransportError as error:
            if error.code == "tls":
                self._pinned.discard(origin)  # the device has another certificate now: begin with the ordinary check
                if refused is not None:
                    raise refused from error
            raise
        self._pinned.add(origin)
        return response

    async def _send_trusting(
        self, method: str, url: URL, headers: Mapping[str, str], body: Body, trust: ssl.SSLContext | bool
    ) -> aiohttp.ClientResponse:
        out = _outgoing(method, headers, body)
        # aiohttp waits for the answer once the kernel has the whole body, which may hold several MiB of it for long
        silence = answer_seconds(self._options.read_timeout, out.size)
        timeout = aiohttp.ClientTimeout(sock_connect=self._options.connect_timeout, sock_read=silence)
        try:
            return await self._open_session().request(
                method, url, data=out.data, headers=out.headers, allow_redirects=False, ssl=trust, timeout=timeout
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if out.source is not None and out.source.error is not None:
                raise out.source.error from error
            raise _translated(error) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = _session(self._options)
        return self._session


class _Whole:
    """An answer that was read to its end."""

    __slots__ = ("_response", "body", "status")

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self._response = response
        self.body = body
        self.status = response.status

    def header(self, name: str) -> str | None:
        return self._response.headers.get(name)

    def headers(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in self._response.headers.items()]

    async def read(self) -> Buffer:
        return self.body

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        body = memoryview(self.body)
        for start in range(0, len(body), size):
            yield body[start : start + size]


class _Open:
    """An answer whose body is still coming."""

    __slots__ = ("_response", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str | None:
        return self._response.headers.get(name)

    def headers(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in self._response.headers.items()]

    async def read(self) -> Buffer:
        return await _body(self._response.content.read())

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        content = self._response.content
        while True:
            try:
                piece = await _body(content.readexactly(size))
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    yield end.partial
                return
            yield piece

    async def into(self, buffer: memoryview, seen: Seen = unseen) -> int:
        filled = 0
        while filled < len(buffer) and (piece := await _body(self._response.content.read(len(buffer) - filled))):
            place = buffer[filled : filled + len(piece)]
            place[:] = piece
            seen(place)
            filled += len(piece)
        return filled


def _session(options: EngineOptions) -> aiohttp.ClientSession:
    def connected_socket(address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        new = socket.socket(family, kind, protocol)
        # ends an upload that nobody takes any more: the read timeout below runs only once the body is out
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.read_timeout * 1000))
        return new

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS, socket_factory=connected_socket),
        headers={"user-agent": "headrace", "accept": "*/*"},
        skip_auto_headers=("accept-encoding", "content-type"),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=_READ_AHEAD,
        max_line_size=_HEAD_LIMIT,
        max_field_size=_HEAD_LIMIT,
        max_headers=_MAX_HEADERS,
    )
    # aiohttp repeats a PUT whose kept connection broke, though the first one may have arrived; a conditional PUT
    # would then refuse its own object. There is no public switch; the conformance suite watches this one.
    session._retry_connection = False
    return session


class _Outgoing(NamedTuple):
    """A request's body as aiohttp takes it, its headers, and its size in bytes."""

    data: AsyncIterator[memoryview] | memoryview | None
    headers: Mapping[str, str]
    size: int
    source: Source | None = None


def _outgoing(method: str, headers: Mapping[str, str], body: Body) -> _Outgoing:
    """Every body goes with a content-length: without it, aiohttp would send a stream chunked. Raises Rejected."""
    for name in headers:
        if not _is_token(name):  # aiohttp would send it as it is
            raise Rejected("bad_request", f"invalid header name {name!r}")
    if callable(body):
        size = content_length(headers)
        source = Source(body, size)
        return _Outgoing(source.pieces(), headers, size, source)
    if body is None or len(body) == 0:
        complete = announced(headers, 0) if method in ("PUT", "POST") else headers
        return _Outgoing(None, complete, 0)
    data = memoryview(body) if len(body) <= _PIECE else _pieces(body)
    return _Outgoing(data, announced(headers, len(body)), len(body))


async def _pieces(body: Buffer) -> AsyncIterator[memoryview]:
    for piece in Pieces(body, _PIECE):
        yield piece


async def _body(reading: Awaitable[bytes]) -> bytes:
    try:
        return await reading
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _translated(error) from error


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "tls"),
    (aiohttp.ClientSSLError, "tls"),
    (ssl.SSLError, "tls"),
    (aiohttp.ConnectionTimeoutError, "connect_timeout"),
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientConnectorError, "connect_failed"),
    (aiohttp.ClientPayloadError, "truncated"),
    (aiohttp.ClientResponseError, "bad_response"),
)


def _translated(error: Exception) -> S3Error:
    """The error in our words."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return Rejected("bad_request", str(error))
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return TransportError("timeout", os.strerror(errno.ETIMEDOUT))  # TCP_USER_TIMEOUT
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "reset")
    return TransportError(code, _message(error))


def _message(error: Exception) -> str:
    """What the library says, where that does not hold the URL: a query may carry a signature."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if isinstance(inner, ssl.SSLError):
        return tls_reason(inner)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.ClientOSError) and not isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno) if error.errno else "the connection broke"
    return str(error)
