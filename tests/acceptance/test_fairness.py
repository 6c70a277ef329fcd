"""A slow job holds up nobody: what it waits for is its own."""

from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from headrace_queue.states import BatchState, JobState
from tests.support.buckets import fresh_bucket
from tests.support.faults import Direction, Fault, Kind
from tests.support.proxy_thread import ProxyThread
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


def test_a_job_whose_endpoint_hangs_leaves_memory_to_the_others(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Its parts come back after minutes. It is cancelled all the same."""
    transfer = [f'part_size = "{PART}"', f'multipart_threshold = "{PART}"', 'memory = "22MiB"']
    hung_files = write_tree(tmp_path / "hung", dict(list(LARGE.items())[:2]))
    quick_files = write_tree(tmp_path / "quick", QUICK)
    hung_bucket, quick_bucket = fresh_bucket(seaweed), fresh_bucket(seaweed)
    with ProxyThread(seaweed.endpoint_urls[0]) as proxy:
        remotes = {"lake": RemoteTable.of(seaweed), "far": RemoteTable.of(seaweed, [proxy.url], 'read_timeout = "1h"')}
        proxy.add(Fault(Kind.STALL, match="partNumber=", times=100, direction=Direction.UP))
        proxy.add(Fault(Kind.SWALLOW, match="DELETE ", times=100))
        with site_of(tmp_path / "site", remotes, transfer) as site:
            daemon = site.serve()
            hung = site.enqueue(hung_files, f"far://{hung_bucket}/")
            until(lambda: daemon.metric("headrace_endpoint_inflight", remote="far") >= 3, what=site.logs)
            quick = site.enqueue(quick_files, f"lake://{quick_bucket}/")
            site.finish(quick)
            assert site.job(hung).counters.done == 0
            assert read_bucket(seaweed, quick_bucket) == QUICK
            end(site, hung)


def end(site: Site, job_id: int) -> None:
    site.headrace("cancel", job_id)
    site.until_job(job_id, lambda job: job.state is JobState.CANCELLED)
