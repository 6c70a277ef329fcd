"""Waiting for what AWS makes or deletes: look, tell, sleep, until it is done. Clock and sleep are passed in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from headrace_daemon.fsx.api import FsxBusy, FsxUnreachable

Found = TypeVar("Found")

_MOST_TROUBLES: Final = 40
"""Looks in a row without an answer: ten minutes at the usual pace."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far one thing is. what: `file system`, `association /ns1`; elapsed: seconds since it was asked for; trouble:
    why the last look told nothing, '' where it did."""

    what: str
    id: str
    lifecycle: str
    elapsed: float
    trouble: str = ""


Say = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How waiting goes. sleep: as asyncio.sleep; clock: seconds that only grow; interval: seconds between looks."""

    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]
    interval: float = 15.0


async def until(
    look: Callable[[], Awaitable[Found]],
    done: Callable[[Found], bool],
    told: Callable[[Found], Step],
    pace: Pace,
    say: Say,
    *,
    at_once: bool = False,
) -> Found:
    """Looks, after a pause each, until it is done; a service that is away or busy is asked again.

    Raises FsxError where that goes on for too long, and for every other error.
    """
    began = pace.clock()
    last = Step("FSx", "", "", 0.0)
    troubles = 0
    while True:
        if not at_once:
            await pace.sleep(pace.interval)
        at_once = False
        try:
            found = await look()
        except (FsxUnreachable, FsxBusy) as error:
            troubles += 1
            if troubles >= _MOST_TROUBLES:
                raise
            say(replace(last, elapsed=pace.clock() - began, trouble=str(error).removeprefix("FSx: ")))
            continue
        troubles = 0
        last = told(found)
        say(last)
        if done(found):
            return found
