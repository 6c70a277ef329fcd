"""Two listings in key order, side by side, in constant memory.

Both are cut at the same keys, so that a segment holds everything that either side has between two keys. Within a
segment a dictionary joins both sides, which costs less than comparing key by key; where all keys are equal, `zip` does.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from headrace_daemon.planner.entries import Entry, EntryPage, Listing, Problem

SEGMENT_KEYS: Final = 250
"""The most keys of one side in a segment. A plan is committed between segments, so this bounds one commit."""

READ_AHEAD: Final = 1
"""Whole pages that wait on a side, beside the one under way: then neither side waits while the other one is parsed."""

Pair: TypeAlias = tuple[Entry, Entry | None]
"""An object of the source and what the destination has under its key."""


class Segment(NamedTuple):
    """All entries of both sides in one range of keys, up to and including `last`; problems are the source's."""

    source: list[Entry]
    destination: list[Entry]
    problems: list[Problem]
    last: str


def match(source: list[Entry], destination: list[Entry]) -> tuple[list[Pair], list[Entry]]:
    """Every entry of the source with its counterpart, and the entries that only the destination has; both in order."""
    if [entry[0] for entry in source] == [entry[0] for entry in destination]:
        return list(zip(source, destination, strict=True)), []
    unmatched = {entry[0]: entry for entry in destination}
    take = unmatched.pop
    pairs: list[Pair] = [(entry, take(entry[0], None)) for entry in source]
    return pairs, list(unmatched.values())


async def aligned(
    source: Listing, destination: Listing, after: str = "", limit: int = SEGMENT_KEYS
) -> AsyncGenerator[Segment, None]:
    """Segments in key order, until both sides ended. after: the key behind which both listings start.

    While a segment is worked on, the next pages of both sides are on their way. Errors of the listings are raised as
    they are. Both listings are closed at the end, however it comes.
    """
    left, right = _Feed(source), _Feed(destination)
    last = after
    try:
        while True:
            await left.fill()
            await right.fill()
            horizons = [key for key in (left.horizon(limit), right.horizon(limit)) if key is not None]
            if not horizons:
                break
            last = min(horizons)
            yield Segment(left.take(last), right.take(last), left.take_problems(last), last)
        problems = left.take_problems(None)
        if problems:
            yield Segment([], [], problems, last)
    finally:
        try:
            await left.close()
        finally:
            await right.close()


class _Feed:
    """One side: the page that is being used up, and those behind it."""

    def __init__(self, pages: Listing) -> None:
        self._pages = pages
        self._entries: list[Entry] = []
        self._position = 0
        self._problems: list[Problem] = []
        self._ahead: asyncio.Queue[EntryPage | Exception | None] = asyncio.Queue(READ_AHEAD)
        self._ended = False
        self._reader = asyncio.create_task(self._read_ahead())

    async def _read_ahead(self) -> None:
        end: Exception | None = None
        try:
            async for page in self._pages:
                await self._ahead.put(page)
        except Exception as error:  # noqa: BLE001 - raised by fill() in its place, behind the pages that came before
            end = error
        await self._ahead.put(end)

    async def fill(self) -> None:
        """Wait until there is an entry to take, or the end. Raises what the listing raised."""
        while not self._ended and self._position >= len(self._entries):
            page = await self._ahead.get()
            if isinstance(page, Exception):
                raise page
            if page is None:
                self._ended = True
                return
            self._entries, self._position = page.entries, 0
            self._problems.extend(page.problems)

    def horizon(self, limit: int) -> str | None:
        """The key up to which this side is known, at most `limit` entries ahead; None at the end."""
        known = min(self._position + limit, len(self._entries))
        return self._entries[known - 1][0] if known > self._position else None

    def take(self, last: str) -> list[Entry]:
        """The entries up to and including that key."""
        start = self._position
        self._position = bisect_right(self._entries, last, lo=start, key=_KEY)
        return self._entries[start : self._position]

    def take_problems(self, last: str | None) -> list[Problem]:
        """The problems up to that key, all of them where the page is used up.

        Told too late, a problem could be lost in a restart behind it, and what it hides taken for gone; told too early,
        a restart could tell it twice, which is the lesser evil for names shown with escapes: those sort anywhere.
        """
        if not self._problems:
            return []
        if last is None or self._position >= len(self._entries):
            told, self._problems = self._problems, []
            return told
        told = [problem for problem in self._problems if problem.key <= last or "\\" in problem.key]
        self._problems = [problem for problem in self._problems if problem not in told]
        return told

    async def close(self) -> None:
        self._reader.cancel()
        try:
            await asyncio.wait([self._reader])
        finally:
            await self._pages.aclose()


_KEY: Final = itemgetter(0)
