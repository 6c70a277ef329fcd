"""Small files in a process of their own: what it reads, writes and names is what threads would have, and its end, at
whatever moment, loses nothing."""

import asyncio
import os
import pickle
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from headrace_daemon.apart.messages import PACKET, Read
from headrace_daemon.apart.process import ARENA, LARGEST, FileProcess, ProcessEnded
from headrace_daemon.apart.tree import Tree, Written, open_tree
from headrace_daemon.files import mounts
from headrace_daemon.files.account import Account
from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.landing import Landing, Write
from headrace_daemon.files.making import Making
from headrace_daemon.files.names import (
    AccessRefused,
    AlreadyThere,
    Blocked,
    FileError,
    NameRefused,
    SourceChanged,
    SourceVanished,
)
from headrace_daemon.files.posix import Posix
from headrace_daemon.files.released import Hollow
from headrace_daemon.files.root import Root
from headrace_daemon.s3.checksum import crc64nvme, to_text
from tests.support.descriptors import open_below

MTIME = 1_700_000_000_123_456_789
LIMIT = 1 << 20

T = TypeVar("T")


@pytest.fixture
async def process() -> AsyncIterator[FileProcess]:
    process = FileProcess.start()
    process.attach(lambda _: None)
    yield process
    process.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "source").mkdir()
    root = Root.source(str(tmp_path / "source"))
    yield root
    root.close()


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    landing = Landing(Root.destination(str(tmp_path / "there"), making=Making(umask=0o027)), 7, created=12.5)
    yield landing
    landing.close()
    landing.root.close()


def opened(process: FileProcess, root: Root, landing: Landing | None = None) -> Tree:
    tree = open_tree(process, root, landing)
    assert tree is not None
    return tree


async def written(tree: Tree, files: list[Write], *, no_clobber: bool = False) -> list[Written]:
    step = tree.begin_write(files, no_clobber=no_clobber)
    assert step is not None
    results = await step
    assert all(isinstance(one, Written) for one in results), results
    return [one for one in results if isinstance(one, Written)]


async def eventually(look: Callable[[], T | None]) -> T:
    """What it gives, once it gives something."""
    async with asyncio.timeout(30):
        while not (found := look()):  # noqa: ASYNC110 - the other process tells nobody
            await asyncio.sleep(0.01)
    return found


def files_below(folder: str | Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


# -- reading ----------------------------------------------------------------------------------------------------------


async def test_files_are_read_with_their_sums_and_faults_stand_in_their_places(
    process: FileProcess, source: Root
) -> None:
    folder = Path(source.path)
    (folder / "a").write_bytes(b"first")
    (folder / "deep").mkdir()
    (folder / "deep/b").write_bytes(b"")
    os.utime(folder / "a", ns=(MTIME, MTIME))
    tree = opened(process, source)
    step = tree.begin_read(["a", "gone", "deep/b", "deep", "../x"], [5, 1, 0, 0, 1], LIMIT)
    assert step is not None
    (first, gone, empty, blocked, outside), _ = await step
    assert isinstance(first, tuple)
    assert isinstance(empty, tuple)
    assert (first[0].data, first[0].mtime_ns, first[1]) == (b"first", MTIME, to_text(crc64nvme(b"first")))
    assert empty[0].data == b""
    assert isinstance(gone, SourceVanished)
    assert gone.key == "gone"
    assert isinstance(blocked, Blocked)
    assert isinstance(outside, NameRefused)


async def test_a_file_that_grew_finds_no_room_and_the_next_one_does(process: FileProcess, source: Root) -> None:
    folder = Path(source.path)
    (folder / "grown").write_bytes(b"x" * 100)
    (folder / "same").write_bytes(b"same")
    step = opened(process, source).begin_read(["grown", "same"], [3, 4], LIMIT)
    assert step is not None
    (grown, same), _ = await step
    assert grown is None
    assert isinstance(same, tuple)
    assert same[0].data == b"same"


async def test_what_is_large_or_finds_no_room_is_not_handed_over(process: FileProcess, source: Root) -> None:
    tree = opened(process, source)
    assert tree.begin_read(["large"], [LARGEST + 1], LIMIT) is None
    assert tree.begin_read(["x" * PACKET], [1], LIMIT) is None
    full = process.arena.take(ARENA)
    assert full is not None
    assert tree.begin_read(["a"], [1], LIMIT) is None
    process.arena.give_back(full)
    step = tree.begin_read(["a"], [1], LIMIT)
    assert step is not None
    await step


async def test_memory_lent_to_a_step_is_not_lent_again_while_it_may_use_it(process: FileProcess, source: Root) -> None:
    """Whoever asked may be cancelled; the other process goes on."""
    (Path(source.path) / "a").write_bytes(b"abc")
    tree = opened(process, source)
    step = tree.begin_read(["a"], [3], LIMIT)
    assert step is not None
    step.cancel()
    await asyncio.sleep(0)  # its callbacks have run
    assert process.arena.take(ARENA) is None
    second = tree.begin_read(["a"], [3], LIMIT)
    assert second is not None
    await second  # answers may come in any order, but both have come when all is free
    process.arena.give_back(await eventually(lambda: process.arena.take(ARENA)))


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_files_take_their_names_when_they_are_settled(process: FileProcess, landing: Landing) -> None:
    there = Path(landing.root.path)
    tree = opened(process, landing.root, landing)
    files = [Write("deep/a", b"one", MTIME), Write("b", memoryview(b"two"), None, Posix(mode=0o100600))]
    pending = await written(tree, files)
    assert not {"b", "deep/a"} & set(files_below(there))
    assert await tree.settle(pending) == [None, None]
    assert (there / "deep/a").read_bytes() == b"one"
    assert (there / "deep/a").stat().st_mtime_ns == MTIME
    assert (there / "deep/a").stat().st_mode & 0o777 == 0o640
    assert (there / "b").stat().st_mode & 0o777 == 0o600
    assert files_below(there) == ["b", "deep/a"]


async def test_temporary_names_are_those_that_the_daemon_sweeps(process: FileProcess, landing: Landing) -> None:
    await written(opened(process, landing.root, landing), [Write("a", b"1", None)])
    assert landing.sweep(["a"]) == 1
    assert files_below(landing.root.path) == []


async def test_what_is_not_wanted_goes(process: FileProcess, landing: Landing) -> None:
    tree = opened(process, landing.root, landing)
    await tree.discard(await written(tree, [Write("a", b"1", None), Write("b", b"2", None)]))
    assert files_below(landing.root.path) == []


async def test_refusals_stand_in_the_place_of_their_files(process: FileProcess, landing: Landing) -> None:
    there = Path(landing.root.path)
    (there / "taken").write_bytes(b"theirs")
    (there / "folder").mkdir()
    tree = opened(process, landing.root, landing)
    step = tree.begin_write([Write("ok", b"1", None), Write("taken/x", b"2", None)], no_clobber=False)
    assert step is not None
    ok, blocked = await step
    assert isinstance(ok, Written)
    assert isinstance(blocked, Blocked)
    pending = await written(tree, [Write("taken", b"ours", None), Write("folder", b"ours", None)], no_clobber=True)
    exists, folder, none = await tree.settle([*pending, ok])
    assert isinstance(exists, AlreadyThere)
    assert isinstance(folder, Blocked)
    assert none is None
    assert (there / "taken").read_bytes() == b"theirs"


async def test_many_numbers_travel_in_several_requests(process: FileProcess, landing: Landing) -> None:
    tree = opened(process, landing.root, landing)
    pending = []
    for group in range(9):
        pending += await written(tree, [Write(f"{group}-{number}", b"", None) for number in range(120)])
    assert await tree.settle(pending) == [None] * 1080
    assert len(os.listdir(landing.root.path)) == 1080


async def test_a_closed_tree_leaves_no_descriptor(process: FileProcess, landing: Landing, tmp_path: Path) -> None:
    before = open_below(tmp_path, process.pid)
    tree = opened(process, landing.root, landing)
    step = tree.begin_write([Write("deep/a", b"1", None)], no_clobber=False)
    assert step is not None
    tree.close()  # while it is under way
    assert isinstance((await step)[0], Written)
    assert tree.begin_write([Write("b", b"1", None)], no_clobber=False) is None
    assert await eventually(lambda: open_below(tmp_path, process.pid) == before)


# -- where it is used -------------------------------------------------------------------------------------------------


async def test_threads_keep_what_is_theirs(
    process: FileProcess, source: Root, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_tree(None, source) is None
    own = Account("me", os.getuid(), os.getgid(), ())
    guarded = GuardedRoot(source.path, os.open(source.path, os.O_RDONLY), own, links="skip")
    assert open_tree(process, guarded) is None
    guarded.close()
    apart = Landing(landing.root, 8, "batch")
    apart.close()  # now it has no single sync for all, as on Lustre
    assert open_tree(process, landing.root, apart) is None
    monkeypatch.setattr(mounts, "file_system", lambda _: "lustre")
    assert open_tree(process, source) is None


# -- its end ----------------------------------------------------------------------------------------------------------


async def test_its_end_is_told_once_and_fails_what_was_under_way(source: Root) -> None:
    told: list[str] = []
    process = FileProcess.start()
    process.attach(told.append)
    tree = opened(process, source)
    os.kill(process.pid, signal.SIGSTOP)  # so that nothing is answered
    step = tree.begin_read(["a"], [1], LIMIT)
    assert step is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ProcessEnded):
        await step
    assert len(told) == 1
    assert not process.alive
    assert tree.begin_read(["a"], [1], LIMIT) is None
    with pytest.raises(ProcessEnded):
        await tree.settle([Written(1)])
    tree.close()
    process.close()
    assert len(told) == 1


async def test_one_that_does_not_answer_is_ended_by_the_age_of_what_was_asked(source: Root) -> None:
    told: list[str] = []
    process = FileProcess.start()
    process.attach(told.append)
    tree = opened(process, source)
    process.end_if_silent(0.0)
    assert told == [], "nothing was asked of it"
    os.kill(process.pid, signal.SIGSTOP)
    step = tree.begin_read(["a"], [1], LIMIT)
    assert step is not None
    process.end_if_silent(3600.0)
    assert told == []
    process.end_if_silent(0.0)
    with pytest.raises(ProcessEnded):
        await step
    assert not process.alive
    assert len(told) == 1
    assert "has not answered" in told[0]
    process.end_if_silent(0.0)
    process.close()
    assert len(told) == 1


async def test_a_full_socket_hands_nothing_over_and_comes_back(process: FileProcess, source: Root) -> None:
    (Path(source.path) / "a").write_bytes(b"abc")
    tree = opened(process, source)
    os.kill(process.pid, signal.SIGSTOP)
    answers: list[object] = []
    request = Read(0, ["x" * 1000], LIMIT, 0, 0)
    while process.ask(request, lambda value, error: answers.append((value, error))):
        assert len(answers) < 10_000
    assert tree.begin_read(["a"], [3], LIMIT) is None
    os.kill(process.pid, signal.SIGCONT)
    (read,), _ = await (await eventually(lambda: tree.begin_read(["a"], [3], LIMIT)))
    assert isinstance(read, tuple)
    assert read[0].data == b"abc"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_to_the_whole_group_do_not_end_it(
    process: FileProcess, source: Root, number: signal.Signals
) -> None:
    (Path(source.path) / "a").write_bytes(b"abc")
    tree = opened(process, source)
    step = tree.begin_read(["a"], [3], LIMIT)  # it has begun when this is answered
    assert step is not None
    await step
    os.kill(process.pid, number)
    step = tree.begin_read(["a"], [3], LIMIT)
    assert step is not None
    assert isinstance((await step)[0][0], tuple)


async def test_an_answer_that_does_not_travel_is_an_error_all_the_same(process: FileProcess) -> None:
    answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    assert process.ask(Read(12345, ["a"], LIMIT, 0, 0), lambda _, error: answer.set_result(error))
    assert isinstance(await answer, KeyError)  # it knows no such tree


@pytest.mark.parametrize(
    "error", [AccessRefused("a\nb", "why"), SourceChanged("k", "it grew"), Hollow("h"), AlreadyThere("x", "")]
)
def test_errors_travel_as_they_are(error: FileError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.key, found.reason) == (type(error), str(error), error.key, error.reason)
