"""A listing that goes round in circles is noticed, however the circle looks; one that only repeats itself goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.page_turns import MAX_EMPTY, PageTurns
from headrace_daemon.s3.types import Listed, Page


def page(name: str, token: str | None) -> Page:
    return Page([Listed(name, 1, 0, "")] if name else [], token)


def turns_until_refused(before: int, circle: int, *, tokens: bool) -> int | None:
    """After how many pages; the pages of a circle repeat their tokens, or only what they hold."""
    turns = PageTurns("lake://b/p/")
    for number in range(20 * (before + circle) + 50):
        place = number if number < before else before + (number - before) % circle
        try:
            turns.turn(page("" if tokens else f"k{place}", f"t{place if tokens else number}"))
        except JobFailure:
            return number
    return None


@given(before=st.integers(0, 40), circle=st.integers(1, 40), tokens=st.booleans())
def test_every_circle_is_found(before: int, circle: int, tokens: bool) -> None:
    found = turns_until_refused(before, circle, tokens=tokens)
    assert found is not None
    assert found <= 10 * (before + circle) + 8


@given(st.integers(1, 300))
def test_pages_that_differ_are_no_circle(count: int) -> None:
    turns = PageTurns("lake://b/")
    for number in range(count):
        turns.turn(page(f"k{number}", f"t{number}" if number < count - 1 else None))


def test_a_page_that_comes_twice_is_no_circle() -> None:
    turns = PageTurns("lake://b/")
    for number, name in enumerate(["a", "b", "b", "c", "c", "d", "e", "e", "f"]):
        turns.turn(page(name, f"t{number}"))


def test_empty_pages_without_an_end_are_refused() -> None:
    turns = PageTurns("lake://b/")
    for number in range(MAX_EMPTY - 1):
        turns.turn(page("", f"t{number}"))
    with pytest.raises(JobFailure, match=r"lake://b/: .* goes in a circle: .* hold no object"):
        turns.turn(page("", "one more"))
