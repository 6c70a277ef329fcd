"""Files that were written a moment ago: a write in the same step of a file system's clock leaves no trace in its times.

The clock here is a number: waiting moves it on, and lets somebody write meanwhile. The files are real; their times are
those that a file system with steps of that clock would give them.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from headrace_daemon.files.archive import Layout, fill
from headrace_daemon.files.names import FileError, SourceChanged
from headrace_daemon.files.racy import Clock, racy
from headrace_daemon.files.reading import OpenSource, ReadFile, read_many, read_whole
from headrace_daemon.files.root import Root
from headrace_daemon.files.tree import Selected, walk_tree

SECOND: Final = 10**9
MS: Final = 10**6
NOW: Final = 1_700_000_000 * SECOND + 300 * MS
LIMIT: Final = 1 << 20
OLD, NEW = b"old" * 1000, b"new" * 1000
STEPS: Final = [pytest.param(4 * MS, id="ticks of 4 ms"), pytest.param(SECOND, id="whole seconds")]
READERS: Final = ["whole", "group", "open"]


def with_times(status: os.stat_result, mtime: int, ctime: int) -> os.stat_result:
    others = {name: getattr(status, name) for name in ("st_blocks", "st_blksize", "st_rdev", "st_atime_ns")}
    return os.stat_result(tuple(status), {**others, "st_mtime_ns": mtime, "st_ctime_ns": ctime})


class Disk:
    """A folder on a file system whose times go in steps. waits: the seconds that were waited for, one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.step = 4 * MS
        self.ahead = 0  # of our clock
        self.waits: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None  # as a wait begins
        self.afterwards: Callable[[], None] = lambda: None  # as it ends
        self.clock = Clock(lambda: self.now, self._wait)
        self._times: dict[int, tuple[int, int]] = {}
        self._fstat: Final = os.fstat

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.meanwhile()
        self.now += round(seconds * SECOND)
        self.afterwards()

    def write(self, name: str, data: bytes, *, mtime: int | None = None) -> None:
        """In place, and stamped with the step that it is now. mtime: set by hand afterwards."""
        path, stamp = self.folder / name, (self.now + self.ahead) // self.step * self.step
        with open(path, "r+b" if path.exists() else "xb") as file:
            file.write(data)
        self._times[path.stat().st_ino] = (stamp if mtime is None else mtime, stamp)

    def fstat(self, fd: int) -> os.stat_result:
        status = self._fstat(fd)
        times = self._times.get(status.st_ino)
        return status if times is None else with_times(status, *times)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    monkeypatch.setattr(os, "fstat", disk.fstat)
    return disk


@pytest.fixture
def root(disk: Disk) -> Iterator[Root]:
    with closing(Root.source(str(disk.folder))) as root:
        yield root


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest, disk: Disk, root: Root) -> Callable[..., bytes]:
    """read(name, expected_size=…), in each of the ways in which a file is read."""

    def read(name: str, size: int | None = None) -> bytes:
        if request.param == "whole":
            return read_whole(root, name, size, LIMIT, clock=disk.clock).data
        if request.param == "group":
            (found,) = read_many(root, [(name, size)], LIMIT, clock=disk.clock)
            if isinstance(found, FileError):
                raise found
            return found.data
        with closing(OpenSource(root, name, size, clock=disk.clock)) as source:
            data = source.read_at(0, source.size)
            source.check()
            return data

    return read


# -- the rule ---------------------------------------------------------------------------------------------------------

HOUR: Final = 3600 * SECOND


@pytest.mark.parametrize(
    ("mtime", "ctime", "seconds"),
    [
        pytest.param(NOW - HOUR, NOW - HOUR, 0, id="old"),
        pytest.param(NOW - 20 * MS, NOW - 20 * MS, 0, id="just over"),
        pytest.param(NOW - 5 * MS, NOW - 5 * MS, 0.015, id="a moment ago"),
        pytest.param(NOW - HOUR, NOW - 5 * MS, 0.015, id="an old time, set a moment ago"),
        pytest.param(NOW - 5 * MS, NOW - HOUR, 0.015, id="where ctime is not kept"),
        pytest.param(NOW, NOW, 0.02, id="now"),
        pytest.param(NOW - 300 * MS, NOW - 300 * MS, 0.72, id="a moment ago in whole seconds"),
        pytest.param(NOW - 1300 * MS, NOW - 1300 * MS, 0, id="just over in whole seconds"),
        pytest.param(1 * SECOND, NOW - 30 * MS, 0, id="whole seconds, set by hand"),
        pytest.param(NOW + 2 * SECOND, NOW + 2 * SECOND, 0.02, id="another clock, ahead"),
        pytest.param(NOW + 1700 * MS, NOW + 1700 * MS, 1.02, id="another clock, ahead, in whole seconds"),
        pytest.param(NOW + HOUR, NOW - HOUR, 0, id="the future, set long ago"),
        pytest.param(NOW + HOUR, NOW - 5 * MS, 0.015, id="the future, set a moment ago"),
        pytest.param(NOW + HOUR, NOW + HOUR, 0, id="a clock that says nothing"),
    ],
)
def test_how_long_until_a_write_would_show(mtime: int, ctime: int, seconds: float) -> None:
    status = with_times(os.stat(__file__), mtime, ctime)
    assert racy(status, NOW) == pytest.approx(seconds, abs=1e-9)


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_what_is_written_in_the_same_step_is_waited_for_and_read(
    disk: Disk, read: Callable[..., bytes], step: int
) -> None:
    disk.step = step
    disk.write("f", OLD)
    disk.meanwhile = lambda: disk.write("f", NEW)  # no time of the file tells
    assert read("f", len(OLD)) == NEW
    assert len(disk.waits) == 1
    assert 0 < disk.waits[0] <= 1.02
    assert read("f") == NEW
    assert len(disk.waits) == 1, "it is old by now"


@pytest.mark.parametrize("step", STEPS)
def test_a_write_after_the_wait_shows(
    disk: Disk, read: Callable[..., bytes], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.step = step
    disk.write("f", OLD)
    pread, torn = os.pread, [True]

    def half_then_rewritten(fd: int, size: int, offset: int) -> bytes:
        if not torn:
            return pread(fd, size, offset)
        torn.pop()
        first = pread(fd, size // 2, offset)
        disk.write("f", NEW)
        return first

    monkeypatch.setattr(os, "pread", half_then_rewritten)
    with pytest.raises(SourceChanged, match="while it was read"):
        read("f")
    assert not torn


@pytest.mark.parametrize("step", STEPS)
def test_one_that_is_written_without_pause_is_told_after_one_wait(
    disk: Disk, read: Callable[..., bytes], step: int
) -> None:
    disk.step = step
    disk.write("f", OLD)
    disk.afterwards = lambda: disk.write("f", NEW)
    with pytest.raises(SourceChanged, match="it is being written"):
        read("f")
    assert len(disk.waits) == 1


def test_one_that_was_written_early_in_the_wait_is_read_as_it_is_then(disk: Disk, read: Callable[..., bytes]) -> None:
    """The comparison after reading is with what it was after the wait."""
    disk.write("f", OLD)

    def long_ago() -> None:
        disk.now += 10 * MS
        disk.write("f", NEW)
        disk.now += 30 * MS  # a sleep may take longer than it was asked for

    disk.meanwhile = long_ago
    assert read("f") == NEW


def test_one_that_has_another_size_after_the_wait_is_told(disk: Disk, read: Callable[..., bytes]) -> None:
    disk.write("f", OLD)
    disk.meanwhile = lambda: disk.write("f", NEW + b"more")
    with pytest.raises(SourceChanged, match="3004 bytes now, 3000 when it was listed"):
        read("f", len(OLD))


def test_old_files_are_not_waited_for(disk: Disk, read: Callable[..., bytes]) -> None:
    disk.write("f", OLD)
    disk.now += SECOND
    assert read("f") == OLD
    assert disk.waits == []


def test_a_time_in_the_far_future_holds_nothing_up(disk: Disk, read: Callable[..., bytes]) -> None:
    disk.write("f", OLD, mtime=2_208_988_800 * SECOND)  # touch -d 2040
    disk.now += 30 * MS
    assert read("f") == OLD
    disk.now -= 10 * HOUR  # and so is its ctime
    assert read("f") == OLD
    assert disk.waits == []


@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_ahead_costs_one_wait(disk: Disk, read: Callable[..., bytes], step: int) -> None:
    disk.step, disk.ahead = step, 3 * SECOND
    disk.write("f", OLD)
    assert read("f") == OLD
    assert disk.waits == [pytest.approx(0.02 if step < SECOND else 1.02)]
    disk.meanwhile = lambda: disk.write("f", NEW)
    with pytest.raises(SourceChanged, match="it is being written"):
        read("f")
    assert len(disk.waits) == 2


def test_the_times_of_a_real_file_count(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD)
    os.utime(tmp_path / "f", (1, 1))  # its ctime is now
    written = (tmp_path / "f").stat().st_ctime_ns
    moments = [written + 5 * MS, written + 5 * MS, written + SECOND]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        (tmp_path / "f").write_bytes(NEW)
        os.utime(tmp_path / "f", (2, 2))

    with closing(Root.source(str(tmp_path))) as root:
        found = read_whole(root, "f", None, LIMIT, clock=Clock(lambda: moments.pop(0), wait))
    assert (found.data, found.mtime_ns, waits) == (NEW, 2 * SECOND, [0.015])


# -- groups -----------------------------------------------------------------------------------------------------------


def test_a_group_waits_once_and_reads_the_others_first(disk: Disk, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.step = SECOND
    disk.write("old", b"1")
    disk.now += 2 * SECOND
    for name in ("a", "b", "c", "d"):
        disk.write(name, OLD)
    order: list[object] = []
    pread = os.pread

    def noted(fd: int, size: int, offset: int) -> bytes:
        order.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", noted)

    def somebody_writes() -> None:
        order.append("wait")
        disk.write("b", NEW)
        disk.write("c", NEW + b"more")
        (disk.folder / "d").unlink()

    disk.meanwhile = somebody_writes
    wanted: list[tuple[str, int | None]] = [
        ("a", None),
        ("gone", None),
        ("b", len(OLD)),
        ("old", 1),
        ("c", len(OLD)),
        ("d", None),
    ]
    found = read_many(root, wanted, LIMIT, clock=disk.clock)
    names = [type(one).__name__ if isinstance(one, FileError) else one.data for one in found]
    assert names == [OLD, "SourceVanished", NEW, b"1", "SourceChanged", "SourceVanished"]
    assert order == [1, "wait", len(OLD), len(NEW)]
    assert disk.waits == [pytest.approx(0.72)]


def test_one_of_a_group_that_is_written_without_pause_leaves_the_others_be(disk: Disk, root: Root) -> None:
    disk.write("a", OLD)
    disk.write("busy", OLD)
    disk.afterwards = lambda: disk.write("busy", NEW)
    busy, other = read_many(root, [("busy", None), ("a", None)], LIMIT, clock=disk.clock)
    assert isinstance(busy, SourceChanged)
    assert "being written" in busy.reason
    assert isinstance(other, ReadFile)
    assert other.data == OLD
    assert len(disk.waits) == 1


# -- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_waits_for_what_was_written_just_before_its_walk(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(OLD)
    now = [max((tmp_path / name).stat().st_ctime_ns for name in "abc")]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += round(seconds * SECOND)

    with closing(Root.source(str(tmp_path))) as root, closing(Layout("t", tempfile.TemporaryFile())) as layout:
        for found in walk_tree(root, Selected(lambda _: True, lambda _: True)):
            layout.add(found.members)
        data = bytearray(layout.size)
        fill(root, layout, 0, memoryview(data), clock=Clock(lambda: now[0], wait))
        assert data.count(OLD) == 3
        assert 0 < sum(waits) <= 0.02, "but for what lies between their times, the first wait is the last"

        def written(_: float) -> None:
            (tmp_path / "a").write_bytes(NEW)
            os.utime(tmp_path / "a", (1, 1))

        now[0] -= SECOND // 50
        with pytest.raises(SourceChanged, match="written or replaced since"):
            fill(root, layout, 0, memoryview(data), clock=Clock(lambda: now[0], written))
