"""Data repository tasks in SQLite: whose turn it is, and every move of their state. Each function is called in a
transaction."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Final

import apsw

from headrace_queue.errors import NotYourTurn, UnknownTask
from headrace_queue.jobs import PlanLease
from headrace_queue.sqlite_plans import check_holds, release_plan
from headrace_queue.sqlite_rows import Row, first, printable, query, refuse_no_text
from headrace_queue.tasks import TASK_ENDED, Task, TaskChanges, TaskKind, TaskSpec, TaskState, move_task

_SPEC: Final = tuple(field.name for field in fields(TaskSpec))
_STANDING: Final = (
    "state, created, changed, next_look, looks, task_id, started, finished, total, succeeded, failed, error"
)
_COLUMNS: Final = f"id, job_id, {', '.join(_SPEC)}, {_STANDING}"
_ADD: Final = f"""
    INSERT INTO task (job_id, {", ".join(_SPEC)}, created, changed, next_look)
    VALUES (:job_id, {", ".join(f":{name}" for name in _SPEC)}, :now, :now, :now)
    RETURNING {_COLUMNS}
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM task WHERE id = ?"
_ALL: Final = f"SELECT {_COLUMNS} FROM task ORDER BY id LIMIT :limit"
_OPEN: Final = f"SELECT {_COLUMNS} FROM task INDEXED BY task_due WHERE finished IS NULL ORDER BY id LIMIT :limit"
_OF_JOB: Final = f"""
    SELECT {_COLUMNS} FROM task INDEXED BY task_of_job
    WHERE job_id = :job_id AND (finished IS NULL OR NOT :open_only) ORDER BY id LIMIT :limit
"""
_DUE: Final = f"""
    UPDATE task SET next_look = :held_until
    WHERE id IN (
        SELECT id FROM task INDEXED BY task_due
        WHERE finished IS NULL AND next_look <= :now ORDER BY next_look, id LIMIT :limit)
    RETURNING {_COLUMNS}
"""
# Nobody overtakes, so that one that is at FSx is among the older ones; the index task_at_fsx makes sure of it.
_BEFORE: Final = """
    SELECT id, state FROM task INDEXED BY task_turn
    WHERE file_system_id = :file_system_id AND finished IS NULL AND id < :id ORDER BY id LIMIT 1
"""
_CHANGE: Final = f"""
    UPDATE task SET state = :state, changed = :changed, finished = :finished,
        next_look = coalesce(:next_look, next_look), looks = coalesce(:looks, looks),
        task_id = coalesce(:task_id, task_id), started = coalesce(:started, started), total = coalesce(:total, total),
        succeeded = coalesce(:succeeded, succeeded), failed = coalesce(:failed, failed), error = coalesce(:error, error)
    WHERE id = :id
    RETURNING {_COLUMNS}
"""
_WAITS_NO_MORE: Final = """
    UPDATE job SET waiting = NULL
    WHERE id = :job_id AND waiting IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_open WHERE job_id = :job_id AND finished IS NULL)
"""

# What the plan found to be alike may differ when the tasks have ended.
_ANEW: Final = """
    UPDATE job SET cursor = x'', listed = 0, excluded = 0, unchanged = 0, unchanged_bytes = 0, extra = 0
    WHERE id = ? AND planned = 0
"""


def begin(db: apsw.Connection, lease: PlanLease, specs: Sequence[TaskSpec], now: float) -> list[Task]:
    """Raises LeaseLost; UsageError for a path that is not Unicode."""
    check_holds(db, lease)
    made = []
    for spec in specs:
        refuse_no_text(spec.path)
        refuse_no_text(spec.report)
        made += query(db, _ADD, asdict(spec) | {"job_id": lease.job.id, "now": now})
    db.execute(_ANEW, (lease.job.id,))
    release_plan(db, lease, 0.0)
    return [_as_task(row) for row in made]


def read(db: apsw.Connection, number: int) -> Task:
    """Raises UnknownTask."""
    row = first(db, _ONE, (number,))
    if row is None:
        raise UnknownTask(number)
    return _as_task(row)


def page(db: apsw.Connection, job_id: int | None, open_only: bool, limit: int) -> list[Task]:
    if job_id is not None:
        rows = query(db, _OF_JOB, {"job_id": job_id, "open_only": open_only, "limit": limit})
    else:
        rows = query(db, _OPEN if open_only else _ALL, {"limit": limit})
    return [_as_task(row) for row in rows]


def due(db: apsw.Connection, now: float, hold: float, limit: int) -> list[Task]:
    """The longest overdue, by number."""
    found = query(db, _DUE, {"now": now, "held_until": now + hold, "limit": limit})
    return sorted(map(_as_task, found), key=lambda task: task.id)


def move(db: apsw.Connection, number: int, event: str, changes: TaskChanges, now: float) -> Task:
    """A move begins the count of looks anew. Raises UnknownTask, IllegalTransition, NotYourTurn; ValueError as
    `_change`."""
    old = read(db, number)
    state = move_task(old.state, event)
    if state is TaskState.ASKED:
        _refuse_out_of_turn(db, old)
    values = asdict(changes)
    values["next_look"] = now if changes.next_look is None else changes.next_look
    values["looks"] = changes.looks or 0
    task = _change(db, old, state, values, now)
    if state in TASK_ENDED:
        db.execute(_WAITS_NO_MORE, {"job_id": task.job_id})
    return task


def change(db: apsw.Connection, number: int, changes: TaskChanges) -> Task:
    """Raises UnknownTask; ValueError as `_change`."""
    old = read(db, number)
    return _change(db, old, old.state, asdict(changes), None)


def _refuse_out_of_turn(db: apsw.Connection, task: Task) -> None:
    row = first(db, _BEFORE, {"id": task.id, "file_system_id": task.spec.file_system_id})
    if row is not None:
        raise NotYourTurn(f"data repository task {task.id}: task {row[0]}, which is {row[1]}, comes before it.")


def _change(
    db: apsw.Connection, old: Task, state: TaskState, values: dict[str, "apsw.SQLiteValue"], now: float | None
) -> Task:
    """now: None where it did not move. Raises ValueError for what the state cannot have, or has to have."""
    error = values["error"]
    if isinstance(error, str):
        values["error"] = printable(error)
    if state in (TaskState.FAILED, TaskState.REFUSED) and error is None and old.error is None:
        raise ValueError(f"a data repository task that is {state} says why")
    if error is not None and state not in (TaskState.FAILED, TaskState.REFUSED, TaskState.CANCELLED):
        raise ValueError(f"a data repository task that is {state} has no error")
    if state is TaskState.RUNNING and not (values["task_id"] or old.task_id):
        raise ValueError("a data repository task that is running has the number that FSx gave it")
    times = {
        "changed": old.changed if now is None else now,
        "finished": now if now is not None and state in TASK_ENDED else old.finished,
    }
    (row,) = query(db, _CHANGE, values | times | {"id": old.id, "state": state})
    return _as_task(row)


def _as_task(row: Row) -> Task:
    """A row of _COLUMNS."""
    number, job_id, kind, *names, state = row[: len(_SPEC) + 3]
    return Task(number, job_id, TaskSpec(TaskKind(kind), *names), TaskState(state), *row[len(_SPEC) + 3 :])
