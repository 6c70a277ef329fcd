"""A tree as a tar: what GNU tar unpacks is the tree, and any range of bytes can be had by itself."""

import os
import random
import socket
import subprocess
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from headrace_daemon.files.account import Account
from headrace_daemon.files.archive import OVERHEAD, Layout, fill
from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.names import AccessRefused, RootLost, SourceChanged
from headrace_daemon.files.root import Root
from headrace_daemon.files.tar import Member, MemberKind, header_size
from headrace_daemon.files.tree import Selected, walk_tree
from headrace_daemon.files.walk import Problem
from headrace_daemon.planner.filters import Filter
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.transfer.archive import NAMED, Unread
from headrace_daemon.transfer.parts import choose_part_size, part_count
from headrace_queue.jobs import Rule
from tests.support.archives import describe, make_odd_tree
from tests.support.require import require

ALL = Selected(lambda _: True, lambda _: True)


def lay_out(root: Root, top: str = "tree", selected: Selected = ALL, page: int = 3) -> tuple[Layout, list[Problem]]:
    """With small pages, so that a range begins in any block of the notes."""
    layout, problems = Layout(top, tempfile.TemporaryFile()), []  # noqa: SIM115 - the layout closes it
    for found in walk_tree(root, selected, page=page):
        layout.add(found.members)
        problems += found.problems
    return layout, problems


def whole(root: Root, layout: Layout) -> bytes:
    data = bytearray(b"\xff" * layout.size)
    fill(root, layout, 0, memoryview(data))
    return bytes(data)


def archive(path: Path, selected: Selected = ALL) -> bytes:
    root = Root.source(str(path), links="store")
    try:
        layout, problems = lay_out(root, path.name, selected)
        assert not problems
        data = whole(root, layout)
        layout.close()
        return data
    finally:
        root.close()


def names_in(data: bytes) -> list[str]:
    listed = subprocess.run([require("tar"), "-tf", "-"], input=data, capture_output=True, check=True).stdout
    return listed.decode().splitlines()


def selected_by(rules: list[tuple[bool, str]]) -> Selected:
    found = Filter([Rule(include, pattern) for include, pattern in rules])
    return Selected(found.decide, lambda folder: not found.hides_below(folder))


def stranger(path: Path) -> Account:
    """Somebody else than the owner of this folder, who lets them in."""
    path.chmod(0o755)
    return Account("stranger", 65533, 65533, ())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_odd_tree(tmp_path / "tree")


def test_gnu_tar_unpacks_the_tree(tree: Path, tmp_path: Path) -> None:
    data = archive(tree)
    target = tmp_path / "unpacked"
    target.mkdir()
    said = subprocess.run(
        [require("tar"), "-xpf", "-", "-C", target, "--numeric-owner"], input=data, capture_output=True, check=True
    )
    assert b"rror" not in said.stderr
    assert describe(target / "tree") == describe(tree)


def test_the_same_tree_gives_the_same_bytes(tree: Path) -> None:
    assert archive(tree) == archive(tree)


def test_any_range_is_that_of_the_whole(tree: Path) -> None:
    """Into buffers that were used before, as parts are."""
    root = Root.source(str(tree), links="store")
    layout, _ = lay_out(root)
    data, chance = whole(root, layout), random.Random(7)
    for _ in range(200):
        start = chance.randrange(layout.size)
        size = chance.randrange(1, layout.size - start + 1)
        buffer = bytearray(b"\xee" * size)
        fill(root, layout, start, memoryview(buffer))
        assert buffer == data[start : start + size], (start, size)
    layout.close()
    root.close()


def test_members_come_in_key_order_with_folders_before_what_they_hold(tmp_path: Path) -> None:
    for name in ("test/foo", "test.txt", "test-1", "a/b/c"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).touch()
    expected = ["", "a/", "a/b/", "a/b/c", "test-1", "test.txt", "test/", "test/foo"]
    assert names_in(archive(tmp_path / "top")) == [f"top/{name}" for name in expected]


def test_an_empty_folder_is_a_tar_of_one_record(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    data = archive(tmp_path / "none")
    assert (len(data), names_in(data)) == (10240, ["none/"])


@pytest.mark.parametrize("change", ["grows", "shrinks", "is_written", "goes", "becomes_a_link", "is_replaced"])
def test_a_file_that_changed_since_the_walk_is_no_part_of_it(tmp_path: Path, change: str) -> None:
    file = tmp_path / "top" / "d" / "file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"0123456789")
    root = Root.source(str(tmp_path / "top"), links="store")
    layout, _ = lay_out(root)
    before = file.stat()
    match change:
        case "grows":
            file.write_bytes(b"0123456789!")
        case "shrinks":
            file.write_bytes(b"012345678")
        case "is_written":
            file.write_bytes(b"9876543210")
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        case "goes":
            file.unlink()
        case "becomes_a_link":
            file.rename(file.with_name("other"))
            file.symlink_to("other")
        case "is_replaced":
            file.rename(file.with_name("other"))
            file.write_bytes(b"0123456789")
    with pytest.raises(SourceChanged, match="d/file: it "):
        whole(root, layout)
    again, _ = lay_out(root)
    assert again.fingerprint != layout.fingerprint
    for one in (layout, again):
        one.close()
    root.close()


def test_a_tree_that_is_gone_is_no_changed_file(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "file").write_bytes(b"x")
    root = Root.source(str(tmp_path / "top"), links="store")
    layout, _ = lay_out(root)
    (tmp_path / "top" / "file").unlink()
    (tmp_path / "top").rename(tmp_path / "elsewhere")
    with pytest.raises(RootLost):
        whole(root, layout)
    layout.close()
    root.close()


def test_what_has_no_content_and_what_cannot_be_read_are_problems_of_their_own(tmp_path: Path) -> None:
    """Seen with the rights of another account, which root does not override."""
    top = tmp_path / "top"
    for folder in ("open", "shut"):
        (top / folder).mkdir(parents=True)
        (top / folder / "file").write_bytes(b"x")
    (top / "open" / "secret").write_bytes(b"x")
    (top / "open" / "empty").touch(mode=0o000)  # nothing of it is missing
    os.mkfifo(top / "open" / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(top / "open" / "socket"))
    (top / "open" / "secret").chmod(0o600)
    (top / "shut").chmod(0o700)
    root = GuardedRoot(str(top), os.open(top, os.O_RDONLY), stranger(top), links="store")
    layout, problems = lay_out(root)
    assert [(problem.name, problem.error) for problem in problems] == [
        ("open/pipe", "special_file"),
        ("open/secret", "access_denied"),
        ("open/socket", "special_file"),
        ("shut/", "access_denied"),
    ]
    assert layout.members == 4  # the folder itself, open/, open/empty, open/file
    layout.close()
    root.close()


def test_the_refusal_names_what_cannot_be_read() -> None:
    unread = Unread()
    unread.refuse("top")  # nothing is amiss
    for number in range(NAMED + 5):
        unread.add(Problem(f"f{number}", "access_denied", "Permission denied (EACCES)"))
    with pytest.raises(AccessRefused, match=r"top: 25 of its files .* f0: Permission denied .* f19: .*; and 5 more"):
        unread.refuse("top")


def test_memory_does_not_grow_with_the_tree() -> None:
    """The notes are on the disk, and a range reads those that it needs."""

    def page(number: int) -> list[Member]:
        names = (f"folder{number:05}/{'name' * 20}{index:05}" for index in range(1000))
        return [Member(name, MemberKind.LINK, 0, index, 0o777, 0, 0, "x") for index, name in enumerate(names)]

    layout = Layout("top", tempfile.TemporaryFile())  # noqa: SIM115 - the layout closes it
    tracemalloc.start()
    try:
        for number in range(8):
            layout.add(page(number))
        place, first = next(layout.at(layout.size // 2))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert place <= layout.size // 2 < place + header_size("top", first)
    assert peak < OVERHEAD  # one page as it is made, written and read; all of them take 4 MB
    layout.close()


def test_a_tar_of_any_size_has_parts_enough() -> None:
    """At most 10,000, whatever part size was asked for."""
    layout = Layout("top")
    layout.add([Member("huge", MemberKind.FILE, 40 * 2**40, 0, 0o644, 0, 0)])
    part_size = choose_part_size(layout.size, 16 * 2**20, PROFILES["aws"])
    assert layout.size > 40 * 2**40
    assert 9_000 < part_count(layout.size, part_size) <= 10_000


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([(False, "*.tmp")], ["", "keep/", "keep/a.csv", "scratch/", "scratch/b.csv", "scratch/deep/"]),
        ([(False, "scratch/*")], ["", "keep/", "keep/a.csv", "keep/x.tmp"]),
        ([(False, "*"), (True, "*.csv")], ["", "keep/a.csv", "scratch/b.csv"]),
        ([(False, "scratch/*"), (True, "scratch/deep/*")], ["", "keep/", "keep/a.csv", "keep/x.tmp", "scratch/deep/"]),
    ],
)
def test_rules_are_those_of_a_sync(tmp_path: Path, rules: list[tuple[bool, str]], expected: list[str]) -> None:
    for name in ("keep/a.csv", "keep/x.tmp", "scratch/b.csv", "scratch/deep/y.tmp"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).touch()
    wanted = [f"top/{name}" for name in expected]
    if rules[-1] == (True, "scratch/deep/*"):
        wanted.append("top/scratch/deep/y.tmp")
    assert names_in(archive(tmp_path / "top", selected_by(rules))) == wanted


@pytest.mark.parametrize(
    ("rules", "hidden"),
    [
        ([(True, "*"), (False, "shut/*")], True),
        ([(False, "*"), (True, "open/*")], False),
        ([(False, "shut/*"), (True, "*.csv")], False),
        ([(False, "shut/")], False),
        ([(True, "shut/*")], False),
        ([], False),
    ],
)
def test_a_folder_that_nothing_is_wanted_of_is_not_looked_into(
    tmp_path: Path, rules: list[tuple[bool, str]], hidden: bool
) -> None:
    """So that somebody may leave out what they cannot read; but what may hide something that is wanted is told."""
    (tmp_path / "shut").mkdir(mode=0o700)
    root = GuardedRoot(str(tmp_path), os.open(tmp_path, os.O_RDONLY), stranger(tmp_path), links="store")
    layout, problems = lay_out(root, selected=selected_by(rules))
    assert [problem.name for problem in problems] == ([] if hidden else ["shut/"])
    layout.close()
    root.close()
