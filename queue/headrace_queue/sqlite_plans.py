"""Planning in SQLite: whose listing goes on, and what it brings. Each function is called in a transaction."""

from dataclasses import replace
from typing import Final

import apsw

from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import Action, Bitmap, Phase, PlanLease, PlanStep, decode_items
from headrace_queue.sqlite_jobs import move, settle, standing
from headrace_queue.sqlite_limits import bear_failures
from headrace_queue.sqlite_rows import (
    add_counters,
    decode_key,
    encode_key,
    first,
    insert_batch,
    insert_failures,
    printable,
    query,
    read_job,
)
from headrace_queue.sqlite_thaw_rows import forget_thaws
from headrace_queue.states import JobState

# Among jobs of one priority the one with the fewest batches in store: one huge job must not keep the planner to itself.
# INDEXED BY as in the claim of batches. Deletions wait until every transfer of the job has ended, well or not; and
# everything waits until its data repository tasks have.
_NEXT: Final = """
    SELECT id FROM job INDEXED BY job_plannable
    WHERE plan_worker IS NULL AND phase <> 'done' AND state IN ('queued', 'running') AND plan_not_before < 1e15
      AND plan_not_before <= :now AND ready < :max_waiting AND (phase = 'copy' OR ready + leased + thawing = 0)
      AND (:only IS NULL OR id = :only)
      AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_open WHERE task.job_id = job.id AND task.finished IS NULL)
    ORDER BY priority DESC, ready, id LIMIT 1
"""
_TAKE: Final = """
    UPDATE job SET plan_worker = ?, plan_fence = plan_fence + 1 WHERE id = ?
    RETURNING plan_fence, phase, cursor, sort_source, sort_destination
"""
_END_PHASE: Final = "UPDATE job SET cursor = x'', phase = ?, plan_worker = NULL WHERE id = ?"
_RESTART: Final = """
    UPDATE job SET cursor = x'', listed = 0, excluded = 0, unchanged = 0, unchanged_bytes = 0, extra = 0,
        planned = planned - ?, planned_bytes = planned_bytes - ?, failed = failed - ?,
        sort_source = max(sort_source, ?), sort_destination = max(sort_destination, ?)
    WHERE id = ?
"""
_UNTRIED: Final = """
    SELECT count(*), coalesce(sum(json_extract(item, '$[1]')), 0) FROM failure WHERE job_id = ? AND attempts = 0
"""
_RELEASE: Final = """
    UPDATE job SET plan_worker = NULL, plan_not_before = ? WHERE id = ? AND plan_worker = ? AND plan_fence = ?
"""


def claim_plan(db: apsw.Connection, worker_id: str, max_waiting: int, only: int | None, now: float) -> PlanLease | None:
    """Nothing for a worker that was expired: it learns so from its heartbeat."""
    if first(db, "SELECT 1 FROM worker WHERE id = ?", (worker_id,)) is None:
        return None
    row = first(db, _NEXT, {"now": now, "max_waiting": max_waiting, "only": only})
    if row is None:
        return None
    job_id: int = row[0]
    state = standing(db, job_id).state
    if state is JobState.QUEUED:
        move(db, job_id, state, ("start",), now)
    fence, phase, cursor, *sort = query(db, _TAKE, (worker_id, job_id))[0]
    return PlanLease(read_job(db, job_id), worker_id, fence, Phase(phase), decode_key(cursor), *map(bool, sort))


def restart_plan(db: apsw.Connection, lease: PlanLease, sort_source: bool, sort_destination: bool) -> PlanLease:
    """One batch at a time: there may be a few hundred of a thousand objects each."""
    job_id = lease.job.id
    check_holds(db, lease)
    objects = size = 0
    while row := first(db, "SELECT id, payload, finished FROM batch WHERE job_id = ? AND state = 'ready'", (job_id,)):
        batch_id, payload, finished = row
        done = Bitmap.from_bytes(finished)
        waiting = [item for index, item in enumerate(decode_items(payload)) if index not in done]
        copies = [item for item in waiting if item.action is not Action.DELETE]
        objects, size = objects + len(copies), size + sum(item.size for item in copies)
        db.execute("DELETE FROM batch WHERE id = ?", (batch_id,))
    thawing, thawing_size = forget_thaws(db, job_id)
    objects, size = objects + thawing, size + thawing_size
    # what the planner itself found to fail was never tried; a new listing finds it again
    ((failed, failed_size),) = query(db, _UNTRIED, (job_id,))
    db.execute("DELETE FROM failure WHERE job_id = ? AND attempts = 0", (job_id,))
    db.execute(_RESTART, (objects + failed, size + failed_size, failed, sort_source, sort_destination, job_id))
    return replace(
        lease,
        cursor="",
        sort_source=lease.sort_source or sort_source,
        sort_destination=lease.sort_destination or sort_destination,
    )


def commit_plan(db: apsw.Connection, lease: PlanLease, step: PlanStep, now: float) -> int:
    job_id = lease.job.id
    check_holds(db, lease)
    for items in step.batches:
        insert_batch(db, job_id, items, now)
    add_counters(db, job_id, step.counters, len(step.failures))
    insert_failures(db, job_id, step.failures)
    if step.failures:
        bear_failures(db, job_id, now)
    if step.note:
        db.execute("UPDATE job SET note = ? WHERE id = ?", (printable(step.note), job_id))
    if step.finished:
        db.execute(_END_PHASE, (_phase_after(lease), job_id))
        settle(db, job_id, now)
    else:
        db.execute("UPDATE job SET cursor = ? WHERE id = ?", (encode_key(step.cursor), job_id))
    return standing(db, job_id).ready


def check_holds(db: apsw.Connection, lease: PlanLease) -> None:
    """Raises LeaseLost."""
    row = first(db, "SELECT plan_worker, plan_fence FROM job WHERE id = ?", (lease.job.id,))
    if row is None or tuple(row) != (lease.worker_id, lease.attempt):
        raise LeaseLost(f"job {lease.job.id}: attempt {lease.attempt} of {lease.worker_id} does not plan it any more")


def _phase_after(lease: PlanLease) -> Phase:
    if lease.phase is Phase.COPY and lease.job.spec.options.delete:
        return Phase.DELETE
    return Phase.DONE


def release_plan(db: apsw.Connection, lease: PlanLease, not_before: float) -> None:
    """Does nothing where the lease is gone already, by its last commit or by a pause: there is nothing to let go."""
    db.execute(_RELEASE, (not_before, lease.job.id, lease.worker_id, lease.attempt))


def release_plans(db: apsw.Connection, worker_id: str) -> int:
    """Plans of a worker that goes, for anyone to take up at once; how many."""
    db.execute("UPDATE job SET plan_worker = NULL, plan_not_before = 0 WHERE plan_worker = ?", (worker_id,))
    return db.changes()
