"""Two spellings of one name: the rule, and what a folder of real files is asked. Mounted disks: tests/acceptance."""

import os
import threading
from pathlib import Path

import pytest

from headrace_daemon.files import folding
from headrace_daemon.files.folding import FoldedGroup, Folding, Names, caseless, listed_as, tried
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.names import AlreadyThere, Blocked, is_temp_name, trial_name
from headrace_daemon.files.root import Root

ALIKE = [
    ("Data.nc", "data.NC"),
    ("caf\u00e9", "cafe\u0301"),
    ("CAF\u00c9", "cafe\u0301"),
    ("stra\u00dfe", "STRASSE"),
    ("\u212aelvin", "kelvin"),  # the sign of the unit, and the letter
    ("\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3"),  # both forms of sigma
]
APART = [("data.nc", "data-nc"), ("a", "\u00e1"), ("x.", "x"), ("\u0131", "i")]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_may_be_one(one: str, other: str) -> None:
    assert one != other
    assert caseless(one) == caseless(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_names_that_are_two(one: str, other: str) -> None:
    assert caseless(one) != caseless(other)


def test_an_ordinary_file_system_keeps_names_apart_and_the_trial_leaves_nothing(tmp_path: Path) -> None:
    root = Root.destination(str(tmp_path))
    name = trial_name(7, bytes(16))
    assert is_temp_name(name)
    assert tried(root, name) is Names.APART
    assert list(tmp_path.iterdir()) == []
    (tmp_path / name).mkdir()
    assert tried(root, name) is None, "it is not known where the trial cannot be made"
    root.close()


def test_how_names_are_listed(tmp_path: Path) -> None:
    """A hard link stands in for what a folding file system does: another name that leads to the same inode."""
    (tmp_path / "Data").write_bytes(b"1")
    (tmp_path / "plain").write_bytes(b"2")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert listed_as(fd, [b"Data", b"plain", b"none"]) == {b"Data": b"Data", b"plain": b"plain"}
        assert listed_as(fd, [b"none"]) == {}
    finally:
        os.close(fd)


def folder_of(tree: dict[str, bytes], path: Path) -> int:
    for name, content in tree.items():
        (path / name).write_bytes(content)
    return os.open(path, os.O_RDONLY)


def test_a_disk_of_which_nothing_is_known_is_treated_with_care_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No permission to try, for instance. It keeps names apart in fact: all of them arrive."""
    monkeypatch.setattr(folding, "tried", lambda root, name: None)
    root = Root.destination(str(tmp_path))
    landing = Landing(root, 7)
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "old").write_bytes(b"old")
    keys = ["Sub/old", "Sub/new", "Sub/NEW", "sub/new", "a/b/c", "A/b/c"]
    results = [landing.write_whole(key, key.encode(), None) for key in keys]
    assert landing.settle(results) == [None] * len(keys)
    assert {key: (tmp_path / key).read_bytes() for key in keys} == {key: key.encode() for key in keys}
    (error,) = landing.settle([landing.write_whole("Sub/new", b"x", None, no_clobber=True)])
    assert isinstance(error, AlreadyThere)
    landing.close()
    root.close()


def test_who_is_quicker_has_the_name(tmp_path: Path) -> None:
    """The group looked before the other came; of the same spelling, the later content wins as it always does."""
    fd = folder_of({"temp": b"later"}, tmp_path)
    group = FoldedGroup(fd, "", [b"name"], Names.FOLDED, threading.Lock())
    (tmp_path / "name").write_bytes(b"earlier")
    group.rename("name", b"temp", b"name", no_clobber=False)
    os.close(fd)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"name": b"later"}


def test_another_spelling_stops_a_name_and_both_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = folder_of({"temp": b"new", "Data": b"old"}, tmp_path)
    monkeypatch.setattr(folding, "listed_as", lambda fd, names: {b"data": b"Data"})
    group = FoldedGroup(fd, "sub", [b"data"], Names.FOLDED, threading.Lock())
    with pytest.raises(
        Blocked, match=r"^sub/data: sub/Data is there, and this file system takes the two names for one$"
    ):
        group.rename("sub/data", b"temp", b"data", no_clobber=False)
    os.close(fd)
    assert (tmp_path / "Data").read_bytes() == b"old"


def test_folders_are_remembered_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "tried", lambda root, name: Names.FOLDED)
    monkeypatch.setattr(folding, "_KNOWN_FOLDERS", 3)
    root = Root.destination(str(tmp_path))
    asked = Folding(root, 7)
    for number in range(10):
        asked.check_folder("key", f"top/{number}")
    assert len(asked._folders) <= 3
    assert len(list((tmp_path / "top").iterdir())) == 10
    root.close()
