"""Lists of names: how they are read and kept, and the merge with a listing, against arithmetic of sets."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.entries import Entry, EntryPage, Lister, Listing, Problem
from headrace_daemon.planner.files_from import Absent, Names, only_named, part
from headrace_daemon.planner.listing import list_nothing
from headrace_daemon.planner.merge import Segment, aligned
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Options
from headrace_queue.name_list import Form, NameReader, drop_lists, fetched_path, keep, list_path
from headrace_queue.sqlite_rows import decode_options

LINES = Form("--files-from x", nul=False, paths=True)
NULS = LINES._replace(nul=True)
KEYS = LINES._replace(paths=False)

# -- reading -------------------------------------------------------------------------------------------------------

READ: list[tuple[Form, bytes, list[bytes]]] = [
    (LINES, b"a\nb\n", [b"a", b"b"]),
    (LINES, b"a\nb", [b"a", b"b"]),
    (LINES, b"\n\na\n\n", [b"a"]),
    (LINES, b"./a\n././b\n.//c\n.d\n../e\n./", [b"a", b"b", b"c", b".d", b"../e"]),
    (LINES, b"a b\n a\t\na\r\n", [b"a b", b" a\t", b"a\r"]),
    (LINES, b"#a\n;b\n", [b"#a", b";b"]),
    (NULS, b"a\nb\0c\0", [b"a\nb", b"c"]),
    (NULS, b"\0a", [b"a"]),
    (KEYS, b"./a\n/b\nc//d\n", [b"./a", b"/b", b"c//d"]),
    (KEYS, "é\n\U0001f409\n".encode(), ["é".encode(), "\U0001f409".encode()]),
]


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize(("form", "content", "names"), READ)
def test_what_is_read(form: Form, content: bytes, names: list[bytes], block: int) -> None:
    reader, found = NameReader(form), []
    for start in range(0, len(content), block):
        found += reader.feed(content[start : start + block])
    assert found + reader.end() == names


REFUSED: list[tuple[Form, bytes, str]] = [
    (LINES, b"", "names nothing"),
    (NULS, b"\0\0", "names nothing"),
    (LINES, b"a\0b\0", "NUL"),
    (LINES, b"a\n/b\n", "absolute"),
    (LINES, b"\xff", "not UTF-8"),
    (KEYS, b"\xed\xa0\x80\n", "not UTF-8"),
    (LINES, b"x" * 70_000, "longer"),
    (NULS, b"x" * 70_000 + b"\0", "longer"),
]


def read(form: Form, content: bytes) -> list[bytes]:
    reader = NameReader(form)
    return reader.feed(content) + reader.end()


@pytest.mark.parametrize(("form", "content", "why"), REFUSED)
def test_what_is_refused(form: Form, content: bytes, why: str) -> None:
    with pytest.raises(UsageError, match="--files-from") as refused:
        read(form, content)
    assert why in refused.value.why


@pytest.mark.parametrize(
    ("form", "content", "hint"),
    [(LINES, b"a\r\nb\r\n", True), (LINES, b"a\r\nb\n", False), (NULS, b"a\r\0", False), (LINES, b"\n", False)],
)
def test_a_list_from_windows_is_told(form: Form, content: bytes, hint: bool) -> None:
    reader = NameReader(form)
    reader.feed(content)
    assert reader.all_end_in_cr is hint


# -- keeping -------------------------------------------------------------------------------------------------------


def test_lists_go_when_no_job_names_them(tmp_path: Path) -> None:
    named, left, young = (keep(tmp_path, [name]) for name in (b"named", b"left", b"young"))
    fetched_path(tmp_path, 1).touch()
    fetched_path(tmp_path, 2).touch()
    for path in (tmp_path / "lists").iterdir():
        os.utime(path, (1000.0, 1000.0))
    os.utime(list_path(tmp_path, young), (9000.0, 9000.0))
    drop_lists(tmp_path, [1], iter([named, "weed://bucket/list"]), now=10_000.0)
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {named, young, "job-2"}
    assert not list_path(tmp_path, left).exists()


def test_a_list_that_is_kept_again_is_young_again(tmp_path: Path) -> None:
    digest = keep(tmp_path, [b"a"])
    os.utime(list_path(tmp_path, digest), (1000.0, 1000.0))
    assert keep(tmp_path, [b"a"]) == digest
    drop_lists(tmp_path, [], iter(()), now=10_000.0)
    assert list_path(tmp_path, digest).read_bytes() == b"a\0"
    assert len(list((tmp_path / "lists").iterdir())) == 1


def test_jobs_of_an_older_queue_have_no_list() -> None:
    assert decode_options("{}") == Options(files_from=None, files_from_nul=False)


# -- the merge -----------------------------------------------------------------------------------------------------

words = st.text(st.sampled_from(["a", "b", "/", "\\", "!", "é", "\U0001f409"]), min_size=1, max_size=4)


def names_file(folder: str, names: set[str]) -> Path:
    folder_path = Path(folder)
    return list_path(folder_path, keep(folder_path, sorted(name.encode() for name in names)))


def lister(keys: set[str], page: int, problems: Sequence[Problem] = ()) -> Lister:
    async def listing(after: str) -> Listing:
        rest = [Entry(key, len(key), 1) for key in sorted(keys) if key > after]
        for start in range(0, len(rest), page):
            yield EntryPage(rest[start : start + page], tuple(problems) if start == 0 else ())

    return listing


async def pages_of(listing: Listing) -> list[EntryPage]:
    return [page async for page in listing]


@given(st.sets(words), st.sets(words, min_size=1), st.integers(1, 4), st.one_of(st.just(""), words), st.booleans())
def test_the_merge_is_that_of_sets(there: set[str], named: set[str], page: int, after: str, tell: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = only_named(lister(there, page), names_file(folder, named), tell_absent=tell)
        found = [entry for part_of in asyncio.run(pages_of(listing(after))) for entry in part_of.entries]
    keys = [entry.key for entry in found]
    assert keys == sorted(key for key in (named if tell else named & there) if key > after)
    assert {entry.key for entry in found if isinstance(entry, Absent)} == {key for key in keys if key not in there}


@given(st.sets(words), st.sets(words), st.sets(words, min_size=1), st.integers(1, 3), st.integers(1, 3))
def test_a_restart_tells_each_absent_name_once(
    there: set[str], beyond: set[str], named: set[str], page: int, limit: int
) -> None:
    """Every segment is followed by a crash, and the next plan starts behind its last key."""
    with tempfile.TemporaryDirectory() as folder:
        path = names_file(folder, named)
        source = only_named(lister(there, page), path, tell_absent=True)
        destination = only_named(lister(beyond, page), path, tell_absent=False)

        async def first(after: str) -> Segment | None:
            both = aligned(source(after), destination(after), after, limit)
            try:
                return await anext(both, None)
            finally:
                await both.aclose()

        async def all_of_them() -> list[Segment]:
            segments: list[Segment] = []
            while (segment := await first(segments[-1].last if segments else "")) is not None:
                segments.append(segment)
            return segments

        segments = asyncio.run(all_of_them())
    told = [problem.key for segment in segments for problem in part(segment.source)[1]]
    assert told == sorted(named - there)
    assert [entry.key for segment in segments for entry in segment.destination] == sorted(named & beyond)


@given(st.sets(words, min_size=1), words)
def test_a_name_is_found_in_the_file(named: set[str], word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = Names(names_file(folder, named))
        try:
            assert list(names.after(word)) == sorted(name for name in named if name > word)
            assert names.has(word) == (word in named)
            assert names.has_below(word + "/") == any(name.startswith(word + "/") for name in named)
        finally:
            names.close()


def test_what_the_listing_tells_of_a_named_place_is_not_missing(tmp_path: Path) -> None:
    problems = [Problem(key, "access_denied", "") for key in ("closed/", "pipe", "elsewhere", "other/")]
    path = names_file(str(tmp_path), {"a", "closed/deep/x", "none", "pipe", "z"})
    listing = only_named(lister({"a", "z"}, 10, problems), path, tell_absent=True)
    (page,) = asyncio.run(pages_of(listing("")))
    assert [problem.key for problem in page.problems] == ["closed/", "pipe"]
    assert [entry.key for entry in page.entries] == ["a", "none", "z"]


def test_many_absent_names_come_in_pages(tmp_path: Path) -> None:
    path = names_file(str(tmp_path), {f"{number:05}" for number in range(2_500)})
    pages = asyncio.run(pages_of(only_named(list_nothing, path, tell_absent=True)("00000")))
    assert [len(page.entries) for page in pages] == [1000, 1000, 499]
