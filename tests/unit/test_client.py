"""Which workers count as alive, and following jobs through their changes."""

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from headrace_queue.client import follow, live_workers, named_jobs, process_started, queue_exists, unfinished_jobs
from headrace_queue.errors import UnknownJob
from headrace_queue.following import leaving_by_signal
from headrace_queue.jobs import JobSpec, Kind, Worker
from headrace_queue.states import JobState
from headrace_queue.store import Store, open_store


def opened(directory: Path) -> Store:
    return open_store(f"sqlite://{directory / 'queue.db'}")


@pytest.mark.parametrize(
    ("worker", "alive"),
    [
        (Worker("w", "here", 10, 500, heartbeat=70.0), True),
        (Worker("w", "here", 10, 500, heartbeat=69.9), False),  # silent for too long
        (Worker("w", "here", 10, 499, heartbeat=100.0), False),  # another process has its number now
        (Worker("w", "here", 11, 500, heartbeat=100.0), False),  # it was killed
        (Worker("w", "there", 11, 500, heartbeat=100.0), True),  # nobody here can look at its process
    ],
)
def test_a_worker_lives_by_heartbeat_and_process(worker: Worker, alive: bool) -> None:
    assert live_workers([worker], 100.0, "here", {10: 500}.get) == ([worker] if alive else [])


def test_a_process_is_known_by_its_start() -> None:
    ours = process_started(os.getpid())
    assert ours is not None
    assert ours > 0
    assert process_started(2**22 + 1) is None


def test_a_process_that_ended_but_was_not_collected_does_not_run() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        assert process_started(child) is None
    finally:
        os.waitpid(child, 0)


def test_a_queue_exists_once_something_is_in_it(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'queue.db'}"
    assert not queue_exists(url)
    assert queue_exists("postgresql://host/queue")
    open_store(url).close()
    assert queue_exists(url)


def test_following_gives_every_change_until_all_are_over(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ours, closing(opened(tmp_path)) as theirs:
        job, _ = ours.enqueue(JobSpec(Kind.SYNC, "s3://b/", "/d"))
        moves = [theirs.pause, theirs.resume, theirs.cancel]

        def pause() -> None:
            moves.pop(0)(job.id)

        states = [now.state for (now,) in follow(ours, named_jobs(ours, [job.id]), pause)]
    assert states == [JobState.QUEUED, JobState.PAUSED, JobState.QUEUED, JobState.CANCELLED]


def test_following_everything_takes_up_new_jobs_and_keeps_the_ended(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ours, closing(opened(tmp_path)) as theirs:
        assert list(follow(ours, unfinished_jobs(ours), lambda: None)) == [[]]
        theirs.enqueue(JobSpec(Kind.SYNC, "s3://b/1/", "/d"))
        moves: list[Callable[[], object]] = [
            lambda: theirs.enqueue(JobSpec(Kind.SYNC, "s3://b/2/", "/d")),
            lambda: theirs.cancel(1),
            lambda: theirs.cancel(2),
        ]

        def pause() -> None:
            moves.pop(0)()

        seen = list(follow(ours, unfinished_jobs(ours), pause))
    assert [[str(job.state) for job in jobs] for jobs in seen] == [
        ["queued"],
        ["queued", "queued"],
        ["cancelled", "queued"],
        ["cancelled", "cancelled"],
    ]


def test_following_an_unknown_job_is_an_error(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store, pytest.raises(UnknownJob):
        list(follow(store, named_jobs(store, [5]), lambda: None))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_leaving_by_a_signal_is_ctrl_c_unless_it_is_ignored(number: signal.Signals) -> None:
    usual = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it
    try:
        with pytest.raises(KeyboardInterrupt), leaving_by_signal():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with leaving_by_signal():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN, "nohup goes on meaning what it means"
    finally:
        signal.signal(number, usual)
