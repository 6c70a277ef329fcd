"""What the command does with the queue beside reading rows: opening it, looking for workers, following jobs."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.job_source import JobSource
from headrace_queue.jobs import Job, Worker
from headrace_queue.states import FINAL, JobState

HEARTBEAT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1


def queue_exists(queue_url: str) -> bool:
    """Whether anything was ever enqueued there, as far as this user may see; true for a queue that is no file.

    Raises UsageError where its folder is none.
    """
    scheme, _, path = queue_url.partition("://")
    folder = Path(path).parent
    if scheme == "sqlite" and os.path.lexists(folder) and not folder.is_dir():
        why = "it is no directory, and the queue and the reports are kept in one"
        raise UsageError(f"state_dir {folder}", why, "Correct state_dir in config.toml, or move that file away.")
    try:
        return scheme != "sqlite" or Path(path).exists()
    except PermissionError:
        return True  # opening it says what is wrong


def live_workers(
    workers: Sequence[Worker], now: float, host: str, started_of: Callable[[int], int | None]
) -> list[Worker]:
    """Those whose heartbeat is fresh and whose process, where it is on this host, still runs."""
    return [
        worker
        for worker in workers
        if now - worker.heartbeat <= HEARTBEAT_SECONDS
        and (worker.host != host or started_of(worker.pid) == worker.started)
    ]


def any_live_worker(store: JobSource, now: float) -> bool:
    """Whether somebody will take up what is enqueued now."""
    return bool(live_workers_now(store, now))


def live_workers_now(store: JobSource, now: float) -> list[Worker]:
    """Those of the queue that are alive, as this host can tell."""
    host = os.uname().nodename  # what socket.gethostname() says, without 3 ms for that module
    return live_workers(store.workers(), now, host, process_started)


def process_started(pid: int) -> int | None:
    """When a process of this host started, in clock ticks since boot; None where it does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # the name in parentheses may hold spaces and parentheses itself; starttime is field 22 of the line
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def follow(store: JobSource, pick: Callable[[], list[Job]], pause: Callable[[], None]) -> Iterator[list[Job]]:
    """The jobs that pick reads, then again after every change, until all of them are over.

    pause is called between two looks. Raises UnknownJob, also when a job is purged meanwhile.
    """
    jobs: list[Job] | None = None
    version: int | None = None
    while True:
        if (current := store.version()) != version:
            version = current
            if (now := pick()) != jobs:
                jobs = now
                yield jobs
        if not jobs or all(job.state in FINAL for job in jobs):
            return
        pause()


def named_jobs(store: JobSource, job_ids: Sequence[int]) -> Callable[[], list[Job]]:
    """Reads these jobs."""
    return lambda: [store.job(job_id) for job_id in job_ids]


def unfinished_jobs(store: JobSource) -> Callable[[], list[Job]]:
    """Reads all jobs that are not over, and those that it has read before, oldest first."""
    met: set[int] = set()
    unfinished = [state for state in JobState if state not in FINAL]

    def read() -> list[Job]:
        met.update(job.id for job in store.jobs(unfinished))
        return [store.job(job_id) for job_id in sorted(met)]

    return read
