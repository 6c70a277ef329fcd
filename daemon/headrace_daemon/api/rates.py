"""How often somebody may ask: a bucket of requests for each user, and one of failures for each address.

A bucket holds so many requests as may come at once and fills at the average rate. Nothing here waits: who comes too
early is told when to come again.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.who import User

MOST_USERS: Final = 10_000
MOST_ADDRESSES: Final = 10_000
"""Buckets that are remembered. The one that was used longest ago is forgotten first: it is the fullest."""

FAILURES_A_SECOND: Final = 10 / 60
FAILURES_AT_ONCE: Final = 20
"""Tokens of 256 bits are not guessed; this keeps those who try from costing more than a line in the log."""

_ROUNDING: Final = 1e-6  # of a request: who waited as long as they were told must get through


class Buckets:
    """Token buckets by a key, of which the `most` last used are remembered. now: seconds, monotonic."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (left, when that was so)

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, key: str, rate: float, burst: int, now: float) -> float:
        """Seconds until there is one to take; 0 where there is one."""
        missing = 1.0 - self._now_left(key, rate, burst, now)
        return missing / rate if missing > _ROUNDING else 0.0

    def take(self, key: str, rate: float, burst: int, now: float) -> None:
        """One less; never less than none."""
        left = self._now_left(key, rate, burst, now)
        self._left[key] = (max(0.0, left - 1.0), now)
        self._left.move_to_end(key)
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _now_left(self, key: str, rate: float, burst: int, now: float) -> float:
        left, since = self._left.get(key, (float(burst), now))
        return min(float(burst), left + max(0.0, now - since) * rate)


class Rates:
    """clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._users = Buckets(MOST_USERS)
        self._addresses = Buckets(MOST_ADDRESSES)

    def check(self, user: User) -> None:
        """Counts a request of this user. Raises ApiError 429 for one too many, which is not counted."""
        limits, now = user.limits, self._clock()
        wait = self._users.wait(user.name, limits.rate, limits.burst, now)
        if wait > 0:
            rate = f"{limits.rate:g} a second" if limits.rate >= 1 else f"{limits.rate * 60:g} a minute"
            said = f"more requests than {user.name} may send ({limits.burst} at once, then {rate}); ask less often"
            raise ApiError(429, said, retry_after=wait)
        self._users.take(user.name, limits.rate, limits.burst, now)

    def check_address(self, address: str) -> None:
        """Before a client proves who it is. Raises ApiError 429 where too many failed from there.

        address: of the client, as text; '' where there is none, on a Unix socket.
        """
        wait = self._addresses.wait(_neighbours(address), FAILURES_A_SECOND, FAILURES_AT_ONCE, self._clock())
        if wait > 0:
            raise ApiError(429, "too many requests without a valid token from this address", retry_after=wait)

    def failed(self, address: str) -> None:
        """Somebody there could not prove who they are: an ApiError 401."""
        self._addresses.take(_neighbours(address), FAILURES_A_SECOND, FAILURES_AT_ONCE, self._clock())


def _neighbours(address: str) -> str:
    """The address; of IPv6 its network of 64 bits, for a host has all the addresses in it (RFC 4291, 2.5.4)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
