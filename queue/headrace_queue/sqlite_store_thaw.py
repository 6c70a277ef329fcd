"""The part of the Store on SQLite that is about archived objects and about the limits of jobs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from headrace_queue import sqlite_limits as limits
from headrace_queue import sqlite_thaw as thaws
from headrace_queue.jobs import Counters, Failure, Item, Job, Lease
from headrace_queue.sqlite_connection import Transaction, snapshot
from headrace_queue.sqlite_errors import translated
from headrace_queue.thaw import Thaw, ThawChanges


class ThawMethods:
    """What they promise stands in store_thaw.StoresThaws."""

    _db: apsw.Connection
    _path: Path
    _clock: Callable[[], float]
    _transaction: Transaction

    # -- objects that are being restored from an archive class --------------------------------------------------------

    def park(self, lease: Lease, objects: Sequence[tuple[int, Item]]) -> None:
        with self._transaction:
            thaws.park(self._db, lease, objects, self._clock())

    def thaws(self, job_id: int, after: int = 0, limit: int = 1000) -> list[Thaw]:
        with translated(self._path):
            return thaws.page(self._db, job_id, after, limit)

    def thawing(self, job_id: int) -> int:
        with translated(self._path):
            return thaws.count(self._db, job_id)

    def any_thaw_due(self, now: float) -> bool:
        with translated(self._path), snapshot(self._db):
            return thaws.any_due(self._db, now)

    def due_thaws(self, now: float, hold: float, limit: int = 50) -> list[Thaw]:
        with self._transaction:
            return thaws.due(self._db, now, hold, limit)

    def look_at_thaws_soon(self, now: float, within: float) -> None:
        with self._transaction:
            thaws.look_soon(self._db, now, within)

    def change_thaw(self, number: int, changes: ThawChanges) -> Thaw:
        with self._transaction:
            return thaws.change(self._db, number, changes)

    def thawed(self, number: int) -> None:
        with self._transaction:
            thaws.readable(self._db, number)

    def any_thawed(self) -> bool:
        with translated(self._path), snapshot(self._db):
            return thaws.any_readable(self._db)

    def end_thaw(self, number: int, counters: Counters, failure: Failure | None = None) -> None:
        with self._transaction:
            thaws.end(self._db, number, counters, failure, self._clock())

    def put_back_thawed(self) -> int:
        with self._transaction:
            return thaws.put_back(self._db, self._clock())

    # -- limits -------------------------------------------------------------------------------------------------------

    def overdue(self) -> bool:
        with translated(self._path):
            return limits.overdue(self._db, self._clock())

    def miss_deadlines(self) -> list[Job]:
        with self._transaction:
            return limits.miss_deadlines(self._db, self._clock())
