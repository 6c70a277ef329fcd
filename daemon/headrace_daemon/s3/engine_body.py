"""A request body on its way out: cut into pieces without a copy, counted, and stoppable from the event loop."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import Rejected

SLOWEST_UPLOAD = 64 << 10
"""Bytes a second that an upload is given until its answer begins; slower ones end as a timeout."""


class Stopped(Exception):
    """Whoever sent this body gave it up; nobody waits for this exception."""


def content_length(headers: Mapping[str, str]) -> int:
    """The length a streamed body was announced with. Raises Rejected without one: S3 refuses chunked encoding."""
    for name, value in headers.items():
        if name.lower() == "content-length" and value.isdecimal():
            return int(value)
    raise Rejected("bad_request", "a streamed body needs a content-length header")


def announced(headers: Mapping[str, str], size: int) -> Mapping[str, str]:
    """`headers` with a content-length, which no library adds to an empty body: S3 answers 411 without it."""
    if "content-length" in map(str.lower, headers):
        return headers
    return {**headers, "content-length": str(size)}


def answer_seconds(read_timeout: float, size: int) -> float:
    """How long the answer to an upload of `size` bytes may take to begin, counted from the request's first byte."""
    return read_timeout + size / SLOWEST_UPLOAD


class Pieces:
    """One buffer as an iterator of slices of `size` bytes; after stop() the next one is never handed out.

    An engine whose cancelled requests run on by themselves stops here, instead of uploading gigabytes nobody wants.
    """

    __slots__ = ("_at", "_buffer", "_size", "_stopped")

    def __init__(self, buffer: Buffer, size: int) -> None:
        self._buffer = memoryview(buffer)
        self._size = size
        self._at = 0
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def __iter__(self) -> Iterator[memoryview]:
        return self

    def __next__(self) -> memoryview:
        if self._stopped:
            raise Stopped
        start = self._at
        if start >= len(self._buffer):
            raise StopIteration
        self._at = start + self._size
        return self._buffer[start : self._at]


class Source:
    """A stream started from `begin`, held to exactly `length` bytes. error: why it broke, if it did."""

    __slots__ = ("_begin", "_length", "_stopped", "error")

    def __init__(self, begin: Callable[[], AsyncIterator[Buffer]], length: int) -> None:
        self._begin = begin
        self._length = length
        self._stopped = False
        self.error: Exception | None = None

    def stop(self) -> None:
        self._stopped = True

    async def pieces(self) -> AsyncIterator[memoryview]:
        """The stream's pieces. A stream of another length than announced would hang or garble the connection, so it
        ends in Rejected before a byte too many is sent; that and the stream's own exceptions are kept in `error`."""
        left = self._length
        try:
            async for piece in self._begin():
                if self._stopped:
                    raise Stopped
                left -= len(piece)
                if left < 0:
                    raise Rejected("bad_request", f"the body is longer than the {self._length} bytes announced")
                yield memoryview(piece)
            if left:
                raise Rejected("bad_request", f"the body is {left} bytes shorter than the {self._length} announced")
        except Exception as error:
            self.error = error
            raise
