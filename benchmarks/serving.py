"""Headrace as it is used: `headraced serve` runs, a job is enqueued, and what it costs until it is done is measured."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.measure import LONGEST_RUN, PeakSampler, RunFailed, Usage, children, run_measured, tail
from headrace_queue.jobs import Job
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import open_store

READY_SECONDS = 60.0
LOOK_SECONDS = 0.1  # the moments that count are written down by the queue


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and what it started, so far."""
    ticks = 0
    for one in (pid, *children(pid)):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # a child that ended while we looked
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """The pid of a daemon that takes work; ended by its pid. Raises RunFailed."""
    log = folder / "daemon.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not _ready(port):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise RunFailed("headraced serve does not get ready", tail(log))
                time.sleep(LOOK_SECONDS)
            yield daemon.pid
        finally:
            daemon.terminate()
            try:
                daemon.wait(READY_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def measure_job(
    pid: int, enqueue: list[str], queue: str, number: int, environment: Mapping[str, str], folder: Path
) -> Usage:
    """wall: from enqueued to done, by the queue's own clock. cpu: the daemon's, and the enqueueing command's whole.

    queue: its URL, which is looked at here, for another process would take its share of the cores. number: that the
    job gets there. Raises RunFailed where the job does not end well.
    """
    before = cpu_seconds(pid)
    sampler = PeakSampler(pid)
    try:
        client = run_measured(enqueue, environment, folder, folder / "log")
        job = _await_end(queue, number)
        spent = cpu_seconds(pid) - before
    finally:
        peak = sampler.stop()
    if job.state is not JobState.DONE or job.finished is None:
        raise RunFailed(f"the job is {job.state}", f"{job.counters} {job.error}")
    return Usage(job.finished - job.created, spent + client.cpu, peak)


def _await_end(queue: str, number: int) -> Job:
    store = open_store(queue, read_only=True)
    try:
        deadline = time.monotonic() + LONGEST_RUN
        while (job := store.job(number)).state not in FINAL:
            if time.monotonic() > deadline:
                raise RunFailed(f"the job is still {job.state}")
            time.sleep(LOOK_SECONDS)
        return job
    finally:
        store.close()
