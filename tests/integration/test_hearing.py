"""What is to be done is begun at once, not at the next look: here nobody looks before an hour is over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace_daemon import dispatcher as dispatching
from headrace_daemon.dispatcher import Dispatcher
from headrace_daemon.facts import Facts
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.hearing import hearing_of_writes
from headrace_daemon.heartbeat import this_worker
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.session import Host, Sessions
from headrace_daemon.watching import inotify
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.free_space import Reserve
from headrace_queue.jobs import JobSpec, Kind
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from headrace_queue.writer import Queue
from tests.support.wire_server import Connection, serving, until

HOUR = 3600.0
PAGE = (
    "<ListBucketResult><IsTruncated>{more}</IsTruncated>{token}<Contents><Key>{key}</Key><LastModified>"
    "2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>"
)


class Ended(Facts):
    """Hears of the end of the one job there is."""

    def __init__(self) -> None:
        self.state: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def job_event(self, job_id: int, event: str, detail: str) -> None:
        if event == "ended":
            self.state.set_result(detail)


@asynccontextmanager
async def working(
    state: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Ended, Queue, Dispatcher]]:
    """A worker that looks at its queue once an hour, unless it is told to look; its remote `there` is at `url`."""
    for name in ("POLL", "SWEEP"):
        monkeypatch.setattr(dispatching, name, HOUR)
    monkeypatch.setattr(dispatching, "QUIET", 0.0)
    remote = RemoteConfig(endpoint_urls=(url,), credentials=CredentialsConfig(anonymous=True))
    config = Config(state_dir=state, remotes={"there": remote})
    facts = Ended()
    queue = Queue(lambda: open_store(config.queue_url), lambda: open_store(config.queue_url, read_only=True))
    await queue.start()
    threads, report, remotes = FileThreads(2), ReportWriter(config.state_dir), Remotes(config, facts)
    limits = BandwidthLimits(config, facts, time.time, time.monotonic)
    memory = MemoryBudget(config.transfer.memory)
    host = Host(config, queue, remotes, threads, memory, limits, report, facts, time.time, Room(Reserve()))
    row = this_worker()
    await queue.write(lambda store: store.register(row))
    dispatcher = Dispatcher(queue, row.id, Sessions(host), facts, time.time)
    running = asyncio.create_task(dispatcher.run())
    try:
        await until(lambda: dispatcher.turns > 0)
        yield facts, queue, dispatcher
    finally:
        dispatcher.stop()
        await running
        await dispatcher.finish(HOUR)
        await remotes.close()
        report.close()
        threads.close()
        await queue.close()


def enqueue(state: Path, source: Path) -> None:
    """By another connection, as `headrace sync` does it."""
    store = open_store(f"sqlite://{state / 'queue.db'}")
    try:
        store.enqueue(JobSpec(Kind.SYNC, str(source), "there://bucket/"))
    finally:
        store.close()


async def test_a_job_begins_when_another_process_enqueues_it_and_its_transfers_before_the_listing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, claimed = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        while True:
            head = await connection.head()
            await connection.body(head)
            body = b""
            if head.startswith(b"PUT"):
                put.set()
            elif b"continuation-token" in head:
                await put.wait()  # never, if the first batch were claimed when the plan ends
                body = PAGE.format(more="false", token="", key="z2").encode()
            elif b"list-type" in head:
                await claimed.wait()
                token = "<NextContinuationToken>t</NextContinuationToken>"
                body = PAGE.format(more="true", token=token, key="z1").encode()
            await connection.answer(b'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: %d\r\n\r\n' % len(body) + body)

    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / "data" / f"file-{number}").write_text("content")
    async with (
        serving(script) as server,
        working(tmp_path / "state", server.url, monkeypatch) as (facts, _, dispatcher),
    ):
        with hearing_of_writes(f"sqlite://{tmp_path / 'state' / 'queue.db'}", dispatcher.written):
            before = dispatcher.turns
            enqueue(tmp_path / "state", tmp_path / "data")
            await until(lambda: dispatcher.turns > before)  # the plan is under way, and there is no batch yet
            claimed.set()
            assert await facts.state == JobState.DONE
        assert sum(head.startswith(b"PUT") for head in server.heads) == 3


async def test_an_idle_worker_does_not_follow_every_commit_of_a_busy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(tmp_path / "state", "http://127.0.0.1:9", monkeypatch) as (_, queue, dispatcher):
        monkeypatch.setattr(dispatching, "QUIET", HOUR)  # it has just seen its own registration
        before = dispatcher.turns
        dispatcher.written()
        for _ in range(5):  # longer than a look takes
            await queue.read(lambda store: store.version())
            await queue.write(lambda store: store.version())
        assert dispatcher.turns == before
        monkeypatch.setattr(dispatching, "QUIET", 0.0)
        dispatcher.written()
        await until(lambda: dispatcher.turns > before)


async def test_only_commits_are_told_of(tmp_path: Path) -> None:
    """And nothing any more once nobody wants to hear of it."""
    url = f"sqlite://{tmp_path / 'queue.db'}"
    open_store(url).close()
    told = 0

    def hear() -> None:
        nonlocal told
        told += 1

    async def turns() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    store, reader = open_store(url), open_store(url, read_only=True)
    with hearing_of_writes(url, hear):
        for name in ("report.jsonl", "queue.db-shm", "other.db-wal"):
            (tmp_path / name).touch()
        reader.jobs()
        await turns()
        assert told == 0
        store.enqueue(JobSpec(Kind.SYNC, "/data", "there://bucket/"))
        await until(lambda: told > 0)
    heard = told
    store.enqueue(JobSpec(Kind.SYNC, "/more", "there://bucket/"))
    await turns()
    assert told == heard
    reader.close()
    store.close()


async def test_without_inotify_everything_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify, "_checked", refused)
    with hearing_of_writes(f"sqlite://{tmp_path / 'queue.db'}", lambda: None):
        pass
