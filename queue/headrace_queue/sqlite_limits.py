"""Where a job ends as a whole because of a bound that was set for it: --max-errors and --deadline. Each function is
called in a transaction."""

from datetime import UTC, datetime
from typing import Final

import apsw

from headrace_queue.advice import for_job, with_advice
from headrace_queue.job_course import MAX_ERRORS
from headrace_queue.jobs import Job
from headrace_queue.sqlite_jobs import move
from headrace_queue.sqlite_rows import first, query, read_job
from headrace_queue.states import JobState

_BORNE: Final = "SELECT state, failed - forgiven, json_extract(options, '$.max_errors') FROM job WHERE id = ?"
_OVERDUE: Final = """
    SELECT id, state, deadline FROM job INDEXED BY job_deadline
    WHERE deadline IS NOT NULL AND finished IS NULL AND deadline <= ? AND state <> 'cancelling' ORDER BY id LIMIT 100
"""


def bear_failures(db: apsw.Connection, job_id: int, now: float) -> None:
    """After objects failed: the job fails as a whole where they are more than it bears. What failed before its last
    retry does not count."""
    row = first(db, _BORNE, (job_id,))
    if row is None or row[2] is None or row[1] <= row[2]:
        return
    state = JobState(row[0])
    if state not in (JobState.RUNNING, JobState.PAUSED):
        return
    failed, borne = row[1], row[2]
    why = f"{failed:,} object{' has' if failed == 1 else 's have'} failed, and {MAX_ERRORS} is {borne:,}"
    remedy = "see what failed with `headrace report JOB --failed`, then `headrace retry JOB` goes on with the rest"
    move(db, job_id, state, ("fail",), now, _for_job(with_advice(why, remedy), job_id))


def overdue(db: apsw.Connection, now: float) -> bool:
    """Whether a job is past its deadline and not over. Cheap where none is."""
    return first(db, _OVERDUE, (now,)) is not None


def miss_deadlines(db: apsw.Connection, now: float) -> list[Job]:
    """Fails every job that is past its deadline and not over; these jobs."""
    missed = []
    for job_id, state, deadline in query(db, _OVERDUE, (now,)):
        when = datetime.fromtimestamp(deadline, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        why = f"its --deadline, {when}, came before its end"
        remedy = "`headrace retry JOB` goes on where it was, without the deadline"
        move(db, job_id, JobState(state), ("fail",), now, _for_job(with_advice(why, remedy), job_id))
        missed.append(read_job(db, job_id))
    return missed


def _for_job(text: str, job_id: int) -> str:
    return for_job(text, job_id).replace("`headrace report JOB ", f"`headrace report {job_id} ")
