"""Jobs in SQLite: enqueueing, every move of their state, failures, purge. Each function is called in a transaction."""

from collections.abc import Sequence
from typing import Final

import apsw

from headrace_queue import sqlite_after as after
from headrace_queue.errors import UnknownJob, UsageError
from headrace_queue.jobs import Action, Failure, Job, JobSpec, Phase, QueueDepth
from headrace_queue.rules import Standing, back_in_line, ending, pack
from headrace_queue.sqlite_rows import (
    COUNTERS,
    JOB_COLUMNS,
    as_job,
    decode_item,
    first,
    insert_batch,
    insert_job,
    printable,
    query,
    read_job,
)
from headrace_queue.sqlite_schedules import job_is_done
from headrace_queue.sqlite_thaw_rows import tell_thawing
from headrace_queue.states import FINAL, BatchState, JobState, move_job

# Only a running job is planned: pause, cancel and fail take the planner's lease at once. What it lists changes nothing
# anywhere, so there is nothing in flight to wait for, and its next commit is fenced off.
_MOVE: Final = """
    UPDATE job SET state = :state, error = :error, waiting = NULL, finished = :finished,
        started = CASE WHEN :starts THEN coalesce(started, :now) ELSE started END,
        plan_worker = CASE WHEN :state = 'running' THEN plan_worker END
    WHERE id = :id
"""
_PAGE: Final = """
    (:before IS NULL OR id < :before) AND (:states = '' OR instr(:states, '|' || state || '|'))
    ORDER BY id DESC LIMIT :limit
"""
_LIST: Final = f"SELECT {JOB_COLUMNS} FROM job WHERE {_PAGE}"
_LIST_OF_USER: Final = f"""
    SELECT {JOB_COLUMNS} FROM job INDEXED BY job_of_user WHERE user = :user AND user <> '' AND {_PAGE}
"""
_BY_SUBMISSION: Final = "SELECT id FROM job WHERE user = ? AND submission_id = ?"
_START_OVER: Final = f"""
    UPDATE job SET phase = 'copy', cursor = x'', plan_not_before = 0, {", ".join(f"{name} = 0" for name in COUNTERS)}
    WHERE id = ?
"""
_FAILED_STILL: Final = """
    UPDATE job SET plan_not_before = 0, failed = (SELECT count(*) FROM failure WHERE job_id = ?1 AND attempts = 0)
    WHERE id = ?1
"""
_LIMITS_ANEW: Final = """
    UPDATE job SET told = 0, forgiven = failed, deadline = CASE WHEN deadline > ? THEN deadline END WHERE id = ?
"""
_DELETE_ANEW: Final = "UPDATE job SET phase = 'delete', cursor = x'' WHERE id = ? AND phase = 'done'"
_LOOK_NOW: Final = """
    UPDATE task INDEXED BY task_open SET next_look = min(next_look, :now) WHERE job_id = :job_id AND finished IS NULL
"""
# What waited for its turn belongs to what was cancelled: it must not go on without what was to come before it.
_FORGET_TASKS: Final = "DELETE FROM task WHERE job_id = ? AND state IN ('waiting', 'cancelled', 'refused')"
_FAILURES: Final = """
    SELECT id, item, error, message, attempts FROM failure WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?
"""
_PURGE: Final = """
    DELETE FROM job WHERE id IN (
        SELECT id FROM job WHERE finished < ? AND id NOT IN (SELECT job_id FROM multipart)
          AND NOT EXISTS (
            SELECT 1 FROM transfer INDEXED BY transfer_of_job
            WHERE transfer.job_id = job.id AND transfer.finished IS NULL)
          AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_open WHERE task.job_id = job.id AND task.finished IS NULL)
          AND id NOT IN (
            SELECT other.value FROM job AS waiting INDEXED BY job_after, json_each(waiting.after) AS other
            WHERE waiting.after <> '[]' AND waiting.finished IS NULL)
        ORDER BY finished LIMIT ?)
    RETURNING id
"""
_LITTERED: Final = """
    SELECT id FROM job WHERE id IN (SELECT job_id FROM multipart)
      AND (state IN ('cancelled', 'done', 'incomplete') OR (state = 'failed' AND finished < ?)) ORDER BY id LIMIT ?
"""
# the ready batches of an ended job stay for a retry, but they are not what waits
_BATCH_DEPTH: Final = """
    SELECT batch.state, count(*),
        min(batch.ready_since) FILTER (
            WHERE batch.state = 'ready' AND batch.not_before <= :now AND job.state IN ('queued', 'running'))
    FROM batch JOIN job ON job.id = batch.job_id
    WHERE batch.state <> 'ready' OR job.finished IS NULL
    GROUP BY batch.state
"""


def enqueue(db: apsw.Connection, spec: JobSpec, now: float) -> tuple[Job, bool]:
    """A submission id is one within the jobs of its user; those without an owner are the command's, together."""
    if spec.submission_id is not None:
        user = "" if spec.owner is None else spec.owner.user
        row = first(db, _BY_SUBMISSION, (user, spec.submission_id))
        if row is not None:
            return _submitted_before(read_job(db, row[0]), spec), False
    job_id = insert_job(db, spec, now)
    if spec.after:
        after.refuse_hopeless(db, job_id, f"--after {' --after '.join(map(str, spec.after))}")
        after.hold(db, job_id)
    return read_job(db, job_id), True


def _submitted_before(job: Job, spec: JobSpec) -> Job:
    if job.spec == spec:
        return job
    raise UsageError(
        f"--submission-id {spec.submission_id}",
        f"job {job.id} was enqueued with it and is another one",
        "Use a new id for a new job, or the same options for the same job.",
    )


def list_jobs(
    db: apsw.Connection, states: Sequence[JobState], limit: int, before: int | None, user: str | None
) -> list[Job]:
    wanted = "".join(f"|{state}|" for state in states)
    bindings = {"before": before, "states": wanted, "limit": limit}
    rows = query(db, _LIST, bindings) if user is None else query(db, _LIST_OF_USER, bindings | {"user": user})
    return [as_job(row) for row in rows]


def standing(db: apsw.Connection, job_id: int) -> Standing:
    """Raises UnknownJob."""
    row = first(db, "SELECT state, phase, failed, ready, leased, thawing FROM job WHERE id = ?", (job_id,))
    if row is None:
        raise UnknownJob(job_id)
    return Standing(JobState(row[0]), Phase(row[1]), *row[2:])


def move(
    db: apsw.Connection, job_id: int, state: JobState, events: Sequence[str], now: float, error: str | None = None
) -> None:
    """One or more moves in one write: the schema allows no state that would be wrong even for a moment.

    Raises IllegalTransition.
    """
    state = _write(db, job_id, state, events, now, error)
    ended = [(job_id, state)] if state in FINAL else []
    while ended:
        # one after the other, for a row of jobs, each after the one before it, may be long
        number, state = ended.pop()
        ended += _others_go_on(db, number, state, now)


def _write(
    db: apsw.Connection, job_id: int, state: JobState, events: Sequence[str], now: float, error: str | None
) -> JobState:
    for event in events:
        state = move_job(state, event)
    bindings = {"id": job_id, "state": state, "error": error, "starts": "start" in events, "now": now}
    db.execute(_MOVE, bindings | {"finished": now if state in FINAL else None})
    return state


def _others_go_on(db: apsw.Connection, ended: int, state: JobState, now: float) -> list[tuple[int, JobState]]:
    """What the end of a job means to those that were to start after it; those that end with it."""
    if state is JobState.DONE:
        job_is_done(db, ended, now)
    failed = []
    for job_id, stands in after.waiting_for(db, ended):
        if state is JobState.DONE:
            after.hold(db, job_id)
        else:
            failed.append((job_id, _write(db, job_id, stands, ("fail",), now, after.why_lost(job_id, ended, state))))
    return failed


def settle(db: apsw.Connection, job_id: int, now: float) -> None:
    """Ends the job where nothing of it is left. Due after everything that lets go of a lease."""
    job = standing(db, job_id)
    events = ending(job)
    if events:
        move(db, job_id, job.state, events, now)
    elif job.thawing and not job.ready and not job.leased and job.phase is not Phase.COPY:
        tell_thawing(db, job_id)  # nothing else moves any more, so that this is what the job waits for


def pause(db: apsw.Connection, job_id: int, now: float) -> Job:
    move(db, job_id, standing(db, job_id).state, ("pause",), now)
    return read_job(db, job_id)


def resume(db: apsw.Connection, job_id: int, now: float) -> Job:
    job = standing(db, job_id)
    move(db, job_id, job.state, back_in_line("resume", job.leased), now)
    if after.is_held(db, job_id):
        after.hold(db, job_id)  # says again for what it waits
    settle(db, job_id, now)  # so does this
    return read_job(db, job_id)


def cancel(db: apsw.Connection, job_id: int, now: float) -> Job:
    move(db, job_id, standing(db, job_id).state, ("cancel",), now)
    db.execute(_LOOK_NOW, {"job_id": job_id, "now": now})
    settle(db, job_id, now)
    return read_job(db, job_id)


def fail(db: apsw.Connection, job_id: int, error: str, now: float) -> Job:
    move(db, job_id, standing(db, job_id).state, ("fail",), now, printable(error))
    return read_job(db, job_id)


def retry(db: apsw.Connection, job_id: int, now: float) -> Job:
    job = standing(db, job_id)
    held = after.is_held(db, job_id)
    if held:
        after.refuse_hopeless(db, job_id, f"retry {job_id}")
    move(db, job_id, job.state, back_in_line("retry", job.leased), now)
    options = read_job(db, job_id).spec.options
    deletes = options.delete
    if options.dry_run:
        db.execute(_START_OVER, (job_id,))  # batches from its failures would be transferred in earnest
    else:
        _failures_to_batches(db, job_id, now)
        db.execute(_FAILED_STILL, (job_id,))
        if deletes:
            db.execute(_DELETE_ANEW, (job_id,))
    db.execute("DELETE FROM failure WHERE job_id = ? AND (attempts > 0 OR ?)", (job_id, options.dry_run))
    db.execute(_FORGET_TASKS, (job_id,))
    db.execute(_LIMITS_ANEW, (now, job_id))
    if held:
        after.hold(db, job_id)
    settle(db, job_id, now)
    return read_job(db, job_id)


def _failures_to_batches(db: apsw.Connection, job_id: int, now: float) -> None:
    """Reads them as a stream, so that ten million failures need the memory of one batch.

    Not the deletions among them: whether their objects are still gone from the source takes two whole listings to say.
    Nor what a listing found and nobody tried: a folder that cannot be read, a name that is no text, one that the source
    lacks. Nothing is known of what is behind it, and it would count as sent, or as vanished. Only a new listing tells.
    """
    failed = db.execute("SELECT item FROM failure WHERE job_id = ? AND attempts > 0 ORDER BY id", (job_id,))
    items_left = (item for row in failed if (item := decode_item(row[0])).action is not Action.DELETE)
    for items in pack(items_left):
        insert_batch(db, job_id, items, now)
    db.execute("DELETE FROM batch WHERE job_id = ? AND state = ?", (job_id, BatchState.DEAD))


def set_waiting(db: apsw.Connection, job_id: int, reason: str | None) -> None:
    """Writes, and so costs a commit, only where the text changes and the job still lives."""
    text = None if reason is None else printable(reason)
    db.execute(
        "UPDATE job SET waiting = ?1 WHERE id = ?2 AND waiting IS NOT ?1 AND finished IS NULL",
        (text, job_id),
    )


def set_note(db: apsw.Connection, job_id: int, text: str) -> None:
    """Writes only where it changes."""
    db.execute("UPDATE job SET note = ?1 WHERE id = ?2 AND note IS NOT ?1", (printable(text), job_id))


def purge(db: apsw.Connection, finished_before: float, limit: int) -> list[int]:
    return sorted(row[0] for row in db.execute(_PURGE, (finished_before, limit)))


def littered(db: apsw.Connection, failed_before: float, limit: int) -> list[Job]:
    return [read_job(db, row[0]) for row in query(db, _LITTERED, (failed_before, limit))]


def failures(db: apsw.Connection, job_id: int, after: int, limit: int) -> list[tuple[int, Failure]]:
    rows = db.execute(_FAILURES, (job_id, after, limit))
    return [
        (number, Failure(decode_item(item), error, message, attempts))
        for number, item, error, message, attempts in rows
    ]


def depth(db: apsw.Connection, now: float) -> QueueDepth:
    jobs = dict.fromkeys(JobState, 0)
    jobs.update({JobState(row[0]): row[1] for row in db.execute("SELECT state, count(*) FROM job GROUP BY state")})
    batches = dict.fromkeys(BatchState, 0)
    oldest: float | None = None
    for state, count, since in db.execute(_BATCH_DEPTH, {"now": now}):
        batches[BatchState(state)] = count
        oldest = since if state == BatchState.READY else oldest
    return QueueDepth(jobs, batches, oldest, after.count_held(db))
