"""Jobs to and from a device that lists unsorted and whole, copies nothing, keeps no metadata, and has no ListParts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import Keys, SeaweedFS, Tls
from tests.support.buckets import fresh_bucket
from tests.support.site import RemoteTable, Site, site_of
from tests.support.snow import FakeSnow
from tests.support.trees import Tree, fill_bucket, make_tree, read_bucket, read_tree, write_tree

pytestmark = pytest.mark.server

MIB = 2**20
KEYS = Keys("SNOWKEY00000001", "snow+secret/0001")
IN_PARTS = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"']
TRAP = {"test/foo.txt": b"1", "test-123.txt": b"2", "test.txt": b"3"}
"""Folder by folder they come in another order than by their names."""


@pytest.fixture
def snow(device_tls: Tls) -> Iterator[FakeSnow]:
    """Two addresses, behind the certificate that the device signed itself."""
    with FakeSnow(KEYS, endpoints=2, tls=device_tls) as device:
        device.make_bucket("box")
        yield device


def snow_table(snow: FakeSnow) -> RemoteTable:
    return RemoteTable.of(snow, snow.endpoint_urls, 'profile = "snowball"', f'ca_file = "{snow.ca_file}"')


def sample() -> Tree:
    return make_tree(seed=1, objects=200) | TRAP | {"large.bin": os.urandom(12 * MIB), "empty": b""}


def contents(snow: FakeSnow) -> Tree:
    return {key: stored.body for key, stored in snow.buckets["box"].items()}


def sync(site: Site, source: object, destination: object, *options: object) -> int:
    """One job to its end; its number."""
    job_id = site.enqueue(source, destination, *options)
    site.run("headraced", "drain")
    return job_id


def test_there_and_back(tmp_path: Path, snow: FakeSnow, seaweed: SeaweedFS) -> None:
    """Files -> device -> bucket -> device -> files, and every byte is the same."""
    tree, bucket = sample(), fresh_bucket(seaweed)
    files, back = write_tree(tmp_path / "files", tree), tmp_path / "back"
    snow.make_bucket("second")
    remotes = {"snow": snow_table(snow), "lake": RemoteTable.of(seaweed)}
    with site_of(tmp_path, remotes, IN_PARTS) as site:
        up = sync(site, files, "snow://box/")
        assert contents(snow) == tree
        assert {entry.destination_endpoint for entry in site.report(up).values()} == set(snow.endpoint_urls)
        sync(site, "snow://box/", f"lake://{bucket}/")
        assert read_bucket(seaweed, bucket) == tree
        sync(site, f"lake://{bucket}/", "snow://second/")
        down = sync(site, "snow://second/", back)
        assert read_tree(back) == tree
        for job_id in (up, down):
            assert site.job(job_id).counters.done == len(tree)
    assert snow.uploads == {}


def test_a_second_sync_finds_nothing_to_do(tmp_path: Path, snow: FakeSnow) -> None:
    """The listing comes whole and in no order; it is sorted before it is compared."""
    tree = sample()
    files, back = write_tree(tmp_path / "files", tree), tmp_path / "back"
    with site_of(tmp_path, {"snow": snow_table(snow)}, IN_PARTS) as site:
        sync(site, files, "snow://box/")
        again = site.job(sync(site, files, "snow://box/"))
        assert (again.counters.planned, again.counters.unchanged) == (0, len(tree))
        sync(site, "snow://box/", back)
        back_again = site.job(sync(site, "snow://box/", back))
        assert (back_again.counters.planned, back_again.counters.unchanged) == (0, len(tree))


def test_one_object_changed_and_one_left_over(tmp_path: Path, snow: FakeSnow) -> None:
    tree = make_tree(seed=2, objects=50) | TRAP
    files = write_tree(tmp_path / "files", tree)
    with site_of(tmp_path, {"snow": snow_table(snow)}) as site:
        sync(site, files, "snow://box/")
        snow.requests.clear()
        write_tree(files, {"test.txt": b"longer than before"})
        (files / "test-123.txt").unlink()
        job = site.job(sync(site, files, "snow://box/", "--delete"))
        assert (job.counters.done, job.counters.deleted, job.counters.failed) == (1, 1, 0)
        assert [request for request in snow.requests if request.startswith(("PUT", "DELETE", "POST"))] == [
            "PUT /box/test.txt",
            "DELETE /box/test-123.txt",
        ]
    assert contents(snow) == read_tree(files)


def test_the_device_is_asked_nothing_it_does_not_know(tmp_path: Path, snow: FakeSnow, seaweed: SeaweedFS) -> None:
    tree, bucket = make_tree(seed=3, objects=20) | {"large.bin": os.urandom(12 * MIB)}, fresh_bucket(seaweed)
    fill_bucket(seaweed, bucket, tree)
    snow.make_bucket("second")
    remotes = {"snow": snow_table(snow), "lake": RemoteTable.of(seaweed)}
    with site_of(tmp_path, remotes, IN_PARTS) as site:
        sync(site, f"lake://{bucket}/", "snow://box/")
        within = sync(site, "snow://box/", "snow://second/")  # it copies nothing itself
        assert {entry.outcome for entry in site.report(within).values()} == {"transferred"}
    assert contents(snow) == {key: stored.body for key, stored in snow.buckets["second"].items()} == tree
    assert not [request for request in snow.requests if "list-type" in request or "delete" in request]
    assert not [request for request in snow.requests if request.startswith("GET") and "uploadId" in request]
