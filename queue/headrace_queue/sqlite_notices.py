"""Notices in SQLite: of which jobs something is to be told, and what waits to be sent. Each function is called in a
transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import apsw

from headrace_queue.errors import UnknownNotice
from headrace_queue.notices import (
    Movement,
    Notice,
    NoticeChanges,
    NoticeEvent,
    NoticeSpec,
    NoticeState,
    Untold,
)
from headrace_queue.sqlite_rows import JOB_COLUMNS, Row, as_job, first, printable, query

_COLUMNS: Final = "id, job_id, event, name, token, body, state, created, changed, next_look, looks, error"
# the conditions as those of the indexes, word for word: SQLite takes a partial index for no others
_ENDED: Final = f"""
    SELECT {JOB_COLUMNS}, told FROM job INDEXED BY job_untold
    WHERE finished IS NOT NULL AND told & 1 = 0 ORDER BY id LIMIT ?
"""
_FIRST_ERROR: Final = f"""
    SELECT {JOB_COLUMNS}, told FROM job INDEXED BY job_first_error
    WHERE failed > 0 AND finished IS NULL AND told & 2 = 0 ORDER BY id LIMIT ?
"""
_TELL: Final = "UPDATE job SET told = told | :bit WHERE id = :id AND told & :bit = 0 RETURNING id"
_UNTELL: Final = "UPDATE job SET told = told & ~:bit WHERE id = :id AND told & :bit <> 0"
# the same event of a job that was tried again is another one: whoever got the first has to get this, too
_ADD: Final = """
    INSERT INTO notice (job_id, event, name, token, body, state, created, changed, next_look)
    VALUES (:job_id, :event, :name, :token, :body, 'waiting', :now, :now, :now)
    ON CONFLICT (job_id, event, name) DO UPDATE SET token = excluded.token, body = excluded.body, state = 'waiting',
        created = :now, changed = :now, next_look = :now, looks = 0, error = NULL
"""
_MOVING: Final = f"""
    SELECT {JOB_COLUMNS},
        (SELECT count(*) FROM part JOIN multipart ON multipart.id = part.multipart_id WHERE multipart.job_id = job.id),
        told
    FROM job INDEXED BY job_by_state WHERE state = ? ORDER BY id LIMIT ?
"""
_PAGE: Final = f"""
    SELECT {_COLUMNS} FROM notice
    WHERE :states = '' OR instr(:states, '|' || state || '|') ORDER BY id DESC LIMIT :limit
"""
_DUE: Final = f"""
    UPDATE notice SET next_look = :held_until
    WHERE id IN (
        SELECT id FROM notice INDEXED BY notice_due
        WHERE state = 'waiting' AND next_look <= :now ORDER BY next_look, id LIMIT :limit)
    RETURNING {_COLUMNS}
"""
_CHANGE: Final = f"""
    UPDATE notice SET state = coalesce(:state, state), next_look = coalesce(:next_look, next_look),
        looks = coalesce(:looks, looks), error = coalesce(:error, error), changed = :now
    WHERE id = :id AND (:token IS NULL OR token = :token)
    RETURNING {_COLUMNS}
"""
_PURGE: Final = """
    DELETE FROM notice WHERE id IN (
        SELECT id FROM notice WHERE state <> 'waiting' AND changed < ? ORDER BY id LIMIT ?)
    RETURNING id
"""


def untold(db: apsw.Connection, limit: int) -> list[Untold]:
    """Those that ended come first."""
    rows = query(db, _ENDED, (limit,)) + query(db, _FIRST_ERROR, (limit,))
    return [Untold(as_job(row[:-1]), row[-1]) for row in rows]


def moving(db: apsw.Connection, states: Sequence[str], limit: int) -> list[Movement]:
    rows = [row for state in states for row in query(db, _MOVING, (state, limit))]
    return [Movement(as_job(row[:-2]), row[-2], row[-1]) for row in rows]


def tell(db: apsw.Connection, job_id: int, bit: int, specs: Sequence[NoticeSpec], now: float) -> bool:
    """False where it was settled before, or the job is no more."""
    if first(db, _TELL, {"id": job_id, "bit": bit}) is None:
        return False
    for spec in specs:
        db.execute(_ADD, asdict(spec) | {"job_id": job_id, "now": now})
    return True


def untell(db: apsw.Connection, job_id: int, bit: int) -> None:
    db.execute(_UNTELL, {"id": job_id, "bit": bit})


def page(db: apsw.Connection, states: Sequence[NoticeState], limit: int) -> list[Notice]:
    wanted = f"|{'|'.join(states)}|" if states else ""
    return [_as_notice(row) for row in query(db, _PAGE, {"states": wanted, "limit": limit})]


def due(db: apsw.Connection, now: float, hold: float, limit: int) -> list[Notice]:
    """The longest overdue, by number."""
    found = query(db, _DUE, {"now": now, "held_until": now + hold, "limit": limit})
    return sorted(map(_as_notice, found), key=lambda notice: notice.id)


def change(db: apsw.Connection, number: int, changes: NoticeChanges, token: str | None, now: float) -> Notice:
    """Raises UnknownNotice where it is no more, or another one took its place."""
    error = None if changes.error is None else printable(changes.error)
    values = asdict(changes) | {"error": error, "id": number, "token": token, "now": now}
    row = first(db, _CHANGE, values)
    if row is None:
        raise UnknownNotice(number)
    return _as_notice(row)


def purge(db: apsw.Connection, changed_before: float, limit: int) -> int:
    return len(query(db, _PURGE, (changed_before, limit)))


def _as_notice(row: Row) -> Notice:
    """A row of _COLUMNS."""
    number, job_id, event, name, token, body, state, *standing = row
    return Notice(number, job_id, NoticeSpec(NoticeEvent(event), name, token, body), NoticeState(state), *standing)
