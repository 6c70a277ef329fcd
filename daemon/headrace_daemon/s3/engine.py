"""The small interface to an HTTP engine. One conformance suite runs on every engine.

An engine sends exactly the bytes of the path it is given, follows no redirect, unpacks no content-encoding, uses no
proxy from the environment, and turns its library's errors into TransportError. It neither signs nor retries.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")
Buffer: TypeAlias = bytes | bytearray | memoryview
Body: TypeAlias = Buffer | Callable[[], AsyncIterator[Buffer]] | None
"""A request body: one buffer, or a function that starts the stream anew for every attempt (with content-length set)."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine connects. Times in seconds; read_timeout is the longest silence, never a total."""

    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    ca_pem: bytes | None = None  # trust exactly this, self-signed device certificates included
    threads: int = 1


class Response(Protocol):
    """An answer whose head is here. Header names are looked up in lower case."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str | None: ...

    async def read(self) -> Buffer:
        """The whole rest of the body; for small bodies only. Raises TransportError."""
        ...

    def chunks(self, size: int) -> AsyncIterator[Buffer]:
        """The body in pieces of `size` bytes, the last one shorter. Raises TransportError, also where it ends early."""
        ...


class Engine(Protocol):
    """Connections to any number of hosts."""

    async def small(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Response:
        """Sends, and reads the whole body before it returns: the cheap way for small objects and for control."""
        ...

    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        consume: Callable[[Response], Awaitable[T]],
    ) -> T:
        """Sends, hands the open response to `consume`, and closes it whatever happens. Cancelling it closes the
        connection and leaks nothing."""
        ...

    async def close(self) -> None: ...
