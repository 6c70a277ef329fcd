"""The process that handles small files: it ends with its daemon, and the daemon goes on without it."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.site import Daemon, RemoteTable, Site, site_of, until
from tests.support.trees import Tree, fill_bucket, make_tree, read_bucket, read_tree, temporary_files, write_tree

pytestmark = pytest.mark.server

SLOW = ['bandwidth = "300KB/s"']


@pytest.fixture(scope="module")
def tree() -> Tree:
    return make_tree(seed=9, objects=400)


def process_of(daemon: Daemon) -> int:
    """The process id of the one that handles the daemon's small files."""
    (found,) = [pid for pid in daemon.children() if Path(f"/proc/{pid}/comm").read_text() == "headraced-files\n"]
    return found


def gone(pid: int) -> bool:
    """Also where nobody has heard of its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture
def site(tmp_path: Path, seaweed: SeaweedFS) -> Iterator[Site]:
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, SLOW) as site:
        yield site


def killed_in_the_middle(site: Site, job_id: int) -> None:
    """Some objects are done, some are not, and the process is no more; then the job may be as quick as it can."""
    daemon = site.serve()
    pid = process_of(daemon)
    site.until_job(job_id, lambda job: job.counters.done > 0)
    os.kill(pid, signal.SIGKILL)
    until(lambda: "process for small files ended" in daemon.log())
    assert '"level": "warning"' in next(line for line in daemon.log().splitlines() if "small files ended" in line)
    until(lambda: not Path(f"/proc/{pid}").exists())  # no zombie either
    assert daemon.get("/readyz") is not None


def test_uploads_go_on_in_threads_when_it_is_killed(tmp_path: Path, seaweed: SeaweedFS, site: Site, tree: Tree) -> None:
    bucket = fresh_bucket(seaweed)
    write_tree(tmp_path / "source", tree)
    job_id = site.enqueue(tmp_path / "source", f"lake://{bucket}/")
    killed_in_the_middle(site, job_id)
    job = site.finish(job_id)
    assert (job.counters.done, job.counters.failed) == (len(tree), 0)
    assert read_bucket(seaweed, bucket) == tree


def test_downloads_go_on_in_threads_when_it_is_killed(
    tmp_path: Path, seaweed: SeaweedFS, site: Site, tree: Tree
) -> None:
    """What it had written and not named yet is fetched anew; no attempt is used up."""
    bucket, target = fresh_bucket(seaweed), tmp_path / "target"
    fill_bucket(seaweed, bucket, tree)
    site.configure([*SLOW, "attempts = 1"])
    job_id = site.enqueue(f"lake://{bucket}/", target)
    killed_in_the_middle(site, job_id)
    job = site.finish(job_id)
    assert (job.counters.done, job.counters.failed) == (len(tree), 0)
    assert read_tree(target) == tree
    assert temporary_files(target) == []


def test_a_daemon_whose_process_does_not_answer_ends_all_the_same(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, make_tree(seed=3, objects=50))
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, daemon=['drain_seconds = "0.1s"']) as site:
        daemon = site.serve()
        pid = process_of(daemon)
        os.kill(pid, signal.SIGSTOP)
        job_id = site.enqueue(f"lake://{bucket}/", tmp_path / "target")
        until(lambda: daemon.metric("headrace_requests_total") > 50)  # what was fetched waits to be written
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_code() == 0
        until(lambda: gone(pid))
        site.serve()
        assert site.finish(job_id).counters.done == 50


def test_a_cancel_gets_through_to_a_job_whose_process_does_not_answer(
    tmp_path: Path, seaweed: SeaweedFS, site: Site, tree: Tree
) -> None:
    """And other jobs go on until then, and afterwards."""
    first, second = fresh_bucket(seaweed), fresh_bucket(seaweed)
    fill_bucket(seaweed, first, tree)
    site.configure([])
    daemon = site.serve()
    os.kill(process_of(daemon), signal.SIGSTOP)
    stuck = site.enqueue(f"lake://{first}/", tmp_path / "target")
    until(lambda: daemon.metric("headrace_requests_total") > 50)
    site.headrace("cancel", stuck)
    relayed = site.enqueue(f"lake://{first}/", f"lake://{second}/")
    site.finish(relayed)
    assert site.job(stuck).state is JobState.CANCELLING, "it is still waited for"
    site.until_job(stuck, lambda job: job.state is JobState.CANCELLED)
    assert "has not answered for 20 s" in daemon.log()
    again = site.enqueue(f"lake://{first}/", tmp_path / "target")
    assert site.finish(again).counters.done == len(tree)
    assert read_tree(tmp_path / "target") == tree


def test_it_may_open_as_many_files_as_its_daemon(site: Site) -> None:
    """The limit is lifted before it is made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        daemon = site.serve()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    own, of_process = (resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in (daemon.pid, process_of(daemon)))
    assert of_process == own
    assert own[0] > 300


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_daemon(site: Site, number: signal.Signals) -> None:
    daemon = site.serve()
    pid = process_of(daemon)
    daemon.signal(number)
    daemon.exit_code()
    until(lambda: gone(pid))
