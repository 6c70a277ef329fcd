"""A tree comes out in key order, whole, from any key on, whatever its names."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_daemon.files.encoding import encode_path
from headrace_daemon.files.names import RootLost, raw_name, temp_name
from headrace_daemon.files.root import Root
from headrace_daemon.files.walk import FileEntry, Manner, Problem, walk
from tests.support.descriptors import open_below

_COMPONENT = st.text(st.sampled_from("ab-./0!~ \n\x7fé\uffff\U00010000"), min_size=1, max_size=3).filter(
    lambda name: "/" not in name and name not in (".", "..")
)
_KEY = st.lists(_COMPONENT, min_size=1, max_size=4).map("/".join)


def _without_collisions(keys: list[str]) -> list[str]:
    """A name is either a file or a folder: the keys that come first win."""
    files: set[str] = set()
    folders: set[str] = set()
    for key in keys:
        parts = key.split("/")
        above = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if key not in folders and not above & files:
            files.add(key)
            folders |= above
    return sorted(files, key=str.encode)


@contextmanager
def _tree(keys: list[str]) -> Iterator[Root]:
    with tempfile.TemporaryDirectory() as path:
        for key in keys:
            target = os.path.join(path, key)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            Path(target).write_bytes(key.encode())
        root = Root.source(path)
        try:
            yield root
        finally:
            root.close()


def _keys(root: Root, after: str = "", *, spill: int = 100, page: int = 100) -> list[str]:
    return [entry.key for found in walk(root, after, spill=spill, page=page) for entry in found.entries]


@settings(deadline=None, max_examples=150)
@given(st.lists(_KEY, max_size=25).map(_without_collisions), st.lists(_KEY, max_size=3), st.sampled_from([2, 3, 100]))
def test_every_cut_goes_on_with_the_rest(keys: list[str], elsewhere: list[str], spill: int) -> None:
    with _tree(keys) as root:
        assert _keys(root, spill=spill, page=4) == keys
        for cut in [*keys, *elsewhere, *(key + "/" for key in elsewhere)]:
            rest = [key for key in keys if key.encode() > cut.encode()]
            assert _keys(root, cut, spill=spill, page=4) == rest, repr(cut)


def test_the_trap_of_directory_order() -> None:
    keys = ["test-123.txt", "test.txt", "test/foo.txt", "test0"]
    with _tree(keys) as root:
        assert _keys(root) == keys
        assert _keys(root, "test.txt") == keys[2:]
        assert _keys(root, "test/") == keys[2:]
        assert _keys(root, "test/foo.txt") == keys[3:]


def test_entries_carry_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    os.utime(tmp_path / "f", ns=(1, 1_700_000_000_123_456_789))
    assert [page.entries for page in walk(Root.source(str(tmp_path)))] == [
        [FileEntry("f", 5, 1_700_000_000_123_456_789)]
    ]


def test_pages_are_bounded_and_every_key_is_a_place_to_go_on(tmp_path: Path) -> None:
    for folder in range(3):
        (tmp_path / str(folder)).mkdir()
        for n in range(1100):
            (tmp_path / str(folder) / f"{n:04}").touch()
    root = Root.source(str(tmp_path))
    pages = list(walk(root))
    assert [len(page.entries) for page in pages] == [1000, 1000, 1000, 300]
    assert next(walk(root, pages[1].entries[-1].key)) == pages[2]


def test_going_on_does_not_read_what_lies_before(tmp_path: Path) -> None:
    """Looked at through the access time of a directory, which reading it sets."""
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f").touch()
        os.utime(tmp_path / folder, ns=(0, 1))  # older than its modification: relatime updates it
    assert _keys(Root.source(str(tmp_path)), "b/f") == ["c/f"]
    read = {folder: (tmp_path / folder).stat().st_atime_ns > 0 for folder in ("a", "b", "c")}
    if not read["c"]:
        pytest.skip("this file system keeps no access times")
    assert read == {"a": False, "b": True, "c": True}


def test_links_follow_the_policy_of_the_root(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "d" / "real").write_bytes(b"123")
    for name, target in {
        "good": "d/real",
        "through": "good",
        "up": "../out/secret",
        "absolute": str(inside / "d" / "real"),
        "folder": "d",
        "loop": "loop",
        "nowhere": "gone",
        "around": "../in/d/real",
    }.items():
        (inside / name).symlink_to(target)
    (inside / "d" / "parent").symlink_to("..")
    source = list(walk(Root.source(str(inside))))
    assert [(e.key, e.size) for page in source for e in page.entries] == [("d/real", 3), ("good", 3), ("through", 3)]
    reported = {problem.name: problem.error for page in source for problem in page.problems}
    assert reported == dict.fromkeys(["absolute", "around", "d/parent", "folder", "loop", "nowhere", "up"], "symlink")
    assert _keys(Root.destination(str(inside))) == ["d/real"]


def test_what_is_no_file_is_reported_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / temp_name(7, "a")).write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/b\xff\n", "w"):
        pass
    os.mkdir(os.fsencode(tmp_path) + b"/d\xfe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
    (tmp_path / "z").touch()
    (page,) = walk(Root.source(str(tmp_path)))
    assert [entry.key for entry in page.entries] == ["a", "z"]
    assert [(problem.name, problem.error) for problem in page.problems] == [
        ("b\\xff\\n", "bad_name"),
        ("d\\xfe/", "bad_name"),
        ("pipe", "special_file"),
        ("sock", "special_file"),
    ]
    (rest,) = walk(Root.source(str(tmp_path)), "a")
    assert rest.problems == page.problems
    assert not [problem for page in walk(Root.source(str(tmp_path)), "z") for problem in page.problems]


def test_a_root_that_vanishes_never_passes_for_a_smaller_tree(tmp_path: Path) -> None:
    root_path = tmp_path / "mount"
    root_path.mkdir()
    for n in range(10):
        (root_path / f"{n}").touch()
    root = Root.source(str(root_path))
    pages = walk(root, page=4)
    assert len(next(pages).entries) == 4
    root_path.rename(tmp_path / "elsewhere")
    root_path.mkdir()
    with pytest.raises(RootLost, match="another directory"):
        list(pages)
    with pytest.raises(RootLost):
        next(walk(root))


def test_a_deep_tree_takes_no_recursion_and_few_descriptors(tmp_path: Path) -> None:
    deep = "/".join("d" for _ in range(1500))
    root = Root.destination(str(tmp_path))
    try:
        root.make_folder(deep)
        os.close(root.open(f"{deep}/f", os.O_CREAT | os.O_WRONLY))
        before = open_below(tmp_path)
        assert _keys(root) == [f"{deep}/f"]
        assert open_below(tmp_path) - before < 300
    finally:
        root.close()
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own clean-up is recursive


# -- names that stand for others, links that are objects, empty folders ------------------------------------------------

_ODD = st.lists(
    st.sampled_from(["a", "b", "/", "/", ".", "..", "%x2F", "-", "\0", "%xE9", "\u00e9"]), min_size=1, max_size=7
)


@settings(deadline=None, max_examples=150)
@given(st.sets(_ODD.map("".join), max_size=20), st.sampled_from([2, 100]))
def test_encoded_names_come_out_in_the_order_of_their_keys(keys: set[str], spill: int) -> None:
    """From every key on, spilled or not; what stands in the way of others is left out."""
    with tempfile.TemporaryDirectory() as path:
        made = []
        for key in sorted(keys):
            target = os.fsencode(path) + b"/" + raw_name(encode_path(key))
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                Path(os.fsdecode(target)).write_bytes(b"")
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
            made.append(key)
        root = Root.source(path)
        try:
            for cut in ["", *made]:
                pages = list(walk(root, cut, manner=Manner(encoded=True), spill=spill, page=3))
                assert [problem for page in pages for problem in page.problems] == []
                assert [entry.key for page in pages for entry in page.entries] == [key for key in made if key > cut]
        finally:
            root.close()


def test_stored_links_are_entries_of_the_length_of_their_target(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, target in {"link": "folder", "nowhere": "x" * 40, "loop": "loop"}.items():
        (tmp_path / name).symlink_to(target)
    (page,) = walk(Root.source(str(tmp_path), links="store"))
    assert [(entry.key, entry.size) for entry in page.entries] == [("link", 6), ("loop", 4), ("nowhere", 40)]
    assert page.problems == []


def test_empty_folders_are_entries_on_demand(tmp_path: Path) -> None:
    for folder in ("a/empty", "a/full", "b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a" / "full" / "file").touch()
    (tmp_path / "a-").touch()
    root = Root.source(str(tmp_path))
    shown = Manner(empty_folders=True)
    found = [entry.key for page in walk(root, manner=shown) for entry in page.entries]
    assert found == ["a-", "a/empty/", "a/full/file", "b/"]
    for position, cut in enumerate(found):
        rest = [entry.key for page in walk(root, cut, manner=shown) for entry in page.entries]
        assert rest == found[position + 1 :]
    assert _keys(root) == ["a-", "a/full/file"]


def test_all_folders_come_before_what_lies_in_them(tmp_path: Path) -> None:
    for folder in ("a/empty", "a/full", "b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a" / "full" / "file").touch()
    (tmp_path / "a-").touch()
    (tmp_path / "link").symlink_to("b")
    os.utime(tmp_path / "a", ns=(1, 10**18 + 3))
    root = Root.source(str(tmp_path))
    shown = Manner(all_folders=True)
    entries = [entry for page in walk(root, manner=shown) for entry in page.entries]
    found = [entry.key for entry in entries]
    assert found == ["a-", "a/", "a/empty/", "a/full/", "a/full/file", "b/"]
    assert entries[1] == FileEntry("a/", 0, 10**18 + 3)
    for position, cut in enumerate(found):
        rest = [entry.key for page in walk(root, cut, manner=shown, page=2) for entry in page.entries]
        assert rest == found[position + 1 :]
    root.close()


def test_a_folder_with_an_encoded_name_is_one_entry(tmp_path: Path) -> None:
    """A file that stands for `dir/` has that key to itself, and a name that goes on in the next folder is one name."""
    long = "k" * 300
    for key in ("dir/", "dir/x", f"{long}/x", "up/../x"):
        target = tmp_path / encode_path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"content")
    root = Root.source(str(tmp_path))
    pages = list(walk(root, manner=Manner(encoded=True, all_folders=True)))
    found = [(entry.key, entry.size) for page in pages for entry in page.entries]
    assert found == [
        *(("dir/", 7), ("dir/x", 7), (f"{long}/", 0), (f"{long}/x", 7)),
        *(("up/", 0), ("up/../", 0), ("up/../x", 7)),
    ]
    assert [problem for page in pages for problem in page.problems] == []
    root.close()


def test_problem_is_a_plain_triple() -> None:
    name, error, message = Problem("a", "b", "c")
    assert (name, error, message) == ("a", "b", "c")
