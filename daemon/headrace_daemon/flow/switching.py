"""The bandwidth limits of a host, which its timetables change at the minute."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from headrace_daemon.facts import Facts
from headrace_daemon.flow.bandwidth import Bandwidth
from headrace_daemon.flow.timetable import next_minute, rate_at
from headrace_queue.bandwidth_timetable import Window, zone_of
from headrace_queue.config import Config


class _Limited(NamedTuple):
    """remote: '' for all that this host moves. usual: outside of the timetable."""

    remote: str
    windows: Sequence[Window]
    usual: int | None
    bandwidth: Bandwidth


class BandwidthLimits:
    """Of one process. now: seconds since the epoch. clock: seconds of a clock that never jumps."""

    def __init__(
        self,
        config: Config,
        facts: Facts,
        now: Callable[[], float],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        transfer = config.transfer
        self._facts = facts
        self._now = now
        self._sleep = sleep
        self._zone: tzinfo | None = None if transfer.timezone is None else zone_of(transfer.timezone)
        named = [("", transfer.bandwidth_timetable, transfer.bandwidth)]
        named += [(name, one.bandwidth_timetable, one.bandwidth) for name, one in config.remotes.items()]
        self._limited = [
            _Limited(name, windows, usual, Bandwidth(usual, clock))
            for name, windows, usual in named
            if windows or usual is not None
        ]
        for one in self._limited:
            one.bandwidth.change(self._rate(one))
            facts.bandwidth_limit(one.remote, self._rate(one))

    @property
    def of_host(self) -> list[Bandwidth]:
        """The one that holds for all, where there is one."""
        return [one.bandwidth for one in self._limited if not one.remote]

    @property
    def of_remotes(self) -> Mapping[str, Bandwidth]:
        return {one.remote: one.bandwidth for one in self._limited if one.remote}

    @property
    def switches(self) -> bool:
        """Whether there is a timetable at all."""
        return any(one.windows for one in self._limited)

    async def run(self) -> None:
        """Until cancelled: each limit is that of the minute, also after the clock was set."""
        while True:
            now = self._now()
            await self._sleep(next_minute(now) - now)
            self.switch()

    def switch(self) -> None:
        """Each limit is that of this instant from here on."""
        for one in self._limited:
            rate = self._rate(one)
            if rate != one.bandwidth.rate:
                one.bandwidth.change(rate)
                self._facts.bandwidth_limit(one.remote, rate)

    def _rate(self, one: _Limited) -> int | None:
        return rate_at(one.windows, one.usual, self._now(), self._zone)
