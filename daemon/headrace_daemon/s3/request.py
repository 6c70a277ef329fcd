"""A request as the operations mean it, and what one attempt to send it leaves behind."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from headrace_daemon.s3.endpoints import Endpoint
from headrace_daemon.s3.engine import Arriving, Body, Buffer, Engine, Response
from headrace_daemon.s3.places import Place
from headrace_daemon.s3.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, Credentials

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Request(NamedTuple):
    """One request as the operations mean it. headers: names in lower case. size: bytes of the body. expected: bytes of
    the answer's body as far as they are known. there: another answer has just shown that the object is there, so that a
    404 comes from somebody else."""

    operation: str
    method: str
    bucket: str = ""
    key: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None
    body: Body = None
    size: int = 0
    expected: int = 0
    there: bool = False

    @property
    def content(self) -> Body:
        """The body as an engine has to send it: an empty one is none, or the length would go unsaid (rclone asks)."""
        return self.body if self.size else None


class Trace:
    """What one attempt came to, for the facts, for the next attempt and for the result."""

    __slots__ = ("credentials", "endpoint", "exactly", "place", "received", "started", "status")

    def __init__(
        self,
        place: Place,
        endpoint: Endpoint,
        credentials: Credentials | None,
        started: float,
        exactly: bool = False,
    ) -> None:
        """started: seconds of the steady clock. exactly: whether the exact engine has to carry it."""
        self.place = place
        self.endpoint = endpoint
        self.credentials = credentials
        self.started = started
        self.exactly = exactly
        self.status = 0
        self.received = 0


class Exchange(Protocol[T_co]):
    """Sends one signed request through an engine and reads its answer."""

    def __call__(self, engine: Engine, url: str, headers: Mapping[str, str], trace: Trace) -> Awaitable[T_co]: ...


@dataclass(frozen=True, slots=True)
class Signatory:
    """With what a request for one bucket is signed. now: seconds since the epoch by the service's clock."""

    credentials: Credentials | None
    region: str
    now: float


class Sending(Protocol):
    """The way to a remote, as operations use it: see Pipeline."""

    def signatory(self, bucket: str) -> Awaitable[Signatory]: ...

    def small(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> Awaitable[T]: ...

    def stream(self, request: Request, consume: Callable[[Arriving, Trace], Awaitable[T]]) -> Awaitable[T]: ...

    def prepare(self) -> Awaitable[None]: ...

    def close(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Clocks:
    """steady: seconds of a clock that never jumps. wall: seconds since the epoch. random: uniform in [0, 1)."""

    steady: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[], float]


def payload_hash(request: Request) -> str:
    """What the signature says of the body: nothing, for the signed CRC64NVME or Content-MD5 header guards it, over
    plain HTTP too; SHA-256 of it would cost twenty times as much."""
    return EMPTY_PAYLOAD if request.body is None or request.size == 0 else UNSIGNED_PAYLOAD
