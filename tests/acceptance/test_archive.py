"""`headrace archive`: a folder as one tar object, unpacked again by GNU tar."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.jobs import JobSpec, Kind, Owner
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from tests.support.archives import describe, make_odd_tree
from tests.support.buckets import fresh_bucket
from tests.support.commands import MIB, PART, TRANSFER, Bucket, Hub, noise
from tests.support.require import require
from tests.support.rights import ALICE, BOB, TO_ACT, drain_without_privilege, made_by, reachable_folder
from tests.support.site import RemoteTable, Site, site_of
from tests.support.trees import open_uploads

pytestmark = pytest.mark.server


def archive(hub: Hub, folder: Path, target: Bucket, *options: object, code: int = 0) -> Any:
    """`headrace archive FOLDER BUCKET/tree.tar --wait`; the job at its end."""
    return hub.site.headrace("archive", folder, f"{target.url}/tree.tar", "--wait", *options, code=code)["job"]


def enqueue(site: Site, *specs: JobSpec) -> list[int]:
    """Without a command for each, which takes longer than the archive."""
    site.state.mkdir(mode=0o700, exist_ok=True)
    with closing(open_store(f"sqlite://{site.state / 'queue.db'}")) as store:
        return [store.enqueue(spec)[0].id for spec in specs]


def retry(site: Site, job_id: int) -> None:
    with closing(open_store(f"sqlite://{site.state / 'queue.db'}")) as store:
        store.retry(job_id)


def object_of(target: Bucket, key: str = "tree.tar") -> bytes:
    with target.client() as client:
        content: bytes = client.get_object(Bucket=target.name, Key=target.prefix + key)["Body"].read()
        return content


def unpacked(data: bytes, folder: Path) -> Path:
    """What GNU tar makes of it."""
    folder.mkdir()
    tar = [require("tar"), "-xpf", "-", "-C", str(folder), "--numeric-owner"]
    subprocess.run(tar, input=data, capture_output=True, check=True)
    return folder


def crc_line(job: Any, hub: Hub) -> tuple[str, int, str]:
    """Of the only line about the archive itself: outcome, size and proof; a CRC and an ETag stand there too."""
    (line,) = [line for line in hub.lines(job) if line.key == ""]
    assert len(line.crc64nvme) == 12
    assert line.etag
    return line.outcome, line.bytes, line.proof


def test_a_small_tree_is_one_object_that_gnu_tar_unpacks(hub: Hub, tmp_path: Path) -> None:
    tree, target = make_odd_tree(tmp_path / "tree"), hub.prefix("weed")
    job = archive(hub, tree, target)
    data = object_of(target)
    assert describe(unpacked(data, tmp_path / "back") / "tree") == describe(tree)
    assert crc_line(job, hub) == ("transferred", len(data), "crc64nvme")
    counters = job["counters"]
    assert (counters["planned_bytes"], counters["done_bytes"], counters["done"]) == (len(data), len(data), 1)
    assert target.head("tree.tar")["ContentType"] == "application/x-tar"
    assert archive(hub, tree, target)["counters"]["done"] == 1  # whatever is there already
    assert object_of(target) == data


def test_a_large_tree_goes_in_parts(hub: Hub, tmp_path: Path) -> None:
    """Parts end within files, within headers, and behind the last member."""
    tree, bucket = make_odd_tree(tmp_path / "tree"), hub.bucket("weed")
    (tree / "big.bin").write_bytes(noise(11 * MIB + 3))
    for number in range(200):
        (tree / f"f{number}").write_bytes(noise(number * 100))
    job = archive(hub, tree, bucket)
    data = object_of(bucket)
    assert describe(unpacked(data, tmp_path / "back") / "tree") == describe(tree)
    assert crc_line(job, hub) == ("transferred", len(data), "crc64nvme")
    assert job["counters"]["planned_bytes"] == len(data) > 2 * PART
    assert open_uploads(bucket.server, bucket.name) == []


def test_rules_special_files_and_the_name_below_a_bucket(hub: Hub, tmp_path: Path) -> None:
    tree, bucket = tmp_path / "run 7", hub.bucket("weed")
    for name in ("a.csv", "scratch/b.csv", "c.tmp"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    os.mkfifo(tree / "pipe")
    options = ["--exclude", "*.tmp", "--exclude-folder", "scratch", "--label", "a=b", "--priority", 3, "--wait"]
    job = hub.site.headrace("archive", tree, bucket.url, *options)["job"]
    assert (job["kind"], job["labels"], job["priority"], job["state"]) == ("archive", {"a": "b"}, 3, "done")
    listed = subprocess.run([require("tar"), "-tf", "-"], input=object_of(bucket, "run 7.tar"), capture_output=True)
    assert listed.stdout.decode().splitlines() == ["run 7/", "run 7/a.csv"]
    assert job["counters"]["excluded"] == 1
    (passed,) = [line for line in hub.lines(job) if line.key]
    assert (passed.key, passed.outcome, passed.error) == ("pipe", "skipped", "special_file")


def test_what_cannot_be_read_is_named_and_nothing_is_sent(quiet: Site, hub: Hub, tmp_path: Path) -> None:
    """A thinner archive would pass for the whole. Once that is mended, a retry sends everything."""
    tree, bucket = tmp_path / "tree", hub.bucket("weed")
    quiet.configure(TRANSFER)  # what can be read would be one PUT, all of it is more than that
    for name in ("fine", "secret", "shut/in"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x" * (PART if name == "secret" else 1))
    (tree / "secret").chmod(0o000)
    (tree / "shut").chmod(0o000)
    (job_id,) = enqueue(quiet, JobSpec(Kind.ARCHIVE, str(tree), f"{bucket.url}/tree.tar"))
    drain_without_privilege(quiet, code=1)
    (line,) = quiet.report_lines(job_id)
    assert (line.outcome, line.error, quiet.job(job_id).state) == ("failed", "access_denied", JobState.INCOMPLETE)
    assert "2 of its files and folders cannot be read, so nothing was sent: secret: " in line.message
    assert "; shut/: " in line.message
    assert bucket.read() == {}
    assert open_uploads(bucket.server, bucket.name) == []
    (tree / "secret").chmod(0o600)
    (tree / "shut").chmod(0o700)
    retry(quiet, job_id)
    drain_without_privilege(quiet, code=0)
    assert describe(unpacked(object_of(bucket), tmp_path / "back") / "tree") == describe(tree)


# -- a tree that changes, and a daemon that dies --------------------------------------------------------------------

PARTS = 3


class Slow:
    """An archive of three files of a part each, in more parts than that."""

    def __init__(self, site: Site, server: SeaweedFS, tree: Path) -> None:
        tree.mkdir(parents=True)
        for number in range(PARTS):
            (tree / f"f{number}").write_bytes(noise(PART))
        self.site = site
        self.tree = tree
        self.target = Bucket(server, "lake", fresh_bucket(server))
        (self.job_id,) = enqueue(site, JobSpec(Kind.ARCHIVE, str(tree), f"{self.target.url}/tree.tar"))

    def begun(self) -> str:
        """Once the first part has arrived: what names the upload, and stands with the object that it becomes."""
        self.site.until_parts(self.job_id, "", 1)
        record = self.site.multipart(self.job_id, "")
        assert record is not None
        return record.write_token

    def ended_as(self) -> str:
        """The name of the upload that the object is of. The object holds what the tree is now."""
        assert self.site.finish(self.job_id).counters.failed == 0
        back = unpacked(object_of(self.target), self.tree.with_name("back"))
        assert describe(back / self.tree.name) == describe(self.tree)
        assert open_uploads(self.target.server, self.target.name) == []
        token: str = self.target.head("tree.tar")["Metadata"]["headrace-write"]
        return token


@contextmanager
def slow_site(tmp_path: Path, server: SeaweedFS, *settings: str) -> Iterator[Site]:
    with site_of(tmp_path, {"lake": RemoteTable.of(server)}, [*TRANSFER, *settings]) as site:
        yield site


def test_a_file_that_grows_meanwhile(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """What is sent is the tree as it was at one moment, or nothing; the next try takes the sizes as they are then."""
    with slow_site(tmp_path, seaweed, 'bandwidth = "5MiB/s"', "attempts = 1") as site:
        slow, daemon = Slow(site, seaweed, tmp_path / "tree"), site.serve()
        begun = slow.begun()
        with (slow.tree / f"f{PARTS - 1}").open("ab") as file:
            file.write(b"one more line")
        site.until_job(slow.job_id, lambda job: job.state is JobState.INCOMPLETE)
        (line,) = site.report_lines(slow.job_id)
        assert line.error == "source_unstable"
        assert line.message == f"f{PARTS - 1}: it has 5,242,893 bytes now, 5,242,880 when the tree was walked"
        assert slow.target.read() == {}
        assert open_uploads(seaweed, slow.target.name) == []
        retry(site, slow.job_id)
        assert slow.ended_as() != begun
        assert daemon.stop() == 0


def test_a_killed_daemon_is_followed_by_one_that_goes_on(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """With the parts that are there, for the same tree gives the same bytes; anew where it is another one."""
    with slow_site(tmp_path, seaweed, 'bandwidth = "2MiB/s"') as site:
        same, other = (Slow(site, seaweed, tmp_path / name / "tree") for name in ("same", "other"))
        daemon = site.serve()
        first, second = same.begun(), other.begun()
        daemon.kill()
        (other.tree / "f0").write_bytes(noise(PART))
        site.configure(TRANSFER)
        site.serve()
        assert same.ended_as() == first
        assert other.ended_as() != second


# -- jobs of users ----------------------------------------------------------------------------------------------------


@TO_ACT
def test_a_user_archives_what_they_may_read_and_nothing_else(tmp_path: Path, seaweed: SeaweedFS) -> None:
    target = Bucket(seaweed, "lake", fresh_bucket(seaweed))
    with (
        reachable_folder() as folder,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}, TRANSFER) as site,
    ):
        top = made_by(ALICE, folder / "alice")
        made_by(ALICE, made_by(ALICE, top / "mine", mode=0o700) / "file", b"mine", 0o600)
        made_by(BOB, made_by(ALICE, top / "mixed") / "file", b"his", 0o600)
        made_by(BOB, made_by(BOB, folder / "outside") / "file", b"outside")
        (top / "link").symlink_to("../outside")
        owner = Owner(ALICE.name, str(top), ALICE.uid, ALICE.gid, ALICE.groups)
        names = {"mine": "alice/mine", "mixed": "alice/mixed", "link": "alice/link", "outside": "outside"}
        specs = [
            JobSpec(Kind.ARCHIVE, str(folder / name), f"{target.url}/{key}.tar", owner=owner)
            for key, name in names.items()
        ]
        jobs = dict(zip(names, enqueue(site, *specs), strict=True))  # the state is the daemon's alone, and its notes
        site.run("headraced", "drain", code=4)
        states = {name: site.job(job_id).state for name, job_id in jobs.items()}
        assert states == {
            "mine": JobState.DONE,
            "mixed": JobState.INCOMPLETE,
            "link": JobState.FAILED,
            "outside": JobState.FAILED,
        }
        (line,) = site.report_lines(jobs["mixed"])
        assert (line.error, "cannot be read, so nothing was sent: file: " in line.message) == ("access_denied", True)
        assert list(target.read()) == ["mine.tar"]
        assert describe(unpacked(object_of(target, "mine.tar"), tmp_path / "back") / "mine") == describe(top / "mine")
