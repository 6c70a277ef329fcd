"""A queue's file of a former version, opened by this Headrace: nothing of it is lost, and it is as a new one after."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import apsw
import pytest

from headrace_queue import sqlite_roots
from headrace_queue.errors import QueueError, SchemaMismatch
from headrace_queue.jobs import Counters, Item, JobSpec, Kind, Owner, encode_items
from headrace_queue.sqlite import SqliteStore
from headrace_queue.sqlite_connection import APPLICATION_ID
from headrace_queue.sqlite_migration import OLDEST_VERSION, SCHEMA_VERSION
from headrace_queue.states import BatchState, JobState
from headrace_queue.store import open_for_a_look
from tests.support.queue import Bench, Clock, items
from tests.support.task_rows import TaskBench

SUPPORT = Path(__file__).parents[1] / "support"
FORMER = range(OLDEST_VERSION, SCHEMA_VERSION)
ROWS = """
    INSERT INTO worker VALUES ('w1', 'host', 1, 2, 3.5);
    INSERT INTO job (id, kind, source, destination, options, labels, priority, submission_id, state, phase, created,
        started, cursor, plan_worker, plan_fence, listed, planned, failed, sort_source)
    VALUES (3, 'sync', 's3://b/', '/fsx/a', '{"delete": true}', '[["k", "v"]]', 5, 'once', 'running', 'copy', 1.5, 2.5,
        x'6bedb3bf', 'w1', 7, 40, 30, 1, 1);
    INSERT INTO job (id, kind, source, destination, options, labels, priority, state, phase, created, finished, error)
    VALUES (4, 'copy', '/fsx/x', 's3://b/x', '{}', '[]', 0, 'failed', 'copy', 1.5, 9.5, 'no such bucket');
    INSERT INTO job (id, kind, source, destination, options, labels, priority, state, phase, created)
    VALUES (9, 'copy', '/fsx/y', 's3://b/y', '{}', '[]', 0, 'queued', 'copy', 1.5);
    DELETE FROM job WHERE id = 9;
    INSERT INTO failure (job_id, item, error, message, attempts) VALUES (3, '["f",1,2,"e","copy"]', 'denied', 'no', 1);
    INSERT INTO multipart VALUES (1, 4, x'78', 'upload', 100, 10, 'etag', 'token');
    INSERT INTO part VALUES (1, 1, 10, 'e', 'c');
"""
TRANSFER = """
    INSERT INTO transfer (direction, state, system, user, owner, path, size, bucket, key, part_size, lifetime,
        fingerprint, archive, account, no_clobber, created, changed, job_id, staged, next_look)
    VALUES ('download', 'moving', 'alps', 'ann', '["/d", 1, 2, [3]]', '/d/f', 9, 'staging', 'k', 0, 60.0, 'v1', 0,
        'project', 0, 1.5, 2.5, 3, 1, 4.5)
"""
NEW_COLUMNS: dict[str, tuple[int, Any]] = {
    "user": (2, ""),
    "owner": (2, None),
    "note": (3, None),
    "after": (4, "[]"),
    "told": (4, 0),
    "deadline": (4, None),
    "forgiven": (4, 0),
    "thawing": (4, 0),
    "archived": (4, 0),
}
"""Of a job: since which version, and what the rows of a former one have."""
ROOT = "INSERT INTO root VALUES (3, '1:2', '3:4')"
BATCH = (
    "INSERT INTO batch (job_id, state, items, payload, worker_id, fence, ready_since) VALUES (3, ?, 2, ?, ?, ?, 1.5)"
)


@pytest.fixture(params=FORMER)
def version(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    """A queue as a former version left it, with a bit of everything in it."""
    path = tmp_path / "queue.db"
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON")
        db.execute((SUPPORT / f"queue_schema_{version}.sql").read_text(encoding="utf-8"))
        db.execute(sqlite_roots._TABLE)
        db.execute(ROWS)
        db.execute(ROOT)
        if version >= 2:
            db.execute(TRANSFER)
        db.execute(BATCH, ("leased", encode_items(items(2)), "w1", 4))
        db.execute(BATCH, ("ready", encode_items(items(2, "l")), None, 0))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")
    return path


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, clock=Clock())
    yield store
    store.close()


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows, by column; also what SQLite keeps of the numbers that it gave away."""
    found: dict[str, list[dict[str, Any]]] = {}
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        tables = [str(row[0]) for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            found[table] = [dict(zip(columns, row, strict=True)) for row in db.execute(f"SELECT * FROM {table}")]
    return found


def schema_of(path: Path) -> set[tuple[Any, ...]]:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        version = [("version", db.pragma("user_version"))]
        return {*db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"), *version}


def test_everything_is_there(path: Path, version: int) -> None:
    before = rows_of(path)
    SqliteStore(path).close()
    after = rows_of(path)
    for table in after.keys() - before.keys():
        assert after.pop(table) == []
    for column, (since, default) in NEW_COLUMNS.items():
        if version < since:
            assert {job.pop(column) for job in after["job"]} == {default}
    numbers = {row["name"]: row["seq"] for row in before.pop("sqlite_sequence")}
    assert numbers == {"job": 9, "batch": 2, "failure": 1} | ({"transfer": 1} if version >= 2 else {})
    assert {row["name"]: row["seq"] for row in after.pop("sqlite_sequence")} == numbers
    assert after == before
    tables = ("job", "batch", "failure", "multipart", "part", "root", "worker")
    assert [len(before[table]) for table in tables] == [2, 2, 1, 1, 1, 1, 1]


def test_its_schema_is_that_of_a_new_file(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "new.db"
    with closing(SqliteStore(other)) as new:
        job, _ = new.enqueue(JobSpec(Kind.SYNC, "s3://b/", "/fsx"))
        new.pin_roots(job.id, "1:2", "3:4")
    assert schema_of(path) != schema_of(other)
    SqliteStore(path).close()
    assert schema_of(path) == schema_of(other)


def test_its_jobs_go_on(store: SqliteStore) -> None:
    job = store.job(3)
    assert (job.state, job.spec.labels) == (JobState.RUNNING, (("k", "v"),))
    assert (job.spec.options.delete, job.spec.owner) == (True, None)
    assert store.depth().batches == {BatchState.READY: 1, BatchState.LEASED: 1, BatchState.DEAD: 0}
    again, is_new = store.enqueue(job.spec)
    assert (again.id, is_new) == (3, False), "its submission id is still taken"
    assert store.expire(["w1"]).leases == 2, "a batch and a plan"
    bench = Bench(store, Clock())
    plan = store.claim_plan("w2", 99, 3)
    assert plan is not None
    assert (plan.attempt, plan.cursor, plan.sort_source) == (8, "k\udcff", True)
    batches = store.claim("w2", 9)
    assert sorted(item.key for batch in batches for item in batch.items) == ["k00000", "k00001", "l00000", "l00001"]
    for batch in batches:
        bench.finish(batch)
    assert store.depth().batches[BatchState.LEASED] == 0, "the counts of batches are kept"
    assert store.job(3).counters == Counters(listed=40, planned=30, done=4, failed=1)
    assert store.pin_roots(3, "9:9", "9:9") == ("1:2", "3:4")
    assert bench.job().id == 10, "the number of a purged job never comes back"


def test_what_hangs_on_its_jobs_goes_with_them(store: SqliteStore, path: Path) -> None:
    store.end_multipart(4, "x")
    assert store.purge(10.0) == [4]
    assert rows_of(path)["part"] == []
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA foreign_keys = ON; DELETE FROM job")
    after = rows_of(path)
    assert [after[table] for table in ("batch", "failure", "root")] == [[], [], []]


def test_it_takes_what_is_new(store: SqliteStore) -> None:
    spec = JobSpec(Kind.ARCHIVE, "/fsx/a", "s3://b/a.tar", submission_id="once", owner=Owner("ann"))
    job, is_new = store.enqueue(spec)
    assert is_new
    assert (store.job(job.id).spec, store.jobs(user="ann")) == (spec, [job])
    store.expire(["w1"])
    (task,) = TaskBench(store, Clock()).tasks(job=store.job(3))
    assert (store.tasks(3), store.claim_plan("w1", 99, 3)) == ([task], None)


def test_the_connection_is_as_any_other_after(store: SqliteStore) -> None:
    assert [store._db.pragma(name) for name in ("foreign_keys", "legacy_alter_table")] == [1, 0]


def test_who_only_reads_says_what_to_do(path: Path, version: int) -> None:
    before, told = schema_of(path), rf"version {version}, this Headrace expects {SCHEMA_VERSION}.*Start `headraced`"
    with pytest.raises(SchemaMismatch, match=told):
        open_for_a_look(f"sqlite://{path}")
    with pytest.raises(SchemaMismatch, match=told):
        SqliteStore(path, in_memory=True)
    assert schema_of(path) == before


def test_one_that_cannot_be_brought_up_to_date_stays_as_it_was(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA foreign_keys = OFF; DELETE FROM job WHERE id = 3")
    before = (schema_of(path), rows_of(path))
    with pytest.raises(QueueError, match="damaged"):
        SqliteStore(path)
    assert (schema_of(path), rows_of(path)) == before


def test_several_at_once_do_it_once(path: Path) -> None:
    start = Barrier(4)

    def look(_: int) -> list[int]:
        start.wait()
        with closing(SqliteStore(path)) as store:
            return [job.id for job in store.jobs()]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(look, range(4))) == [[4, 3]] * 4
    assert ("version", SCHEMA_VERSION) in schema_of(path)


def test_a_reader_that_was_there_before_reads_on(path: Path) -> None:
    """Of an earlier Headrace that still runs; it knows the file by its old columns."""
    columns = "id, kind, source, destination, options, labels, priority, submission_id, state, phase"
    with closing(apsw.Connection(str(path))) as old:
        before = old.execute(f"SELECT {columns} FROM job").fetchall()
        SqliteStore(path).close()
        assert old.execute(f"SELECT {columns} FROM job").fetchall() == before


def test_items_of_its_failures_are_read(store: SqliteStore) -> None:
    ((_, failure),) = store.failures(3)
    assert failure.item == Item("f", 1, 2, "e")
