"""Workers in SQLite, and what happens to their leases when they go. Each function is called in a transaction."""

from collections.abc import Sequence
from typing import Final

import apsw

from headrace_queue.jobs import Buried, Returned, Worker
from headrace_queue.sqlite_batches import expire_all, release_all
from headrace_queue.sqlite_plans import release_plans

_REGISTER: Final = """
    INSERT INTO worker (id, host, pid, started, heartbeat) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        host = excluded.host, pid = excluded.pid, started = excluded.started, heartbeat = excluded.heartbeat
"""


def register(db: apsw.Connection, worker: Worker, now: float) -> None:
    db.execute(_REGISTER, (worker.id, worker.host, worker.pid, worker.started, now))


def heartbeat(db: apsw.Connection, worker_id: str, now: float) -> bool:
    db.execute("UPDATE worker SET heartbeat = ? WHERE id = ?", (now, worker_id))
    return db.changes() == 1


def workers(db: apsw.Connection) -> list[Worker]:
    return [Worker(*row) for row in db.execute("SELECT id, host, pid, started, heartbeat FROM worker ORDER BY id")]


def retire(db: apsw.Connection, worker_id: str, now: float) -> None:
    release_all(db, worker_id, now)
    release_plans(db, worker_id)
    db.execute("DELETE FROM worker WHERE id = ?", (worker_id,))


def expire(db: apsw.Connection, worker_ids: Sequence[str], max_attempts: int, now: float) -> Returned:
    leases = 0
    buried: list[Buried] = []
    for worker_id in worker_ids:
        returned = expire_all(db, worker_id, max_attempts, now)
        leases += returned.leases + release_plans(db, worker_id)
        buried += returned.buried
        db.execute("DELETE FROM worker WHERE id = ?", (worker_id,))
    return Returned(leases, tuple(buried))
