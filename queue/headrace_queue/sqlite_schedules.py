"""Schedules in SQLite, and what the end of a job means to them. Each function is called in a transaction."""

import json
from typing import Final

import apsw

from headrace_queue.errors import UsageError
from headrace_queue.schedules import (
    LABEL,
    MOST_PENDING,
    Origin,
    Schedule,
    ScheduleSpec,
    Standing,
    Trigger,
    UnknownSchedule,
    decode_rule,
    encode_rule,
)
from headrace_queue.sqlite_rows import Row, first, printable, query, refuse_no_text

_SPEC: Final = "name, origin, trigger, rule, command, cwd"
_STANDING: Final = "paused, planned, due, held_since, fired, succeeded, jobs, pending, note, error"
_COLUMNS: Final = f"id, {_SPEC}, {_STANDING}, created, revision, holder"
_ADD: Final = f"""
    INSERT INTO schedule ({_SPEC}, created) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING
    RETURNING {_COLUMNS}
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM schedule WHERE name = ?"
_ALL: Final = f"SELECT {_COLUMNS} FROM schedule ORDER BY name"
_RESPECIFY: Final = f"""
    UPDATE schedule SET origin = ?, trigger = ?, rule = ?, command = ?, cwd = ?, revision = revision + 1,
        planned = ?, due = ?, held_since = ?, pending = ?, holder = NULL, note = NULL, error = NULL
    WHERE name = ? RETURNING {_COLUMNS}
"""
_CHANGE: Final = f"""
    UPDATE schedule SET ({_STANDING}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?), revision = revision + 1
    WHERE name = ? RETURNING {_COLUMNS}
"""
_HOLD: Final = """
    UPDATE schedule SET holder = :worker
    WHERE name = :name AND holder IS NOT :worker
      AND (holder IS NULL OR NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = schedule.holder))
"""
_SUCCEEDED: Final = "UPDATE schedule SET succeeded = ?, revision = revision + 1 WHERE name = ?"
_FOLLOWING: Final = f"SELECT {_COLUMNS} FROM schedule WHERE trigger = 'after' AND NOT paused"
_ENDED: Final = "SELECT labels, user, json_extract(options, '$.dry_run') FROM job WHERE id = ?"


def add(db: apsw.Connection, spec: ScheduleSpec, now: float) -> Schedule:
    """Raises UsageError where the name is taken, or a word of the command is no Unicode."""
    for word in (*spec.command, spec.cwd):
        refuse_no_text(word)
    rule, command = encode_rule(spec.rule), json.dumps(spec.command)
    row = first(db, _ADD, (spec.name, spec.origin, spec.trigger, rule, command, spec.cwd, now))
    if row is None:
        remedy = f"Choose another name, or first `headrace schedule remove {spec.name}`."
        raise UsageError(f"schedule {spec.name}", "there is one of this name", remedy)
    return _as_schedule(row)


def read(db: apsw.Connection, name: str) -> Schedule:
    """Raises UnknownSchedule."""
    row = first(db, _ONE, (name,))
    if row is None:
        raise UnknownSchedule(name)
    return _as_schedule(row)


def every(db: apsw.Connection) -> list[Schedule]:
    return [_as_schedule(row) for row in query(db, _ALL)]


def respecify(db: apsw.Connection, spec: ScheduleSpec) -> Schedule:
    """What is due already, stays due where the times are the same: it may be an instant that no daemon saw. Raises
    UnknownSchedule."""
    former, standing = read(db, spec.name).spec, Standing()
    if (former.trigger, former.rule.fires_by) == (spec.trigger, spec.rule.fires_by):
        standing = read(db, spec.name).standing
    times = (standing.planned, standing.due, standing.held_since, json.dumps(standing.pending))
    told = (encode_rule(spec.rule), json.dumps(spec.command), spec.cwd)
    row = first(db, _RESPECIFY, (spec.origin, spec.trigger, *told, *times, spec.name))
    if row is None:
        raise UnknownSchedule(spec.name)
    return _as_schedule(row)


def change(db: apsw.Connection, name: str, new: Standing) -> Schedule:
    """Raises UnknownSchedule."""
    times = (new.paused, new.planned, new.due, new.held_since, new.fired, new.succeeded)
    texts = [None if text is None else printable(text) for text in (new.note, new.error)]
    row = first(db, _CHANGE, (*times, json.dumps(new.jobs), json.dumps(new.pending), *texts, name))
    if row is None:
        raise UnknownSchedule(name)
    return _as_schedule(row)


def remove(db: apsw.Connection, name: str) -> None:
    """Raises UnknownSchedule."""
    db.execute("DELETE FROM schedule WHERE name = ?", (name,))
    if not db.changes():
        raise UnknownSchedule(name)


def hold(db: apsw.Connection, name: str, worker_id: str) -> bool:
    row = first(db, "SELECT holder FROM schedule WHERE name = ?", (name,))
    if row is None or row[0] == worker_id:
        return row is not None
    db.execute(_HOLD, {"name": name, "worker": worker_id})
    return db.changes() == 1


def job_is_done(db: apsw.Connection, job_id: int, now: float) -> None:
    """Its own schedule has succeeded; those that come after it, or after its data set, have yet to fire for it.

    Not for a dry run, which did nothing, nor for the job of a user of the API, who may write any label.
    """
    row = first(db, _ENDED, (job_id,))
    if row is None or row[0] == "[]" or row[1] or row[2]:
        return
    labels = dict(json.loads(row[0]))
    names = {labels[name] for name in ("dataset", LABEL) if name in labels}
    if not names:
        return
    if LABEL in labels:
        db.execute(_SUCCEEDED, (now, labels[LABEL]))
    for schedule in map(_as_schedule, query(db, _FOLLOWING)):
        if schedule.spec.rule.after in names:
            pending = (*schedule.standing.pending, job_id)[-MOST_PENDING:]
            statement = "UPDATE schedule SET pending = ?, revision = revision + 1 WHERE id = ?"
            db.execute(statement, (json.dumps(pending), schedule.id))


def _as_schedule(row: Row) -> Schedule:
    """A row of _COLUMNS."""
    number, name, origin, trigger, rule, command, cwd = row[:7]
    paused, planned, due, held_since, fired, succeeded, jobs, pending, note, error = row[7:17]
    created, revision, holder = row[17:]
    words = tuple(json.loads(command))
    spec = ScheduleSpec(name, Trigger(trigger), decode_rule(rule), words, cwd, Origin(origin))
    numbers = (tuple(json.loads(jobs)), tuple(json.loads(pending)))
    times = (bool(paused), planned, due, held_since, fired, succeeded)
    return Schedule(number, spec, Standing(*times, *numbers, note, error), created, revision, holder)
