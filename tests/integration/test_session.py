"""Opening a job's two ends: what is missing is said before any object is tried, and nothing stays open behind it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_daemon.apart.process import FileProcess, ProcessEnded
from headrace_daemon.apart.tree import open_tree
from headrace_daemon.dispatcher import Dispatcher
from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files.room import Room
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.planning import run_plan
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.session import Host, Session, Sessions
from headrace_daemon.transfer.download import Download
from headrace_daemon.transfer.ends import FilesEnd, NoFolder
from headrace_daemon.transfer.mover import Numbered, Tell
from headrace_queue.advice import split_advice
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import UsageError
from headrace_queue.free_space import Reserve
from headrace_queue.jobs import Batch, Counters, Item, Job, JobSpec, Kind, Multipart, PlanLease, PlanStep, Worker
from headrace_queue.states import BatchState, JobState
from headrace_queue.store import Store, open_store
from headrace_queue.writer import Queue
from tests.support.descriptors import open_below
from tests.support.site import Site


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """Remotes: `ready` has credentials, `bare` names some that are not there."""
    monkeypatch.setenv("READY_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("READY_SECRET_ACCESS_KEY", "SECRET")
    remotes = {
        name: RemoteConfig(endpoint_urls=("http://127.0.0.1:9",), credentials=CredentialsConfig(env=name.upper()))
        for name in ("ready", "bare")
    }
    config = Config(state_dir=tmp_path / "state", remotes=remotes)
    facts = Facts()
    queue = Queue(
        lambda: open_store(config.queue_url), lambda: open_store(config.queue_url, read_only=True), facts.committed
    )
    await queue.start()
    threads = FileThreads(2)
    report = ReportWriter(config.state_dir)
    wires = Remotes(config, facts)
    memory = MemoryBudget(2**20)
    try:
        limits = BandwidthLimits(config, facts, time.time, time.time)
        yield Host(config, queue, wires, threads, memory, limits, report, facts, time.time, Room(Reserve()))
    finally:
        await wires.close()
        report.close()
        threads.close()
        await queue.close()


async def test_a_remote_without_credentials_is_refused_and_nothing_stays_open(host: Host, tmp_path: Path) -> None:
    """A job that waits is opened again and again."""
    (tmp_path / "data").mkdir()
    spec = JobSpec(Kind.SYNC, str(tmp_path / "data"), "bare://bucket/")
    job, _ = await host.queue.write(lambda store: store.enqueue(spec))
    sessions = Sessions(host)
    with pytest.raises(UsageError, match="BARE_ACCESS_KEY_ID"):
        await sessions.open(job)
    before = open_below(tmp_path / "data")
    for _ in range(5):
        with pytest.raises(UsageError):
            await sessions.open(job)
    assert open_below(tmp_path / "data") == before
    assert sessions.open_jobs == set()


async def test_what_opens_is_kept_until_the_job_ends(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec = JobSpec(Kind.SYNC, "ready://bucket/", str(tmp_path / "data"))
    job, _ = await host.queue.write(lambda store: store.enqueue(spec))
    sessions = Sessions(host)
    await sessions.open(job)
    await sessions.end(job.id)
    before = open_below(tmp_path / "data")
    first = await sessions.open(job)
    assert await sessions.open(job) is first
    assert open_below(tmp_path / "data") > before
    await sessions.close()
    assert open_below(tmp_path / "data") == before


class _Heard(Facts):
    def __init__(self) -> None:
        self.events: list[tuple[int, str, str]] = []

    def job_event(self, job: int, event: str, detail: str) -> None:
        self.events.append((job, event, detail))


@pytest.mark.parametrize("there", [True, False])
async def test_full_targets_of_a_destination_on_lustre_are_told_of_once(
    host: Host, tmp_path: Path, there: bool
) -> None:
    lfs = tmp_path / "lfs"
    full = "fs-OST0000_UUID 1000 990 10 99% /fsx[OST:0]"
    lfs.write_text(f'#!/bin/sh\n[ "$1" = df ] && echo "{full}" || echo "stripe_size: 65536"\n')
    lfs.chmod(0o755)
    mount = tmp_path / "fsx"
    mount.mkdir()
    section = {"file_system_id": "fs-0123456789abcdef0", "mount": mount, "mounted_as": "any", "lfs": str(lfs)}
    heard = _Heard()
    config = host.config.model_copy(update={"fsx": {"scratch": FsxConfig.model_validate(section)}})
    host = replace(host, config=config, facts=heard)
    target = mount / "in"
    if there:
        target.mkdir()
    batch = await ready_batch(host, target)
    sessions = Sessions(host)
    session = await sessions.open(batch.job)
    await session.batch_run(batch)
    await sessions.open(batch.job)
    assert isinstance(session.destination, FilesEnd)
    assert session.destination.stripe == 65536
    assert session.destination.restoring is not None
    ((job_id, event, detail),) = heard.events
    assert (job_id, event) == (batch.job.id, "warning")
    assert "fs-OST0000 to 99%" in detail
    await sessions.close()
    assert open_below(mount) == 0


class _Broken(Sessions):
    async def open(self, job: Job) -> Session:
        raise ZeroDivisionError("ours")


async def test_a_fault_of_the_planner_leaves_no_lease_behind_and_is_told(host: Host, tmp_path: Path) -> None:
    """A lease that stays would stop the job in silence for as long as the worker lives."""

    def lease(store: Store) -> PlanLease | None:
        store.register(Worker("w", "host", 1, 1))
        store.enqueue(JobSpec(Kind.SYNC, "ready://bucket/", str(tmp_path / "target")))
        return store.claim_plan("w", 10)

    plan = await host.queue.write(lease)
    assert plan is not None
    await run_plan(plan, _Broken(host), host.queue, host.facts, lambda: 0.0, lambda: None)
    job = await host.queue.read(lambda store: store.job(plan.job.id))
    assert job.state is JobState.RUNNING
    assert "ZeroDivisionError: ours" in str(job.waiting)
    assert await host.queue.write(lambda store: store.claim_plan("w", 10)) is not None


async def ready_batch(host: Host, destination: Path) -> Batch:
    """A leased batch of a download of one object."""
    item = Item("a", 1, 0)
    spec = JobSpec(Kind.SYNC, "ready://bucket/", str(destination))

    def lease(store: Store) -> Batch:
        store.register(Worker("w", "host", 1, 1))
        store.enqueue(spec)
        plan = store.claim_plan("w", 10)
        assert plan is not None
        store.commit_plan(plan, PlanStep(((item,),), "a", Counters(planned=1), finished=True))
        return store.claim("w", 1)[0]

    return await host.queue.write(lease)


async def test_a_missing_destination_is_made_once_and_for_the_first_batch(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "not" / "yet"
    batch = await ready_batch(host, target)
    sessions = Sessions(host)
    session = await sessions.open(batch.job)
    assert isinstance(session.destination, NoFolder)
    assert not target.parent.exists()
    before = open_below(target)
    await asyncio.gather(*(session.batch_run(batch) for _ in range(3)))
    once = open_below(target)
    assert target.is_dir()
    await session.batch_run(batch)
    assert before < open_below(target) == once
    await sessions.close()


async def test_a_destination_that_a_person_removed_is_not_made_again_to_clean_it_up(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "target"
    batch = await ready_batch(host, target)
    record = Multipart(batch.job.id, "a", "token", 1, 1, "fingerprint", "write")
    await host.queue.write(lambda store: store.begin_multipart(batch.lease, record))
    session = await Sessions(host).open(batch.job)
    await session.forget(batch.items)
    assert not target.exists()
    assert await host.queue.read(lambda store: store.multiparts(batch.job.id)) == []


async def planned(host: Host, source: str, destination: Path) -> Job:
    """A job whose planning is over, with one batch that waits for worker w."""
    item = Item("a", 1, 0)

    def plan(store: Store) -> Job:
        store.register(Worker("w", "host", 1, 1))
        store.enqueue(JobSpec(Kind.SYNC, source, str(destination)))
        lease = store.claim_plan("w", 10)
        assert lease is not None
        store.commit_plan(lease, PlanStep(((item,),), "a", Counters(planned=1), finished=True))
        return lease.job

    return await host.queue.write(plan)


async def job_when(host: Host, job_id: int, holds: Callable[[Job, dict[BatchState, int]], bool]) -> Job:
    async with asyncio.timeout(150):
        while True:
            job, depth = await host.queue.read(lambda store: (store.job(job_id), store.depth().batches))
            if holds(job, depth):
                return job
            await asyncio.sleep(0.01)


async def test_a_batch_whose_remote_cannot_be_opened_fails_the_job(host: Host, tmp_path: Path) -> None:
    """After a restart no planner runs any more that would find it out: the batch must not wait for ever."""
    job = await planned(host, "bare://bucket/", tmp_path / "target")
    dispatcher = Dispatcher(host.queue, "w", Sessions(host), host.facts, time.time)
    working = asyncio.create_task(dispatcher.run())
    ended = await job_when(
        host, job.id, lambda job, batches: job.finished is not None and not batches[BatchState.LEASED]
    )
    dispatcher.stop()
    await working
    await dispatcher.finish(0.0)
    assert ended.state is JobState.FAILED
    why, remedy = split_advice(str(ended.error))
    assert why == "credentials of remote bare: BARE_ACCESS_KEY_ID and BARE_SECRET_ACCESS_KEY not set"
    assert remedy == "Set the variables where the daemon starts."


class _Hanging(Sessions):
    async def open(self, job: Job) -> Session:
        never: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        return await never


async def test_a_worker_that_stops_while_a_session_opens_lets_go_of_the_batch(host: Host, tmp_path: Path) -> None:
    job = await planned(host, "ready://bucket/", tmp_path / "target")
    dispatcher = Dispatcher(host.queue, "w", _Hanging(host), host.facts, time.time)
    working = asyncio.create_task(dispatcher.run())
    await job_when(host, job.id, lambda job, batches: batches[BatchState.LEASED] == 1)
    dispatcher.stop()
    await working
    await dispatcher.finish(0.0)
    (batch,) = await host.queue.write(lambda store: store.claim("w", 10))
    assert batch.lease.attempt == 2, "its lease had come back"


@pytest.mark.parametrize("beat_first", [True, False])
async def test_a_worker_that_stood_still_names_nothing_that_is_anothers(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beat_first: bool
) -> None:
    """Its batch went to another while it was stopped between the bytes and their names."""
    now, settled = 0.0, list[str]()
    pulse = Pulse(lambda: now)
    batch = await ready_batch(host, tmp_path / "target")
    sessions = Sessions(replace(host, pulse=pulse))
    run = await (await sessions.open(batch.job)).batch_run(batch)

    async def stands_still(*_: object) -> None:
        nonlocal now
        now += 60.0
        await host.queue.write(lambda store: store.expire(["w"]))
        if beat_first:
            pulse.beat(alive=False)

    async def settles(*_: object) -> None:
        settled.append("named")

    monkeypatch.setattr(Download, "small", stands_still)
    monkeypatch.setattr(Download, "settle", settles)
    assert await run.run() is None
    assert settled == []
    await sessions.close()


async def test_a_worker_that_was_only_slow_goes_on(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    batch = await ready_batch(host, tmp_path / "target")
    sessions = Sessions(replace(host, pulse=Pulse(lambda: now)))
    run = await (await sessions.open(batch.job)).batch_run(batch)

    async def takes_long(_: object, group: Sequence[Numbered], tell: Tell) -> None:
        nonlocal now
        now += 60.0
        for index, item in group:
            await tell(index, item, Outcome("transferred"), 0)

    monkeypatch.setattr(Download, "small", takes_long)
    job = await run.run()
    assert job is not None
    assert job.counters.done == 1
    await sessions.close()


async def test_nobody_waits_for_ever_for_a_process_that_hangs(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody cancels anything."""
    monkeypatch.setattr("headrace_daemon.dispatcher.SILENT", 0.0)
    process = FileProcess.start()
    process.attach(lambda _: None)
    root = Root.source(str(tmp_path))
    tree = open_tree(process, root)
    assert tree is not None
    os.kill(process.pid, signal.SIGSTOP)
    step = tree.begin_read(["a"], [1], 1)
    assert step is not None
    host = replace(host, process=process)
    dispatcher = Dispatcher(host.queue, "w", Sessions(host), host.facts, time.time)
    working = asyncio.create_task(dispatcher.run())
    with pytest.raises(ProcessEnded):
        await asyncio.wait_for(step, 60)
    dispatcher.stop()
    await working
    await dispatcher.finish(0.0)
    root.close()


def test_a_job_without_credentials_fails_as_a_whole_and_says_which(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", {})
    with site.config.open("a") as config:
        config.write('[remotes.bare]\nendpoint_urls = ["http://127.0.0.1:9"]\ncredentials = { env = "NOT_SET" }\n')
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_bytes(b"1")
    for source, destination in ((data, "bare://bucket/p"), ("bare://bucket/p", tmp_path / "target")):
        job_id = site.enqueue(source, destination)
        site.run("headraced", "drain", "--job", job_id, code=4)
        job = site.status(job_id)
        assert job["state"] == "failed"
        assert "credentials of remote bare: NOT_SET_ACCESS_KEY_ID" in job["error"]
        assert job["counters"]["failed"] == 0, "no object is to blame"
