"""Endpoints that die and return, and a network that breaks what it carries, before a daemon that is at work.

Every site here has attempts = 1, but for those whose bytes change on the way: an object or a batch that used one up
would have failed.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3, S3Server, SeaweedFS
from headrace_queue.jobs import Job
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.faults import Direction, Fault, Kind
from tests.support.proxy_thread import ProxyThread
from tests.support.site import RemoteTable, Site, ends_of, site_of, until
from tests.support.trees import (
    fill_bucket,
    make_tree,
    open_uploads,
    read_bucket,
    read_tree,
    temporary_files,
    write_tree,
)

pytestmark = pytest.mark.server

MIB = 2**20
ONE_ATTEMPT = ["attempts = 1"]
IN_PARTS = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"', 'memory = "32MiB"']


@contextmanager
def doors(server: S3Server, count: int) -> Iterator[list[ProxyThread]]:
    """Proxies before the gateways of one service, in turn."""
    with ExitStack() as stack:
        urls = (server.endpoint_urls[index % len(server.endpoint_urls)] for index in range(count))
        yield [stack.enter_context(ProxyThread(url)) for url in urls]


def endpoints_of(site: Site, job_id: int) -> set[str]:
    """At the destination, by the report."""
    return {entry.destination_endpoint for entry in site.report_lines(job_id)}


def endpoint_events(site: Site, name: str) -> list[str]:
    return [str(event["endpoint"]) for event in site.events(name)]


def test_an_endpoint_is_lost_and_used_again_after_its_return(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=1, objects=600)
    files, bucket, second = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed), fresh_bucket(seaweed)
    with doors(seaweed, 2) as (stays, dies):
        lake = RemoteTable.of(seaweed, [stays.url, dies.url])
        with site_of(tmp_path, {"lake": lake}, ONE_ATTEMPT) as site:
            job_id = site.enqueue(files, f"lake://{bucket}/", "--bandwidth", "130kB/s")
            daemon = site.serve()
            site.until_job(job_id, lambda job: job.counters.done >= 100)
            dies.stop()
            until(lambda: dies.url in endpoint_events(site, "endpoint_set_aside"), what=daemon.log)
            dies.start()
            until(lambda: dies.url in endpoint_events(site, "endpoint_back"), what=daemon.log)
            again = site.enqueue(files, f"lake://{second}/")
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (len(tree), 0)
            assert job.counters.done == len(site.report(job_id))
            assert site.finish(again).counters.done == len(tree)
            assert endpoints_of(site, again) == {stays.url, dies.url}
    assert read_bucket(seaweed, bucket) == read_bucket(seaweed, second) == tree


def test_a_dead_remote_waits_alone_and_goes_on(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=2, objects=400)
    files, first, second = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed), fresh_bucket(seaweed)
    with doors(seaweed, 2) as (left, right):
        lake = RemoteTable.of(seaweed, [left.url, right.url])
        with site_of(tmp_path, {"lake": lake, "vault": RemoteTable.of(seaweed)}, ONE_ATTEMPT) as site:
            stuck = site.enqueue(files, f"lake://{first}/", "--bandwidth", "250kB/s")
            site.serve()
            site.until_job(stuck, lambda job: job.counters.done >= 50)
            left.stop()
            right.stop()
            waiting = site.until_job(stuck, lambda job: job.waiting is not None)
            assert "no endpoint answers" in str(waiting.waiting)
            assert "no endpoint answers" in site.run("headrace", "status", stuck)
            other = site.enqueue(files, f"vault://{second}/")
            assert site.finish(other).counters.done == len(tree)
            assert not site.job(stuck).finished
            left.start()
            right.start()
            job = site.finish(stuck)
            assert (job.counters.done, job.counters.failed, job.waiting) == (len(tree), 0, None)
    assert read_bucket(seaweed, first) == tree
    assert read_bucket(seaweed, second) == tree


# -- faults --------------------------------------------------------------------------------------------------------

HARM = [
    Fault(Kind.RESET, match="GET /", times=5, after=700),
    Fault(Kind.TRUNCATE, match="GET /", times=5, after=600),
    Fault(Kind.ANSWER, match="GET /", times=20),
    Fault(Kind.LOSE_ANSWER, match="GET /", times=5),
]
HARM_UP = [
    Fault(Kind.RESET, match="PUT /", times=5, after=700, direction=Direction.UP),
    Fault(Kind.TRUNCATE, match="PUT /", times=5, after=600, direction=Direction.UP),
    Fault(Kind.ANSWER, match="PUT /", times=20),
    Fault(Kind.LOSE_ANSWER, match="PUT /", times=5),
]


@pytest.mark.parametrize("direction", ["upload", "relay", "download"])
def test_a_bad_network_costs_no_attempt(direction: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Resets and truncation in the middle of bodies, lost answers, a burst of SlowDown."""
    tree = make_tree(seed=3, objects=300, sizes=(1000, 4000))
    files, back = write_tree(tmp_path / "files", tree), tmp_path / "back"
    source, target = fresh_bucket(seaweed, "source"), fresh_bucket(seaweed, "target")
    fill_bucket(seaweed, source, tree if direction != "upload" else {})
    with doors(seaweed, 2) as (reads, writes):
        remotes = {"lake": RemoteTable.of(seaweed, [reads.url]), "vault": RemoteTable.of(seaweed, [writes.url])}
        with site_of(tmp_path, remotes, ONE_ATTEMPT) as site:
            ends = ends_of(direction, files, source, target, back)
            job_id = site.enqueue(*ends)
            reads.add(*(fault_below(fault, source) for fault in HARM))
            writes.add(*(fault_below(fault, target) for fault in HARM_UP))
            site.serve()
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (len(tree), 0)
            hits = len(reads.proxy.hits) + len(writes.proxy.hits)
            assert hits == (70 if direction == "relay" else 35)
            # on a slow machine a request may have to be repeated for another reason
            assert hits <= job.counters.retries < 2 * hits
    assert (read_tree(back) if direction == "download" else read_bucket(seaweed, target)) == tree


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_connections_that_break_for_everybody_are_nobodys_fault(
    direction: str, tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """More often than a request has attempts, while the endpoint answers every probe."""
    files, back = write_tree(tmp_path / "files", {"d/a": b"a" * 5000}), tmp_path / "back"
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, {"d/a": b"a" * 5000} if direction == "download" else {})
    resets = (
        Fault(Kind.RESET, match=f"PUT /{bucket}/d", times=7, after=700, direction=Direction.UP),
        Fault(Kind.RESET, match=f"GET /{bucket}/d", times=7, after=700),
    )
    with ProxyThread(seaweed.endpoint_urls[0]) as door:
        door.add(*resets)
        with site_of(tmp_path, {"lake": RemoteTable.of(seaweed, [door.url])}, ONE_ATTEMPT) as site:
            words = (files, f"lake://{bucket}/") if direction == "upload" else (f"lake://{bucket}/", back)
            job_id = site.enqueue(*words)
            site.serve()
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (1, 0)
        assert len(door.proxy.hits) == 7
    assert (read_tree(back) if direction == "download" else read_bucket(seaweed, bucket)) == {"d/a": b"a" * 5000}


def fault_below(fault: Fault, bucket: str) -> Fault:
    """Of objects, not of listings."""
    return replace(fault, match=f"{fault.match}{bucket}/d")


@pytest.mark.parametrize("direction", ["upload", "relay", "download"])
def test_bytes_that_changed_on_the_way_never_count(direction: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    """One bit of a small object and one of a part; each is found out, told, and sent again."""
    tree = {"small.bin": os.urandom(5000), "large.bin": os.urandom(11 * MIB)}
    files, back = write_tree(tmp_path / "files", tree), tmp_path / "back"
    source, target = fresh_bucket(seaweed, "source"), fresh_bucket(seaweed, "target")
    with doors(seaweed, 2) as (reads, writes):
        remotes = {"lake": RemoteTable.of(seaweed, [reads.url]), "vault": RemoteTable.of(seaweed, [writes.url])}
        with site_of(tmp_path, remotes, IN_PARTS) as site:
            site.enqueue(files, f"lake://{source}/")  # with the checksums that a later reader needs
            site.run("headraced", "drain")
            ends = ends_of(direction, files, source, target, back)
            job_id = site.enqueue(*ends)
            for name in tree:
                reads.add(Fault(Kind.FLIP, match=f"GET /{source}/{name}", after=3000))
                writes.add(Fault(Kind.FLIP, match=f"PUT /{target}/{name}", after=3000, direction=Direction.UP))
            site.serve()
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (2, 0)
            assert len(reads.proxy.hits) + len(writes.proxy.hits) == (4 if direction == "relay" else 2)
            assert all(entry.attempts > 1 for entry in site.report(job_id).values())
            assert {entry.proof for entry in site.report(job_id).values()} == {"crc64nvme"}
    assert (read_tree(back) if direction == "download" else read_bucket(seaweed, target)) == tree
    assert open_uploads(seaweed, target) == []
    assert temporary_files(tmp_path) == []


def test_a_flipped_byte_is_found_where_the_source_has_no_more_than_an_md5(tmp_path: Path, rclone_s3: RcloneS3) -> None:
    content, back = os.urandom(11 * MIB), tmp_path / "back"
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, {"large.bin": content})
    with ExitStack() as stack:
        (door,) = stack.enter_context(doors(rclone_s3, 1))
        site = stack.enter_context(site_of(tmp_path, {"vault": RemoteTable.of(rclone_s3, [door.url])}, IN_PARTS))
        job_id = site.enqueue(f"vault://{bucket}/", back)
        door.add(Fault(Kind.FLIP, match=f"GET /{bucket}/large.bin", after=3000))
        site.serve()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (1, 0)
        assert len(door.proxy.hits) == 1
        (entry,) = site.report(job_id).values()
        assert entry.attempts > 1
        assert entry.proof == "md5"
    assert (back / "large.bin").read_bytes() == content


@pytest.mark.parametrize("direction", ["upload", "relay"])
def test_an_object_that_arrived_damaged_does_not_stay(direction: str, tmp_path: Path, rclone_s3: RcloneS3) -> None:
    """`rclone serve s3` takes any bytes, and its answer shows which. By their size they would pass for unchanged."""
    tree = {"bent.bin": os.urandom(5000), "good.bin": os.urandom(5000)}
    files, source, target = write_tree(tmp_path / "files", tree), fresh_bucket(rclone_s3), fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, source, tree)
    with doors(rclone_s3, 1) as (door,):
        remotes = {"lake": RemoteTable.of(rclone_s3), "vault": RemoteTable.of(rclone_s3, [door.url])}
        with site_of(tmp_path, remotes, ["attempts = 2"]) as site:
            ends = ends_of(direction, files, source, target, tmp_path)
            bent = f"PUT /{target}/bent.bin"
            door.add(Fault(Kind.FLIP, match=bent, times=1000, after=3000, direction=Direction.UP))
            job_id = site.enqueue(*ends)
            site.run("headraced", "drain", code=1)
            entry = site.report(job_id)["bent.bin"]
            assert (entry.outcome, entry.error, entry.attempts) == ("failed", "integrity", 2)
            assert read_bucket(rclone_s3, target) == {"good.bin": tree["good.bin"]}
            assert entry.message.endswith("; what was written was removed")
            door.clear()
            again = site.enqueue(*ends)
            site.run("headraced", "drain")
            assert {key: one.outcome for key, one in site.report(again).items()} == {"bent.bin": "transferred"}
    assert read_bucket(rclone_s3, target) == tree


def test_an_answer_to_complete_that_was_lost_is_proven(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = {"large.bin": os.urandom(11 * MIB)}
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    with doors(seaweed, 1) as (door,):
        lake = RemoteTable.of(seaweed, [door.url])
        with site_of(tmp_path, {"lake": lake}, [*IN_PARTS, *ONE_ATTEMPT]) as site:
            job_id = site.enqueue(files, f"lake://{bucket}/")
            door.add(Fault(Kind.LOSE_ANSWER, match=f"POST /{bucket}/large.bin?uploadId="))
            site.serve()
            job: Job = site.finish(job_id)
            assert job.counters.done == 1
            created = [request for request in door.proxy.requests if request.endswith("?uploads=")]
            assert len(door.proxy.hits) == 1
            assert len(created) <= 1
    assert read_bucket(seaweed, bucket) == tree
    assert open_uploads(seaweed, bucket) == []


# -- what is no S3 service -----------------------------------------------------------------------------------------

FOREIGN = Fault(Kind.ANSWER, times=10_000, status=404, body=b"<html><body>default backend - 404</body></html>")
"""As a load balancer answers that has no backend."""


@pytest.mark.parametrize("direction", ["download", "relay"])
def test_an_endpoint_that_is_no_s3_service_hides_no_object(direction: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=4, objects=300) | {"large.bin": os.urandom(21 * MIB)}
    source, target, back = fresh_bucket(seaweed, "source"), fresh_bucket(seaweed, "target"), tmp_path / "back"
    fill_bucket(seaweed, source, tree)
    with doors(seaweed, 2) as (good, foreign):
        foreign.add(FOREIGN)
        good.add(Fault(Kind.DELAY, match="GET /", times=10_000, seconds=0.05))  # it has not always room, the other has
        lake = RemoteTable.of(seaweed, [foreign.url, good.url], "max_requests = 4")
        remotes = {"lake": lake, "vault": RemoteTable.of(seaweed)}
        with site_of(tmp_path, remotes, [*IN_PARTS, *ONE_ATTEMPT]) as site:
            job_id = site.enqueue(*ends_of(direction, tmp_path, source, target, back))
            site.serve()
            job = site.finish(job_id)
            counters = job.counters
            assert (counters.done, counters.failed, counters.vanished) == (len(tree), 0, 0)
        assert foreign.proxy.hits, "it was asked as well"
    assert (read_tree(back) if direction == "download" else read_bucket(seaweed, target)) == tree


def test_without_another_endpoint_objects_fail_and_say_what_to_do(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, {"d/a": b"a" * 5000, "d/large.bin": os.urandom(11 * MIB)})
    with ExitStack() as stack:
        (door,) = stack.enter_context(doors(seaweed, 1))
        lake = RemoteTable.of(seaweed, [door.url])
        site = stack.enter_context(site_of(tmp_path, {"lake": lake}, [*IN_PARTS, *ONE_ATTEMPT]))
        job_id = site.enqueue(f"lake://{bucket}/", tmp_path / "back")
        door.add(*(replace(FOREIGN, match=f"{method} /{bucket}/d") for method in ("GET", "HEAD")))
        site.serve()
        job = site.until_job(job_id, lambda job: job.state is JobState.INCOMPLETE)
        assert (job.counters.done, job.counters.failed, job.counters.vanished) == (0, 2, 0)
        for entry in site.report(job_id).values():
            assert entry.error == "not_s3"
            assert "endpoint_urls" in str(entry.message)
        door.clear()
        site.run("headrace", "retry", job_id)
        assert site.finish(job_id).counters.done == 2
