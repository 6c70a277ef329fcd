"""The part of the Store on SQLite that keeps notices. What its methods promise stands in store_notices.NoticeStore."""

from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from headrace_queue import sqlite_notices as notices
from headrace_queue.notices import Movement, Notice, NoticeChanges, NoticeSpec, NoticeState, Untold
from headrace_queue.sqlite_connection import Transaction, snapshot
from headrace_queue.sqlite_errors import translated
from headrace_queue.states import JobState


class SqliteNoticeStore:
    """Works with what SqliteStore has opened."""

    _path: Path
    _clock: Callable[[], float]
    _db: apsw.Connection
    _transaction: Transaction

    def untold(self, limit: int = 100) -> list[Untold]:
        with translated(self._path):
            return notices.untold(self._db, limit)

    def moving(self, states: Sequence[JobState], limit: int = 1000) -> list[Movement]:
        with translated(self._path), snapshot(self._db):
            return notices.moving(self._db, states, limit)

    def tell(self, job_id: int, bit: int, specs: Sequence[NoticeSpec] = ()) -> bool:
        with self._transaction:
            return notices.tell(self._db, job_id, bit, specs, self._clock())

    def untell(self, job_id: int, bit: int) -> None:
        with self._transaction:
            notices.untell(self._db, job_id, bit)

    def notices(self, states: Sequence[NoticeState] = (), limit: int = 100) -> list[Notice]:
        with translated(self._path):
            return notices.page(self._db, states, limit)

    def due_notices(self, now: float, hold: float, limit: int = 50) -> list[Notice]:
        with self._transaction:
            return notices.due(self._db, now, hold, limit)

    def change_notice(self, number: int, changes: NoticeChanges, token: str | None = None) -> Notice:
        with self._transaction:
            return notices.change(self._db, number, changes, token, self._clock())

    def purge_notices(self, changed_before: float, limit: int = 100) -> int:
        with self._transaction:
            return notices.purge(self._db, changed_before, limit)
