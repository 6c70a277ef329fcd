"""Opening a job's two ends: what is missing is said before any object is tried, and nothing stays open behind it."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.session import Host, Sessions
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind
from headrace_queue.store import open_store
from headrace_queue.writer import Queue
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
    memory, slots = MemoryBudget(2**20), asyncio.Semaphore(4)
    try:
        yield Host(config, queue, wires, threads, memory, slots, [], {}, report, facts, time.time)
    finally:
        await wires.close()
        report.close()
        threads.close()
        await queue.close()


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def test_a_remote_without_credentials_is_refused_and_nothing_stays_open(host: Host, tmp_path: Path) -> None:
    """A job that waits is opened again and again."""
    (tmp_path / "data").mkdir()
    spec = JobSpec(Kind.SYNC, str(tmp_path / "data"), "bare://bucket/")
    job, _ = await host.queue.write(lambda store: store.enqueue(spec))
    sessions = Sessions(host)
    with pytest.raises(UsageError, match="BARE_ACCESS_KEY_ID"):
        await sessions.open(job)
    before = descriptors()
    for _ in range(5):
        with pytest.raises(UsageError):
            await sessions.open(job)
    assert descriptors() == before
    assert sessions.open_jobs == set()


async def test_what_opens_is_kept_until_the_job_ends(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec = JobSpec(Kind.SYNC, "ready://bucket/", str(tmp_path / "data"))
    job, _ = await host.queue.write(lambda store: store.enqueue(spec))
    sessions = Sessions(host)
    await sessions.open(job)
    await sessions.end(job.id)
    before = descriptors()
    first = await sessions.open(job)
    assert await sessions.open(job) is first
    assert descriptors() > before
    await sessions.close()
    assert descriptors() == before


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
