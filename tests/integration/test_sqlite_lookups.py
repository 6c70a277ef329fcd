"""What is looked up often walks an index of SQLite in its own order, however many rows have ended."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_queue import sqlite_jobs, sqlite_plans, sqlite_tasks, sqlite_transfers
from headrace_queue.errors import QueueError
from headrace_queue.sqlite import SqliteStore
from headrace_queue.tasks import TASK_AT_FSX
from tests.support.queue import Clock, spec
from tests.support.task_rows import TaskBench


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "queue.db")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sqlite_transfers._DUE, "transfer_due (next_look<?)"),
        (sqlite_transfers._LIST_OF_USER, "transfer_of_user (user=?)"),
        (sqlite_transfers._UNDER_WAY, "transfer_under_way (user=?)"),
        (sqlite_transfers._STAGED_DOWNLOAD, "transfer_download (user=? AND path=? AND fingerprint=?)"),
        (sqlite_transfers._PURGE, "transfer_ended (finished<?)"),
        (sqlite_jobs._LIST_OF_USER, "job_of_user (user=?)"),
        (sqlite_jobs._PURGE, "transfer_of_job (job_id=?)"),
        (sqlite_jobs._PURGE, "task_open (job_id=?)"),
        (sqlite_jobs._BY_SUBMISSION, "sqlite_autoindex_job_1 (user=? AND submission_id=?)"),
        (sqlite_tasks._DUE, "task_due (next_look<?)"),
        (sqlite_tasks._BEFORE, "task_turn (file_system_id=? AND id<?)"),
        (sqlite_tasks._OF_JOB, "task_of_job (job_id=?)"),
        (sqlite_tasks._WAITS_NO_MORE, "task_open (job_id=?)"),
    ],
)
def test_an_index_is_walked(statement: str, index: str, store: SqliteStore) -> None:
    names = re.findall(r":(\w+)", statement)
    values = dict.fromkeys(names) if names else (None,) * statement.count("?")
    plan = [str(row[3]) for row in store._db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in step for step in plan), plan
    assert not any(step.startswith(("SCAN transfer", "SCAN job", "SCAN task")) for step in plan), plan
    # the one that sorts has the few rows of one version of one file before it
    assert statement is sqlite_transfers._STAGED_DOWNLOAD or not any("TEMP B-TREE" in step for step in plan), plan


def test_the_claim_of_a_plan_walks_its_order_past_the_jobs_that_wait_for_tasks(store: SqliteStore) -> None:
    values = {"now": 0.0, "max_waiting": 1, "only": None}
    plan = [str(row[3]) for row in store._db.execute(f"EXPLAIN QUERY PLAN {sqlite_plans._NEXT}", values)]
    assert plan[0] == "SCAN job USING INDEX job_plannable"
    assert plan[-1] == "SEARCH task USING INDEX task_open (job_id=?)"
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_the_claim_of_a_plan_does_not_walk_past_jobs_that_start_after_others(store: SqliteStore) -> None:
    first, _ = store.enqueue(spec())
    for _ in range(3):
        store.enqueue(replace(spec(), after=(first.id,)))
    terms = "plan_worker IS NULL AND phase <> 'done' AND state IN ('queued', 'running') AND plan_not_before < 1e15"
    walked = f"SELECT id FROM job INDEXED BY job_plannable WHERE {terms}"
    assert terms in sqlite_plans._NEXT
    assert store._db.execute(walked).fetchall() == [(first.id,)]
    store.cancel(first.id)
    assert store._db.execute(walked).fetchall() == []


def test_the_schema_knows_one_task_of_a_file_system_at_fsx(store: SqliteStore) -> None:
    """Also where the code above it would be wrong."""
    bench = TaskBench(store, Clock())
    at_fsx = set()
    for state in sorted(TASK_AT_FSX):
        first, second = bench.tasks(state, state)
        change = f"UPDATE task SET state = '{state}', task_id = 'task-1' WHERE id = ?"
        with store.group():
            store._db.execute(change, (first.id,))
        with pytest.raises(QueueError, match="UNIQUE"), store.group():
            store._db.execute(change, (second.id,))
        at_fsx.add(store.task(first.id).state)
    assert at_fsx == TASK_AT_FSX
