"""kill -9 of the daemon: the next one goes on where the queue says, and sends nothing twice that was recorded."""

import hashlib
import json
import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest

from headrace_daemon.demo.servers import Keys, SeaweedFS
from headrace_queue.jobs import Job
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.faults import Fault, Kind
from tests.support.proxy_thread import ProxyThread
from tests.support.site import RemoteTable, Site, ends_of, site_of, until
from tests.support.snow import FakeSnow
from tests.support.trees import (
    Tree,
    make_tree,
    open_uploads,
    read_bucket,
    read_tree,
    sha256_of_file,
    sha256_of_object,
    temporary_files,
    write_large,
    write_tree,
)

pytestmark = pytest.mark.server

MIB = 2**20
PART = 5 * MIB
PARTS = 100
RANGES = 34  # of three parts each, in which a file of 100 parts is read
ONE_PROCESS = pytest.mark.xdist_group("large")
"""For tests of the large file: it is made and put into a bucket once, not by every process that runs tests."""

LARGE_SETTINGS = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"', 'memory = "32MiB"']
SLOW = 'bandwidth = "80MiB/s"'
"""What is not to be over before the kill comes, on a fast machine or while this process has to wait for its turn."""

SNOW_KEYS = Keys("SNOWKEY00000001", "snow+secret/0001")
PART_NUMBER = re.compile(r"PUT .*partNumber=(\d+)")


class Large:
    """A file of 100 parts, and its digest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = write_large(path, PARTS * PART // MIB, seed=1)

    def linked(self, folder: Path) -> Path:
        """The same file as the only one of a folder."""
        folder.mkdir(parents=True)
        os.link(self.path, folder / "large.bin")
        return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    yield Large(path)
    path.unlink()


@pytest.fixture(scope="module")
def large_bucket(seaweed: SeaweedFS, large: Large) -> str:
    """A bucket that holds it as large.bin."""
    bucket = fresh_bucket(seaweed, "large")
    with closing(seaweed.client()) as client, large.path.open("rb") as body:
        client.put_object(Bucket=bucket, Key="large.bin", Body=body)
    return bucket


def parts_sent(requests: list[str]) -> list[int]:
    """The numbers of UploadPart requests, in order."""
    return [int(found[1]) for found in map(PART_NUMBER.match, requests) if found]


def recorded_parts(site: Site, job_id: int) -> set[int]:
    record = site.multipart(job_id, "large.bin")
    assert record is not None
    return {part.number for part in record.parts}


def crash_in_the_middle(site: Site, job_id: int, count: int) -> set[int]:
    """kill -9 once so many parts are recorded; the numbers of those that are."""
    site.configure([*LARGE_SETTINGS, SLOW])
    daemon = site.serve()
    site.until_parts(job_id, "large.bin", count)
    daemon.kill()
    site.configure(LARGE_SETTINGS)
    return recorded_parts(site, job_id)


def restart_sends_the_rest(site: Site, job_id: int, done: set[int], requests: list[str]) -> Job:
    """A new daemon finishes the job with exactly the parts that were not recorded."""
    assert 30 <= len(done) < PARTS
    requests.clear()
    site.serve()
    job = site.finish(job_id)
    # a set: on a slow machine a part may have to be sent again
    assert set(parts_sent(requests)) == set(range(1, PARTS + 1)) - done
    assert (job.counters.done, job.counters.failed) == (1, 0)
    assert job.counters.done_bytes == PARTS * PART
    return job


def test_the_queue_knows_of_an_upload_before_its_first_part_is_sent(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Else a crash at that moment would leave an upload behind that nobody knows of."""
    bucket, source = fresh_bucket(seaweed), tmp_path / "source"
    source.mkdir()
    write_large(source / "large.bin", 12, seed=2)
    with (
        ProxyThread(seaweed.endpoint_urls[0]) as proxy,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed, [proxy.url])}, LARGE_SETTINGS) as site,
    ):
        proxy.add(Fault(Kind.SWALLOW, match="partNumber=", times=100))
        job_id = site.enqueue(source, f"lake://{bucket}/")
        daemon = site.serve()
        first = until(lambda: next((one for one in proxy.proxy.requests if PART_NUMBER.match(one)), None))
        daemon.kill()
        record = site.multipart(job_id, "large.bin")
        assert record is not None
        assert (record.token in unquote(first), record.size, record.part_size) == (True, 12 * MIB, PART)


@ONE_PROCESS
def test_an_upload_of_100_parts_goes_on(tmp_path: Path, seaweed: SeaweedFS, large: Large) -> None:
    bucket = fresh_bucket(seaweed)
    source = large.linked(tmp_path / "source")
    with (
        ProxyThread(seaweed.endpoint_urls[0]) as proxy,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed, [proxy.url])}, LARGE_SETTINGS) as site,
    ):
        job_id = site.enqueue(source, f"lake://{bucket}/")
        done = crash_in_the_middle(site, job_id, 30)
        restart_sends_the_rest(site, job_id, done, proxy.proxy.requests)
        assert site.report(job_id)["large.bin"].proof in ("crc64nvme", "parts")
    assert sha256_of_object(seaweed, bucket, "large.bin") == large.sha256
    assert open_uploads(seaweed, bucket) == []


@ONE_PROCESS
def test_a_relay_of_100_parts_goes_on(tmp_path: Path, seaweed: SeaweedFS, large: Large, large_bucket: str) -> None:
    bucket = fresh_bucket(seaweed)
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        remotes = {"lake": RemoteTable.of(seaweed), "vault": RemoteTable.of(seaweed, [proxy.url])}
        with site_of(tmp_path, remotes, LARGE_SETTINGS) as site:
            job_id = site.enqueue(f"lake://{large_bucket}/", f"vault://{bucket}/")
            done = crash_in_the_middle(site, job_id, 30)
            restart_sends_the_rest(site, job_id, done, proxy.proxy.requests)
    assert sha256_of_object(seaweed, bucket, "large.bin") == large.sha256
    assert open_uploads(seaweed, bucket) == []


@ONE_PROCESS
@pytest.mark.parametrize("relayed", [False, True], ids=["upload", "relay"])
def test_a_device_without_list_parts_gets_the_rest(
    tmp_path: Path, seaweed: SeaweedFS, large: Large, large_bucket: str, relayed: bool
) -> None:
    source = f"lake://{large_bucket}/" if relayed else large.linked(tmp_path / "source")
    with FakeSnow(SNOW_KEYS) as snow:
        snow.make_bucket("box")
        remotes = {
            "lake": RemoteTable.of(seaweed),
            "snow": RemoteTable.of(snow, snow.endpoint_urls, 'profile = "snowball"'),
        }
        with site_of(tmp_path, remotes, LARGE_SETTINGS) as site:
            job_id = site.enqueue(source, "snow://box/")
            done = crash_in_the_middle(site, job_id, 30)
            restart_sends_the_rest(site, job_id, done, snow.requests)
        assert hashlib.sha256(snow.buckets["box"]["large.bin"].body).hexdigest() == large.sha256
        assert snow.uploads == {}


@ONE_PROCESS
def test_a_download_goes_on_with_what_is_on_the_disk(
    tmp_path: Path, seaweed: SeaweedFS, large: Large, large_bucket: str
) -> None:
    target = tmp_path / "target"
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        lake = RemoteTable.of(seaweed, [proxy.url])
        with site_of(tmp_path, {"lake": lake}, LARGE_SETTINGS) as site:
            job_id = site.enqueue(f"lake://{large_bucket}/", target)
            done = crash_in_the_middle(site, job_id, 10)
            assert 10 <= len(done) < RANGES
            assert len(temporary_files(target)) == 1
            proxy.proxy.requests.clear()
            site.serve()
            job = site.finish(job_id)
            fetched = [request for request in proxy.proxy.requests if request == f"GET /{large_bucket}/large.bin"]
            missing = RANGES - len(done)
            assert missing <= len(fetched) <= missing + job.counters.retries
    assert sha256_of_file(target / "large.bin") == large.sha256
    assert temporary_files(target) == []


@ONE_PROCESS
def test_a_part_that_is_here_is_recorded_while_the_next_does_not_come(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Long before a whole group of parts has arrived."""
    bucket = fresh_bucket(seaweed)
    body = random.Random(7).randbytes(60 * MIB)
    with closing(seaweed.client()) as client:
        client.put_object(Bucket=bucket, Key="large.bin", Body=body)
    target = tmp_path / "target"
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        ranges = f"GET /{bucket}/large.bin"
        proxy.add(Fault(Kind.DELAY, match=ranges, times=2), Fault(Kind.STALL, match=ranges, times=100))
        with site_of(tmp_path, {"lake": RemoteTable.of(seaweed, [proxy.url])}, LARGE_SETTINGS) as site:
            job_id = site.enqueue(f"lake://{bucket}/", target)
            daemon = site.serve()
            site.until_parts(job_id, "large.bin", 2)
            daemon.kill()
            assert len(recorded_parts(site, job_id)) == 2
            proxy.clear()
            site.serve()
            site.finish(job_id)
    assert (target / "large.bin").read_bytes() == body


# -- an upload that is gone meanwhile -----------------------------------------------------------------------------


def test_an_upload_that_the_service_gave_up_is_begun_anew(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """By a lifecycle rule for incomplete uploads, say. It is no fault of the object: one attempt is enough."""
    bucket, tree = fresh_bucket(seaweed), tmp_path / "tree"
    sha256 = write_large(tree / "large.bin", 6 * PART // MIB, seed=4)
    settings = [*LARGE_SETTINGS, "attempts = 1"]
    slow, lake = [*settings, 'bandwidth = "4MB/s"'], RemoteTable.of(seaweed)
    with site_of(tmp_path, {"lake": lake}, slow, ['drain_seconds = "0.1s"']) as site:
        job_id = site.enqueue(tree, f"lake://{bucket}/")
        daemon = site.serve()
        site.until_parts(job_id, "large.bin", 2)
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_code() == 0
        (upload,) = open_uploads(seaweed, bucket)
        with closing(seaweed.client()) as client:
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        site.configure(settings)
        site.serve()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (1, 0)
    assert sha256_of_object(seaweed, bucket, "large.bin") == sha256
    assert open_uploads(seaweed, bucket) == []


# -- a source that changed meanwhile ------------------------------------------------------------------------------

CHANGED = 12 * PART // MIB


@pytest.mark.parametrize("direction", ["upload", "relay", "download"])
def test_a_source_that_changed_meanwhile_starts_over(direction: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    source, target, new = fresh_bucket(seaweed, "source"), fresh_bucket(seaweed, "target"), tmp_path / "new.bin"
    tree, back = tmp_path / "tree", tmp_path / "back"
    write_large(tree / "large.bin", CHANGED, seed=2)
    sha256 = write_large(new, CHANGED, seed=3)
    put_file(seaweed, source, "large.bin", tree / "large.bin")
    ends = ends_of(direction, tree, source, target, back)
    slow = [*LARGE_SETTINGS, 'bandwidth = "8MiB/s"']
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed), "vault": RemoteTable.of(seaweed)}, slow) as site:
        job_id = site.enqueue(*ends)
        daemon = site.serve()
        until(lambda: site.multipart(job_id, "large.bin"))
        if direction != "download":  # which records its parts once so many are on the disk
            site.until_parts(job_id, "large.bin", 3)
        daemon.kill()
        put_file(seaweed, source, "large.bin", new)
        os.replace(new, tree / "large.bin")
        site.configure(LARGE_SETTINGS)
        site.serve()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (1, 0)
        assert site.multipart(job_id, "large.bin") is None
    if direction == "download":
        assert sha256_of_file(back / "large.bin") == sha256
    else:
        assert sha256_of_object(seaweed, target, "large.bin") == sha256
    assert open_uploads(seaweed, target) == []
    assert temporary_files(tmp_path) == []


def put_file(server: SeaweedFS, bucket: str, key: str, path: Path) -> None:
    with closing(server.client()) as client, path.open("rb") as body:
        client.put_object(Bucket=bucket, Key=key, Body=body)


# -- many small ones ----------------------------------------------------------------------------------------------

SMALL = 900


@pytest.mark.parametrize("direction", ["upload", "relay", "download"])
def test_many_small_objects_survive_two_kills(direction: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree = make_tree(seed=7, objects=SMALL)
    files, back = write_tree(tmp_path / "files", tree), tmp_path / "back"
    source, target = fresh_bucket(seaweed, "source"), fresh_bucket(seaweed, "target")
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed), "vault": RemoteTable.of(seaweed)}) as site:
        if direction != "upload":
            site.run("headrace", "sync", files, f"lake://{source}/")
            site.run("headraced", "drain")
        ends = ends_of(direction, files, source, target, back)
        job_id = site.enqueue(*ends)
        for share in (0.1, 0.4):
            daemon = site.serve()
            site.until_job(job_id, partial(has_done, share * SMALL))
            daemon.kill()
        site.serve()
        job = site.finish(job_id)
        assert_all_reported(site, job, tree)
    found = read_tree(back) if direction == "download" else read_bucket(seaweed, target)
    assert found == tree


def has_done(count: float, job: Job) -> bool:
    return job.counters.done >= count


def assert_all_reported(site: Site, job: Job, tree: Tree) -> None:
    """Counters add up, and every object has its line."""
    counters, report = job.counters, site.report(job.id)
    assert (counters.planned, counters.done) == (len(tree), len(tree))
    assert counters.done_bytes == counters.planned_bytes == sum(map(len, tree.values()))
    assert (counters.failed, counters.vanished) == (0, 0)
    assert {key: entry.bytes for key, entry in report.items()} == {key: len(body) for key, body in tree.items()}
    assert {entry.outcome for entry in report.values()} == {"transferred"}


# -- a batch that kills its worker --------------------------------------------------------------------------------


def test_every_object_of_a_batch_that_kills_its_worker_is_reported(tmp_path: Path, seaweed: SeaweedFS) -> None:
    tree, bucket = make_tree(seed=8, objects=40), fresh_bucket(seaweed)
    files = write_tree(tmp_path / "files", tree)
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        put = f"PUT /{bucket}/"
        proxy.add(Fault(Kind.STALL, match=put, times=1000))
        lake = RemoteTable.of(seaweed, [proxy.url])
        with site_of(tmp_path, {"lake": lake}, ["attempts = 2"]) as site:
            job_id = site.enqueue(files, f"lake://{bucket}/")
            for _ in range(2):
                proxy.proxy.requests.clear()
                daemon = site.serve()
                until(lambda: any(put in request for request in proxy.proxy.requests), what=site.logs)
                daemon.kill()
            site.serve()
            job = site.until_job(job_id, lambda row: row.state is JobState.INCOMPLETE)
            assert (job.counters.done, job.counters.failed) == (0, len(tree))
            printed = site.run("headrace", "report", job_id, "--failed", "--json").splitlines()
            lines = [json.loads(line) for line in printed]
            assert sorted(line["key"] for line in lines) == sorted(tree)
            assert {(line["outcome"], line["error"]) for line in lines} == {("failed", "worker_died")}


def test_small_objects_get_on_however_often_the_worker_is_killed(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Of one batch: another one that the worker holds, and gets nowhere with, counts its deaths."""
    tree, bucket = make_tree(seed=9, objects=90, sizes=(1, 300)), fresh_bucket(seaweed)
    files = write_tree(tmp_path / "files", tree)
    slow = ["attempts = 2", 'bandwidth = "2kB/s"']
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, slow) as site:
        job_id = site.enqueue(files, f"lake://{bucket}/")
        for _ in range(3):
            before = site.job(job_id).counters.done
            daemon = site.serve()
            site.until_job(job_id, partial(has_done, before + 1))
            daemon.kill()
        site.configure(["attempts = 2"])
        site.serve()
        assert_all_reported(site, site.finish(job_id), tree)
    assert read_bucket(seaweed, bucket) == tree


def test_a_large_object_gets_on_however_often_the_worker_is_killed(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket, tree = fresh_bucket(seaweed), tmp_path / "tree"
    sha256 = write_large(tree / "large.bin", 8 * PART // MIB, seed=5)
    settings = [*LARGE_SETTINGS, "attempts = 2"]
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, [*settings, 'bandwidth = "8MiB/s"']) as site:
        job_id = site.enqueue(tree, f"lake://{bucket}/")
        for _ in range(3):
            record = site.multipart(job_id, "large.bin")
            daemon = site.serve()
            site.until_parts(job_id, "large.bin", 1 + (0 if record is None else len(record.parts)))
            daemon.kill()
        site.configure(settings)
        site.serve()
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (1, 0)
    assert sha256_of_object(seaweed, bucket, "large.bin") == sha256
