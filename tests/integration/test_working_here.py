"""When a command begins the work itself, and when it leaves that to others; how its worker ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace_queue.client import process_started
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind, Worker
from headrace_queue.store import Store, open_store
from headrace_queue.working_here import WorkHere


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite://{tmp_path / 'queue.db'}")) as store:
        yield store


def test_what_waits_for_a_job_that_nobody_works_on_is_refused(store: Store) -> None:
    first, _ = store.enqueue(JobSpec(Kind.SYNC, "s3://b/1/", "/d"))
    second, _ = store.enqueue(JobSpec(Kind.SYNC, "s3://b/2/", "/e", after=(first.id,)))
    work = WorkHere(store, None)
    with pytest.raises(UsageError, match="it starts after job 1, and nobody works on that"):
        work.look([second])
    assert not work.busy


def test_nothing_is_begun_that_is_paused_or_over_or_in_the_hands_of_a_worker(store: Store) -> None:
    jobs = [store.enqueue(JobSpec(Kind.SYNC, f"s3://b/{number}/", f"/d{number}"))[0] for number in range(3)]
    work = WorkHere(store, None)
    store.pause(jobs[0].id)
    store.cancel(jobs[1].id)
    work.look(jobs[:2])
    assert not work.busy
    started = process_started(os.getpid())
    assert started is not None
    store.register(Worker("w", os.uname().nodename, os.getpid(), started, heartbeat=0.0))
    work.look(jobs)
    assert not work.busy


def test_a_worker_whose_command_is_gone_ends_at_once() -> None:
    """The kernel's part, the signal at the death of the parent, is in the acceptance tests."""
    program = "from headrace_daemon.orphan import end_with\nend_with({})\nprint('at work')"
    for parent, code, said in ((os.getpid(), 0, "at work\n"), (2**22 + 1, -signal.SIGTERM, "")):
        ended = subprocess.run([sys.executable, "-c", program.format(parent)], capture_output=True, text=True)
        assert (ended.returncode, ended.stdout) == (code, said), ended.stderr
