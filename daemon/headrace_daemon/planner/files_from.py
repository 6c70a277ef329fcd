"""The list of `--files-from` beside a listing: what it does not name falls out, what only it has is told as missing."""

import asyncio
import mmap
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from headrace_daemon.files.names import shown
from headrace_daemon.planner.entries import Entry, EntryPage, Lister, Listing, Problem
from headrace_queue.name_list import MISSING

PAGE_NAMES: Final = 1_000

_MESSAGE: Final = (
    "it is in the list, and not at the source; a folder is no object, so that its files have to be listed one by one"
)


class Absent(Entry):
    """A name of the list that the source does not have, at its place in the order of keys, so that the cursor of the
    plan counts it exactly once. Its size and time mean nothing."""

    __slots__ = ()


class Names:
    """A list of names in a file: sorted by bytes, each once and followed by NUL. Memory: none; it is mapped."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, also FileNotFoundError."""
        with path.open("rb") as file:
            # a file without a byte cannot be mapped; no list is empty
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        self._map.close()

    def after(self, key: str) -> Iterator[str]:
        """The names behind a key, all of them behind ''."""
        raw = key.encode("utf-8", "surrogatepass")
        for name in self._from(raw):
            if name > raw:
                yield name.decode()

    def has(self, key: str) -> bool:
        """Whether it stands in the list."""
        raw = key.encode("utf-8", "surrogatepass")
        return next(self._from(raw), None) == raw

    def has_below(self, folder: str) -> bool:
        """Whether a name of the list lies below this folder, whose name ends in '/'."""
        raw = folder.encode("utf-8", "surrogatepass")
        first = next(self._from(raw), None)
        return first is not None and first.startswith(raw)

    def _from(self, key: bytes) -> Iterator[bytes]:
        """Every name that is not smaller, found by halving the file: names begin behind a NUL, and at its start."""
        data = self._map
        low, high = 0, len(data)
        while low < high:
            middle = (low + high) // 2
            start = data.rfind(b"\0", 0, middle) + 1
            end = data.find(b"\0", start)
            if data[start:end] < key:
                low = end + 1
            else:
                high = start
        while low < len(data):
            end = data.find(b"\0", low)
            yield data[low:end]
            low = end + 1


def only_named(listing: Lister, path: Path, *, tell_absent: bool) -> Lister:
    """The listing, of what the list in this file names. tell_absent: each name that it lacks comes as an Absent.

    Raises what the listing raises, and OSError where the list cannot be read.
    """
    return lambda after: _named(listing, path, after, tell_absent)


async def _named(listing: Lister, path: Path, after: str, tell_absent: bool) -> Listing:
    names = await asyncio.to_thread(Names, path)
    try:
        async with aclosing(listing(after)) as pages, aclosing(_chosen(pages, names, after, tell_absent)) as chosen:
            async for page in chosen:
                yield page
    finally:
        names.close()


async def _chosen(pages: Listing, names: Names, after: str, tell_absent: bool) -> AsyncGenerator[EntryPage, None]:
    walk = _Walk(names, after, tell_absent)
    async for page in pages:
        problems = walk.problems(page.problems)
        if not page.entries:
            if problems:
                yield EntryPage([], problems)
            continue
        for found in walk.up_to(page.entries):
            yield EntryPage(found, problems)
            problems = ()
        if problems:
            yield EntryPage([], problems)
    for found in walk.up_to([]):
        yield EntryPage(found)


class _Walk:
    """Goes through the list beside the entries of a listing."""

    def __init__(self, names: Names, after: str, tell_absent: bool) -> None:
        self._names = names
        self._left = names.after(after)
        self._next = next(self._left, None)
        self._tell_absent = tell_absent
        self._told: set[str] = set()

    def problems(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Those of a place that the list names, or below which it names something. Such a name is not missing too."""
        kept = tuple(problem for problem in problems if self._is_meant(problem.key))
        self._told.update(problem.key for problem in kept)
        return kept

    def _is_meant(self, place: str) -> bool:
        # a name that is shown with escapes may stand for any other: it is told rather than lost
        return "\\" in place or self._names.has(place) or self._names.has_below(place.removesuffix("/") + "/")

    def up_to(self, entries: list[Entry]) -> Iterator[list[Entry]]:
        """What these entries, which come next, and the list make together, in pages; all that is left for []."""
        found: list[Entry] = []
        for entry in self._joined(entries):
            found.append(entry)
            if len(found) >= PAGE_NAMES:
                yield found
                found = []
        if found:
            yield found

    def _joined(self, entries: list[Entry]) -> Iterator[Entry]:
        for entry in entries:
            yield from self._before(entry.key)
            if self._next == entry.key:
                yield entry
                self._next = next(self._left, None)
        if not entries:
            yield from self._before(None)

    def _before(self, key: str | None) -> Iterator[Entry]:
        """The names of the list before that key, None for all: the source passed them, and does not have them."""
        while self._next is not None and (key is None or self._next < key):
            name = self._next
            self._next = next(self._left, None)
            if self._tell_absent and not self._is_told(name):
                yield Absent(name, 0, 0)

    def _is_told(self, name: str) -> bool:
        """Whether the listing said why it is not there, of itself or of a folder above it."""
        return bool(self._told) and not self._told.isdisjoint(_places(shown(name)))


def _places(name: str) -> Iterator[str]:
    """The name itself, and each folder above it, with its slash."""
    yield name
    slash = name.find("/")
    while slash >= 0:
        yield name[: slash + 1]
        slash = name.find("/", slash + 1)


def part(entries: list[Entry]) -> tuple[list[Entry], list[Problem]]:
    """The entries that are there, and what is to be said of the absent ones."""
    there = [entry for entry in entries if not isinstance(entry, Absent)]
    return there, [Problem(entry.key, MISSING, _MESSAGE) for entry in entries if isinstance(entry, Absent)]
