"""Which objects a sync deletes: set arithmetic as an oracle, and the limits that refuse."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.files.names import Blocked, NameRefused
from headrace_daemon.files.putting_aside import put_aside
from headrace_daemon.files.root import Root
from headrace_daemon.planner.compare import FILES, Route, Side
from headrace_daemon.planner.entries import Entry, EntryPage, Problem
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.extras import (
    Extras,
    Toll,
    outside,
    refuse_another_root,
    refuse_empty_source,
    refuse_too_many,
)
from headrace_daemon.planner.filters import Filter
from headrace_daemon.planner.merge import aligned, match
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.trash import check_trash, trash_below
from headrace_queue.advice import split_advice
from headrace_queue.jobs import JobSpec, Kind, Options, Rule
from tests.support.trees import read_tree, write_tree
from tests.unit.test_looking import Service, stored
from tests.unit.test_merge import CUTS, paged, stream

BUCKETS = Route(Side(files=False), Side(files=False))
UPLOAD = Route(FILES, Side(files=False))
KEYS = st.sets(st.text(st.sampled_from("ab/."), min_size=1, max_size=5), max_size=25)
PLACES = st.sets(st.sampled_from(["a", "b", "a/a", "b/.", "a.", "."]), max_size=2)


def entries(keys: set[str]) -> list[Entry]:
    return [Entry(key, 1, 0) for key in sorted(keys)]


@given(source=KEYS, destination=KEYS, hidden=PLACES, cuts=CUTS, limit=st.integers(1, 5), upload=st.booleans())
async def test_what_goes_is_the_difference_of_two_sets(
    source: set[str], destination: set[str], hidden: set[str], cuts: list[int], limit: int, upload: bool
) -> None:
    """Both sides in pages of any size, cut anywhere: what goes is what the destination has, less what the source has,
    what it hides, what is excluded, what lies in the trash, and for a tree the markers."""
    if upload:
        source = {key for key in source if not key.endswith("/")}
    rules = Filter((Rule(False, "*b"),))
    trash = "a."
    problems = tuple(Problem(place, "access_denied", "") for place in sorted(hidden))
    pages = [EntryPage([], problems), *paged(entries(source), cuts)]
    extras = Extras(UPLOAD if upload else BUCKETS)
    gone: list[str] = []
    left, right = stream(pages, [], "source"), stream(paged(entries(destination), cuts), [], "destination")
    async for segment in aligned(left, right, limit=limit):
        _, unmatched = match(
            outside(trash, rules.visible(segment.source)), outside(trash, rules.visible(segment.destination))
        )
        gone += [entry.key for entry in extras.gone(unmatched, segment.problems, segment.last)]

    def kept(key: str) -> bool:
        below = any(key == place or key.startswith(place + "/") for place in hidden)
        return below or key.endswith("b") or key.startswith(trash) or (upload and key.endswith("/"))

    assert gone == sorted(key for key in destination - source if not kept(key))


@pytest.mark.parametrize(
    ("toll", "objects", "percent", "refused"),
    [
        (Toll(1000, 0, 10_000), 1000, 50, False),
        (Toll(1001, 0, 10_000), 1000, 50, True),
        (Toll(50, 0, 100), 1000, 50, False),
        (Toll(51, 0, 100), 1000, 50, True),
        (Toll(2, 0, 3), None, 66, True),
        (Toll(2, 0, 3), None, 67, False),
        (Toll(2, 0, 3), 2, None, False),
        (Toll(3, 0, 3), None, None, False),
        (Toll(3, 0, 3), None, 100, False),
        (Toll(1, 0, 100), 0, None, True),
        (Toll(1, 0, 1000), None, 0, True),
        (Toll(0, 0, 0), 0, 0, False),
        (Toll(1, 9, 11), 10, 50, False),  # 10 of the 20 that were there at first
        (Toll(2, 9, 11), None, 50, True),
        (Toll(2, 9, 11), 10, None, True),
    ],
)
def test_how_many_may_go(toll: Toll, objects: int | None, percent: int | None, refused: bool) -> None:
    options = Options(delete=True, max_delete=objects, max_delete_percent=percent)
    if refused:
        with pytest.raises(JobFailure, match="--max-delete allows") as failure:
            refuse_too_many(toll, options)
        assert f"--max-delete {toll.extra + toll.deleted}" in split_advice(str(failure.value))[1]
    else:
        refuse_too_many(toll, options)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(JobFailure) as empty:
        refuse_empty_source("s3://b/p/", 0, 3)
    assert "--allow-empty-source" in split_advice(str(empty.value))[1]
    refuse_empty_source("s3://b/p/", 1, 3)
    refuse_empty_source("s3://b/p/", 0, 0)
    with pytest.raises(JobFailure, match="another directory") as root:
        refuse_another_root("source", "/fsx", "1:2", "3:2")
    assert "start the job anew" in split_advice(str(root.value))[1]
    refuse_another_root("source", "/fsx", "1:2", "1:2")


# -- the trash -----------------------------------------------------------------------------------------------------


def job_to(destination: str, trash: str | None) -> JobSpec:
    return JobSpec(Kind.SYNC, "src://b/", destination, Options(delete=True, trash=trash))


@pytest.mark.parametrize(
    ("destination", "trash", "below"),
    [
        ("s3://b/p/", "s3://b/p/old/", "old/"),
        ("s3://b/", "s3://b/old/new/", "old/new/"),
        ("s3://b/p/", "s3://b/old/", ""),
        ("s3://b/p/", None, ""),
        ("/fsx/data", "/fsx/data/.trash", ".trash/"),
        ("/fsx/data", "/fsx/data-trash", ""),
    ],
)
def test_the_trash_seen_from_the_destination(destination: str, trash: str | None, below: str) -> None:
    assert trash_below(job_to(destination, trash)) == below


def test_a_trash_below_under_another_name_is_known(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    assert trash_below(job_to(str(tmp_path / "link"), str(tmp_path / "data" / "old"))) == "old/"
    assert trash_below(job_to(str(tmp_path / "data"), str(tmp_path / "link" / "old"))) == "old/"


def test_a_service_that_cannot_copy_has_no_trash() -> None:
    """Raised before the first object is sent."""
    snow = Service(stored(), profile=PROFILES["snowball"]).end()
    with pytest.raises(JobFailure, match="copies nothing by itself"):
        check_trash(job_to("snow://b/", "snow://b/old/"), snow)
    check_trash(job_to("snow://b/", None), snow)
    check_trash(job_to("s3://b/", "s3://b/old/"), Service(stored()).end())


# -- moving files aside --------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "tree").mkdir()
    root = Root.destination(str(tmp_path / "tree"))
    yield root
    root.close()


def test_files_are_put_aside_and_nothing_is_replaced(tree: Root, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a": b"3", "d/b": b"4", "d/e/c": b"5"})
    write_tree(tmp_path / "trash", {"a": b"1", "a.~1~": b"2", "d/b/file": b"1", "d/e": b"1"})
    (tmp_path / "tree" / "empty").mkdir()
    keys = ["a", "d/b", "d/e/c", "gone", "gone/too", "empty/"]
    places = put_aside(tree, keys, str(tmp_path / "trash"))
    assert places == ["a.~2~", "d/b.~1~", "d.~1~/e.~1~/c.~1~", "", "", ""]
    assert read_tree(tmp_path / "trash") == {
        "a": b"1",
        "a.~1~": b"2",
        "d/b/file": b"1",
        "d/e": b"1",
        "a.~2~": b"3",
        "d/b.~1~": b"4",
        "d.~1~/e.~1~/c.~1~": b"5",
    }
    assert read_tree(tmp_path / "tree") == {}
    assert not (tmp_path / "tree" / "empty").exists()


def test_a_file_that_cannot_be_moved_stays(tree: Root, tmp_path: Path) -> None:
    name = "n" * 255
    write_tree(tmp_path / "tree", {name: b"new", "link/x": b"x"})
    write_tree(tmp_path / "trash", {name: b"old"})
    (tmp_path / "tree" / "away").symlink_to("link")
    long, linked = put_aside(tree, [name, "away/x"], str(tmp_path / "trash"))
    assert isinstance(long, NameRefused)
    assert isinstance(linked, Blocked)  # no link is followed on the way
    assert read_tree(tmp_path / "tree") == {name: b"new", "link/x": b"x"}
    assert read_tree(tmp_path / "trash") == {name: b"old"}
