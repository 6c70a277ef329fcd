"""Whether a request is sent again, and when: pure decisions, clock and randomness passed in.

Full jitter after "Exponential Backoff and Jitter" (AWS Architecture Blog): any delay between nothing and the bound, so
that requests that failed together do not come back together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from headrace_daemon.s3.errors import (
    BadDigest,
    CredentialsExpired,
    CredentialsRefused,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    WrongRegion,
)


@dataclass(slots=True)
class Tries:
    """What one request has been through. started: seconds of a steady clock, as `now` below. answers: of the remote to
    other requests, when this one failed first."""

    started: float
    answers: int = 0
    failed: int = 0
    throttled: int = 0
    outlasted: bool = False  # was given one more attempt after an outage of the whole remote
    refreshed: bool = False
    moved: bool = False


class Again(NamedTuple):
    """Send it again after `delay` seconds; before that refresh the credentials or learn the bucket's region."""

    delay: float
    refresh: bool = False
    relocate: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """The policy of one remote.

    attempts: how often a request may fail before its error is final. base, cap: seconds of the exponential bound.
    patience: seconds that throttling may go on; it uses up no attempt, but a caller that waits for ever holds a lease
    for nothing. outage: the same where connections break and the remote answers nobody: then it is not this request
    that is at fault. random: uniform in [0, 1).
    """

    random: Callable[[], float]
    attempts: int = 5
    base: float = 0.1
    cap: float = 20.0
    patience: float = 120.0
    outage: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after the `failures`-th failure, counted from 1."""
        return self.random() * min(self.cap, self.base * 2.0 ** min(failures - 1, 32))

    def judge(self, error: S3Error, tries: Tries, now: float, answers: int = 0) -> Again | None:
        """How to go on after `error`, None where it is final. Counts it in `tries`. answers: see Tries, by now."""
        if isinstance(error, Throttled):
            return self._after_throttling(error, tries, now)
        if isinstance(error, TransportError | ServerFault | BadDigest):
            tries.failed += 1
            silent = isinstance(error, TransportError) and answers == tries.answers
            outage = silent and now - tries.started < self.outage
            return Again(self.delay(tries.failed)) if outage or tries.failed < self.attempts else None
        if isinstance(error, CredentialsExpired | CredentialsRefused) and not tries.refreshed:
            tries.refreshed = True
            return Again(0.0, refresh=True)
        if isinstance(error, WrongRegion) and not tries.moved:
            tries.moved = True
            return Again(0.0, relocate=True)
        return None

    def _after_throttling(self, error: Throttled, tries: Tries, now: float) -> Again | None:
        tries.throttled += 1
        delay = max(self.delay(tries.throttled), error.retry_after or 0.0)
        return Again(delay) if now + delay - tries.started <= self.patience else None
