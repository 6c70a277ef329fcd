"""The daemon's own HTTP port: /metrics, /healthz, /readyz. Loopback unless the configuration says otherwise.

Three short pages, each asked for now and then by a scraper or a probe, need no framework: that would cost every start
0.2 s of CPU and the daemon 15 MiB for as long as it runs.
"""

import asyncio
import errno
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias, cast

import httptools
from prometheus_client.exposition import choose_encoder

from headrace_daemon.observe.metrics import Metrics
from headrace_queue.errors import Occupied, UsageError

_INDEX: Final = "headraced: /metrics /healthz /readyz\n"
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json; charset=utf-8"
MOST_SENT: Final = 64 << 10
"""Bytes of a request; a scraper's has a few hundred."""
PATIENCE: Final = 30.0
"""Seconds from a connection to its end, whatever the other side does."""


class _Page(NamedTuple):
    """An answer."""

    body: str | bytes
    content_type: str = _TEXT
    status: HTTPStatus = HTTPStatus.OK
    header: str = ""


class _Asked(NamedTuple):
    """A whole request."""

    method: bytes
    path: str
    accept: str


_Show: TypeAlias = Callable[[str, str], _Page]
"""From a path and the header Accept to its page."""


class StatusServer:
    """problems: what keeps the process from being healthy, in words. ready: does it take work?"""

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        problems: Callable[[], Sequence[str]],
        ready: Callable[[], bool],
        patience: float = PATIENCE,
    ) -> None:
        self._listen = listen
        self._metrics = metrics
        self._problems = problems
        self._ready = ready
        self._patience = patience
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Listen. Raises UsageError where the address is malformed or not this host's, Occupied where it is taken."""
        host, _, port = self._listen.rpartition(":")
        if not port.isdigit():
            raise UsageError(f"daemon.listen = {self._listen!r}", "it is not HOST:PORT", "Write 127.0.0.1:9740.")
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Exchange(self._show, self._open, self._patience), host.strip("[]"), int(port)
            )
        except OSError as error:
            # whoever holds the port at boot may let go of it: systemd shall try again
            kind = Occupied if error.errno == errno.EADDRINUSE else UsageError
            raise kind(
                f"daemon.listen = {self._listen!r}",
                f"the address cannot be used ({error.strerror})",
                "Is another headraced running? Choose another port in [daemon] of config.toml.",
            ) from error

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self._open):
            transport.abort()
        await self._server.wait_closed()

    def _show(self, path: str, accept: str) -> _Page:
        if path == "/":
            return _Page(_INDEX)
        if path == "/metrics":
            encoder, content_type = choose_encoder(accept)
            return _Page(encoder(self._metrics.registry), content_type)
        if path == "/healthz":
            problems = list(self._problems())
            return _judged(not problems, {"healthy": not problems, "problems": problems})
        if path == "/readyz":
            ready = self._ready() and not self._problems()
            return _judged(ready, {"ready": ready})
        return _error(HTTPStatus.NOT_FOUND)


def _judged(good: bool, facts: dict[str, object]) -> _Page:
    return _Page(json.dumps(facts), _JSON, HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)


def _error(status: HTTPStatus) -> _Page:
    return _Page(f"{status}: {status.phrase}\n", status=status)


class _Exchange(asyncio.Protocol):
    """A connection: one request, its answer, and the end. open_ones: where it stands as long as it is open."""

    def __init__(self, show: _Show, open_ones: set[asyncio.Transport], patience: float) -> None:
        self._show = show
        self._open = open_ones
        self._patience = patience
        self._parser = httptools.HttpRequestParser(self)
        self._received = 0
        self._url = b""
        self._accept = ""
        self._asked: _Asked | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self._transport)
        self._end = asyncio.get_running_loop().call_later(self._patience, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return  # what comes behind the request
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to another protocol: an offer, which may be passed over
        except httptools.HttpParserError:
            if self._asked is None:
                self._answer(_error(HTTPStatus.BAD_REQUEST))
                return
        if self._asked is not None:
            self._answer(self._page(self._asked), body=self._asked.method != b"HEAD")
        elif self._received > MOST_SENT:
            self._answer(_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def on_url(self, url: bytes) -> None:
        """Of the parser; perhaps in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser."""
        if name.lower() == b"accept":
            self._accept = value.decode("latin-1")

    def on_message_complete(self) -> None:
        """Of the parser. A second request, which came at once with the first, is passed over."""
        path = self._url.partition(b"?")[0].decode("latin-1")
        self._asked = self._asked or _Asked(self._parser.get_method(), path, self._accept)

    def _page(self, asked: _Asked) -> _Page:
        if asked.method not in (b"GET", b"HEAD"):
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)._replace(header="allow: GET, HEAD\r\n")
        return self._show(asked.path, asked.accept)

    def _answer(self, page: _Page, *, body: bool = True) -> None:
        content = page.body.encode() if isinstance(page.body, str) else page.body
        head = (
            f"HTTP/1.1 {page.status} {page.status.phrase}\r\n"
            f"content-type: {page.content_type}\r\n{page.header}"
            f"content-length: {len(content)}\r\n"
            "connection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + (content if body else b""))
        self._transport.close()
