"""The body of a request: counted, and awaited with patience that ends."""

import asyncio
import time
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

SMALL_BODY: Final = 2**20
"""Bytes of a request that is no file."""
FRAME: Final = 64 * 1024
"""What multipart/form-data may add to a file: its headers, and small fields beside it."""

SLOW_SECONDS: Final = 30.0
SLOWEST: Final = 4096.0
"""Bytes a second on average, after the first SLOW_SECONDS: whoever sends less holds a connection for nothing."""

_DRAINED: Final = 2 * 2**20  # bytes that are still read of a refused request, so that its answer arrives
_DRAIN_SECONDS: Final = 2.0


def most_of(path: str, max_small: int) -> int:
    """Bytes that a request for this path may have."""
    holds_file = path.endswith("/ops/upload") or path.startswith("/v1/files")
    return max(max_small + FRAME, SMALL_BODY) if holds_file else SMALL_BODY


def patience(started: float, received: int, now: float) -> float:
    """Seconds to wait for the next chunk, 0 for none."""
    return max(0.0, started + SLOW_SECONDS + received / SLOWEST - now)


class Body:
    """What an application receives. most: bytes. stopping: ends the wait of an endless answer, see `endless`."""

    def __init__(self, scope: Scope, receive: Receive, most: int, stopping: asyncio.Event) -> None:
        headers = dict(scope["headers"])
        self._receive = receive
        self._most = most
        self._stopping = stopping
        self._announced = _length(headers.get(b"content-length", b""))
        self._asks_first = headers.get(b"expect", b"").lower() == b"100-continue"
        self._started = time.monotonic()
        self._received = 0
        self._touched = False
        self.complete = b"transfer-encoding" not in headers and self._announced == 0
        self.endless = False

    async def receive(self) -> Message:
        """Raises HTTPException: 408, 413."""
        if self.complete and self._touched:
            return await self._end()
        if self._announced > self._most:
            raise self._too_large()
        return await self._chunk()

    async def drain(self) -> None:
        """Reads what is left of a refused request, within bounds: an answer to somebody who still sends gets lost."""
        if self.complete or self._stopping.is_set() or (self._asks_first and not self._touched):
            return
        most, until = self._received + _DRAINED, time.monotonic() + _DRAIN_SECONDS
        while not self.complete and self._received < most:
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    if (await self._take())["type"] != "http.request":
                        return
            except TimeoutError:
                return

    async def _chunk(self) -> Message:
        try:
            async with asyncio.timeout(patience(self._started, self._received, time.monotonic())):
                message = await self._take()
        except TimeoutError:
            raise HTTPException(408, "the request came too slowly") from None
        if self._received > self._most:
            raise self._too_large()
        return message

    async def _take(self) -> Message:
        message = await self._receive()
        self._touched = True
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        return message

    async def _end(self) -> Message:
        """The next message is that the client has gone. A stream of events ends with the daemon instead."""
        gone = asyncio.ensure_future(self._receive())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((gone, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not gone.done() and self.endless:
                return {"type": "http.disconnect"}
            return await gone
        finally:
            for waiting in (gone, stopped):
                waiting.cancel()

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the request has more than {self._most} bytes")


def _length(header: bytes) -> int:
    """The server refuses what is no number."""
    return int(header) if header.isdigit() else 0
