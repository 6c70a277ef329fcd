"""The small interface to an HTTP engine. One conformance suite runs on every engine.

An engine sends exactly the bytes of the path it is given (see keeps_dot_segments), follows no redirect, unpacks no
content-encoding, uses no proxy from the environment, and turns its library's errors into TransportError. It neither
signs nor retries; at most it replaces a kept connection that was closed before anything was written to it.

Codes of TransportError, the same for every engine: `connect_failed`, `connect_timeout`, `dns`, `tls`, `reset` (the
connection ended before the answer's head was whole), `truncated` (it ended in the body), `timeout` (silence),
`bad_response` (not HTTP), `unreadable_header` (this engine cannot read it, another may), `closed` (the engine was).
A request that cannot be put on the wire at all, such as one with a line break in a header, raises Rejected with the
code `bad_request`: no endpoint would take it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, Union

if TYPE_CHECKING:
    from pyreqwest.bytes import Bytes

T = TypeVar("T")
Buffer: TypeAlias = Union[bytes, bytearray, memoryview, "Bytes"]
"""Bytes as an engine takes and gives them: len(), memoryview(), file writes and CRCs work on each without a copy."""
Body: TypeAlias = Buffer | Callable[[], AsyncIterator[Buffer]] | None
"""A request body: one buffer, or a function that starts the stream anew for every attempt (with content-length set)."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine connects. Times in seconds; read_timeout is the longest silence, never a total.

    ca_pem: certificates to trust. An engine with pins_certificates trusts exactly these, and a device that presents
    one of them is trusted whatever name or address it answers on; an engine without trusts them beside the system's.
    threads: of the engine itself, for streams and large uploads, where it has threads at all.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    ca_pem: bytes | None = None
    threads: int = 1


Seen: TypeAlias = Callable[[memoryview], None]
"""Looks at a piece of a buffer that was just filled, and does not keep it."""


def unseen(_piece: memoryview) -> None:
    """The Seen that does not look."""


class Response(Protocol):
    """An answer whose head is here. Header names are looked up in lower case."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str | None: ...

    def headers(self) -> list[tuple[str, str]]:
        """Every header in the order received, names in lower case."""
        ...

    async def read(self) -> Buffer:
        """The whole rest of the body; for small bodies only. Raises TransportError."""
        ...

    def chunks(self, size: int) -> AsyncIterator[Buffer]:
        """The body in pieces of `size` bytes, the last one shorter. Raises TransportError, also where it ends early.

        A body without content-length ends where the connection does: no engine can tell whether that was all of it,
        so the caller compares the count with what it asked for.
        """
        ...


class Arriving(Response, Protocol):
    """An answer whose body is still coming."""

    async def into(self, buffer: memoryview, seen: Seen = unseen) -> int:
        """The next bytes of the body, as many as the buffer holds, fewer only at the body's end; how many.

        seen: is called with each piece of the buffer in its order, as soon as it is filled. Raises
        TransportError. What was begun may still be written to until stream() has ended.
        """
        ...


class Whole(Response, Protocol):
    """An answer that was read to its end."""

    @property
    def body(self) -> Buffer: ...


class Engine(Protocol):
    """Connections to any number of hosts."""

    keeps_dot_segments: bool
    """Whether `.` and `..` in a path reach the wire; otherwise they are folded and the request means another object."""
    pins_certificates: bool
    """Whether ca_pem is trusted alone and may hold the very certificate that a device presents (see EngineOptions)."""

    async def small(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None, expected: int = 0
    ) -> Whole:
        """Sends, and reads the whole body before it returns: the cheap way for small objects and for control.

        expected: bytes of the answer's body as far as they are known before, for an engine that has several ways. PUT
        and POST without a body carry content-length: 0. Raises TransportError, Rejected.
        """
        ...

    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        consume: Callable[[Arriving], Awaitable[T]],
    ) -> T:
        """Sends, hands the open response to `consume`, and closes it whatever happens.

        Cancelling gives up at once and leaks nothing, but an engine may keep a connection whose answer has not begun
        until its timeout, and may read the request's body until then: never write to a buffer again that was handed
        over in a cancelled request. Raises TransportError, Rejected, and what `consume` raises.
        """
        ...

    async def close(self) -> None: ...
