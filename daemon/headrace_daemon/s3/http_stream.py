"""The body of an answer while it comes, on the event loop: the kernel copies it to where it is wanted, nobody else.

Nothing is read from the connection while nobody takes anything, so that a slow disk slows the sender down and no
memory fills.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from headrace_daemon.s3.engine import Buffer, Seen, unseen
from headrace_daemon.s3.errors import TransportError


class Stream:
    """A body between the connection, which tells what arrives, and the one who takes it by into().

    read: begins or ends the reading from the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, read: Callable[[bool], None]) -> None:
        self._loop = loop
        self._read = read
        self._pieces: list[memoryview] = []
        self._left: int | None = None  # bytes that are still to come, where that is known
        self._room: memoryview | None = None
        self._seen: Seen = unseen
        self._wanted: asyncio.Future[None] | None = None
        self._broken: TransportError | None = None
        self.complete = False
        self.ends_connection = False

    # -- for the connection -------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for bytes."""
        return self._wanted is not None

    @property
    def room(self) -> memoryview | None:
        """Where the next bytes of the body belong; None where they have to be parsed."""
        return self._room

    def begins(self, length: int | None, *, ends_connection: bool) -> None:
        """The head is here. length: of the body, where it is plain and known."""
        self._left = length
        self.ends_connection = ends_connection
        self._read(False)

    def arrived(self, count: int) -> None:
        """`count` bytes lie in `room`."""
        assert self._room is not None
        assert self._left is not None
        self._left -= count
        self._seen(self._room[:count])
        self._room = self._room[count:]
        if not self._left:
            self.complete = True
        if not self._room:
            self._room = None
            self._wake()

    def piece(self, data: bytes) -> None:
        """Parsed bytes of the body."""
        self._pieces.append(memoryview(data))
        if self._left is not None:
            self._left -= len(data)

    def parsed(self) -> None:
        """What was received is parsed."""
        if self._pieces or self.complete:
            self._wake()

    def fails(self, error: TransportError) -> None:
        """No more will come. Only the first reason counts."""
        self._broken = self._broken or error
        self._room = None
        self._wake()

    def _wake(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not wanted.done():
            wanted.set_result(None)
        self._read(False)

    # -- for the one who takes ----------------------------------------------------------------------------------------

    async def into(self, buffer: memoryview, seen: Seen = unseen) -> int:
        """See Arriving.into."""
        self._seen = seen
        filled = self._take(buffer)
        while filled < len(buffer) and not self.complete:
            rest = buffer[filled:]
            if self._broken is not None:
                raise self._broken
            before = self._left
            if before:
                self._room = rest[:before]
            await self._more()
            filled += before - (self._left or 0) if before else self._take(rest)
        return filled

    async def _more(self) -> None:
        wanted = self._wanted = self._loop.create_future()
        self._read(True)
        try:
            await wanted
        finally:
            self._wanted = self._room = None

    def _take(self, buffer: memoryview) -> int:
        """How much of what was parsed lies in the buffer now."""
        filled = 0
        while self._pieces and filled < len(buffer):
            piece = self._pieces[0]
            count = min(len(piece), len(buffer) - filled)
            place = buffer[filled : filled + count]
            place[:] = piece[:count]
            self._seen(place)
            filled += count
            if count == len(piece):
                self._pieces.pop(0)
            else:
                self._pieces[0] = piece[count:]
        return filled

    async def chunks(self, size: int) -> AsyncIterator[Buffer]:
        """See Response.chunks."""
        while count := await self.into(chunk := memoryview(bytearray(size))):
            yield chunk[:count]
