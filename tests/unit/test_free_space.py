"""What fits onto a file system, and how it is said."""

from pathlib import Path

import pytest

from headrace_daemon.files.names import DestinationFull
from headrace_daemon.files.room import check_room, need_of
from headrace_queue.free_space import RESERVE_BYTES, Free, Need, fit_text, free_at, shortage
from headrace_queue.jobs import Action, Item

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "need", "word"),
    [
        (Free(100, 1000, None), Need(90, 1), ""),
        (Free(100, 1000, None), Need(91, 1), "91 B are needed and 100 B are free, of which 10 B stay free"),
        (Free(5, 1000, None), Need(1, 1), "1 B are needed and 5 B are free, of which 5 B stay free"),
        (Free(5, 1000, None), Need(0, 5), ""),
        (Free(100, 1000, 3), Need(1, 3), ""),
        (Free(100, 1000, 3), Need(1, 4), "4 files are needed and 3 inodes are free"),
        (Free(2**50, 2**50, None), Need(2**50 - RESERVE_BYTES, 1), ""),
        (Free(2**50, 2**50, None), Need(2**50 - RESERVE_BYTES + 1, 1), "of which 1.0 GiB stay free"),
    ],
)
def test_what_is_missing(free: Free, need: Need, word: str) -> None:
    missing = shortage(need, free)
    assert word in missing
    assert bool(word) == bool(missing)


def test_the_line_of_a_dry_run() -> None:
    assert fit_text("/fsx", Need(1, 1), Free(2 * GIB, 2 * GIB, 7)) == "/fsx: 2.0 GiB, 7 inodes free: fits"
    assert "does not fit (3.0 GiB are needed" in fit_text("/fsx", Need(3 * GIB, 1), Free(2 * GIB, 2 * GIB, None))


def test_a_folder_that_is_not_there_yet_lies_on_the_file_system_above_it(tmp_path: Path) -> None:
    assert free_at(tmp_path / "a" / "b").total == free_at(tmp_path).total > 0


def test_a_batch_without_room_says_where_and_how_much(tmp_path: Path) -> None:
    items = [Item("a", 2**60, 0), Item("b", 2**60, 0), Item("old", 2**62, 0, action=Action.DELETE)]
    need = need_of(items)
    assert need == Need(2**61, 2)
    with tmp_path.joinpath("file").open("wb") as file, pytest.raises(DestinationFull) as caught:
        check_room(file.fileno(), "/fsx/d", need)
    assert "/fsx/d: 2.0 EiB are needed and" in str(caught.value)
    assert "the job goes on by itself" in str(caught.value)
