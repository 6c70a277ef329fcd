"""Who leaves a command that does its work itself: nothing of it stays behind, whatever the way."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import Keys
from headrace_queue.client import live_workers_now, process_started
from headrace_queue.states import JobState
from tests.support.site import COMMAND_SECONDS, RemoteTable, Site, site_of, until

pytestmark = pytest.mark.server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three data sets of a service that nobody answers for, and no daemon."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        remote = RemoteTable([url], Keys("KEY", "secret-of-nobody"), "us-east-1")
        with site_of(tmp_path, {"lake": remote}) as site:
            site.more = [
                f"[datasets.{name}]\nsource = 'lake://b/{name}'\ndestination = '{tmp_path}/{name}'" for name in "abc"
            ]
            site.write_config()
            yield site


def waiting(site: Site, *arguments: object) -> subprocess.Popen[str]:
    """The command, once it says what it waits for."""
    process = site.popen("headrace", *arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "waits: no endpoint answers" in line:
            return process
    raise AssertionError(f"it never waited; exit code {process.wait()}")


def test_one_signal_ends_all_dry_runs_and_a_killed_command_takes_its_worker_along(site: Site) -> None:
    with waiting(site, "run", "--all", "--dry-run") as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130, errors
    assert "job 1, the dry run, is cancelled" in errors
    assert "job 3, a dry run, is cancelled, too" in errors
    with site.store() as store:
        assert {job.state for job in store.jobs()} == {JobState.CANCELLED}

        with waiting(site, "run", "a", "b", "--here") as process:
            (worker,) = live_workers_now(store, time.time())
            process.kill()
            process.communicate(timeout=COMMAND_SECONDS)
        until(lambda: process_started(worker.pid) is None)
        assert [job.state.value for job in store.jobs()][:2] == ["queued", "running"]

    with waiting(site, "run", "a", "--here") as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130, errors
    assert "job 4 stays in the queue: `headraced drain --job 4` goes on with it" in errors
