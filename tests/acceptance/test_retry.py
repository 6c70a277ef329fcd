"""A retry never makes a success of what it did not do: what only a listing can tell, and a destination that is gone."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.commands import TRANSFER, Folder, Hub, outcomes
from tests.support.site import RemoteTable, site_of, until
from tests.support.trees import fill_bucket

pytestmark = pytest.mark.server


@pytest.mark.parametrize("options", [(), ("--encode-names",)], ids=["plain", "encoded"])
def test_a_name_that_is_no_key_is_not_vanished_for_a_retry(options: tuple[str, ...], hub: Hub, tmp_path: Path) -> None:
    """It would count as gone, the job as done, and what the destination has besides as fit to be deleted."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"good": b"good"})
    name = b"x%x2Ey" if options else b"caf\xe9.nc"
    Path(os.fsdecode(os.fsencode(files.path) + b"/" + name)).write_bytes(b"content")
    bucket.fill({"extra": b"extra"})
    job = hub.sync(files, bucket, "--delete", "--max-delete", "all", *options, code=1)
    assert bucket.read() == {"good": b"good", "extra": b"extra"}
    failed = hub.site.headrace("status", job["id"])["counters"]
    said = hub.site.run("headrace", "retry", job["id"])
    assert "1 failures are of its listing" in said
    hub.site.run("headrace", "wait", job["id"], code=1)
    assert bucket.read() == {"good": b"good", "extra": b"extra"}
    counters = hub.site.headrace("status", job["id"])["counters"]
    assert (counters["failed"], counters["vanished"], counters["deleted"]) == (1, 0, 0)
    assert counters["done"] == failed["done"]
    assert sorted(outcomes(hub.lines(job)).values()) == ["failed", "transferred"]


def remove(target: Path) -> None:
    while target.exists():
        shutil.rmtree(target, ignore_errors=True)


def replace(target: Path) -> None:
    """What arrives goes on arriving in a folder that is found elsewhere."""
    target.rename(target.with_name("moved"))
    target.mkdir()


@pytest.mark.parametrize(("nested", "take"), [("", remove), ("deep/folder/", remove), ("", replace)])
def test_a_destination_that_is_removed_ends_the_job(
    nested: str, take: Callable[[Path], None], tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """Its files have nowhere to go. They are all still at the source, and none of them vanished."""
    bucket, target = fresh_bucket(seaweed), tmp_path / "target"
    tree = {f"{nested}f{number:03}": os.urandom(32 << 10) for number in range(96)}
    fill_bucket(seaweed, bucket, tree)
    remotes = {"lake": RemoteTable.of(seaweed)}
    with site_of(tmp_path, remotes, [*TRANSFER, 'bandwidth = "256KiB/s"']) as site:
        job = site.enqueue(f"lake://{bucket}/", target)
        daemon = site.serve()
        until(lambda: any(target.rglob("*")), what=site.logs)
        take(target)
        ended = site.until_job(job, lambda row: row.state is JobState.FAILED)
        assert ended.counters.vanished == 0
        assert f"{target}: it was removed while the job wrote to it" in str(ended.error)
        assert not target.exists() or not any(target.iterdir())
        daemon.stop()
        site.configure(TRANSFER)
        site.serve()
        again = site.enqueue(f"lake://{bucket}/", target)
        assert site.finish(again).state is JobState.DONE
        assert Folder(target).read() == tree
