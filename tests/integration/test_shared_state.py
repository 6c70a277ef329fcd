"""One queue for several people: the state directory says whether its group works in it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUP, DAEMON, ALICE, STRANGER = 61_000, 61_001, 61_002, 61_003

# everything is imported before root becomes somebody who may not read where Python lies
ENQUEUE = """
import importlib.readers, os, sys
import headrace_queue.sqlite
from headrace_daemon.facts import Outcome
from headrace_daemon.observe.report import ReportWriter
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Item, JobSpec, Kind
from headrace_queue.store import open_store
from pathlib import Path
state, user, *groups = sys.argv[1:]
os.setgroups([int(group) for group in groups])
os.setgid(int(user))
os.setuid(int(user))
os.umask(0o077)
try:
    store = open_store(f"sqlite://{state}/queue.db")
    job, _ = store.enqueue(JobSpec(Kind.SYNC, "/source", f"s3://bucket/{user}"))
    report = ReportWriter(Path(state))
    report.write(1, Item(str(user), 1, 1), Outcome("transferred"))
    report.close()
    print(job.id)
    store.close()
except HeadraceError as error:
    sys.exit(f"refused: {error}")
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become several people")


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory of the daemon's user; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-shared-"))
    try:
        folder.chmod(0o755)
        (folder / "state").mkdir()
        os.chown(folder / "state", DAEMON, GROUP)
        yield folder / "state"
    finally:
        shutil.rmtree(folder)


def enqueue_as(user: int, groups: list[int], state: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ENQUEUE, str(state), str(user), *map(str, groups)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("people", [(DAEMON, ALICE), (ALICE, DAEMON)], ids=["the daemon first", "alice first"])
def test_members_of_the_group_share_one_queue_whoever_made_it(state: Path, people: tuple[int, int]) -> None:
    state.chmod(0o2770)
    for number, user in enumerate(people, 1):
        ran = enqueue_as(user, [GROUP], state)
        assert (ran.returncode, ran.stdout.strip()) == (0, str(number)), ran.stderr
    for path in (state / "queue.db", state / "reports" / "1.jsonl"):
        assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, GROUP)
    assert len((state / "reports" / "1.jsonl").read_text().splitlines()) == 2


def test_others_are_refused_with_a_remedy(state: Path) -> None:
    state.chmod(0o2770)
    assert enqueue_as(DAEMON, [GROUP], state).returncode == 0
    ran = enqueue_as(STRANGER, [], state)
    assert ran.returncode == 1
    assert "belongs to another user" in ran.stderr


def test_a_private_state_directory_stays_private(state: Path) -> None:
    state.chmod(0o750)
    assert enqueue_as(DAEMON, [GROUP], state).returncode == 0
    assert (state / "queue.db").stat().st_mode & 0o777 == 0o600
    assert (state / "reports").stat().st_mode & 0o777 == 0o700
    assert enqueue_as(ALICE, [GROUP], state).returncode == 1
