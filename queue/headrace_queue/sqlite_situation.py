"""How the work of a job stands, in SQLite. Each function reads one snapshot and finds its rows by an index."""

from collections.abc import Sequence
from typing import Final

import apsw

from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Failure
from headrace_queue.situation import Situation
from headrace_queue.sqlite_rows import decode_item, first, query

_JOB: Final = "SELECT priority, leased, plan_worker, plan_not_before, thawing FROM job WHERE id = ?"
_BATCHES: Final = """
    SELECT count(*) FILTER (WHERE state = 'ready' AND not_before <= :now),
        count(*) FILTER (WHERE state = 'ready' AND not_before > :now),
        min(not_before) FILTER (WHERE state = 'ready' AND not_before > :now),
        count(*) FILTER (WHERE state = 'dead')
    FROM batch INDEXED BY batch_by_job WHERE job_id = :job_id
"""
_OTHERS: Final = (
    "SELECT coalesce(sum(leased), 0) FROM job WHERE state IN ('running', 'paused', 'cancelling') AND id <> ?"
)
_PLANNING: Final = "SELECT count(*) FROM job INDEXED BY job_planned_by WHERE plan_worker IS NOT NULL AND id <> ?"
_AHEAD: Final = """
    SELECT id FROM job
    WHERE state IN ('queued', 'running') AND priority > :priority
      AND (ready + leased > 0 OR (phase <> 'done' AND plan_not_before <= :now))
    ORDER BY priority DESC, id LIMIT 10
"""
_READABLE: Final = "SELECT min(expected) FROM thaw INDEXED BY thaw_of_job WHERE job_id = ?"
_UNDER_WAY: Final = """
    SELECT multipart.job_id, sum(part.size) FROM multipart JOIN part ON part.multipart_id = multipart.id
    WHERE multipart.job_id IN ({places}) GROUP BY multipart.job_id
"""
_NEWEST: Final = """
    SELECT id, item, error, message, attempts FROM failure INDEXED BY failure_by_job
    WHERE job_id = ? ORDER BY id DESC LIMIT ?
"""


def situation(db: apsw.Connection, job_id: int, now: float) -> Situation:
    """Raises UnknownJob."""
    row = first(db, _JOB, (job_id,))
    if row is None:
        raise UnknownJob(job_id)
    priority, leased, planned_by, plan_not_before, thawing = row
    ((ready, sleeping, wakes, dead),) = query(db, _BATCHES, {"now": now, "job_id": job_id})
    ((others,),), ((planning,),) = query(db, _OTHERS, (job_id,)), query(db, _PLANNING, (job_id,))
    ahead = tuple(number for (number,) in query(db, _AHEAD, {"priority": priority, "now": now}))
    ((readable,),) = query(db, _READABLE, (job_id,))
    return Situation(
        ready, sleeping, wakes, leased, dead, planned_by, plan_not_before, others, planning, ahead, thawing, readable
    )


def under_way(db: apsw.Connection, job_ids: Sequence[int]) -> dict[int, int]:
    if not job_ids:
        return {}
    return dict(query(db, _UNDER_WAY.format(places=",".join("?" * len(job_ids))), tuple(job_ids)))


def newest_failures(db: apsw.Connection, job_id: int, limit: int) -> list[tuple[int, Failure]]:
    rows = query(db, _NEWEST, (job_id, limit))
    return [
        (number, Failure(decode_item(item), error, message, attempts))
        for number, item, error, message, attempts in rows
    ]
