"""Coroutines on one queue: what was awaited is durable, what fails fails alone, what is cancelled harms nobody."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace_queue.errors import QueueError, QueueFull, UnknownJob, UsageError
from headrace_queue.jobs import Job
from headrace_queue.sqlite import SqliteStore
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.writer import Queue
from tests.integration.test_queue_sharing import fill
from tests.support.queue import spec
from tests.support.small_disk import small_disk


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Queue]:
    queue = Queue(lambda: SqliteStore(path), lambda: SqliteStore(path, read_only=True))
    await queue.start()
    try:
        yield queue
    finally:
        await queue.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
async def queue(path: Path) -> AsyncIterator[Queue]:
    async with running(path) as queue:
        yield queue


def enqueue(store: Store) -> Job:
    return store.enqueue(spec())[0]


class Gate:
    """Holds the writer thread inside an operation until the test lets it go on."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()

    def hold(self, _: Store) -> None:
        self._entered.set()
        assert self._open.wait(60)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 60)

    def open(self) -> None:
        self._open.set()


async def test_what_was_awaited_is_durable_and_readable(queue: Queue, path: Path) -> None:
    job = await queue.write(enqueue)
    other = SqliteStore(path, read_only=True)
    assert other.job(job.id) == job
    other.close()
    assert await queue.read(lambda store: store.job(job.id)) == job


async def test_what_waits_shares_a_commit(queue: Queue) -> None:
    gate = Gate()
    first = asyncio.create_task(queue.write(gate.hold))
    await gate.entered()
    others = [asyncio.create_task(queue.write(enqueue)) for _ in range(100)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, *others)
    assert (queue.commits, queue.operations) == (2, 101)


async def test_nothing_is_told_before_the_commit(queue: Queue, path: Path) -> None:
    gate = Gate()
    blocker = asyncio.create_task(queue.write(gate.hold))
    await gate.entered()
    second = Gate()
    done = asyncio.create_task(queue.write(enqueue))
    last = asyncio.create_task(queue.write(second.hold))
    await asyncio.sleep(0)
    gate.open()
    await second.entered()
    assert not done.done(), "its transaction is still open"
    other = SqliteStore(path, read_only=True)
    assert other.jobs() == []
    second.open()
    job = await done
    assert other.job(job.id) == job
    other.close()
    await asyncio.gather(blocker, last)


async def test_what_raises_undoes_itself_alone(queue: Queue) -> None:
    def two_steps(store: Store) -> None:
        store.pause(enqueue(store).id)
        store.job(99)

    gate = Gate()
    blocker = asyncio.create_task(queue.write(gate.hold))
    await gate.entered()
    steps = [asyncio.create_task(queue.write(step)) for step in (enqueue, two_steps, enqueue)]
    await asyncio.sleep(0)
    gate.open()
    await blocker
    before, failed, after = await asyncio.gather(*steps, return_exceptions=True)
    assert isinstance(failed, UnknownJob)
    assert isinstance(before, Job)
    assert isinstance(after, Job)
    assert queue.commits == 2
    jobs = await queue.read(lambda store: store.jobs())
    assert [(job.id, job.state) for job in jobs] == [(after.id, JobState.QUEUED), (before.id, JobState.QUEUED)]
    with pytest.raises(UnknownJob):
        await queue.read(lambda store: store.job(99))


async def test_a_cancelled_coroutine_harms_nobody(queue: Queue) -> None:
    gate = Gate()
    blocker = asyncio.create_task(queue.write(gate.hold))
    await gate.entered()
    tasks = [asyncio.create_task(queue.write(enqueue)) for _ in range(50)]
    await asyncio.sleep(0)
    blocker.cancel()
    for task in tasks[::2]:
        task.cancel()
    await asyncio.sleep(0)
    gate.open()
    outcomes = await asyncio.gather(blocker, *tasks, return_exceptions=True)
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 26
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 25
    assert len(await queue.read(lambda store: store.jobs(limit=1000))) == 50, "what was handed over is done"
    assert (await queue.write(enqueue)).state is JobState.QUEUED


async def test_close_finishes_what_was_handed_over(path: Path) -> None:
    others = set(threading.enumerate())
    gate = Gate()
    async with running(path) as queue:
        blocker = asyncio.create_task(queue.write(gate.hold))
        await gate.entered()
        tasks = [asyncio.create_task(queue.write(enqueue)) for _ in range(600)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(gate.open)
    await asyncio.gather(blocker, *tasks)
    for step in (queue.write, queue.read):
        with pytest.raises(QueueError, match="closed"):
            await step(enqueue)
    await queue.close()
    store = SqliteStore(path, read_only=True)
    assert len(store.jobs(limit=1000)) == 600
    store.close()
    assert not [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("queue-")]


@pytest.mark.parametrize("broken", ["writer", "reader"])
async def test_start_raises_what_opening_raised(path: Path, broken: str) -> None:
    def refuse() -> Store:
        raise UsageError("queue", "broken", "Mend it.")

    def open_it() -> Store:
        return SqliteStore(path)

    queue = Queue(refuse if broken == "writer" else open_it, refuse if broken == "reader" else open_it)
    with pytest.raises(UsageError, match="Mend it"):
        await queue.start()
    await queue.close()
    with pytest.raises(QueueError, match="closed"):
        await queue.write(enqueue)


async def test_the_marker_grows_while_idle_and_stands_while_stuck(queue: Queue) -> None:
    before = queue.progress_marker
    for _ in range(3000):
        if queue.progress_marker >= before + 2:
            break
        await asyncio.sleep(0.02)
    assert queue.progress_marker >= before + 2
    gate = Gate()
    stuck = asyncio.create_task(queue.write(gate.hold))
    await gate.entered()
    marker = queue.progress_marker
    for _ in range(3):
        await queue.read(lambda store: store.version())
    assert queue.progress_marker == marker
    gate.open()
    await stuck


async def test_listeners_hear_of_commits_in_the_loop(path: Path) -> None:
    heard: list[tuple[float, int, int]] = []
    queue = Queue(
        lambda: SqliteStore(path),
        lambda: SqliteStore(path, read_only=True),
        lambda seconds, operations: heard.append((seconds, operations, threading.get_ident())),
    )
    await queue.start()
    await asyncio.gather(*(queue.write(enqueue) for _ in range(300)))
    await queue.close()
    assert sum(operations for _, operations, _ in heard) == queue.operations == 300
    assert len(heard) == queue.commits
    assert all(seconds > 0 and thread == threading.get_ident() for seconds, _, thread in heard)
    assert max(operations for _, operations, _ in heard) <= 256


async def test_a_full_disk_fails_the_whole_group_and_passes(tmp_path: Path) -> None:
    def enqueue_large(store: Store) -> Job:
        return store.enqueue(spec("s3://bucket/" + "x" * 100_000))[0]

    with small_disk(tmp_path / "disk", 4 * 2**20) as disk:
        async with running(disk / "queue.db") as queue:
            job = await queue.write(enqueue)
            ballast = await asyncio.to_thread(fill, disk)
            outcomes = await asyncio.gather(*(queue.write(enqueue_large) for _ in range(40)), return_exceptions=True)
            refused = [outcome for outcome in outcomes if isinstance(outcome, QueueFull)]
            made = [outcome for outcome in outcomes if isinstance(outcome, Job)]
            assert refused
            assert len(refused) + len(made) == 40
            jobs = await queue.read(lambda store: store.jobs(limit=1000))
            assert {each.id for each in jobs} == {job.id, *(each.id for each in made)}, "told and done are the same"
            ballast.unlink()
            assert (await queue.write(enqueue_large)).state is JobState.QUEUED
