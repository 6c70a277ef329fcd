"""The Store on SQLite: which call is which transaction. The SQL stands in the modules beside it."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from headrace_queue import sqlite_after as after
from headrace_queue import sqlite_batches as batches
from headrace_queue import sqlite_jobs as jobs
from headrace_queue import sqlite_parts as large_objects
from headrace_queue import sqlite_plans as plans
from headrace_queue import sqlite_roots as roots
from headrace_queue import sqlite_rows as rows
from headrace_queue import sqlite_schedules as schedules
from headrace_queue import sqlite_situation as looks
from headrace_queue import sqlite_tasks as tasks
from headrace_queue import sqlite_transfers as transfers
from headrace_queue import sqlite_workers as workers
from headrace_queue.jobs import (
    Batch,
    Counters,
    Failure,
    Job,
    JobSpec,
    Lease,
    Multipart,
    PartRecord,
    PlanLease,
    PlanStep,
    QueueDepth,
    Returned,
    Worker,
)
from headrace_queue.schedules import Schedule, ScheduleSpec, Standing
from headrace_queue.situation import Situation
from headrace_queue.sqlite_connection import Transaction, open_database, open_snapshot, snapshot
from headrace_queue.sqlite_errors import translated
from headrace_queue.sqlite_store_notices import SqliteNoticeStore
from headrace_queue.sqlite_store_thaw import ThawMethods
from headrace_queue.states import JobState
from headrace_queue.tasks import NO_TASK_CHANGES, Task, TaskChanges, TaskSpec
from headrace_queue.transfers import NO_CHANGES, Changes, Transfer, TransferSpec, TransferState


class SqliteStore(SqliteNoticeStore, ThawMethods):
    """One connection to the queue's file. What its methods promise stands in store.Store.

    max_attempts: claims of a batch that may fail or kill their worker before its objects count as failed.
    clock: seconds since the epoch. read_only never writes and reads while others write.
    Raises UnsafeQueue, SchemaMismatch, QueueFull, QueueError on opening.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        max_attempts: int = 5,
        in_memory: bool = False,
    ) -> None:
        """in_memory: a copy of the queue as it stands now, which sees no later change."""
        self._path = Path(path)
        self._clock = clock
        self._max_attempts = max_attempts
        self._db = open_snapshot(self._path) if in_memory else open_database(self._path, read_only=read_only)
        self._transaction = Transaction(self._db, self._path)

    def close(self) -> None:
        with translated(self._path):
            self._db.close()

    def group(self) -> AbstractContextManager[None]:
        return self._transaction

    def version(self) -> int:
        with translated(self._path):
            return int(self._db.pragma("data_version"))

    # -- jobs -----------------------------------------------------------------------------------------------------

    def enqueue(self, spec: JobSpec) -> tuple[Job, bool]:
        with self._transaction:
            return jobs.enqueue(self._db, spec, self._clock())

    def job(self, job_id: int) -> Job:
        with translated(self._path):
            return rows.read_job(self._db, job_id)

    def jobs(
        self,
        states: Sequence[JobState] = (),
        limit: int = 100,
        before: int | None = None,
        user: str | None = None,
    ) -> list[Job]:
        with translated(self._path):
            return jobs.list_jobs(self._db, states, limit, before, user)

    def is_held(self, job_id: int) -> bool:
        with translated(self._path):
            return after.is_held(self._db, job_id)

    def pause(self, job_id: int) -> Job:
        with self._transaction:
            return jobs.pause(self._db, job_id, self._clock())

    def resume(self, job_id: int) -> Job:
        with self._transaction:
            return jobs.resume(self._db, job_id, self._clock())

    def cancel(self, job_id: int) -> Job:
        with self._transaction:
            return jobs.cancel(self._db, job_id, self._clock())

    def retry(self, job_id: int) -> Job:
        with self._transaction:
            return jobs.retry(self._db, job_id, self._clock())

    def fail(self, job_id: int, error: str) -> Job:
        with self._transaction:
            return jobs.fail(self._db, job_id, error, self._clock())

    def set_waiting(self, job_id: int, reason: str | None) -> None:
        with self._transaction:
            jobs.set_waiting(self._db, job_id, reason)

    def set_note(self, job_id: int, text: str) -> None:
        with self._transaction:
            jobs.set_note(self._db, job_id, text)

    def purge(self, finished_before: float, limit: int = 100) -> list[int]:
        with self._transaction:
            return jobs.purge(self._db, finished_before, limit)

    def failures(self, job_id: int, after: int = 0, limit: int = 1000) -> list[tuple[int, Failure]]:
        with translated(self._path):
            return jobs.failures(self._db, job_id, after, limit)

    def depth(self) -> QueueDepth:
        with translated(self._path), snapshot(self._db):
            return jobs.depth(self._db, self._clock())

    def situation(self, job_id: int) -> Situation | None:
        with translated(self._path), snapshot(self._db):
            return looks.situation(self._db, job_id, self._clock())

    def under_way(self, job_ids: Sequence[int]) -> dict[int, int]:
        with translated(self._path):
            return looks.under_way(self._db, job_ids)

    def newest_failures(self, job_id: int, limit: int = 10) -> list[tuple[int, Failure]]:
        with translated(self._path):
            return looks.newest_failures(self._db, job_id, limit)

    # -- transfers ------------------------------------------------------------------------------------------------

    def add_transfer(self, spec: TransferSpec, limit: int | None = None) -> Transfer:
        with self._transaction:
            return transfers.add(self._db, spec, limit, self._clock())

    def transfer(self, transfer_id: int, user: str | None = None) -> Transfer:
        with translated(self._path):
            return transfers.read(self._db, transfer_id, user)

    def transfers(
        self,
        user: str | None = None,
        states: Sequence[TransferState] = (),
        limit: int = 100,
        before: int | None = None,
    ) -> list[Transfer]:
        with translated(self._path):
            return transfers.page(self._db, user, states, limit, before)

    def move_transfer(self, transfer_id: int, event: str, changes: Changes = NO_CHANGES) -> Transfer:
        with self._transaction:
            return transfers.move(self._db, transfer_id, event, changes, self._clock())

    def change_transfer(self, transfer_id: int, changes: Changes) -> Transfer:
        with self._transaction:
            return transfers.change(self._db, transfer_id, changes)

    def due_transfers(self, now: float, hold: float, limit: int = 50) -> list[Transfer]:
        with self._transaction:
            return transfers.due(self._db, now, hold, limit)

    def staged_download(self, user: str, path: str, fingerprint: str, not_before: float) -> Transfer | None:
        with translated(self._path):
            return transfers.staged_download(self._db, user, path, fingerprint, not_before)

    def purge_transfers(self, finished_before: float, limit: int = 100) -> list[int]:
        with self._transaction:
            return transfers.purge(self._db, finished_before, limit)

    # -- data repository tasks of FSx for Lustre ------------------------------------------------------------------

    def begin_tasks(self, lease: PlanLease, specs: Sequence[TaskSpec]) -> list[Task]:
        with self._transaction:
            return tasks.begin(self._db, lease, specs, self._clock())

    def task(self, number: int) -> Task:
        with translated(self._path):
            return tasks.read(self._db, number)

    def tasks(self, job_id: int | None = None, *, open_only: bool = False, limit: int = 1000) -> list[Task]:
        with translated(self._path):
            return tasks.page(self._db, job_id, open_only, limit)

    def due_tasks(self, now: float, hold: float, limit: int = 50) -> list[Task]:
        with self._transaction:
            return tasks.due(self._db, now, hold, limit)

    def move_task(self, number: int, event: str, changes: TaskChanges = NO_TASK_CHANGES) -> Task:
        with self._transaction:
            return tasks.move(self._db, number, event, changes, self._clock())

    def change_task(self, number: int, changes: TaskChanges) -> Task:
        with self._transaction:
            return tasks.change(self._db, number, changes)

    # -- schedules ------------------------------------------------------------------------------------------------

    def add_schedule(self, spec: ScheduleSpec) -> Schedule:
        with self._transaction:
            return schedules.add(self._db, spec, self._clock())

    def schedule(self, name: str) -> Schedule:
        with translated(self._path):
            return schedules.read(self._db, name)

    def schedules(self) -> list[Schedule]:
        with translated(self._path):
            return schedules.every(self._db)

    def respecify_schedule(self, spec: ScheduleSpec) -> Schedule:
        with self._transaction:
            return schedules.respecify(self._db, spec)

    def change_schedule(self, name: str, standing: Standing) -> Schedule:
        with self._transaction:
            return schedules.change(self._db, name, standing)

    def remove_schedule(self, name: str) -> None:
        with self._transaction:
            schedules.remove(self._db, name)

    def hold_schedule(self, name: str, worker_id: str) -> bool:
        with self._transaction:
            return schedules.hold(self._db, name, worker_id)

    # -- workers --------------------------------------------------------------------------------------------------

    def register(self, worker: Worker) -> None:
        with self._transaction:
            workers.register(self._db, worker, self._clock())

    def heartbeat(self, worker_id: str) -> bool:
        with self._transaction:
            return workers.heartbeat(self._db, worker_id, self._clock())

    def workers(self) -> list[Worker]:
        with translated(self._path):
            return workers.workers(self._db)

    def retire(self, worker_id: str) -> None:
        with self._transaction:
            workers.retire(self._db, worker_id, self._clock())

    def expire(self, worker_ids: Sequence[str]) -> Returned:
        with self._transaction:
            return workers.expire(self._db, worker_ids, self._max_attempts, self._clock())

    # -- planning -------------------------------------------------------------------------------------------------

    def claim_plan(self, worker_id: str, max_waiting: int, only: int | None = None) -> PlanLease | None:
        with self._transaction:
            return plans.claim_plan(self._db, worker_id, max_waiting, only, self._clock())

    def commit_plan(self, lease: PlanLease, step: PlanStep) -> int:
        with self._transaction:
            return plans.commit_plan(self._db, lease, step, self._clock())

    def restart_plan(self, lease: PlanLease, *, sort_source: bool, sort_destination: bool) -> PlanLease:
        with self._transaction:
            return plans.restart_plan(self._db, lease, sort_source, sort_destination)

    def pin_roots(self, job_id: int, source: str, destination: str) -> tuple[str, str]:
        with self._transaction:
            return roots.pin_roots(self._db, job_id, source, destination)

    def release_plan(self, lease: PlanLease, not_before: float = 0.0) -> None:
        with self._transaction:
            plans.release_plan(self._db, lease, not_before)

    # -- batches --------------------------------------------------------------------------------------------------

    def claim(self, worker_id: str, limit: int, only: int | None = None, idle_from: int | None = None) -> list[Batch]:
        with self._transaction:
            return batches.claim(self._db, worker_id, limit, only, idle_from, self._clock())

    def progress(self, lease: Lease, finished: Sequence[int], counters: Counters, failures: Sequence[Failure]) -> None:
        with self._transaction:
            batches.progress(self._db, lease, finished, counters, failures, self._clock())

    def complete(self, lease: Lease) -> Job:
        with self._transaction:
            return batches.complete(self._db, lease, self._clock())

    def snooze(self, lease: Lease, until: float, reason: str) -> None:
        with self._transaction:
            batches.snooze(self._db, lease, until, reason, self._clock())

    def give_back(self, lease: Lease, until: float, error: str) -> Returned:
        with self._transaction:
            return batches.give_back(self._db, lease, until, error, self._max_attempts, self._clock())

    # -- large objects --------------------------------------------------------------------------------------------

    def multipart(self, job_id: int, key: str) -> Multipart | None:
        with translated(self._path), snapshot(self._db):
            return large_objects.multipart(self._db, job_id, key)

    def begin_multipart(self, lease: Lease, multipart: Multipart) -> None:
        with self._transaction:
            large_objects.begin_multipart(self._db, lease, multipart)

    def add_parts(self, lease: Lease, key: str, parts: Sequence[PartRecord], *, resumed: bool = False) -> None:
        with self._transaction:
            large_objects.add_parts(self._db, lease, key, parts, resumed)

    def end_multipart(self, job_id: int, key: str, token: str | None = None) -> None:
        with self._transaction:
            large_objects.end_multipart(self._db, job_id, key, token)

    def littered(self, failed_before: float, limit: int = 10) -> list[Job]:
        with translated(self._path), snapshot(self._db):
            return jobs.littered(self._db, failed_before, limit)

    def multiparts(self, job_id: int) -> list[Multipart]:
        with translated(self._path):
            return large_objects.multiparts(self._db, job_id)
