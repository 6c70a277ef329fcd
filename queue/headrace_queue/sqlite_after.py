"""Jobs that start after others, in SQLite. Each function is called in a transaction.

Such a job is held: nobody may plan it, and so nobody has batches of it, before an instant that never comes. The
transaction in which the last of the others ends well lets it go; no keeper has to run for that. Numbers only grow, and
a job names jobs that exist, so that no two ever wait for each other.
"""

from typing import Final, NamedTuple

import apsw

from headrace_queue.errors import UsageError
from headrace_queue.sqlite_rows import first, query
from headrace_queue.states import FINAL, JobState

HELD: Final = 1e15
"""`plan_not_before` of a job that is held: seconds since the epoch, in thirty million years."""

_OTHERS: Final = """
    SELECT value, job.state FROM json_each((SELECT after FROM job WHERE id = ?)) LEFT JOIN job ON job.id = value
    ORDER BY value
"""
_WAITING: Final = """
    SELECT waiting.id, waiting.state FROM job AS waiting INDEXED BY job_after
    WHERE waiting.after <> '[]' AND waiting.finished IS NULL AND waiting.plan_not_before = ?
      AND EXISTS (SELECT 1 FROM json_each(waiting.after) WHERE value = ?)
    ORDER BY waiting.id
"""
_IS_HELD: Final = "SELECT 1 FROM job WHERE id = ? AND plan_not_before = ?"
_COUNT: Final = """
    SELECT count(*) FROM job INDEXED BY job_after
    WHERE after <> '[]' AND finished IS NULL AND state = 'queued' AND plan_not_before = ?
"""


class Others(NamedTuple):
    """The jobs that one starts after. open: not over. lost: the first that ended otherwise than well, and how; "" for
    one that is there no more."""

    open: tuple[int, ...]
    lost: tuple[int, str] | None


def others(db: apsw.Connection, job_id: int) -> Others:
    rows = query(db, _OTHERS, (job_id,))
    lost = ((number, state or "") for number, state in rows if state != JobState.DONE)
    ended = (one for one in lost if not one[1] or JobState(one[1]) in FINAL)
    running = tuple(number for number, state in rows if state is not None and JobState(state) not in FINAL)
    return Others(running, next(ended, None))


def is_held(db: apsw.Connection, job_id: int) -> bool:
    return first(db, _IS_HELD, (job_id, HELD)) is not None


def waiting_for(db: apsw.Connection, job_id: int) -> list[tuple[int, JobState]]:
    """Jobs that are held until this one is done, and their states."""
    return [(number, JobState(state)) for number, state in query(db, _WAITING, (HELD, job_id))]


def hold(db: apsw.Connection, job_id: int) -> None:
    """As long as it has to be, saying for what; not at all where all of the others are done."""
    still = others(db, job_id).open
    text = _named(still) if still else None
    statement = "UPDATE job SET plan_not_before = ?, waiting = ? WHERE id = ?"
    db.execute(statement, (HELD if still else 0.0, text, job_id))


def refuse_hopeless(db: apsw.Connection, job_id: int, what: str) -> None:
    """what: as a person wrote it. Raises UsageError where one of the others is not there, or did not end well: it would
    never start."""
    lost = others(db, job_id).lost
    if lost is None:
        return
    number, state = lost
    if not state:
        raise UsageError(what, f"there is no job {number}", "`headrace jobs` lists those that exist.")
    why = f"job {number} is {state}, and this job starts only once it is done"
    raise UsageError(what, why, f"First `headrace retry {number}`, or leave it out.")


def why_lost(job_id: int, number: int, state: JobState) -> str:
    """Why this job fails when that one, which it was to start after, ends in this state."""
    remedy = f"`headrace retry {number}`, then `headrace retry {job_id}`"
    return f"it was to start after job {number}, which is {state}; {remedy}"


def count_held(db: apsw.Connection) -> int:
    """Queued jobs that nobody can start now."""
    ((count,),) = query(db, _COUNT, (HELD,))
    return int(count)


def _named(numbers: tuple[int, ...]) -> str:
    if len(numbers) == 1:
        return f"for job {numbers[0]}"
    return f"for jobs {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
