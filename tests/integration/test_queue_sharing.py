"""One queue file and several processes; what is refused before it can do harm; and a disk that is full."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import pytest

from headrace_queue import filesystem
from headrace_queue.errors import QueueError, QueueFull, SchemaMismatch, UnsafeQueue
from headrace_queue.jobs import Counters, Failure, Item
from headrace_queue.sqlite import SqliteStore
from headrace_queue.sqlite_connection import check_sqlite
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from tests.support.queue import Bench, Clock, items, worker
from tests.support.small_disk import small_disk

# Every child says when it is ready, starts when it is told to, and then prints a line of JSON for what it did.
PRELUDE = """
import json, sys
from headrace_queue.jobs import Counters, JobSpec, Kind, Worker
from headrace_queue.sqlite import SqliteStore
path, name = sys.argv[1:3]
def say(*what): print(json.dumps(what), flush=True)
def wait(): say("ready"); sys.stdin.readline()
"""
WORKER = """
store = SqliteStore(path)
store.register(Worker(name, "host", 1, 1))
batches = store.claim(name, 1)
wait()
while batches:
    for batch in batches:
        todo = [index for index, _ in batch.open_items()]
        store.progress(batch.lease, todo, Counters(done=len(todo)), [])
        job = store.complete(batch.lease)
        say(*[item.key for item in batch.items])
    batches = store.claim(name, 2)
"""
STEADY = """
store = SqliteStore(path)
store.register(Worker(name, "host", 1, 1))
wait()
for batch in store.claim(name, 1):
    for index, item in batch.open_items():
        store.progress(batch.lease, [index], Counters(done=1), [])
        say(index)
"""
ENQUEUER = """
wait()
store = SqliteStore(path)
for number in range(10):
    spec = JobSpec(Kind.SYNC, "s3://bucket/", "/fsx", submission_id=f"same-{number}")
    job, is_new = store.enqueue(spec)
    say(job.id, is_new)
    store.enqueue(JobSpec(Kind.SYNC, f"s3://{name}/", "/fsx"))
"""


class Child:
    """A second process on the queue."""

    def __init__(self, script: str, path: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == ["ready"]

    def line(self) -> list[object] | None:
        """What it said next; None at its end."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        return json.loads(text) if text.endswith("\n") else None

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def rest(self) -> list[list[object]]:
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        assert self.process.wait() == 0
        return lines

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def children(script: str, path: Path, count: int) -> Iterator[list[Child]]:
    with ExitStack() as stack:
        started = []
        for number in range(count):
            child = Child(script, path, f"child-{number}")
            stack.callback(child.close)
            started.append(child)
        yield started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "queue.db"


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    clock = Clock()
    store = SqliteStore(path, clock=clock)
    yield Bench(store, clock)
    store.close()


# -- several processes --------------------------------------------------------------------------------------------


def test_two_workers_complete_every_batch_once(bench: Bench, path: Path) -> None:
    job = bench.job()
    bench.plan(job, *[items(5, f"b{index:03}-") for index in range(100)])
    with children(WORKER, path, 2) as workers:
        for child in workers:
            child.go()
        done = [child.rest() for child in workers]
    assert all(done), "both had one in hand before either began"
    keys = [key for lines in done for line in lines for key in line]
    assert len(keys) == len(set(keys)) == 500
    after = bench.store.job(job.id)
    assert (after.state, after.counters.done) == (JobState.DONE, 500)


MANY = 5000
"""More than a process can do in the moment between our look and our kill, on whatever disk."""


def test_kill_9_loses_nothing_that_was_acknowledged(bench: Bench, path: Path) -> None:
    job = bench.job()
    bench.plan(job, items(MANY))
    acknowledged: set[int] = set()
    for kill_after in (1, 40, 15):
        with children(STEADY, path, 1) as (child,):
            child.go()
            for _ in range(kill_after):
                line = child.line()
                assert line is not None
                acknowledged.update(number for number in line if isinstance(number, int))
            child.kill()
            while (line := child.line()) is not None:  # said before it died
                acknowledged.update(number for number in line if isinstance(number, int))
        assert bench.store.expire(["child-0"]).leases == 1
        batch = bench.claim()
        finished = {index for index in range(MANY) if index in batch.finished}
        assert acknowledged <= finished
        assert len(finished - acknowledged) <= 3, "at most what was in flight at each of the kills"
        assert bench.store.job(job.id).counters.done == len(finished), "bitmap and counters are one commit"
        bench.store.snooze(batch.lease, 0.0, "")
    assert bench.finish(bench.claim()).counters.done == MANY


def test_concurrent_enqueuers_make_one_job_of_one_submission_id(path: Path) -> None:
    """Four processes, which also race to make the file."""
    with children(ENQUEUER, path, 4) as enqueuers:
        for child in enqueuers:
            child.go()
        said = [child.rest() for child in enqueuers]
    assert all(len(lines) == 10 for lines in said)
    for number in range(10):
        answers = [lines[number] for lines in said]
        assert len({job_id for job_id, _ in answers}) == 1
        assert [is_new for _, is_new in answers].count(True) == 1
    store = SqliteStore(path, read_only=True)
    assert len(store.jobs(limit=1000)) == 10 + 40
    store.close()


def test_the_version_tells_of_another_process(bench: Bench, path: Path) -> None:
    with children(ENQUEUER, path, 1) as (child,):
        before = bench.store.version()
        child.go()
        assert child.line() is not None
        assert bench.store.version() != before
        child.rest()


def test_a_reader_is_not_held_up_by_a_writer(bench: Bench, path: Path) -> None:
    job = bench.job()
    reader = SqliteStore(path, read_only=True)
    with bench.store.group():
        bench.store.pause(job.id)
        assert reader.job(job.id).state is JobState.QUEUED
    assert reader.job(job.id).state is JobState.PAUSED
    with pytest.raises(QueueError, match="readonly"):
        reader.resume(job.id)
    reader.close()


# -- what is refused ----------------------------------------------------------------------------------------------


def test_the_queue_is_private(bench: Bench, path: Path) -> None:
    bench.job()
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"queue.db": 0o600, "queue.db-wal": 0o600, "queue.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_reader_makes_nothing(path: Path) -> None:
    with pytest.raises(QueueError, match="no queue yet"):
        SqliteStore(path, read_only=True)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(QueueError, match="no queue in it yet"):
        SqliteStore(path, read_only=True)
    assert path.stat().st_size == 0


def test_every_commit_is_synced(bench: Bench, path: Path) -> None:
    """Invariant of the queue: what was acknowledged survives the loss of power."""
    store = SqliteStore(path)
    found = [store._db.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")]
    store.close()
    assert found == ["wal", 2, 1]


def test_a_queue_of_another_version_is_refused(bench: Bench, path: Path) -> None:
    other = apsw.Connection(str(path))
    other.pragma("user_version", 99)
    for read_only in (False, True):
        with pytest.raises(SchemaMismatch, match=r"version 99, this Headrace expects \d"):
            SqliteStore(path, read_only=read_only)
    other.close()


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="another program"):
        SqliteStore(path)
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all\n" * 100)
    with pytest.raises(SchemaMismatch, match="no SQLite file"):
        SqliteStore(path)
    assert path.read_bytes() == b"no database at all\n" * 100


@pytest.mark.parametrize("version", ["3.51.3", "3.51.10", "3.52.0", "3.54.1", "4.0.0", "3.50.7", "3.50.9"])
def test_a_repaired_sqlite_is_taken(version: str) -> None:
    check_sqlite(version)


@pytest.mark.parametrize("version", ["3.40.1", "3.49.9", "3.50.6", "3.51.0", "3.51.2"])
def test_an_unsafe_sqlite_is_refused(version: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(UnsafeQueue, match=rf"SQLite {version}.*Install apsw"):
        SqliteStore(path)
    assert not path.parent.exists()


@pytest.mark.parametrize(("magic", "name"), [(0x0BD00BD0, "Lustre"), (0x6969, "NFS"), (0xFE534D42, "SMB2")])
def test_a_shared_file_system_is_refused(magic: int, name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "magic", lambda _: magic)
    with pytest.raises(UnsafeQueue, match=f"{name}.*local disk"):
        open_store(f"sqlite://{path}")
    assert not path.parent.exists()


def test_the_file_system_is_told_as_coreutils_tells_it(tmp_path: Path) -> None:
    for place in (tmp_path, Path("/proc")):
        told = subprocess.run(["stat", "-f", "-c", "%t", str(place)], capture_output=True, text=True, check=True)
        assert filesystem.magic(place) == int(told.stdout, 16)
    with pytest.raises(FileNotFoundError):
        filesystem.magic(tmp_path / "missing")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(QueueError, match="state_dir"):
        SqliteStore(tmp_path / "file" / "queue.db")


# -- a full disk --------------------------------------------------------------------------------------------------


def fill(disk: Path) -> Path:
    """A file that leaves no byte free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_stops_nothing_for_good(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * 2**20) as disk:
        bench = Bench(SqliteStore(disk / "queue.db", clock=Clock()), Clock())
        try:
            job = bench.job()
            bench.plan(job, items(400))
            batch = bench.claim()
            ballast = fill(disk)
            survived = 0
            failures = [Failure(Item("k" * 1000 + str(index), 1, 1), "denied", "no" * 500) for index in range(400)]
            with pytest.raises(QueueFull, match="Free space"):  # noqa: PT012 - which of them it is depends on the page cache
                for index in range(400):
                    bench.store.progress(batch.lease, [index], Counters(), [failures[index]])
                    survived += 1
            with pytest.raises(QueueFull), bench.store.group():  # noqa: PT012
                for _ in range(2):
                    bench.store.progress(batch.lease, list(range(survived, 400)), Counters(), failures[survived:] * 20)
            assert bench.store.job(job.id).counters.failed == survived, "readable, and whole"
            reader = SqliteStore(disk / "queue.db", read_only=True)
            assert reader.job(job.id).counters.failed == survived
            reader.close()
            ballast.unlink()
            bench.store.progress(batch.lease, list(range(survived, 400)), Counters(done=400 - survived), [])
            assert bench.store.complete(batch.lease).state is (JobState.INCOMPLETE if survived else JobState.DONE)
        finally:
            bench.store.close()


def test_the_same_worker_again_after_a_crash(bench: Bench, path: Path) -> None:
    """A daemon that finds its own name registered takes it over without losing the leases of before."""
    job = bench.job()
    bench.plan(job, items(1))
    lease = bench.claim().lease
    again = SqliteStore(path)
    again.register(worker("w1"))
    bench.store.progress(lease, [0], Counters(done=1), [])
    assert bench.store.complete(lease).state is JobState.DONE
    again.close()
