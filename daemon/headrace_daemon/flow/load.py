"""How busy the processors are: those of the machine, and with how much of it this process has to do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

_STAT: Final = Path("/proc/stat")
_IDLE, _WAITING = 4, 5  # columns of its first line, see proc_stat(5)


class Load(NamedTuple):
    """Shares, 0 to 1: of all processors in use, in use by this process, and of its time in which the calling thread,
    that of the event loop, used one."""

    machine: float
    own: float
    loop: float


class _Reading(NamedTuple):
    at: float
    idle: float  # seconds of all processors together, since the machine started
    own: float
    loop: float


class LoadMeter:
    """Tells the load since it was last asked.

    In a container with a quota /proc/stat still tells of the whole host: it looks idle then, as it does where there is
    no such file.
    """

    def __init__(self, stat: Path = _STAT, clock: Callable[[], float] = time.monotonic) -> None:
        self._stat = stat
        self._clock = clock
        self._processors = os.cpu_count() or 1
        self._tick = 1.0 / os.sysconf("SC_CLK_TCK")
        self._last = self._read()

    def look(self) -> Load:
        """Since the last look; at rest where that was just now."""
        last, now = self._last, self._read()
        self._last = now
        seconds = (now.at - last.at) * self._processors
        if seconds <= 0:
            return Load(0.0, 0.0, 0.0)
        return Load(
            machine=_share(1 - (now.idle - last.idle) / seconds),
            own=_share((now.own - last.own) / seconds),
            loop=_share((now.loop - last.loop) / (now.at - last.at)),
        )

    def _read(self) -> _Reading:
        at = self._clock()
        try:
            with self._stat.open() as stat:
                columns = stat.readline().split()
            idle = (int(columns[_IDLE]) + int(columns[_WAITING])) * self._tick
        except (OSError, IndexError, ValueError):
            idle = at * self._processors
        return _Reading(at, idle, time.process_time(), time.thread_time())


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
