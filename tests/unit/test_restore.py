"""A batch with files to restore: what counts as restored, what is streamed in their place, and what its sleep keeps."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.lustre import HsmState, LustreError
from headrace_daemon.files.names import DestinationFull
from headrace_daemon.files.released import MAX_TROUBLES, Restoring
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.flow.slots import Slots
from headrace_daemon.transfer.batch import BatchRun
from headrace_daemon.transfer.ends import FilesEnd, Work
from headrace_daemon.transfer.mover import Mover, Numbered, Tell
from headrace_daemon.transfer.recorder import Recorder
from headrace_queue.config import TransferConfig
from headrace_queue.free_space import Need
from headrace_queue.jobs import Action, Batch, Item, Options, Via
from tests.unit.test_released import HERE, ScriptedLustre, hollow

SIZE = 1000
THRESHOLD = 4096


class FakeRoom:
    """Of so many bytes."""

    def __init__(self, free: int) -> None:
        self.free = free

    def check(self, _: int, path: str, need: Need) -> None:
        if need.size > self.free:
            raise DestinationFull(path, f"{need.size} bytes are needed")


class Streamed:
    """A mover that holds what it wrote until it is settled. order: what happened, as (step, keys)."""

    streams = True

    def __init__(self) -> None:
        self.order: list[tuple[str, list[str]]] = []
        self.written: list[tuple[Numbered, Tell]] = []

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        self.order.append(("small", [item.key for _, item in group]))
        self.written += [(one, tell) for one in group]

    async def large(self, one: Numbered, _: object, tell: Tell) -> None:
        self.order.append(("large", [one[1].key]))
        self.written.append((one, tell))

    async def settle(self, _: Tell) -> None:
        written, self.written = self.written, []
        for one, tell in written:
            await tell(*one, Outcome("transferred", size=one[1].size), 0)

    async def abandon(self, items: Sequence[Item]) -> None:
        self.order.append(("abandon", [item.key for item in items]))
        self.written.clear()


class Bench:
    """A folder on a scripted Lustre, and a batch that is run as often as it is wanted. outcomes: key -> state, or the
    error of what failed. waits: the reasons for which it went to sleep."""

    def __init__(self, folder: Path, root: Root, threads: FileThreads) -> None:
        self.folder = folder
        self.lustre = ScriptedLustre(rounds=0)
        self.options = Options()
        self.room = FakeRoom(2**60)
        self.items: list[Item] = []
        self.mover = Streamed()
        self.outcomes: dict[str, str] = {}
        self.messages: dict[str, str] = {}
        self.waits: list[str] = []
        self.paid: list[int] = []
        self._threads = threads
        self._root = root
        self.restoring = Restoring(self.lustre, wanted=True, poll=7.0)

    def released(self, *names: str, size: int = SIZE) -> None:
        """Files without data, and their items."""
        for name in names:
            self.lustre.flags[str(hollow(self.folder / name, size))] = HERE.flags | 0x04
            self.items.append(Item(name, size, 0, "", Action.RESTORE))

    async def run(self) -> bool:
        """Whether it came to its end."""
        batch = SimpleNamespace(
            job=SimpleNamespace(id=1, spec=SimpleNamespace(options=self.options)),
            lease=SimpleNamespace(batch_id=1),
            open_items=lambda: [one for one in enumerate(self.items) if one[1].key not in self.outcomes],
        )
        config = TransferConfig(multipart_threshold=THRESHOLD, objects=4)
        work = SimpleNamespace(
            job=batch.job, config=config, threads=self._threads, memory=MemoryBudget(2**20).share(), slots=Slots(4)
        )
        work.only_tasks = self.options.via is Via.DRA
        work.pace, work.queue, work.pulse = self._pace, SimpleNamespace(write=self._write), Pulse()
        landing = cast("Landing", SimpleNamespace(room=self.room))
        end = FilesEnd(self._root, "", landing, lustre=self.lustre, restoring=self.restoring)
        recorder = SimpleNamespace(done=self._done, complete=self._complete, flush=self._flush)
        run = BatchRun(
            cast("Batch", batch),
            cast("Work", work),
            cast("Mover", self.mover),
            end,
            cast("Recorder", recorder),
            Facts(),
            lambda: 100.0,
        )
        return await run.run() is not None

    async def _pace(self, size: int) -> None:
        self.paid.append(size)

    async def _write(self, step: Any) -> None:
        def snooze(_: object, until: float, reason: str) -> None:
            self.waits.append(reason)

        step(SimpleNamespace(snooze=snooze))

    async def _done(self, _: int, item: Item, outcome: Outcome, retries: int) -> None:
        assert item.key not in self.outcomes, "told once"
        self.outcomes[item.key] = outcome.error or outcome.state
        self.messages[item.key] = outcome.message

    async def _complete(self) -> object:
        return self

    async def _flush(self) -> None:
        pass


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(FileThreads(2)) as threads, closing(Root.destination(str(tmp_path))) as root:
        yield Bench(tmp_path, root, threads)


async def test_what_lustre_has_brought_back_is_restored(bench: Bench) -> None:
    bench.released("a", "b")
    assert not await bench.run()
    assert bench.waits == ["Lustre brings the data of 2 files back"]
    assert await bench.run()
    assert bench.outcomes == {"a": "restored", "b": "restored"}
    assert [step for step, _ in bench.mover.order] == ["abandon"]


def forbid(bench: Bench) -> None:
    del bench.lustre.flags[str(bench.folder / "bad")]  # as where nobody may ask about it


def remove(bench: Bench) -> None:
    forbid(bench)
    (bench.folder / "bad").unlink()


def cut_off(bench: Bench) -> None:
    os.truncate(bench.folder / "bad", 1)


def put_a_folder(bench: Bench) -> None:
    (bench.folder / "bad").unlink()
    (bench.folder / "bad").mkdir()


def refuse(bench: Bench) -> None:
    bench.lustre.refused.add(str(bench.folder / "bad"))


SPOILT = pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (forbid, "Lustre does not tell"),
        (remove, "is gone"),
        (cut_off, "it has 1 bytes, and not 1,000 any more"),
        (put_a_folder, "no regular file"),
        (refuse, "not this one"),
    ],
)


@SPOILT
async def test_what_is_not_proven_to_be_back_is_streamed(bench: Bench, spoil: Any, why: str) -> None:
    bench.released("bad", "good")
    spoil(bench)
    while not await bench.run():
        assert len(bench.waits) < 5
    assert bench.outcomes == {"bad": "transferred", "good": "restored"}


@pytest.mark.parametrize("spoil", [forbid, remove, cut_off, put_a_folder])
async def test_nor_is_what_changes_while_the_batch_sleeps(bench: Bench, spoil: Any) -> None:
    bench.released("bad", "good")
    assert not await bench.run()
    spoil(bench)
    assert await bench.run()
    assert bench.outcomes == {"bad": "transferred", "good": "restored"}


@SPOILT
async def test_it_fails_where_nothing_is_streamed(bench: Bench, spoil: Any, why: str) -> None:
    bench.options = Options(via=Via.DRA)
    bench.released("bad", "good")
    spoil(bench)
    while not await bench.run():
        assert len(bench.waits) < 5
    assert bench.outcomes == {"bad": "restore_failed", "good": "restored"}
    assert why in bench.messages["bad"]
    assert {step for step, _ in bench.mover.order} == {"abandon"}


async def test_a_sparse_file_has_all_its_data_and_needs_no_room(bench: Bench) -> None:
    bench.released("sparse")
    bench.lustre.flags[str(bench.folder / "sparse")] = HERE.flags
    bench.room.free = 0  # it needs none
    assert await bench.run()
    assert bench.outcomes == {"sparse": "restored"}


async def test_what_is_there_counts_with_no_clobber_whatever_its_size(bench: Bench) -> None:
    bench.options = Options(no_clobber=True)
    bench.released("a")
    cut = bench.items[0]._replace(size=SIZE - 1)
    bench.items = [cut]
    await bench.run()
    assert await bench.run()
    assert bench.outcomes == {"a": "restored"}


async def test_a_batch_that_sleeps_keeps_what_it_did(bench: Bench) -> None:
    """Files beside those that are restored, and those that were streamed in place of a restore."""
    bench.lustre.rounds = 3
    bench.released("coming", "lost")
    bench.released("lost-large", size=THRESHOLD)
    for name in ("lost", "lost-large"):
        bench.lustre.flags[str(bench.folder / name)] |= 0x40
    bench.items += [Item("copy", 10, 0), Item("copy-large", THRESHOLD, 0)]
    assert not await bench.run()
    assert bench.outcomes == dict.fromkeys(["copy", "copy-large", "lost", "lost-large"], "transferred")
    assert bench.mover.order[-1] == ("abandon", ["coming"])
    assert sorted(bench.paid) == [10, SIZE], "bandwidth, whoever was to move it; a large object pays by parts"
    while not await bench.run():
        assert len(bench.waits) < 9
    assert bench.outcomes["coming"] == "restored"
    assert sorted(key for step, keys in bench.mover.order if step != "abandon" for key in keys) == [
        "copy",
        "copy-large",
        "lost",
        "lost-large",
    ]


@pytest.mark.parametrize("via", [Via.AUTO, Via.DRA])
async def test_where_lfs_fails_for_good_a_batch_does_not_wait_for_ever(
    bench: Bench, via: Via, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.options = Options(via=via)
    bench.released("a")
    bench.items.append(Item("copy", 10, 0))

    def states(paths: Sequence[str]) -> list[HsmState | None]:
        raise LustreError("no lfs")

    monkeypatch.setattr(bench.lustre, "states", states)
    assert not await bench.run()
    assert bench.waits == ["released files cannot be brought back now: no lfs"]
    assert bench.outcomes == {"copy": "transferred"}
    while not await bench.run():
        assert len(bench.waits) < MAX_TROUBLES
    assert len(bench.waits) == MAX_TROUBLES - 1
    assert bench.outcomes["a"] == ("restore_failed" if via is Via.DRA else "transferred")


async def test_nothing_is_asked_for_that_does_not_fit(bench: Bench) -> None:
    bench.released("small", "lost")
    bench.released("large", size=THRESHOLD)
    bench.lustre.flags[str(bench.folder / "lost")] |= 0x40
    bench.room.free = THRESHOLD + 2 * SIZE - 1
    for _ in range(3):
        assert not await bench.run()
    assert "the destination is full" in bench.waits[-1]
    assert f"{THRESHOLD + 2 * SIZE} bytes are needed" in bench.waits[-1]
    assert (bench.lustre.asked, bench.outcomes) == ([], {})
    # one came by itself: that is seen, and the others fit then
    bench.lustre.flags[str(bench.folder / "small")] = HERE.flags
    await bench.run()
    assert bench.outcomes == {"small": "restored", "lost": "transferred"}
    assert await bench.run()
    assert bench.outcomes["large"] == "restored"


async def test_what_is_streamed_in_place_of_a_restore_needs_room_too(bench: Bench) -> None:
    bench.released("a")
    (bench.folder / "a").write_bytes(b"x" * SIZE)
    del bench.lustre.flags[str(bench.folder / "a")]  # it has data, and nobody tells of it: nothing will come back
    bench.room.free = SIZE - 1
    assert not await bench.run()
    assert "the destination is full" in bench.waits[-1]
    bench.room.free = SIZE
    assert await bench.run()
    assert bench.outcomes == {"a": "transferred"}


async def test_a_mount_that_is_gone_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.released("a")

    def status(*_: object) -> os.stat_result:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Root, "status", status)
    assert not await bench.run()
    assert "the file system is not there" in bench.waits[-1]
    assert bench.lustre.asked == []
