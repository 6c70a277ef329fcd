"""Which endpoint gets the next request, and when one is set aside or taken back: pure decisions, no I/O.

All endpoints of a remote are doors to one service. Load goes to the emptiest; one that gives no answer is set aside and
probed, at first after half a second and then less and less often, until it answers. One that answers with faults is
probed first, for it may be the requests that are at fault.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.flow.aimd import Aimd
from headrace_daemon.s3.signing import host_header

FAILURES: Final = 3
"""Requests in a row without an answer after which an endpoint is set aside."""
FAULTS: Final = 6
"""5xx answers in a row after which an endpoint is suspected. A probe decides then: a request that the service cannot
bear (an option it does not know) must not take the endpoint away from all others."""
FIRST_PROBE: Final = 0.5
LAST_PROBE: Final = 30.0
HEARD: Final = 1.0
"""Seconds between two facts of what arrives from an endpoint."""


class Ending(Enum):
    """How a request ended, as far as its endpoint is concerned."""

    ANSWERED = "answered"  # any answer below 500
    BARE = "bare"  # 404 to a HEAD, which anything may have answered: a fault before it still counts
    THROTTLED = "throttled"
    FAULT = "fault"  # 5xx
    FAILED = "failed"  # no whole answer
    REFUSED = "refused"  # nobody listens: no point in trying twice
    UNKNOWN = "unknown"  # cancelled, or the caller failed: tells nothing of the endpoint


class Endpoint:
    """One URL of a remote and what is known of it. Belongs to Endpoints, which alone changes it."""

    __slots__ = (
        "failures",
        "fault",
        "faults",
        "heard",
        "host",
        "inflight",
        "interval",
        "limiter",
        "probe_at",
        "scheme",
        "trusted_until",
        "turn",
        "url",
    )

    def __init__(self, url: str, max_requests: int) -> None:
        self.url = url.rstrip("/")
        self.scheme = self.url.partition("://")[0]
        self.host = host_header(self.url)
        self.limiter = Aimd(max_requests)
        self.inflight = 0
        self.failures = 0
        self.faults = 0
        self.fault = ""  # the last of them, for people
        self.heard = -HEARD  # when it was last told that something arrives
        self.trusted_until = 0.0  # a probe was answered a moment ago: faults until then are the requests' own
        self.turn = 0
        self.interval = FIRST_PROBE
        self.probe_at: float | None = None  # set while it is set aside

    @property
    def healthy(self) -> bool:
        return self.probe_at is None

    @property
    def has_room(self) -> bool:
        return self.probe_at is None and self.inflight < self.limiter.limit


class Endpoints:
    """The endpoints of one remote. Times are seconds of one steady clock; random is uniform in [0, 1)."""

    def __init__(
        self, remote: str, urls: Sequence[str], max_requests: int, facts: Facts, random: Callable[[], float]
    ) -> None:
        self.all = tuple(Endpoint(url, max_requests) for url in urls)
        self.down_since: float | None = None  # set while none is healthy
        self.answers = 0  # of whatever kind, by any of them, but for those that probes got
        self.last_reason = ""
        self._remote = remote
        self._facts = facts
        self._random = random
        self._turn = 0
        for endpoint in self.all:
            facts.endpoint_known(remote, endpoint.url)

    def take(self, avoid: Endpoint | None = None) -> Endpoint | None:
        """The healthy endpoint with the smallest share of its limit in use, ties in turn; None where all are full.

        avoid: where the request failed last; taken only if no other has room. The caller gives it back by `ended`.
        """
        best: Endpoint | None = None
        best_rank = (True, 0.0, 0)
        for endpoint in self.all:
            if not endpoint.has_room:
                continue
            rank = (endpoint is avoid, endpoint.inflight / endpoint.limiter.limit, endpoint.turn)
            if best is None or rank < best_rank:
                best, best_rank = endpoint, rank
        if best is not None:
            self._turn += 1
            best.turn = self._turn
            best.inflight += 1
            self._facts.inflight(self._remote, best.url, best.inflight, best.limiter.limit)
        return best

    def ended(self, endpoint: Endpoint, ending: Ending, reason: str, now: float) -> None:
        """A request that `take` let go is over. reason: what went wrong, for people."""
        endpoint.inflight -= 1
        self.answers += ending in (Ending.ANSWERED, Ending.BARE, Ending.THROTTLED, Ending.FAULT)
        if ending is Ending.ANSWERED:
            endpoint.failures = endpoint.faults = 0
            endpoint.limiter.succeeded()
        elif ending is Ending.THROTTLED:
            endpoint.failures = endpoint.faults = 0
            endpoint.limiter.throttled(now)
        elif ending not in (Ending.BARE, Ending.UNKNOWN):
            self._count_failure(endpoint, ending, reason, now)
        self._facts.inflight(self._remote, endpoint.url, endpoint.inflight, endpoint.limiter.limit)

    def arriving(self, endpoint: Endpoint, now: float) -> None:
        """Some of an answer came: whoever waits for the rest does not wait for a service that is silent."""
        if now >= endpoint.heard + HEARD:
            endpoint.heard = now
            self._facts.heard(self._remote, endpoint.url)

    def _count_failure(self, endpoint: Endpoint, ending: Ending, reason: str, now: float) -> None:
        if ending is Ending.FAULT:
            endpoint.failures = 0
            endpoint.faults += 1
            endpoint.fault = reason
            return
        endpoint.failures += 1
        if endpoint.healthy and (ending is Ending.REFUSED or endpoint.failures >= FAILURES):
            self._set_aside(endpoint, reason, now)

    def suspected(self, endpoint: Endpoint, now: float, faults: int = FAULTS) -> bool:
        """Whether only a probe can tell if this endpoint is broken: its last answers, so many at least, were faults."""
        return endpoint.healthy and endpoint.faults >= faults and now >= endpoint.trusted_until

    def is_last(self, endpoint: Endpoint) -> bool:
        """Whether this endpoint is in use and no other is."""
        return endpoint.healthy and not any(other.healthy for other in self.all if other is not endpoint)

    def _set_aside(self, endpoint: Endpoint, reason: str, now: float) -> None:
        endpoint.interval = FIRST_PROBE
        endpoint.probe_at = now + self._jittered(FIRST_PROBE)
        self.last_reason = reason
        self._facts.endpoint(self._remote, endpoint.url, False, reason)
        if self.down_since is None and not any(other.healthy for other in self.all):
            self.down_since = now

    def next_probe(self) -> float | None:
        """When the next probe is due, None where every endpoint is healthy."""
        return min((endpoint.probe_at for endpoint in self.all if endpoint.probe_at is not None), default=None)

    def due(self, now: float) -> list[Endpoint]:
        """Those set aside whose probe is due."""
        return [endpoint for endpoint in self.all if endpoint.probe_at is not None and endpoint.probe_at <= now]

    def probed(self, endpoint: Endpoint, alive: bool, now: float) -> None:
        """What a probe found. One that was suspected keeps its place, or is set aside now; one that was aside is taken
        back, or asked again after twice the time, at most 30 seconds."""
        if endpoint.healthy:
            self._judged(endpoint, alive, now)
        elif alive:
            endpoint.probe_at = None
            endpoint.failures = endpoint.faults = 0
            self.down_since = None
            self._facts.endpoint(self._remote, endpoint.url, True, "answers again")
        else:
            endpoint.interval = min(LAST_PROBE, endpoint.interval * 2)
            endpoint.probe_at = now + self._jittered(endpoint.interval)

    def _judged(self, endpoint: Endpoint, alive: bool, now: float) -> None:
        if alive:
            endpoint.faults = 0
            endpoint.trusted_until = now + FIRST_PROBE
        elif endpoint.faults:  # otherwise another request was answered meanwhile
            self._set_aside(endpoint, endpoint.fault, now)

    def _jittered(self, interval: float) -> float:
        """Between half the interval and all of it, so that many clients do not probe in step."""
        return interval * (0.5 + self._random() / 2)
