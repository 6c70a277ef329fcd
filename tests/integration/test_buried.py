"""Objects that fail with their batch, and not one by one: each has a line in the report, as every failed one has."""

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.flow.slots import Slots
from headrace_daemon.heartbeat import Heartbeat, this_worker
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.transfer.batch import BatchRun
from headrace_daemon.transfer.ends import End, Work
from headrace_daemon.transfer.mover import Mover
from headrace_daemon.transfer.recorder import Recorder
from headrace_queue.config import TransferConfig
from headrace_queue.jobs import Batch, Item, Worker
from headrace_queue.report_file import ReportEntry, read_report, report_path
from headrace_queue.states import JobState
from headrace_queue.store import Store, open_store
from headrace_queue.writer import Queue
from tests.support.queue import Bench, Clock, items

FAILED = [item.key for item in items(3)]


class Heard(Facts):
    def __init__(self) -> None:
        self.warnings: list[tuple[int, str]] = []
        self.expired = 0

    def job_event(self, job: int, event: str, detail: str) -> None:
        if event == "warning":
            self.warnings.append((job, detail))

    def leases_expired(self, count: int) -> None:
        self.expired += count


class Disturbed(ReportWriter):
    """At every line of a burial something happens first."""

    def __init__(self, state: Path, first: Callable[[], object]) -> None:
        super().__init__(state)
        self.first = first

    def append(self, job: int, ends: Iterable[tuple[Item, Outcome]]) -> None:
        self.first()
        super().append(job, ends)


class Scene:
    """A queue whose batches have one attempt, with one batch of three objects."""

    def __init__(self, state: Path, queue: Queue) -> None:
        self.state = state
        self.queue = queue
        self.heard = Heard()

    def look(self) -> Store:
        return open_store(f"sqlite://{self.state / 'queue.db'}", read_only=True)

    def failures(self) -> list[str]:
        """As everybody else sees them now."""
        with closing(self.look()) as store:
            return [failure.item.key for _, failure in store.failures(1)]

    def job_state(self) -> JobState:
        with closing(self.look()) as store:
            return store.job(1).state

    def lines(self) -> list[ReportEntry]:
        return list(read_report(report_path(self.state, 1)))

    async def claim(self, worker: Worker) -> Batch:
        def claim(store: Store) -> Batch:
            bench = Bench(store, Clock())
            bench.plan(bench.job(), items(3))
            store.register(worker)
            return bench.claim(worker.id)

        return await self.queue.write(claim)

    def heartbeat(self, report: ReportWriter) -> Heartbeat:
        return Heartbeat(self.queue, this_worker(), report, self.heard, lambda: 0.0, Pulse())


@asynccontextmanager
async def scene_in(state: Path) -> AsyncIterator[Scene]:
    url = f"sqlite://{state / 'queue.db'}"
    queue = Queue(lambda: open_store(url, max_attempts=1), lambda: open_store(url, read_only=True))
    await queue.start()
    try:
        yield Scene(state, queue)
    finally:
        await queue.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as scene:
        yield scene


def gone() -> Worker:
    """One whose process is no more: another has its number now."""
    row = this_worker()
    return Worker("gone", socket.gethostname(), row.pid, row.started - 1)


async def test_what_a_batch_that_kills_its_worker_leaves_is_reported(scene: Scene) -> None:
    await scene.claim(gone())
    await scene.heartbeat(ReportWriter(scene.state)).start()
    assert scene.failures() == FAILED
    assert scene.job_state() is JobState.INCOMPLETE
    assert [(line.key, line.outcome, line.error, line.attempts) for line in scene.lines()] == [
        (key, "failed", "worker_died", 1) for key in FAILED
    ]
    assert {line.message for line in scene.lines()} == {"the worker died 1 times while it held this batch"}
    assert scene.heard.expired == 1


async def test_the_lines_are_there_before_the_queue_says_so(scene: Scene) -> None:
    """A crash between both loses none of them."""
    seen: list[list[str]] = []
    await scene.claim(gone())
    await scene.heartbeat(Disturbed(scene.state, lambda: seen.append(scene.failures()))).start()
    assert seen == [[]]
    assert scene.failures() == FAILED


async def test_nothing_is_buried_while_there_is_no_room_for_its_lines(scene: Scene) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "no space left")

    await scene.claim(gone())
    report = Disturbed(scene.state, full)
    heartbeat = scene.heartbeat(report)
    await heartbeat.start()
    assert (scene.failures(), scene.lines(), scene.heard.expired) == ([], [], 0)
    assert [job for job, text in scene.heard.warnings if "no space left" in text] == [0]
    report.first = lambda: None
    await heartbeat.beat()
    assert scene.failures() == [line.key for line in scene.lines()] == FAILED


async def test_a_report_out_of_reach_does_not_keep_a_job_from_its_end(scene: Scene) -> None:
    def refused() -> None:
        raise PermissionError(errno.EACCES, "not yours")

    await scene.claim(gone())
    await scene.heartbeat(Disturbed(scene.state, refused)).start()
    assert scene.failures() == FAILED
    assert scene.job_state() is JobState.INCOMPLETE
    assert [job for job, text in scene.heard.warnings if "not yours" in text] == [1]


class Broken:
    """A mover with a fault of ours in it."""

    streams = False

    async def small(self, group: list[tuple[int, Item]], tell: Callable[..., object]) -> None:
        raise RuntimeError("no such thing")

    async def abandon(self, group: list[Item]) -> None: ...

    async def settle(self, tell: Callable[..., object]) -> None: ...


async def test_what_a_batch_leaves_that_used_up_its_attempts_is_reported(scene: Scene) -> None:
    batch = await scene.claim(this_worker())
    report = ReportWriter(scene.state)
    recorder = Recorder(batch, scene.queue, report, scene.heard, "upload", lambda: 0.0)
    memory, config = MemoryBudget(2**20).share(), TransferConfig()
    work = SimpleNamespace(
        job=batch.job, config=config, memory=memory, slots=Slots(4), queue=scene.queue, pulse=Pulse()
    )
    run = BatchRun(
        batch,
        cast("Work", work),
        cast("Mover", Broken()),
        cast("End", SimpleNamespace()),
        recorder,
        scene.heard,
        lambda: 0.0,
    )
    assert await run.run() is None
    assert scene.failures() == FAILED
    assert [(line.key, line.outcome, line.error) for line in scene.lines()] == [
        (key, "failed", "attempts_exhausted") for key in FAILED
    ]
    assert {line.message for line in scene.lines()} == {"RuntimeError: no such thing"}
