"""Two page streams side by side."""

from bisect import bisect_left
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.entries import Entry, EntryPage, Listing, Problem
from headrace_daemon.planner.merge import aligned, match

KEYS = st.lists(st.text(st.sampled_from("ab/-.é"), min_size=1, max_size=4), unique=True, max_size=30).map(sorted)
CUTS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def paged(entries: list[Entry], cuts: list[int]) -> list[EntryPage]:
    """The entries in pages of the given sizes, over and over; an empty page now and then."""
    pages: list[EntryPage] = []
    start = 0
    while start < len(entries):
        size = cuts[len(pages) % len(cuts)]
        pages.append(EntryPage(entries[start : start + size]))
        if size == 7:
            pages.append(EntryPage([]))
        start += size
    return pages


async def stream(pages: Sequence[EntryPage | Exception], closed: list[str], name: str) -> Listing:
    try:
        for page in pages:
            if isinstance(page, Exception):
                raise page
            yield page
    finally:
        closed.append(name)


@given(left=KEYS, right=KEYS, left_cuts=CUTS, right_cuts=CUTS, limit=st.integers(1, 9))
async def test_segments_hold_everything_once_and_together(
    left: list[str], right: list[str], left_cuts: list[int], right_cuts: list[int], limit: int
) -> None:
    source, destination = [Entry(key, 1, 0) for key in left], [Entry(key, 2, 0) for key in right]
    closed: list[str] = []
    merged = aligned(
        stream(paged(source, left_cuts), closed, "source"),
        stream(paged(destination, right_cuts), closed, "destination"),
        limit=limit,
    )
    segments = [segment async for segment in merged]
    assert [entry for segment in segments for entry in segment.source] == source
    assert [entry for segment in segments for entry in segment.destination] == destination
    lasts = [segment.last for segment in segments]
    assert lasts == sorted(set(lasts))
    for segment in segments:
        assert 0 < len(segment.source) + len(segment.destination) <= 2 * limit
        place = bisect_left(lasts, segment.last)
        for entry in segment.source + segment.destination:
            assert (lasts[place - 1] if place else "") < entry.key <= segment.last
    assert sorted(closed) == ["destination", "source"]


@given(left=KEYS, right=KEYS)
def test_match_joins_by_key(left: list[str], right: list[str]) -> None:
    source, destination = [Entry(key, 1, 0) for key in left], [Entry(key, 2, 0) for key in right]
    pairs, unmatched = match(source, destination)
    assert [entry for entry, _ in pairs] == source
    for entry, other in pairs:
        assert other == (Entry(entry.key, 2, 0) if entry.key in right else None)
    assert unmatched == [entry for entry in destination if entry.key not in left]


@pytest.mark.parametrize("side", ["source", "destination"])
async def test_an_error_of_one_side_is_raised_and_both_are_closed(side: str) -> None:
    closed: list[str] = []
    good: list[EntryPage | Exception] = [EntryPage([Entry("a", 1, 0)]), EntryPage([Entry("b", 1, 0)])]
    bad: list[EntryPage | Exception] = [EntryPage([Entry("a", 1, 0)]), OSError("gone")]
    segments = aligned(
        stream(bad if side == "source" else good, closed, "source"),
        stream(bad if side == "destination" else good, closed, "destination"),
    )
    assert (await anext(segments)).last == "a"
    with pytest.raises(OSError, match="gone"):
        await anext(segments)
    assert sorted(closed) == ["destination", "source"]


async def test_leaving_early_closes_both() -> None:
    closed: list[str] = []
    pages = [EntryPage([Entry(str(index), 1, 0)]) for index in range(9)]
    segments = aligned(stream(pages, closed, "source"), stream(pages, closed, "destination"))
    assert (await anext(segments)).last == "0"
    await segments.aclose()
    assert sorted(closed) == ["destination", "source"]


async def test_problems_come_in_their_place() -> None:
    """Not before what lies ahead of them is known, not behind what they hide, and the last ones at the end."""
    closed: list[str] = []
    met = (
        Problem("a!", "special_file", ""),
        Problem("b/", "access_denied", ""),
        Problem("d", "symlink", ""),
        Problem("q\\xa0", "bad_name", ""),
    )
    source = [EntryPage([Entry("a", 1, 0), Entry("c", 1, 0)], met), EntryPage([], (Problem("z/", "io_error", ""),))]
    destination = [EntryPage([Entry("a", 1, 0)]), EntryPage([Entry("b/x", 1, 0)]), EntryPage([Entry("b0", 1, 0)])]
    segments = aligned(stream(source, closed, "source"), stream(destination, closed, "destination"))
    told = [(segment.last, [problem.key for problem in segment.problems]) async for segment in segments]
    assert told == [("a", ["q\\xa0"]), ("b/x", ["a!", "b/"]), ("b0", []), ("c", ["d"]), ("c", ["z/"])]
