"""Locations: what they mean, what they refuse, and that their text leads back to them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location, copy_locations, sync_locations

CWD = Path("/work dir")


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://b", Location("s3", "b", "")),
        ("s3://b/", Location("s3", "b", "")),
        ("s3://b/p", Location("s3", "b", "p")),
        ("snow-2://my.bucket/p/", Location("snow-2", "my.bucket", "p/")),
        ("s3://b//x//../y/./ z ?#%2F", Location("s3", "b", "/x//../y/./ z ?#%2F")),
        ("s3://b/e\u0301", Location("s3", "b", "e\u0301")),
        ("/a/b/", Location(path=Path("/a/b"))),
        ("//a/./b/../c", Location(path=Path("/a/c"))),
        ("d/e", Location(path=Path("/work dir/d/e"))),
        (".", Location(path=Path("/work dir"))),
        ("./s3://b", Location(path=Path("/work dir/s3:/b"))),
        ("/../x", Location(path=Path("/x"))),
    ],
)
def test_texts_are_understood(text: str, location: Location) -> None:
    assert Location.parse(text, CWD) == location


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3://",
        "s3:///key",
        "s3://-b/x",
        "s3://a..b/x",
        "s3://b c/x",
        "s3://" + "b" * 256,
        "https://b.s3.amazonaws.com/key",
        "file:///etc",
        "a+b://b/k",
        "s3://b/" + "é" * 513,
        "s3://b/\udcff",
        "/tmp/\udcff",
        "/tmp/a\0b",
        "~nobody-of-this-name/x",
    ],
)
def test_malformed_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Location.parse(text, CWD)
    assert caught.value.remedy


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert Location.parse("~/data").path == Path("/home/someone/data")


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert Location.parse("link/x", tmp_path).path == tmp_path / "link" / "x"
    assert Location.parse("link/../x", tmp_path).path == tmp_path / "x"


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone, back = tmp_path / "gone", Path.cwd()
    gone.mkdir()
    os.chdir(gone)
    try:
        gone.rmdir()
        with pytest.raises(UsageError, match="no longer exists"):
            Location.parse("x")
    finally:
        os.chdir(back)


keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60).filter(
    lambda key: len(key.encode()) <= 1024
)
paths = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), keys)
def test_an_object_comes_back_from_its_text(remote: str, key: str) -> None:
    if remote in ("http", "https", "file"):
        return
    location = Location(remote, "bucket", key)
    assert Location.parse(str(location)) == location


@given(paths)
def test_a_path_comes_back_from_its_text(text: str) -> None:
    location = Location.parse("./" + text, CWD)
    assert Location.parse(str(location), Path("/elsewhere")) == location


def test_a_prefix_of_a_sync_is_a_folder() -> None:
    assert sync_locations("s3://b/p", "/d/", CWD) == sync_locations("s3://b/p/", "/d", CWD)
    assert sync_locations("s3://b/p", "snow://c", CWD) == (Location("s3", "b", "p/"), Location("snow", "c", ""))


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("/a", "/b"),
        ("a", "b"),
        ("s3://b/p", "s3://b/p/"),
        ("s3://b", "s3://b/p"),
        ("s3://b/p/q", "s3://b/p"),
    ],
)
def test_a_sync_refuses_sides_that_cannot_go_together(source: str, destination: str) -> None:
    with pytest.raises(UsageError, match=r"overlap|both sides are paths"):
        sync_locations(source, destination, CWD)


def test_neighbours_may_be_synced() -> None:
    sync_locations("s3://b/p", "s3://b/p2", CWD)
    sync_locations("s3://b/p", "snow://b/p", CWD)


@pytest.mark.parametrize(
    ("source", "destination", "end"),
    [
        ("s3://b/a/x.txt", "s3://c/y", Location("s3", "c", "y")),
        ("s3://b/a/x.txt", "s3://c/y/", Location("s3", "c", "y/x.txt")),
        ("s3://b/a/x.txt", "s3://c", Location("s3", "c", "x.txt")),
        ("s3://b/a/x.txt", "/d/new/", Location(path=Path("/d/new/x.txt"))),
        ("s3://b/a/x.txt", "/d/new", Location(path=Path("/d/new"))),
        ("/a/x.txt", "s3://c/y//", Location("s3", "c", "y//x.txt")),
        ("s3://b/a/..", "s3://c/", Location("s3", "c", "..")),
    ],
)
def test_a_copy_names_exactly_one_object(source: str, destination: str, end: Location) -> None:
    assert copy_locations(source, destination, CWD)[1] == end


def test_a_copy_into_an_existing_folder_takes_the_name(tmp_path: Path) -> None:
    assert copy_locations("s3://b/a/x.txt", str(tmp_path), CWD)[1] == Location(path=tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("source", "destination", "why"),
    [
        ("s3://b/a/", "s3://c/", "exactly one object"),
        ("s3://b", "s3://c/", "exactly one object"),
        ("s3://b/x", "s3://b/x", "the same"),
        ("s3://b/p/x", "s3://b/p/", "the same"),
        ("s3://b/a/..", "/d/", "no file name"),
        ("/x", "/y", "both sides are paths"),
    ],
)
def test_a_copy_refuses_what_is_not_one_object(source: str, destination: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        copy_locations(source, destination, CWD)
