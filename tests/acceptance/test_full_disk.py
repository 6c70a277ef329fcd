"""Disks that fill up: at the destination, and below the queue. Nothing is lost, and no attempt is used up."""

import os
from functools import partial
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.jobs import Job
from tests.support.buckets import fresh_bucket
from tests.support.site import Daemon, RemoteTable, Site, site_of, until
from tests.support.small_disk import small_disk
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


def fill(disk: Path) -> Path:
    """A file that takes all the space there is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def events_of_a_full_disk(daemon: Daemon) -> list[str]:
    return [line for line in daemon.log().splitlines() if "disk is full" in line or "No space left" in line]


def has_done(count: int, job: Job) -> bool:
    return job.counters.done >= count


@pytest.mark.parametrize("size", [60_000, 6 * MIB])
def test_a_full_destination_pauses_the_job(size: int, tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Small objects, and ones that come in parts."""
    tree = {f"d{number}/file": os.urandom(size) for number in range(12 * MIB // size)}
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, tree)
    settings = [*ONE_ATTEMPT, 'part_size = "5MiB"', 'multipart_threshold = "5MiB"']
    with (
        small_disk(tmp_path / "disk", 16 * MIB) as disk,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, settings) as site,
    ):
        (disk / "ballast").write_bytes(bytes(8 * MIB))
        job_id = site.enqueue(f"lake://{bucket}/", disk / "target")
        site.serve()
        job = site.until_job(job_id, lambda job: job.waiting is not None)
        assert "the destination is full" in str(job.waiting)
        assert "the destination is full" in site.run("headrace", "status", job_id)
        (disk / "ballast").unlink()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed, job.waiting) == (len(tree), 0, None)
        assert read_tree(disk / "target") == tree
        assert temporary_files(disk) == []


def test_a_full_disk_below_the_queue_loses_nothing(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=1, objects=900, sizes=(1, 200))
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        site = Site(tmp_path / "site", {"lake": RemoteTable.of(seaweed)}, ONE_ATTEMPT, state=disk / "state")
        try:
            job_id = site.enqueue(files, f"lake://{bucket}/", "--bandwidth", "12kB/s")
            daemon = site.serve()
            site.until_job(job_id, partial(has_done, 100))
            ballast = fill(disk)
            until(lambda: events_of_a_full_disk(daemon), what=daemon.log)
            assert daemon.get("/healthz") is not None
            ballast.unlink()
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (len(tree), 0)
            assert set(site.report(job_id)) == set(tree)
        finally:
            site.close()
    assert read_bucket(seaweed, bucket) == tree


@pytest.mark.parametrize("again", [False, True], ids=["in the middle", "until after the last part"])
def test_a_large_object_goes_on_where_the_disk_below_the_queue_was_full(
    again: bool, tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """No attempt is used up, no upload is given up for what is no fault of its own, and none stays."""
    tree = {"large": os.urandom(40 * MIB), **{f"small/{number}": b"s" * 2000 for number in range(200)}}
    files, bucket = write_tree(tmp_path / "files", tree), fresh_bucket(seaweed)
    settings = [*ONE_ATTEMPT, 'part_size = "5MiB"', 'multipart_threshold = "5MiB"']
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        site = Site(tmp_path / "site", {"lake": RemoteTable.of(seaweed)}, settings, state=disk / "state")
        try:
            job_id = site.enqueue(files, f"lake://{bucket}/", "--bandwidth", "8MB/s")
            daemon = site.serve()
            site.until_parts(job_id, "large", 1)
            ballast = fill(disk)
            until(lambda: events_of_a_full_disk(daemon), what=daemon.log)
            if again:
                until(lambda: len(events_of_a_full_disk(daemon)) > 5, what=daemon.log)
            ballast.unlink()
            job = site.finish(job_id)
            assert (job.counters.done, job.counters.failed) == (len(tree), 0), daemon.log()
            assert read_bucket(seaweed, bucket) == tree
            assert open_uploads(seaweed, bucket) == []
        finally:
            site.close()
