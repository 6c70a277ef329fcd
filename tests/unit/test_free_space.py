"""What fits onto a file system, and how it is said."""

import os
from pathlib import Path

import pytest

from headrace_daemon.files.names import DestinationFull
from headrace_daemon.files.room import Room, need_of
from headrace_queue.free_space import Free, Need, Reserve, fit_text, free_at, parse_reserve, shortage
from headrace_queue.jobs import Action, Item

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "need", "word"),
    [
        (Free(100, 1000, None), Need(90, 1), ""),
        (Free(100, 1000, None), Need(91, 1), "91 B are needed and 100 B are free, of which 10 B stay free"),
        (Free(5, 1000, None), Need(1, 1), "1 B are needed and 5 B are free, of which 5 B stay free"),
        (Free(5, 1000, None), Need(0, 5), ""),
        (Free(0, 0, None), Need(2**60, 1), ""),  # it does not tell
        (Free(100, 1000, 3), Need(1, 3), ""),
        (Free(100, 1000, 3), Need(1, 4), "4 files are needed and 3 inodes are free"),
        (Free(2**50, 2**50, None), Need(2**50 - Reserve().most, 1), ""),
        (Free(2**50, 2**50, None), Need(2**50 - Reserve().most + 1, 1), "of which 1.0 GiB stay free"),
    ],
)
def test_what_is_missing(free: Free, need: Need, word: str) -> None:
    missing = shortage(need, free, Reserve())
    assert word in missing
    assert bool(word) == bool(missing)


def test_the_line_of_a_dry_run() -> None:
    assert fit_text("/fsx", Need(1, 1), Free(2 * GIB, 2 * GIB, 7), Reserve()) == "/fsx: 2.0 GiB, 7 inodes free: fits"
    assert "does not fit (3.0 GiB are needed" in fit_text(
        "/fsx", Need(3 * GIB, 1), Free(2 * GIB, 2 * GIB, None), Reserve()
    )


def test_a_folder_that_is_not_there_yet_lies_on_the_file_system_above_it(tmp_path: Path) -> None:
    assert free_at(tmp_path / "a" / "b").total == free_at(tmp_path).total > 0


def test_a_batch_without_room_says_where_and_how_much(tmp_path: Path) -> None:
    items = [Item("a", 2**60, 0), Item("b", 2**60, 0), Item("old", 2**62, 0, action=Action.DELETE)]
    need = need_of(items)
    assert need == Need(2**61, 2)
    with tmp_path.joinpath("file").open("wb") as file, pytest.raises(DestinationFull) as caught:
        Room(Reserve()).check(file.fileno(), "/fsx/d", need)
    assert "/fsx/d: 2.0 EiB are needed and" in str(caught.value)
    assert "the job goes on by itself" in str(caught.value)


RESERVES: list[tuple[object, int, int]] = [
    ("1% up to 1GiB", 10 * GIB, GIB // 10),
    ("1% up to 1GiB", 2**50, GIB),
    ("5%", 100 * GIB, 5 * GIB),
    ("0.5 %", 1000, 5),
    ("20GiB", 2**50, 20 * GIB),
    ("20GiB", GIB, GIB),  # smaller than what shall stay free: nothing is written
    (123, 2**50, 123),
    ("0", 2**50, 0),
    (Reserve(), 1000, 10),
]


@pytest.mark.parametrize(("written", "total", "kept"), RESERVES)
def test_what_stays_free_is_a_share_or_a_size(written: object, total: int, kept: int) -> None:
    assert parse_reserve(written).of(total) == pytest.approx(kept, abs=1)


@pytest.mark.parametrize(
    "written", ["100%", "250%", "%", "-1%", "5% of it", "5% up to much", "10G", -1, 1.5, None, "a%"]
)
def test_what_is_no_reserve(written: object) -> None:
    with pytest.raises(ValueError, match=r"write|is 0 or more"):
        parse_reserve(written)


def test_large_files_under_way_do_not_count_on_the_same_room(tmp_path: Path) -> None:
    free = free_at(tmp_path)
    half = free.size * 2 // 3
    room = Room(Reserve(0, 0))
    with tmp_path.joinpath("one").open("wb") as one, tmp_path.joinpath("two").open("wb") as two:
        first = room.promise(one.fileno(), "one", half)
        with pytest.raises(DestinationFull, match="are for large objects under way; free some"):
            room.promise(two.fileno(), "two", half)
        with pytest.raises(DestinationFull, match="are for large objects under way"):
            room.check(two.fileno(), "small ones", Need(half, 1))
        first.written(half)
        room.promise(two.fileno(), "two", half).end()
        second = room.promise(two.fileno(), "two", half)
        second.end()
        second.end()
        first.end()
        room.promise(one.fileno(), "one", half).end()


def test_what_a_file_holds_already_takes_no_room_again(tmp_path: Path) -> None:
    with tmp_path.joinpath("file").open("wb") as file:
        file.write(os.urandom(2**20))
        file.flush()
        os.fsync(file.fileno())
        room = Room(Reserve(0, 0))
        assert room.promise(file.fileno(), "file", 2**20).left == 0
        assert room.promise(file.fileno(), "file", 3 * 2**20).left == pytest.approx(2 * 2**20, abs=2**16)
