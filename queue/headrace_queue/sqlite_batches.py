"""Batches in SQLite: claim, progress, and every way to let go of a lease. Each function is called in a transaction.

A lease is checked by id, worker and fence alone. The state is no part of it: a leased batch is the only one that has
a worker, as the schema checks.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import apsw

from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import Batch, Bitmap, Buried, Counters, Failure, Job, Lease, Returned, decode_items
from headrace_queue.rules import Turn, take_turns
from headrace_queue.sqlite_jobs import move, set_waiting, settle
from headrace_queue.sqlite_limits import bear_failures
from headrace_queue.sqlite_rows import add_counters, first, insert_failures, query, read_job
from headrace_queue.states import BatchState, JobState, move_batch

# The first jobs in the order of the claim that have a batch for now: no job behind them could get one of `limit`.
# INDEXED BY: with 10,000 queued jobs SQLite's own choice reads and sorts all of them for every claim.
_TURNS: Final = """
    SELECT id, priority, leased,
        (SELECT count(*) FROM (
            SELECT 1 FROM batch
            WHERE batch.job_id = job.id AND batch.state = 'ready' AND batch.not_before <= :now LIMIT :limit
        ))
    FROM job INDEXED BY job_claimable
    WHERE ready > 0 AND state IN ('queued', 'running') AND (:only IS NULL OR id = :only)
    AND (:idle_from IS NULL OR (leased = 0 AND priority >= :idle_from)) AND EXISTS (
        SELECT 1 FROM batch WHERE batch.job_id = job.id AND batch.state = 'ready' AND batch.not_before <= :now
    )
    ORDER BY priority DESC, leased, id LIMIT :limit
"""
_CLAIM: Final = """
    UPDATE batch SET state = 'leased', worker_id = :worker, fence = fence + 1, tries = tries + 1
    WHERE id IN (
        SELECT id FROM batch WHERE job_id = :job AND state = 'ready' AND not_before <= :now
        ORDER BY not_before, id LIMIT :count
    )
    RETURNING not_before, id, fence, payload, finished
"""
_HELD: Final = """
    SELECT id, job_id, items, finished, tries FROM batch WHERE id = ? AND worker_id = ? AND fence = ?
"""
_HELD_BY: Final = "SELECT id, job_id, items, finished, tries FROM batch WHERE worker_id = ? ORDER BY id"
_LET_GO: Final = """
    UPDATE batch SET state = ?, worker_id = NULL, tries = ?, not_before = ?, ready_since = ? WHERE id = ?
"""
# the claim that it is held by goes on counting: whoever gives an attempt back takes it off again
_FINISHED: Final = "UPDATE batch SET finished = ?, tries = 1 WHERE id = ?"
_GETS_ON: Final = "UPDATE batch SET tries = 1 WHERE id = ?"
_ASLEEP: Final = "SELECT 1 FROM batch WHERE job_id = ? AND state = 'ready' AND not_before > ? LIMIT 1"
_BURY: Final = "UPDATE batch SET state = ?, worker_id = NULL, payload = x'', finished = x'' WHERE id = ?"


class Held(NamedTuple):
    """A batch that a worker holds, without its payload."""

    id: int
    job_id: int
    items: int
    finished: bytes
    tries: int


def claim(
    db: apsw.Connection, worker_id: str, limit: int, only: int | None, idle_from: int | None, now: float
) -> list[Batch]:
    """Nothing for a worker that was expired: it learns so from its heartbeat."""
    if limit <= 0 or first(db, "SELECT 1 FROM worker WHERE id = ?", (worker_id,)) is None:
        return []
    of = {"now": now, "limit": limit, "only": only, "idle_from": idle_from}
    turns = [Turn(*row) for row in db.execute(_TURNS, of)]
    if idle_from is not None:
        turns = [turn._replace(available=1) for turn in turns]
    order = take_turns(turns, limit)
    claimed = {job_id: _claim_of(db, job_id, worker_id, count, now) for job_id, count in Counter(order).items()}
    return [claimed[job_id].popleft() for job_id in order]


def _claim_of(db: apsw.Connection, job_id: int, worker_id: str, count: int, now: float) -> deque[Batch]:
    job = read_job(db, job_id)
    if job.state is JobState.QUEUED:
        move(db, job_id, job.state, ("start",), now)
        job = read_job(db, job_id)
    rows = query(db, _CLAIM, {"worker": worker_id, "job": job_id, "now": now, "count": count})
    return deque(
        Batch(
            lease=Lease(batch_id, worker_id, fence),
            job=job,
            state=BatchState.LEASED,
            items=decode_items(payload),
            finished=Bitmap.from_bytes(finished),
        )
        for _, batch_id, fence, payload, finished in sorted(rows)
    )


def held(db: apsw.Connection, lease: Lease) -> Held:
    """Raises LeaseLost."""
    row = first(db, _HELD, (lease.batch_id, lease.worker_id, lease.attempt))
    if row is None:
        raise LeaseLost(
            f"batch {lease.batch_id}: attempt {lease.attempt} of {lease.worker_id} does not own it any more"
        )
    return Held(*row)


def progress(
    db: apsw.Connection,
    lease: Lease,
    finished: Sequence[int],
    counters: Counters,
    failures: Sequence[Failure],
    now: float,
) -> None:
    batch = held(db, lease)
    if finished:
        if min(finished) < 0 or max(finished) >= batch.items:
            raise ValueError(f"batch {batch.id} has {batch.items} objects, none of index {max(finished)}")
        add_finished(db, batch, finished)
        if first(db, _ASLEEP, (batch.job_id, now)) is None:
            set_waiting(db, batch.job_id, None)
    add_counters(db, batch.job_id, counters, len(failures))
    insert_failures(db, batch.job_id, failures)
    if failures:
        bear_failures(db, batch.job_id, now)


def add_finished(db: apsw.Connection, batch: Held, indexes: Sequence[int]) -> None:
    """Objects of it that need no more work. A batch of which something is finished since it was claimed is none that
    kills its worker, and its attempts count anew. That comes to an end: an object is finished once."""
    bitmap = Bitmap.from_bytes(batch.finished)
    bitmap.add(indexes)
    finished = bitmap.to_bytes()
    if finished != batch.finished:
        db.execute(_FINISHED, (finished, batch.id))


def gets_on(db: apsw.Connection, batch: Held) -> None:
    """As with a finished object, its attempts count anew."""
    db.execute(_GETS_ON, (batch.id,))


def complete(db: apsw.Connection, lease: Lease, now: float) -> Job:
    batch = held(db, lease)
    left = batch.items - len(Bitmap.from_bytes(batch.finished))
    if left:
        raise ValueError(f"batch {batch.id}: {left} objects of it are neither done nor failed")
    db.execute("DELETE FROM batch WHERE id = ?", (batch.id,))
    settle(db, batch.job_id, now)
    return read_job(db, batch.job_id)


def snooze(db: apsw.Connection, lease: Lease, until: float, reason: str, now: float) -> None:
    batch = held(db, lease)
    _make_ready(db, batch, "snooze", batch.tries - 1, until, now)
    set_waiting(db, batch.job_id, reason)
    settle(db, batch.job_id, now)


def give_back(db: apsw.Connection, lease: Lease, until: float, error: str, max_attempts: int, now: float) -> Returned:
    batch = held(db, lease)
    buried: tuple[Buried, ...] = ()
    if batch.tries < max_attempts:
        _make_ready(db, batch, "retry", batch.tries, until, now)
    else:
        buried = (_bury(db, batch, "attempts_exhausted", error, now),)
    settle(db, batch.job_id, now)
    return Returned(1, buried)


def release_all(db: apsw.Connection, worker_id: str, now: float) -> int:
    """Leases of a worker that leaves in peace; how many."""
    batches = _held_by(db, worker_id)
    for batch in batches:
        _make_ready(db, batch, "release", batch.tries - 1, 0.0, now)
        settle(db, batch.job_id, now)
    return len(batches)


def expire_all(db: apsw.Connection, worker_id: str, max_attempts: int, now: float) -> Returned:
    """Leases of a worker that died. The attempt counts: a batch that kills its workers ends dead, and what was recorded
    of others since they were claimed keeps them alive."""
    batches = _held_by(db, worker_id)
    buried: list[Buried] = []
    for batch in batches:
        if batch.tries < max_attempts:
            _make_ready(db, batch, "expire", batch.tries, 0.0, now)
        else:
            why = f"the worker died {batch.tries} times while it held this batch"
            buried.append(_bury(db, batch, "worker_died", why, now))
        settle(db, batch.job_id, now)
    return Returned(len(batches), tuple(buried))


def _held_by(db: apsw.Connection, worker_id: str) -> list[Held]:
    return [Held(*row) for row in db.execute(_HELD_BY, (worker_id,))]


def _make_ready(db: apsw.Connection, batch: Held, event: str, tries: int, until: float, now: float) -> None:
    state = move_batch(BatchState.LEASED, event)
    db.execute(_LET_GO, (state, tries, until, max(until, now), batch.id))


def _bury(db: apsw.Connection, batch: Held, error: str, message: str, now: float) -> Buried:
    """Its open objects become failures; the empty row stays to be counted, until a retry or the purge of the job."""
    payload = query(db, "SELECT payload FROM batch WHERE id = ?", (batch.id,))[0][0]
    finished = Bitmap.from_bytes(batch.finished)
    failures = tuple(
        Failure(item, error, message, batch.tries)
        for index, item in enumerate(decode_items(payload))
        if index not in finished
    )
    db.execute(_BURY, (move_batch(BatchState.LEASED, "exhaust"), batch.id))
    add_counters(db, batch.job_id, Counters(), len(failures))
    insert_failures(db, batch.job_id, failures)
    bear_failures(db, batch.job_id, now)
    return Buried(batch.job_id, failures)
