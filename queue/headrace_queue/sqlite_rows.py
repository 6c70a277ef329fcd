"""Rows of the SQLite schema as the types of jobs.py, and back. No decision is made here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeAlias

import apsw

from headrace_queue.errors import SchemaMismatch, UnknownJob, UsageError
from headrace_queue.jobs import (
    Archived,
    Compare,
    Counters,
    Failure,
    Item,
    Job,
    JobSpec,
    Kind,
    Links,
    Options,
    Owner,
    Phase,
    Rule,
    Via,
    encode_items,
)
from headrace_queue.states import JobState

COUNTERS: Final = tuple(field.name for field in fields(Counters))
_OPTIONS: Final = frozenset(field.name for field in fields(Options))

JOB_COLUMNS: Final = ", ".join(
    (
        "id, kind, source, destination, options, labels, priority, submission_id, state, phase",
        "created, started, finished, error, waiting, note, user, owner, after",
        *COUNTERS,
    )
)
_FIRST_COUNTER: Final = 19

_INSERT_JOB: Final = """
    INSERT INTO job (kind, source, destination, options, labels, priority, submission_id, user, owner, state, phase,
        created, after, deadline)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 'copy', ?, ?, ?)
"""
_ADD_COUNTERS: Final = f"UPDATE job SET {', '.join(f'{name} = {name} + ?' for name in COUNTERS)} WHERE id = ?"
_counter_values: Final = attrgetter(*COUNTERS)
_FAILED: Final = COUNTERS.index("failed")
_INSERT_FAILURE: Final = "INSERT INTO failure (job_id, item, error, message, attempts) VALUES (?, ?, ?, ?, ?)"
_INSERT_BATCH: Final = "INSERT INTO batch (job_id, items, payload, ready_since) VALUES (?, ?, ?, ?)"

Row: TypeAlias = tuple[Any, ...]


def query(db: apsw.Connection, statement: str, bindings: "apsw.Bindings" = ()) -> list[Row]:
    """All rows that a statement gives; for those whose number is bounded."""
    return db.execute(statement, bindings).fetchall()


def first(db: apsw.Connection, statement: str, bindings: "apsw.Bindings" = ()) -> Row | None:
    """The one row that a statement gives, or None."""
    rows = query(db, statement, bindings)
    return rows[0] if rows else None


def insert_job(db: apsw.Connection, spec: JobSpec, now: float) -> int:
    """The new job's number. Raises UsageError for a location that is not Unicode."""
    for location in (spec.source, spec.destination):
        refuse_no_text(location)
    db.execute(
        _INSERT_JOB,
        (
            spec.kind,
            spec.source,
            spec.destination,
            json.dumps(asdict(spec.options)),
            json.dumps(spec.labels),
            spec.priority,
            spec.submission_id,
            "" if spec.owner is None else spec.owner.user,
            None if spec.owner is None else encode_owner(spec.owner),
            now,
            json.dumps(spec.after),
            spec.options.deadline,
        ),
    )
    return db.last_insert_rowid()


def read_job(db: apsw.Connection, job_id: int) -> Job:
    """Raises UnknownJob."""
    row = first(db, f"SELECT {JOB_COLUMNS} FROM job WHERE id = ?", (job_id,))
    if row is None:
        raise UnknownJob(job_id)
    return as_job(row)


def as_job(row: Row) -> Job:
    """A row of JOB_COLUMNS."""
    (number, kind, source, destination, options, labels, priority, submission_id, state, phase) = row[:10]
    created, started, finished, error, waiting, note, user, owner, after = row[10:_FIRST_COUNTER]
    return Job(
        id=number,
        spec=JobSpec(
            kind=Kind(kind),
            source=source,
            destination=destination,
            options=decode_options(options),
            priority=priority,
            submission_id=submission_id,
            labels=_decode_labels(labels),
            owner=None if owner is None else decode_owner(user, owner),
            after=tuple(json.loads(after)),
        ),
        state=JobState(state),
        phase=Phase(phase),
        counters=Counters(*row[_FIRST_COUNTER:]),
        created=created,
        started=started,
        finished=finished,
        error=error,
        waiting=waiting,
        note=note,
    )


@lru_cache(maxsize=256)
def decode_options(text: str) -> Options:
    """Options from JSON; a field that an older Headrace did not know has its default.

    Raises SchemaMismatch for one that only a newer Headrace knows: what it was told to do must not be ignored.
    """
    values = json.loads(text)
    unknown = values.keys() - _OPTIONS
    if unknown:
        raise SchemaMismatch(f"a job has the options {sorted(unknown)}, which only a newer Headrace knows: upgrade.")
    if "rules" in values:
        values["rules"] = tuple(Rule(include, pattern) for include, pattern in values["rules"])
    if "compare" in values:
        values["compare"] = Compare(values["compare"])
    if "via" in values:
        values["via"] = Via(values["via"])
    if "links" in values:
        values["links"] = Links(values["links"])
    if "archived" in values:
        values["archived"] = Archived(values["archived"])
    for texts in ("notify", "select"):
        if texts in values:
            values[texts] = tuple(values[texts])
    for pairs in ("headers", "metadata", "tags"):
        if pairs in values:
            values[pairs] = tuple((name, value) for name, value in values[pairs])
    return Options(**values)


@lru_cache(maxsize=256)
def _decode_labels(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def encode_owner(owner: Owner) -> str:
    """All but the name, which has a column of its own. Raises ValueError for an owner without one."""
    if not owner.user:
        raise ValueError("an owner has a name")
    return json.dumps([owner.root, owner.uid, owner.gid, owner.groups])


@lru_cache(maxsize=256)
def decode_owner(user: str, text: str) -> Owner:
    root, uid, gid, groups = json.loads(text)
    return Owner(user, root, uid, gid, tuple(groups))


def add_counters(db: apsw.Connection, job_id: int, difference: Counters, failures: int) -> None:
    """failed is counted from the failures that are stored with it, so that retry finds as many as status says."""
    values = list(_counter_values(difference))
    values[_FAILED] = failures
    db.execute(_ADD_COUNTERS, (*values, job_id))


def insert_failures(db: apsw.Connection, job_id: int, failures: Iterable[Failure]) -> None:
    db.executemany(
        _INSERT_FAILURE,
        [
            (job_id, json.dumps(item.row()), printable(error), printable(message), attempts)
            for item, error, message, attempts in failures
        ],
    )


def decode_item(text: str) -> Item:
    """The object of a failure."""
    return Item.of_row(json.loads(text))


def insert_batch(db: apsw.Connection, job_id: int, items: Sequence[Item], now: float) -> None:
    db.execute(_INSERT_BATCH, (job_id, len(items), encode_items(items), now))


def encode_key(key: str) -> bytes:
    """A key as it is stored. A file name that is not UTF-8 reaches Python with lone surrogates, which TEXT refuses."""
    return key.encode("utf-8", "surrogatepass")


def decode_key(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def printable(text: str) -> str:
    """A text for people, without the lone surrogates of a file name in it."""
    return text if _is_unicode(text) else text.encode("utf-8", "backslashreplace").decode()


def refuse_no_text(name: str) -> None:
    """Raises UsageError for the name of a file that is not Unicode: no column of TEXT could keep it."""
    if not _is_unicode(name):
        raise UsageError(repr(name), "its name is not valid UTF-8", "Rename it, or name a folder above it.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
