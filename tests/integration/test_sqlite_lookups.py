"""What is looked up often walks an index of SQLite in its own order, however many rows have ended."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_queue import sqlite_jobs, sqlite_transfers
from headrace_queue.sqlite import SqliteStore


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
        (sqlite_jobs._BY_SUBMISSION, "sqlite_autoindex_job_1 (user=? AND submission_id=?)"),
    ],
    ids=["due", "of user", "under way", "staged", "ended", "jobs of user", "jobs ended", "submission"],
)
def test_an_index_is_walked(statement: str, index: str, store: SqliteStore) -> None:
    names = re.findall(r":(\w+)", statement)
    values = dict.fromkeys(names) if names else (None,) * statement.count("?")
    plan = [str(row[3]) for row in store._db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in step for step in plan), plan
    assert not any(step.startswith(("SCAN transfer", "SCAN job")) for step in plan), plan
    # the one that sorts has the few rows of one version of one file before it
    assert statement is sqlite_transfers._STAGED_DOWNLOAD or not any("TEMP B-TREE" in step for step in plan), plan
