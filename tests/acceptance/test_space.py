"""Room at the destination: told by a dry run, and asked for before the first byte is fetched."""

import os
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.jobs import Job
from tests.support.buckets import fresh_bucket
from tests.support.site import RemoteTable, site_of
from tests.support.small_disk import small_disk
from tests.support.trees import Tree, fill_bucket, temporary_files

pytestmark = pytest.mark.server

MIB = 2**20
IN_PARTS = ["attempts = 1", 'part_size = "5MiB"', 'multipart_threshold = "5MiB"']
TREES: dict[str, Tree] = {
    "small objects": {f"d{number}/file": os.urandom(MIB) for number in range(12)},
    "in parts": {"large": os.urandom(12 * MIB)},
}


def waits(job: Job) -> bool:
    return job.waiting is not None


@pytest.mark.parametrize("kind", TREES)
def test_what_does_not_fit_is_not_begun(kind: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    """The job waits and says what is missing; it fetches nothing."""
    tree, bucket = TREES[kind], fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, tree)
    with (
        small_disk(tmp_path / "disk", 24 * MIB) as disk,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, IN_PARTS) as site,
    ):
        (disk / "ballast").write_bytes(bytes(16 * MIB))
        before = os.statvfs(disk).f_bfree
        # the small objects make one batch
        job_id = site.enqueue(f"lake://{bucket}/", disk / "target")
        site.serve()
        waiting = str(site.until_job(job_id, waits).waiting)
        assert "the destination is full" in waiting
        assert "12.0 MiB are needed and" in waiting
        assert "free some" in waiting
        assert before - os.statvfs(disk).f_bfree < MIB * 256 // os.statvfs(disk).f_frsize, "hardly anything was written"
        assert temporary_files(disk) == []


def test_the_configuration_says_what_stays_free(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, {"a": os.urandom(9 * MIB)})
    with (
        small_disk(tmp_path / "disk", 24 * MIB) as disk,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, [*IN_PARTS, 'min_free = "16MiB"']) as site,
    ):
        told = site.run("headrace", "sync", f"lake://{bucket}/", disk / "target", "--dry-run")
        assert "does not fit (9.0 MiB are needed and 24.0 MiB are free, of which 16.0 MiB stay free)" in told
        job_id = site.enqueue(f"lake://{bucket}/", disk / "target")
        site.serve()
        assert "of which 16.0 MiB stay free" in str(site.until_job(job_id, waits).waiting)
        assert temporary_files(disk) == []


@pytest.mark.parametrize(("size", "fits"), [(2 * MIB, True), (9 * MIB, False)])
def test_a_dry_run_says_whether_it_fits(size: int, fits: bool, tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, {"a": os.urandom(size), "b": b"abc"})
    with (
        small_disk(tmp_path / "disk", 8 * MIB) as disk,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}) as site,
    ):
        target = disk / "not" / "there"
        told = site.run("headrace", "sync", f"lake://{bucket}/", target, "--dry-run")
        (line,) = [line for line in told.splitlines() if line.startswith(f"{target}: 8.0 MiB")]
        assert line.endswith("inodes free: fits") is fits
        assert ("does not fit (9.0 MiB are needed" in line) is not fits
        lines = site.run("headrace", "sync", f"lake://{bucket}/", target, "--dry-run", "--json").splitlines()
        (space,) = [json_line for json_line in lines if '"space"' in json_line]
        assert f'"fits": {str(fits).lower()}' in space or f'"fits":{str(fits).lower()}' in space
        assert not target.parent.exists()


def test_a_dry_run_towards_a_bucket_says_nothing_of_room(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket, folder = fresh_bucket(seaweed), tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"abc")
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}) as site:
        assert "free" not in site.run("headrace", "sync", folder, f"lake://{bucket}/", "--dry-run")
