"""Names that changed are looked at one by one, and what is gone by now means nothing."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace_daemon.changed import _look_at_files, _page
from headrace_daemon.files.root import Root
from headrace_daemon.files.walk import Manner, look_at, walk
from headrace_daemon.planner.entries import EntryPage

NAMES = ["a", "folder", "folder/b", "gone", "gone/c", "a/below-a-file", "link", "out", "socket", "x%x2E"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "folder" / "b").write_bytes(b"22")
    (tmp_path / "x%x2E").write_bytes(b"333")
    (tmp_path / "link").symlink_to("folder/b")
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "socket")
    with closing(Root.source(str(tmp_path))) as opened:
        yield opened


def looked_at(root: Root, *, encoded: bool = False) -> EntryPage:
    return _page(_look_at_files(root, NAMES, Manner(encoded=encoded)))


def test_what_is_there_is_told_as_a_walk_tells_it(root: Root) -> None:
    page = looked_at(root)
    (walked,) = walk(root)
    assert [(entry.key, entry.size, entry.mtime_ns) for entry in page.entries] == [
        (entry.key, entry.size, entry.mtime_ns) for entry in walked.entries
    ]
    assert [entry.key for entry in page.entries] == ["a", "folder/b", "link", "x%x2E"]


def test_what_is_no_file_any_more_is_no_problem_and_what_cannot_be_sent_is_one(root: Root) -> None:
    assert [(problem.key, problem.error) for problem in looked_at(root).problems] == [("out", "symlink")]


def test_encoded_names_are_keys(root: Root, tmp_path: Path) -> None:
    (tmp_path / "b" / "%x2Fc").parent.mkdir()
    (tmp_path / "b" / "%x2Fc").write_bytes(b"4444")
    page = look_at(root, ["b//c", "folder/b"], Manner(encoded=True))
    assert [(entry.key, entry.size) for entry in page.entries] == [("b//c", 4), ("folder/b", 2)]
