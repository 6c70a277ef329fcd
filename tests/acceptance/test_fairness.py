"""A slow job holds up nobody: what it waits for is its own."""

from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.states import BatchState, JobState
from tests.support.buckets import fresh_bucket
from tests.support.site import RemoteTable, Site, site_of, until
from tests.support.trees import read_bucket, write_tree

pytestmark = pytest.mark.server

PART = 5 * 2**20
SMALL = {f"d/{number:04}": bytes(4096) for number in range(600)}
LARGE = {f"{number:02}": bytes(4 * PART) for number in range(10)}
QUICK = {"a": b"a", "b": b"b" * 4096, "large": b"c" * 2 * PART}


@pytest.mark.parametrize(
    ("slow_tree", "rate", "batches"),
    [(SMALL, "10kB/s", 1), (LARGE, "200kB/s", 8)],
    ids=["small objects", "large objects"],
)
def test_the_limit_of_a_job_slows_no_other(
    slow_tree: dict[str, bytes], rate: str, batches: int, tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """The slow one would need four minutes and more; it has all lanes, batches and memory that it can get."""
    transfer = [f'part_size = "{PART}"', f'multipart_threshold = "{PART}"', 'memory = "32MiB"', "objects = 4"]
    slow_files = write_tree(tmp_path / "slow", slow_tree)
    quick_files = write_tree(tmp_path / "quick", QUICK)
    slow_bucket, quick_bucket = fresh_bucket(seaweed), fresh_bucket(seaweed)
    with site_of(tmp_path / "site", {"lake": RemoteTable.of(seaweed)}, transfer) as site:
        site.serve()
        slow = site.enqueue(slow_files, f"lake://{slow_bucket}/", "--bandwidth", rate)
        with site.store() as store:
            until(lambda: store.depth().batches.get(BatchState.LEASED, 0) >= batches, what=site.logs)
        quick = site.enqueue(quick_files, f"lake://{quick_bucket}/")
        assert site.finish(quick).state is JobState.DONE
        assert site.job(slow).state is JobState.RUNNING
        assert read_bucket(seaweed, quick_bucket) == QUICK
        end(site, slow)


def end(site: Site, job_id: int) -> None:
    site.headrace("cancel", job_id)
    site.until_job(job_id, lambda job: job.state is JobState.CANCELLED)
