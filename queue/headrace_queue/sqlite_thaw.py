"""Objects that are being restored, in SQLite: how they leave their batch and become part of one again. Each function is
called in a transaction."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import apsw

from headrace_queue.errors import UnknownThaw
from headrace_queue.jobs import Bitmap, Counters, Failure, Item, Lease
from headrace_queue.rules import RETRY_ITEMS, pack
from headrace_queue.sqlite_batches import add_finished, held
from headrace_queue.sqlite_jobs import settle
from headrace_queue.sqlite_limits import bear_failures
from headrace_queue.sqlite_rows import Row, add_counters, decode_item, first, insert_batch, insert_failures, query
from headrace_queue.thaw import Thaw, ThawChanges

_COLUMNS: Final = "id, job_id, item, storage_class, asked, expected, next_look, looks"
_ADD: Final = "INSERT INTO thaw (job_id, item, size, next_look) VALUES (?, ?, ?, ?)"
_PAGE: Final = f"SELECT {_COLUMNS} FROM thaw WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?"
# only these jobs: what a paused or ended one waits for is nobody's business until it goes on
_WAITING_JOBS: Final = """
    SELECT id FROM job INDEXED BY job_thawing WHERE thawing > 0 AND state IN ('queued', 'running') ORDER BY id
"""
_DUE: Final = """
    SELECT next_look, id FROM thaw INDEXED BY thaw_due
    WHERE job_id = ? AND NOT readable AND next_look <= ? ORDER BY next_look LIMIT ?
"""
_HOLD: Final = f"UPDATE thaw SET next_look = ? WHERE id = ? RETURNING {_COLUMNS}"
_SOON: Final = """
    UPDATE thaw SET next_look = :now WHERE NOT readable AND next_look > :now AND next_look <= :until
"""
_CHANGE: Final = f"""
    UPDATE thaw SET next_look = coalesce(:next_look, next_look), looks = coalesce(:looks, looks),
        storage_class = coalesce(:storage_class, storage_class), asked = coalesce(:asked, asked),
        expected = coalesce(:expected, expected)
    WHERE id = :id RETURNING {_COLUMNS}
"""
_READABLE: Final = (
    "SELECT id, item FROM thaw INDEXED BY thaw_readable WHERE job_id = ? AND readable ORDER BY id LIMIT ?"
)


def park(db: apsw.Connection, lease: Lease, objects: Sequence[tuple[int, Item]], now: float) -> None:
    """Raises LeaseLost; ValueError for an index that the batch does not have."""
    batch = held(db, lease)
    indexes = [index for index, _ in objects]
    if min(indexes) < 0 or max(indexes) >= batch.items:
        raise ValueError(f"batch {batch.id} has {batch.items} objects, none of index {max(indexes)}")
    finished = Bitmap.from_bytes(batch.finished)
    fresh = [item for index, item in objects if index not in finished]
    add_finished(db, batch, indexes)
    rows = [(batch.job_id, json.dumps(item.row()), item.size, now) for item in fresh]
    db.executemany(_ADD, rows)


def page(db: apsw.Connection, job_id: int, after: int, limit: int) -> list[Thaw]:
    return [_as_thaw(row) for row in query(db, _PAGE, (job_id, after, limit))]


def count(db: apsw.Connection, job_id: int) -> int:
    row = first(db, "SELECT thawing FROM job WHERE id = ?", (job_id,))
    return 0 if row is None else int(row[0])


def any_due(db: apsw.Connection, now: float) -> bool:
    return any(first(db, _DUE, (job_id, now, 1)) is not None for (job_id,) in query(db, _WAITING_JOBS))


def any_readable(db: apsw.Connection) -> bool:
    return any(first(db, _READABLE, (job_id, 1)) is not None for (job_id,) in query(db, _WAITING_JOBS))


def due(db: apsw.Connection, now: float, hold: float, limit: int) -> list[Thaw]:
    """The longest overdue."""
    found: list[Row] = []
    for (job_id,) in query(db, _WAITING_JOBS):
        found += query(db, _DUE, (job_id, now, limit))
    return [_as_thaw(query(db, _HOLD, (now + hold, number))[0]) for _, number in sorted(found)[:limit]]


def look_soon(db: apsw.Connection, now: float, within: float) -> None:
    db.execute(_SOON, {"now": now, "until": now + within})


def change(db: apsw.Connection, number: int, changes: ThawChanges) -> Thaw:
    """Raises UnknownThaw."""
    rows = query(db, _CHANGE, asdict(changes) | {"id": number})
    if not rows:
        raise UnknownThaw(number)
    return _as_thaw(rows[0])


def readable(db: apsw.Connection, number: int) -> None:
    """Raises UnknownThaw."""
    db.execute("UPDATE thaw SET readable = 1 WHERE id = ?", (number,))
    if not db.changes():
        raise UnknownThaw(number)


def end(db: apsw.Connection, number: int, counters: Counters, failure: Failure | None, now: float) -> None:
    """Raises UnknownThaw."""
    rows = query(db, "DELETE FROM thaw WHERE id = ? RETURNING job_id", (number,))
    if not rows:
        raise UnknownThaw(number)
    ((job_id,),) = rows
    failures = [] if failure is None else [failure]
    add_counters(db, job_id, counters, len(failures))
    insert_failures(db, job_id, failures)
    if failures:
        bear_failures(db, job_id, now)
    settle(db, job_id, now)


def put_back(db: apsw.Connection, now: float) -> int:
    """How many objects became part of batches again: those of each job that can be read by now."""
    moved = 0
    for (job_id,) in query(db, _WAITING_JOBS):
        rows = query(db, _READABLE, (job_id, RETRY_ITEMS))
        for items in pack(decode_item(item) for _, item in rows):
            insert_batch(db, job_id, items, now)
        db.executemany("DELETE FROM thaw WHERE id = ?", [(number,) for number, _ in rows])
        moved += len(rows)
        settle(db, job_id, now)
    return moved


def _as_thaw(row: Row) -> Thaw:
    """A row of _COLUMNS."""
    number, job_id, item, *rest = row
    return Thaw(number, job_id, decode_item(item), *rest)
