"""Waits until an association has settled: is there, is gone, or will be neither."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from headrace_daemon.fsx.api import Association, FsxApi, FsxBusy, FsxUnreachable
from headrace_queue.units import format_duration

MOVING: Final = frozenset({"CREATING", "UPDATING", "DELETING"})
UNSEEN: Final = 5
"""So often may an association be missing that was just made: what FSx has taken it shows a moment later."""


@dataclass(frozen=True, slots=True)
class Pace:
    """pause: until the next look. steady: seconds. tell: is given each line of progress."""

    pause: Callable[[], Awaitable[None]]
    steady: Callable[[], float]
    tell: Callable[[str], None]


async def until_made(api: FsxApi, made: Association, pace: Pace) -> Association | None:
    """None where it is gone. Raises FsxError."""
    return await _until_settled(api, made, pace, unseen=UNSEEN)


async def until_gone(api: FsxApi, leaving: Association, pace: Pace) -> Association | None:
    """None where it is gone; else it is FAILED, or somebody kept it. Raises FsxError."""
    return await _until_settled(api, leaving, pace, unseen=0)


async def _until_settled(api: FsxApi, one: Association, pace: Pace, *, unseen: int) -> Association | None:
    """An API that is away for a moment is asked again: FSx goes on whether or not anybody looks."""
    began, missing = pace.steady(), 0
    while True:
        try:
            there = await api.associations(one.file_system_id)
        except (FsxBusy, FsxUnreachable) as error:
            pace.tell(str(error))
        else:
            found = next((other for other in there if other.id == one.id), None)
            missing = 0 if found else missing + 1
            if found is not None and found.lifecycle not in MOVING:
                return found
            if found is None and missing > unseen:
                return None
            lifecycle = found.lifecycle if found is not None else "not shown yet"
            pace.tell(f"{one.id} is {lifecycle}, {format_duration(pace.steady() - began)}")
        await pace.pause()
