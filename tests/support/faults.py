"""What a fault proxy may do to one HTTP request, as data, and the pure decisions about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SLOW_DOWN = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce</Message></Error>'


class Kind(StrEnum):
    """What happens to a request that the fault was meant for."""

    RESET = "reset"  # RST to the client after `after` body bytes of `direction`
    TRUNCATE = "truncate"  # an orderly FIN there: a short body that nothing announces
    STALL = "stall"  # nothing moves any more from there on, until the client leaves
    FLIP = "flip"  # one bit of the body byte at `after` changes
    DELAY = "delay"  # the request waits `seconds` before it goes on
    ANSWER = "answer"  # `status` and `body` without asking the target
    LOSE_ANSWER = "lose_answer"  # the target did the work, and its answer never arrives
    DROP_HEADER = "drop_header"  # the target never sees the request header named `header`
    SWALLOW = "swallow"  # the target never sees the request; the client waits for nothing


class Direction(StrEnum):
    UP = "up"  # client to target: request bodies
    DOWN = "down"  # target to client: response bodies


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned misfortune. match: a part of 'METHOD /path?query'; every request where empty. times: how often."""

    kind: Kind
    match: str = ""
    times: int = 1
    direction: Direction = Direction.DOWN
    after: int = 0
    seconds: float = 0.0
    status: int = 503
    body: bytes = SLOW_DOWN
    headers: Mapping[str, str] = field(default_factory=dict)
    header: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or a response. fields: as sent, in order; lookups are in lower case."""

    start: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Head":
        start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, tuple((name, value.strip()) for name, _, value in pairs))

    def encode(self) -> bytes:
        return "\r\n".join([self.start, *(f"{name}: {value}" for name, value in self.fields), "", ""]).encode("latin-1")

    def get(self, name: str) -> str | None:
        return next((value for field_name, value in self.fields if field_name.lower() == name), None)

    def without(self, name: str) -> "Head":
        return Head(self.start, tuple(pair for pair in self.fields if pair[0].lower() != name.lower()))

    @property
    def request(self) -> str:
        """'METHOD /path?query' of a request."""
        return self.start.rpartition(" ")[0]

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.start.split(" ", 2)[1])


CHUNKED = -1
UNTIL_CLOSE = -2


def body_length(head: Head, *, request: Head | None = None) -> int:
    """Bytes of the body that follows, CHUNKED or UNTIL_CLOSE. request: what a response answers."""
    if request is not None and (request.start.startswith("HEAD ") or head.status in (204, 304) or head.status < 200):
        return 0
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        return CHUNKED
    length = head.get("content-length")
    if length is not None:
        return int(length)
    return 0 if request is None else UNTIL_CLOSE


def bend(fault: Fault | None, direction: Direction, passed: int, chunk: bytes) -> tuple[bytes, bool]:
    """What of a body chunk goes on, and whether the connection ends there. passed: body bytes before the chunk."""
    if fault is None or fault.direction is not direction:
        return chunk, False
    here = fault.after - passed
    if fault.kind is Kind.FLIP and 0 <= here < len(chunk):
        return chunk[:here] + bytes([chunk[here] ^ 1]) + chunk[here + 1 :], False
    if fault.kind in (Kind.RESET, Kind.TRUNCATE, Kind.STALL) and here < len(chunk):
        return chunk[: max(here, 0)], True
    return chunk, False
