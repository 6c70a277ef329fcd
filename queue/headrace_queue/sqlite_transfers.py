"""Transfers in SQLite: every move of their state, and which are to be looked at. Each function is called in a
transaction."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Final

import apsw

from headrace_queue.errors import IllegalTransition, TooManyTransfers, UnknownTransfer
from headrace_queue.sqlite_rows import Row, decode_owner, encode_owner, first, printable, query, refuse_no_text
from headrace_queue.transfers import (
    ENDED,
    ONLY_OF,
    Changes,
    Direction,
    Transfer,
    TransferSpec,
    TransferState,
    move_transfer,
)

_SPEC: Final = (
    "direction, system, user, owner, path, size, bucket, key, part_size, deadline, lifetime, fingerprint, archive, "
    "account, no_clobber"
)
_COLUMNS: Final = (
    f"{_SPEC}, id, state, created, changed, upload_id, job_id, staged, expires, finished, error, etag, crc64nvme, "
    "next_look, looks"
)
_ADD: Final = f"""
    INSERT INTO transfer ({_SPEC}, state, created, changed, staged, next_look)
    VALUES (:direction, :system, :user, :owner, :path, :size, :bucket, :key, :part_size, :deadline, :lifetime,
        :fingerprint, :archive, :account, :no_clobber, :state, :now, :now, TRUE, :now)
    RETURNING {_COLUMNS}
"""
# No further than the limit: a user who may have many is not counted through for each new one.
_UNDER_WAY: Final = """
    SELECT count(*) FROM (
        SELECT 1 FROM transfer INDEXED BY transfer_under_way
        WHERE user = ? AND state IN ('waiting', 'moving') LIMIT ?)
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM transfer WHERE id = :id AND (:user IS NULL OR user = :user)"
_PAGE: Final = """
    (:before IS NULL OR id < :before) AND (:states = '' OR instr(:states, '|' || state || '|'))
    ORDER BY id DESC LIMIT :limit
"""
_LIST: Final = f"SELECT {_COLUMNS} FROM transfer WHERE {_PAGE}"
_LIST_OF_USER: Final = f"SELECT {_COLUMNS} FROM transfer INDEXED BY transfer_of_user WHERE user = :user AND {_PAGE}"
_CHANGE: Final = f"""
    UPDATE transfer SET state = :state, changed = :changed, finished = :finished,
        upload_id = coalesce(:upload_id, upload_id), job_id = coalesce(:job_id, job_id),
        staged = coalesce(:staged, staged), expires = coalesce(:expires, expires), error = coalesce(:error, error),
        etag = coalesce(:etag, etag), crc64nvme = coalesce(:crc64nvme, crc64nvme),
        next_look = coalesce(:next_look, next_look), looks = coalesce(:looks, looks)
    WHERE id = :id
    RETURNING {_COLUMNS}
"""
_DUE: Final = f"""
    UPDATE transfer SET next_look = :held_until
    WHERE id IN (
        SELECT id FROM transfer INDEXED BY transfer_due
        WHERE (finished IS NULL OR staged) AND next_look <= :now ORDER BY next_look, id LIMIT :limit)
    RETURNING {_COLUMNS}
"""
# The one whose URL works longest; one that is still on its way only where none is ready.
_STAGED_DOWNLOAD: Final = f"""
    SELECT {_COLUMNS} FROM transfer INDEXED BY transfer_download
    WHERE user = ? AND path = ? AND fingerprint = ? AND direction = 'download' AND state IN ('moving', 'ready')
      AND staged AND (state = 'moving' AND job_id IS NOT NULL OR expires >= ?)
    ORDER BY state = 'ready' DESC, expires DESC, id DESC LIMIT 1
"""
_PURGE: Final = """
    DELETE FROM transfer WHERE id IN (
        SELECT id FROM transfer INDEXED BY transfer_ended
        WHERE finished < ? AND NOT staged ORDER BY finished LIMIT ?)
    RETURNING id
"""


def add(db: apsw.Connection, spec: TransferSpec, limit: int | None, now: float) -> Transfer:
    """Raises TooManyTransfers; UsageError for a text that is not Unicode; ValueError for an upload without a part size
    or a deadline, and for a download with one of them."""
    _check(spec)
    user = spec.owner.user
    if limit is not None and query(db, _UNDER_WAY, (user, limit))[0][0] >= limit:
        raise TooManyTransfers(f"{user}: {limit} transfers are under way, and that is as many as there may be.")
    upload = spec.direction is Direction.UPLOAD
    state = TransferState.WAITING if upload else TransferState.MOVING
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    values |= {"user": user, "owner": encode_owner(spec.owner), "state": state, "now": now}
    (row,) = query(db, _ADD, values)
    return _as_transfer(row)


def _check(spec: TransferSpec) -> None:
    for text in (spec.system, spec.owner.user, spec.path, spec.bucket, spec.key, spec.fingerprint, spec.account):
        refuse_no_text(text)
    of_upload = (spec.part_size > 0, spec.deadline is not None)
    if of_upload != ((True, True) if spec.direction is Direction.UPLOAD else (False, False)):
        raise ValueError("an upload has a part size and a deadline, a download has neither")


def read(db: apsw.Connection, transfer_id: int, user: str | None) -> Transfer:
    """Raises UnknownTransfer."""
    row = first(db, _ONE, {"id": transfer_id, "user": user})
    if row is None:
        raise UnknownTransfer(transfer_id)
    return _as_transfer(row)


def page(
    db: apsw.Connection, user: str | None, states: Sequence[TransferState], limit: int, before: int | None
) -> list[Transfer]:
    wanted = "".join(f"|{state}|" for state in states)
    bindings = {"before": before, "states": wanted, "limit": limit}
    found = query(db, _LIST, bindings) if user is None else query(db, _LIST_OF_USER, bindings | {"user": user})
    return [_as_transfer(row) for row in found]


def move(db: apsw.Connection, transfer_id: int, event: str, changes: Changes, now: float) -> Transfer:
    """A move begins the count of looks anew. Raises UnknownTransfer, IllegalTransition; ValueError as `_change`."""
    old = read(db, transfer_id, None)
    state = move_transfer(old.state, event)
    if ONLY_OF.get(state, old.spec.direction) is not old.spec.direction:
        raise IllegalTransition(f"a transfer that is a {old.spec.direction} cannot {event}")
    values = asdict(changes)
    values["next_look"] = now if changes.next_look is None else changes.next_look
    values["looks"] = changes.looks or 0
    return _change(db, old, state, values, now)


def change(db: apsw.Connection, transfer_id: int, changes: Changes) -> Transfer:
    """Raises UnknownTransfer; ValueError as `_change`."""
    old = read(db, transfer_id, None)
    return _change(db, old, old.state, asdict(changes), None)


def _change(
    db: apsw.Connection, old: Transfer, state: TransferState, values: dict[str, "apsw.SQLiteValue"], now: float | None
) -> Transfer:
    """now: None where it did not move. Raises ValueError for what the state cannot have, or has to have."""
    error, expires = values["error"], values["expires"]
    if isinstance(error, str):
        values["error"] = printable(error)
    if state is TransferState.FAILED and error is None and old.error is None:
        raise ValueError("a transfer that failed says why")
    if error is not None and state not in (TransferState.FAILED, TransferState.TIMEOUT, TransferState.CANCELLED):
        raise ValueError(f"a transfer that is {state} has no error")
    if state is TransferState.READY and expires is None and old.expires is None:
        raise ValueError("a download that is ready says until when its URL works")
    times = {
        "changed": old.changed if now is None else now,
        "finished": now if now is not None and state in ENDED else old.finished,
    }
    (row,) = query(db, _CHANGE, values | times | {"id": old.id, "state": state})
    return _as_transfer(row)


def due(db: apsw.Connection, now: float, hold: float, limit: int) -> list[Transfer]:
    """The longest overdue, by number."""
    found = query(db, _DUE, {"now": now, "held_until": now + hold, "limit": limit})
    return sorted(map(_as_transfer, found), key=lambda transfer: transfer.id)


def staged_download(db: apsw.Connection, user: str, path: str, fingerprint: str, not_before: float) -> Transfer | None:
    row = first(db, _STAGED_DOWNLOAD, (user, path, fingerprint, not_before))
    return None if row is None else _as_transfer(row)


def purge(db: apsw.Connection, finished_before: float, limit: int) -> list[int]:
    return sorted(row[0] for row in db.execute(_PURGE, (finished_before, limit)))


def _as_transfer(row: Row) -> Transfer:
    """A row of _COLUMNS."""
    direction, system, user, owner, path, size, bucket, key, part_size, deadline, lifetime = row[:11]
    fingerprint, archive, account, no_clobber, number, state, created, changed, upload_id, job_id, staged = row[11:22]
    expires, finished, error, etag, crc64nvme, next_look, looks = row[22:]
    return Transfer(
        id=number,
        spec=TransferSpec(
            direction=Direction(direction),
            system=system,
            owner=decode_owner(user, owner),
            path=path,
            size=size,
            bucket=bucket,
            key=key,
            part_size=part_size,
            deadline=deadline,
            lifetime=lifetime,
            fingerprint=fingerprint,
            archive=bool(archive),
            account=account,
            no_clobber=bool(no_clobber),
        ),
        state=TransferState(state),
        created=created,
        changed=changed,
        upload_id=upload_id,
        job_id=job_id,
        staged=bool(staged),
        expires=expires,
        finished=finished,
        error=error,
        etag=etag,
        crc64nvme=crc64nvme,
        next_look=next_look,
        looks=looks,
    )
