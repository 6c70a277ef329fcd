"""The limit of open files: a daemon lifts its own as far as it may, and says where that is too little. One that is hit
fails no object."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from tests.support.buckets import fresh_bucket
from tests.support.site import COMMAND_SECONDS, Daemon, RemoteTable, site_of, until
from tests.support.trees import fill_bucket, make_tree, read_bucket, read_tree, write_tree

HEADRACED = Path(sys.executable).parent / "headraced"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("ulimit -Sn 256", ""),  # which it lifts
        ("ulimit -n 256", "may have 256 files and connections open, and needs about"),
    ],
)
def test_a_low_limit_is_lifted_or_told(tmp_path: Path, limit: str, told: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n')
    drain = ["/bin/sh", "-euc", f'{limit}; exec "$0" drain --config "$1"', str(HEADRACED), str(config)]
    ended = subprocess.run(drain, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert ended.returncode == 0
    warnings = [line for line in ended.stderr.splitlines() if "warning" in line]
    assert len(warnings) == bool(told), ended.stderr
    assert told in "".join(warnings)
    assert "LimitNOFILE=" in "".join(warnings) or not told


def limit_all(daemon: Daemon, spare: int | None) -> None:
    """It and the process for small files may each open so many files more than they have now; None: as many as ever."""
    for pid in (daemon.pid, *daemon.children()):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        soft = hard if spare is None else len(os.listdir(f"/proc/{pid}/fd")) + spare
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.server
@pytest.mark.parametrize("spare", [2, 12])
@pytest.mark.parametrize("upload", [True, False], ids=["upload", "download"])
def test_a_limit_that_is_hit_is_waited_for(tmp_path: Path, seaweed: SeaweedFS, upload: bool, spare: int) -> None:
    tree = make_tree(seed=5, objects=150)
    bucket, folder = fresh_bucket(seaweed), tmp_path / "folder"
    if upload:
        write_tree(folder, tree)
    else:
        fill_bucket(seaweed, bucket, tree)
    with site_of(tmp_path / "site", {"lake": RemoteTable.of(seaweed)}) as site:
        daemon = site.serve()
        limit_all(daemon, spare)
        ends = (folder, f"lake://{bucket}/") if upload else (f"lake://{bucket}/", folder)
        job_id = site.enqueue(*ends)
        until(lambda: "Too many open files" in daemon.log(), what=daemon.log)
        limit_all(daemon, None)
        job = site.finish(job_id)
        assert (job.counters.done, job.counters.failed) == (len(tree), 0)
        assert (read_bucket(seaweed, bucket) if upload else read_tree(folder)) == tree
