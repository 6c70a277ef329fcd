"""A daemon that is asked to leave: it drains, gives its leases back, and the next goes on. Type=notify."""

import re
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw
import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.jobs import Job
from headrace_queue.states import BatchState, JobState
from tests.support.buckets import fresh_bucket
from tests.support.proxy_thread import ProxyThread
from tests.support.site import COMMAND_SECONDS, RemoteTable, Site, site_of, until
from tests.support.trees import (
    make_tree,
    open_uploads,
    read_bucket,
    sha256_of_object,
    temporary_files,
    write_large,
    write_tree,
)

pytestmark = pytest.mark.server

MIB = 2**20
IN_PARTS = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"', 'memory = "32MiB"']
SLOW = 'bandwidth = "10MiB/s"'
HUGE_MIB = 100


def has_done(count: int, job: Job) -> bool:
    return job.counters.done >= count


def assert_nothing_is_held(site: Site) -> None:
    """No worker, no lease, and no attempt used up."""
    with site.store() as store:
        assert store.workers() == []
        assert store.depth().batches[BatchState.LEASED] == 0
    with closing(apsw.Connection(str(site.state / "queue.db"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        assert db.execute("SELECT coalesce(sum(tries), 0) FROM batch").fetchall() == [(0,)]


def test_sigterm_in_the_middle_of_small_objects(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=1, objects=600)
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    lake = RemoteTable.of(seaweed)
    with site_of(tmp_path, {"lake": lake}, ['bandwidth = "60kB/s"'], ['drain_seconds = "1s"']) as site:
        job_id = site.enqueue(files, f"lake://{bucket}/")
        daemon = site.serve()
        site.until_job(job_id, partial(has_done, 50))
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_code() == 0
        assert_nothing_is_held(site)
        before = site.job(job_id)
        assert before.counters.done < len(tree)
        assert len(site.report(job_id)) == before.counters.done
        site.configure([])
        site.serve()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (len(tree), 0)
        lines = site.report_lines(job_id)
        assert len(lines) == len(tree)  # not one of them was sent twice
    assert read_bucket(seaweed, bucket) == tree


def test_a_drain_lets_objects_in_flight_finish(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=2, objects=300)
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, daemon=['drain_seconds = "60s"']) as site:
        job_id = site.enqueue(files, f"lake://{bucket}/", "--bandwidth", "50kB/s")
        daemon = site.serve()
        before = site.until_job(job_id, partial(has_done, 1)).counters.done
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.get("/readyz") is None)
        assert daemon.process.exit_code is None  # it takes no more work, and finishes what it has
        assert daemon.exit_code() == 0
        assert_nothing_is_held(site)
        assert site.job(job_id).counters.done > max(50, before)
        site.run("headraced", "drain")
    assert read_bucket(seaweed, bucket) == tree


def test_sigterm_while_a_huge_object_is_under_way(tmp_path: Path, seaweed: SeaweedFS) -> None:
    files, bucket = tmp_path / "files", fresh_bucket(seaweed)
    sha256 = write_large(files / "huge.bin", HUGE_MIB, seed=1)
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        lake = RemoteTable.of(seaweed, [proxy.url])
        with site_of(tmp_path, {"lake": lake}, [*IN_PARTS, SLOW], ['drain_seconds = "1s"']) as site:
            job_id = site.enqueue(files, f"lake://{bucket}/")
            daemon = site.serve()
            site.until_parts(job_id, "huge.bin", 4)
            daemon.signal(signal.SIGTERM)
            assert daemon.exit_code() == 0
            assert_nothing_is_held(site)
            record = site.multipart(job_id, "huge.bin")
            assert record is not None
            proxy.proxy.requests.clear()
            site.configure(IN_PARTS)
            site.serve()
            site.finish(job_id)
            # a set: on a slow machine a part may have to be sent again
            sent = {request for request in proxy.proxy.requests if "partNumber=" in request}
            assert len(sent) == HUGE_MIB // 5 - len(record.parts)
    assert sha256_of_object(seaweed, bucket, "huge.bin") == sha256
    assert open_uploads(seaweed, bucket) == []


def test_a_download_that_is_stopped_goes_on_with_what_it_fetched(tmp_path: Path, seaweed: SeaweedFS) -> None:
    files, back, bucket = tmp_path / "files", tmp_path / "back", fresh_bucket(seaweed)
    write_large(files / "huge.bin", HUGE_MIB, seed=1)
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        lake = RemoteTable.of(seaweed, [proxy.url])
        with site_of(tmp_path, {"lake": lake}, [*IN_PARTS, SLOW], ['drain_seconds = "1s"']) as site:
            put_file(seaweed, bucket, files / "huge.bin")
            job_id = site.enqueue(f"lake://{bucket}/", back)
            daemon = site.serve()
            until(lambda: fetched(proxy, bucket) >= 8)
            daemon.signal(signal.SIGTERM)
            assert daemon.exit_code() == 0
            record = site.multipart(job_id, "huge.bin")
            assert record is not None
            assert record.parts, "what was fetched was thrown away"
            proxy.proxy.requests.clear()
            site.configure(IN_PARTS)
            site.serve()
            job = site.finish(job_id)
            missing = HUGE_MIB // 5 - len(record.parts)
            assert missing <= fetched(proxy, bucket) <= missing + job.counters.retries
    assert (back / "huge.bin").read_bytes() == (files / "huge.bin").read_bytes()
    assert temporary_files(back) == []


def fetched(proxy: ProxyThread, bucket: str) -> int:
    return proxy.proxy.requests.count(f"GET /{bucket}/huge.bin")


def put_file(server: SeaweedFS, bucket: str, path: Path) -> None:
    with closing(server.client()) as client, path.open("rb") as body:
        client.put_object(Bucket=bucket, Key=path.name, Body=body)


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path, seaweed: SeaweedFS) -> None:
    files, bucket = tmp_path / "files", fresh_bucket(seaweed)
    sha256 = write_large(files / "huge.bin", HUGE_MIB, seed=1)
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, [*IN_PARTS, SLOW], ['drain_seconds = "1h"']) as site:
        job_id = site.enqueue(files, f"lake://{bucket}/")
        daemon = site.serve()
        site.until_parts(job_id, "huge.bin", 1)
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.get("/readyz") is None)
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_code() == 130
        site.configure(IN_PARTS)
        site.serve()
        site.finish(job_id)
    assert sha256_of_object(seaweed, bucket, "huge.bin") == sha256
    assert open_uploads(seaweed, bucket) == []


def test_drain_that_is_stopped_tells_so_and_the_next_one_ends_the_job(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=3, objects=300)
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, daemon=['drain_seconds = "1s"']) as site:
        job_id = site.enqueue(files, f"lake://{bucket}/", "--bandwidth", "40kB/s")
        with site.popen("headraced", "drain") as drain:
            try:
                site.until_job(job_id, partial(has_done, 20))
                drain.send_signal(signal.SIGTERM)
                output, errors = drain.communicate(timeout=COMMAND_SECONDS)
            finally:
                drain.kill()
        assert drain.returncode == 3, output + errors
        assert_nothing_is_held(site)
        assert site.job(job_id).state is JobState.RUNNING
        site.run("headraced", "drain", code=0)
        assert site.job(job_id).counters.done == len(tree)
        assert site.run("headraced", "drain", code=0) is not None  # nothing left to do
    assert read_bucket(seaweed, bucket) == tree


def test_systemd_hears_of_start_watchdog_and_end(tmp_path: Path, seaweed: SeaweedFS) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        address = str(tmp_path / "notify")
        systemd.bind(address)
        systemd.settimeout(COMMAND_SECONDS)
        with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, daemon=['drain_seconds = "7s"']) as site:
            daemon = site.serve(NOTIFY_SOCKET=address)
            assert next_message(systemd, lambda message: True) == "READY=1"
            for _ in range(3):
                assert next_message(systemd, lambda message: True) == "WATCHDOG=1"
            daemon.signal(signal.SIGTERM)
            ending = next_message(systemd, lambda message: message != "WATCHDOG=1")
            assert ending.startswith("STOPPING=1\n")
            (extended,) = re.findall(r"^EXTEND_TIMEOUT_USEC=(\d+)$", ending, re.MULTILINE)
            assert int(extended) > 7_000_000
            assert daemon.exit_code() == 0


def next_message(systemd: socket.socket, wanted: Callable[[str], bool]) -> str:
    while not wanted(message := systemd.recv(4096).decode()):
        pass
    return message
