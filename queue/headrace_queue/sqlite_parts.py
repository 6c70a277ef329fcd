"""Large objects under way, in SQLite. Each function is called in a transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import apsw

from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import Lease, Multipart, PartRecord
from headrace_queue.sqlite_batches import gets_on, held
from headrace_queue.sqlite_rows import Row, decode_key, encode_key, first, query

_COLUMNS: Final = "key, token, size, part_size, fingerprint, write_token"
_ONE: Final = f"SELECT id, {_COLUMNS} FROM multipart WHERE job_id = ? AND key = ?"
_ALL: Final = f"SELECT {_COLUMNS} FROM multipart WHERE job_id = ? ORDER BY id"
_PARTS: Final = "SELECT number, size, etag, crc64nvme FROM part WHERE multipart_id = ? ORDER BY number"
_PART: Final = "SELECT 1 FROM part WHERE multipart_id = ? AND number = ?"
_DELETE: Final = "DELETE FROM multipart WHERE job_id = ? AND key = ?"
_INSERT: Final = f"INSERT INTO multipart (job_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_PART: Final = "INSERT OR REPLACE INTO part (multipart_id, number, size, etag, crc64nvme) VALUES (?, ?, ?, ?, ?)"


def multipart(db: apsw.Connection, job_id: int, key: str) -> Multipart | None:
    row = first(db, _ONE, (job_id, encode_key(key)))
    if row is None:
        return None
    parts = tuple(PartRecord(*part) for part in query(db, _PARTS, (row[0],)))
    return replace(_as_multipart(job_id, row[1:]), parts=parts)


def _as_multipart(job_id: int, row: Row) -> Multipart:
    """A row of _COLUMNS, without the parts."""
    key, token, size, part_size, fingerprint, write_token = row
    return Multipart(job_id, decode_key(key), token, size, part_size, fingerprint, write_token)


def begin_multipart(db: apsw.Connection, lease: Lease, record: Multipart) -> None:
    if held(db, lease).job_id != record.job_id:
        raise LeaseLost(f"batch {lease.batch_id} belongs to another job than {record.job_id}")
    key = encode_key(record.key)
    db.execute(_DELETE, (record.job_id, key))
    db.execute(
        _INSERT,
        (record.job_id, key, record.token, record.size, record.part_size, record.fingerprint, record.write_token),
    )
    _put_parts(db, db.last_insert_rowid(), record.parts)


def add_parts(db: apsw.Connection, lease: Lease, key: str, parts: Sequence[PartRecord], resumed: bool) -> None:
    batch = held(db, lease)
    row = first(db, "SELECT id FROM multipart WHERE job_id = ? AND key = ?", (batch.job_id, encode_key(key)))
    if row is None:
        raise ValueError(f"job {batch.job_id} has no large object {key!r} under way")
    # an object that is begun anew may have been given up whole in every attempt before: its parts would never end
    if resumed and batch.tries > 1 and any(first(db, _PART, (row[0], part.number)) is None for part in parts):
        gets_on(db, batch)
    _put_parts(db, row[0], parts)


def _put_parts(db: apsw.Connection, multipart_id: int, parts: Sequence[PartRecord]) -> None:
    db.executemany(_PUT_PART, [(multipart_id, *part) for part in parts])


def end_multipart(db: apsw.Connection, job_id: int, key: str, token: str | None) -> None:
    if token is None:
        db.execute(_DELETE, (job_id, encode_key(key)))
    else:
        db.execute(f"{_DELETE} AND token = ?", (job_id, encode_key(key), token))


def multiparts(db: apsw.Connection, job_id: int) -> list[Multipart]:
    return [_as_multipart(job_id, row) for row in query(db, _ALL, (job_id,))]
