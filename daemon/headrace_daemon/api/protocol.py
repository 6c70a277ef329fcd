"""The server's side of one connection: uvicorn's, with an end to its patience.

uvicorn bounds only the time between two requests. Here a head has to come within HEAD_SECONDS and HEAD_BYTES, and what
nobody reads is not kept for ever; body.py bounds the bodies.
"""

import asyncio
import contextlib
import resource
import socket
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 30.0
HEAD_BYTES: Final = 64 * 1024
UNREAD_SECONDS: Final = 60.0
"""For how long a client may leave an answer unread."""
FAREWELL_SECONDS: Final = 1.0
"""For how long a closed connection waits until the client closes its side of TLS. Who keeps one for later requests does
not, and would hold up the end of the daemon for as long as the loop's own patience, half a minute."""

_MOST_CONNECTIONS: Final = 4096
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n"
    b"x-content-type-options: nosniff\r\n\r\n"
)


def most_connections() -> int:
    """A quarter of the files that this process may have open: the others are for its work."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, max(16, soft // 4)) if soft != resource.RLIM_INFINITY else _MOST_CONNECTIONS


class PatientProtocol(HttpToolsProtocol):
    """For uvicorn's Config(http=…)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._between = False  # a request has come, and nothing behind it
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._farewell_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
            return
        _bound_unread(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._unread_timer, self._farewell_timer):
            _end(timer)
        self._head_timer = self._unread_timer = self._farewell_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)  # the parser shows no header before it is complete
        self._between = False
        super().data_received(data)
        if not self._in_head or self._between or self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._expect_head()  # the next request has begun, on a connection that is kept

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        _end(self._head_timer)
        self._head_timer = None
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = self._between = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self._unread_timer or self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        _end(self._unread_timer)
        self._unread_timer = None
        super().resume_writing()

    def shutdown(self) -> None:
        super().shutdown()
        self._say_farewell()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._say_farewell()

    def _say_farewell(self) -> None:
        if self.transport.is_closing():
            _end(self._farewell_timer)
            self._farewell_timer = self.loop.call_later(FAREWELL_SECONDS, self._leave)

    def _leave(self) -> None:
        if self.transport.get_write_buffer_size():
            self._say_farewell()  # a slow client still gets the end of its answer; the kernel bounds that
        else:
            self.transport.abort()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)


def _end(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _bound_unread(transport: asyncio.Transport) -> None:
    """The kernel gives up on a peer that acknowledges nothing, or reads nothing (tcp(7)): what is left to send when a
    connection is closed waits for it without us."""
    known = transport.get_extra_info("socket")
    if known is not None and known.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            known.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
