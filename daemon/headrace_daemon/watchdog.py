"""Feeds systemd's watchdog only while the event loop, the queue's writer and the dispatcher all make progress.

A timer alone proves nothing: it would go on beating beside a writer that hangs in a sync, or a dispatcher that waits
for ever. Each part has a marker that grows with every turn it makes, busy or idle.
"""

import asyncio
from collections.abc import Callable, Mapping

from headrace_daemon.facts import Facts
from headrace_daemon.observe.notify import Notifier

BEAT = 1.0
STALLED = 20.0
"""Seconds without a turn before a part counts as stalled; the unit's WatchdogSec is longer."""


class Stalls:
    """Which parts have not moved for how long. Pure: readings and time are passed in."""

    def __init__(self, limit: float = STALLED) -> None:
        self._limit = limit
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, markers: Mapping[str, int], now: float) -> list[str]:
        """The names of the parts that stalled."""
        stalled = []
        for name, marker in markers.items():
            last, since = self._seen.get(name, (None, now))
            if marker != last:
                self._seen[name] = (marker, now)
            elif now - since > self._limit:
                stalled.append(name)
        return stalled


class Watchdog:
    """Looks once a second. A marker must grow while its part is idle, too."""

    def __init__(
        self,
        markers: Mapping[str, Callable[[], int]],
        notifier: Notifier,
        facts: Facts,
        clock: Callable[[], float],
    ) -> None:
        self._markers = markers
        self._notifier = notifier
        self._facts = facts
        self._clock = clock
        self._stalls = Stalls()
        self._stalled: list[str] = []

    def problems(self) -> list[str]:
        """For /healthz."""
        return [f"the {name} makes no progress" for name in self._stalled]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            due = self._clock() + BEAT
            await asyncio.sleep(BEAT)
            now = self._clock()
            self._facts.loop_lag(max(0.0, now - due))
            self._stalled = self._stalls.look({name: marker() for name, marker in self._markers.items()}, now)
            if not self._stalled:
                self._notifier.alive()
