"""`headrace du`: how many objects, how many bytes, of the whole and of its sub-folders."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from headrace_daemon.exploring.finds import Find
from headrace_daemon.exploring.place import NOTHING_THERE, Looker
from headrace_queue.looking_request import LookRequest
from headrace_queue.render import count, shown
from headrace_queue.units import format_bytes

_LOOK_SECONDS: Final = 0.5
"""Between two lines of what was counted so far, on a terminal."""


@dataclass(slots=True)
class Tally:
    """Of a folder with all below it."""

    name: str
    objects: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        self.objects += 1
        self.size += size


@dataclass(slots=True)
class Tallies:
    """Counts finds that come in the order of keys: of each folder down to `depth` one Tally at a time, so that memory
    does not grow with their number."""

    depth: int
    total: Tally
    classes: dict[str, Tally] = field(default_factory=dict)
    _open: list[Tally] = field(default_factory=list)

    def add(self, find: Find) -> Iterator[Tally]:
        """Counts it; the sub-folders that end before it, the deepest first."""
        size = find.size or 0
        folders = find.name.split("/")[:-1][: self.depth]
        yield from self._close_all_but(folders)
        for depth in range(len(self._open), len(folders)):
            self._open.append(Tally("/".join(folders[: depth + 1]) + "/"))
        for tally in (*self._open, self.total):
            tally.add(size)
        if find.storage_class:
            self.classes.setdefault(find.storage_class, Tally(find.storage_class)).add(size)

    def end(self) -> Iterator[Tally]:
        """The sub-folders that nothing more is in."""
        yield from self._close_all_but([])

    def _close_all_but(self, folders: list[str]) -> Iterator[Tally]:
        while self._open and self._open[-1].name != "/".join(folders[: len(self._open)]) + "/":
            yield self._open.pop()


async def du(looker: Looker) -> int:
    """Prints a line for each folder, the whole last; the exit code. Raises UsageError, S3Error, FileError, JobFailure,
    OSError."""
    place, request = looker.request.location, looker.request
    tallies, ticker = Tallies(request.depth, Tally(str(place))), _Ticker()
    exact = await looker.exact(place) if place.path is not None else None
    if exact is None:
        # only sub-folders need an order
        async with aclosing(looker.below(place, "skip", sort=request.depth > 0)) as pages:
            async for page in pages:
                for find in page:
                    for tally in tallies.add(find):
                        ticker.end()
                        _show_all([tally], request)
                ticker.show(tallies.total)
    ticker.end()
    if not tallies.total.objects:
        exact = exact or await looker.exact(place)
        if exact is None:
            print(f"nothing is at {shown(str(place))}", file=sys.stderr)
            return NOTHING_THERE
        _show_all(tallies.add(exact), request)
    _show_all(tallies.end(), request)
    _show_total(tallies, request)
    _tell_unread(looker)
    return 0


def _show_all(tallies: Iterable[Tally], request: LookRequest) -> None:
    for tally in tallies:
        if request.as_json:
            print(json.dumps({"kind": "folder", **_told(tally)}))
        else:
            print(_line(tally, request))


def _show_total(tallies: Tallies, request: LookRequest) -> None:
    classes = sorted(tallies.classes.items()) if request.by_class else []
    if request.as_json:
        by_class = {name: {"objects": one.objects, "bytes": one.size} for name, one in classes}
        print(json.dumps({"kind": "total", **_told(tallies.total)} | ({"classes": by_class} if by_class else {})))
        return
    for _, tally in classes:
        print(_line(tally, request))
    print(_line(tallies.total, request))


def _told(tally: Tally) -> dict[str, Any]:
    return {"name": tally.name, "objects": tally.objects, "bytes": tally.size}


def _line(tally: Tally, request: LookRequest) -> str:
    size = format_bytes(tally.size) if request.human else str(tally.size)
    objects = count(tally.objects, "object" if request.location.path is None else "file")
    return f"{size:>{10 if request.human else 16}}  {objects:>18}  {shown(tally.name)}"


def _tell_unread(looker: Looker) -> None:
    """Links are left out, and said so nowhere: the file that one leads to counts where it lies."""
    for problem in looker.unread:
        if problem.error != "symlink":
            print(f"not counted: {shown(problem.name)}: {shown(problem.message)}", file=sys.stderr)


class _Ticker:
    """What was counted so far, on one line of a terminal."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty() and sys.stdout.isatty()
        self._next = time.monotonic() + _LOOK_SECONDS
        self._shown = False

    def show(self, tally: Tally) -> None:
        if self._shows and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_SECONDS
            self._shown = True
            print(f"\r{tally.objects:,} so far, {format_bytes(tally.size)}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
