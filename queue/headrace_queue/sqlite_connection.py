"""Opening the queue's file safely, and transactions on it."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

import apsw

from headrace_queue.errors import QueueError, SchemaMismatch, UnsafeQueue
from headrace_queue.filesystem import refuse_shared
from headrace_queue.sqlite_errors import PATIENCE_SECONDS, as_queue_error, forbidden, full, translated
from headrace_queue.sqlite_migration import OLDEST_VERSION, SCHEMA_VERSION, create, migrate
from headrace_queue.state_folder import make_folder, open_new

APPLICATION_ID: Final = 0x48647263  # "Hdrc", so that nobody takes another program's file for a queue

POLL_SECONDS: Final = 0.001
WAL_KEEP_BYTES: Final = 64 * 2**20  # what is left of the WAL file after a burst


def check_sqlite(version: str) -> None:
    """Raises UnsafeQueue for an SQLite whose WAL two writers can corrupt.

    Source of the rule: https://sqlite.org/wal.html#walresetbug, fixed in 3.51.3 and in the backport 3.50.7.
    """
    numbers = tuple(int(part) for part in version.split(".")[:3])
    if numbers >= (3, 51, 3) or (numbers[:2] == (3, 50) and numbers >= (3, 50, 7)):
        return
    raise UnsafeQueue(
        f"SQLite {version} can corrupt a queue that two processes write to (fixed in 3.51.3). "
        "Install apsw 3.51.3 or newer from its wheel, which brings its own SQLite."
    )


class Patience:
    """A busy handler: how a connection waits for another process's transaction.

    It asks every millisecond. SQLite's own handler backs off to 100 ms, and a command that waits so long between two
    looks finds a busy daemon in its next transaction time and again.
    """

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._deadline = 0.0

    def __call__(self, calls: int) -> bool:
        now = time.monotonic()
        if calls == 0:
            self._deadline = now + self._seconds
        if now >= self._deadline:
            return False
        time.sleep(POLL_SECONDS)
        return True


def open_database(path: Path, *, read_only: bool) -> apsw.Connection:
    """A checked connection. Creates directory, file and schema where they are missing, and brings the schema of an
    earlier Headrace up to date, unless read_only.

    Raises UnsafeQueue, SchemaMismatch, QueueFull, QueueError.
    """
    check_sqlite(apsw.sqlite_lib_version())
    try:
        refuse_shared(path)
        if not read_only:
            _create(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full(path) from error
        if isinstance(error, PermissionError):
            raise forbidden(path) from error
        raise QueueError(f"{path}: {error.strerror}. Check state_dir or queue in config.toml.") from error
    if not _exists(path):
        raise QueueError(f"{path}: there is no queue yet. It is made when the first job is enqueued.")
    access = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    with translated(path):
        db = apsw.Connection(str(path), flags=access)
        try:
            _configure(db, path, read_only)
        except apsw.NotADBError:
            db.close()
            raise SchemaMismatch(f"{path}: is no SQLite file. Move it away, or correct queue in config.toml.") from None
        except apsw.Error as error:
            known = as_queue_error(error, path, db.system_errno)
            db.close()
            raise known from error
        except BaseException:
            db.close()
            raise
    return db


def open_snapshot(path: Path) -> apsw.Connection:
    """The queue as it stands now, copied into memory: for a look at a queue whose disk is full.

    A reader of a WAL database makes the index that all connections share (32 KiB beside the file) where nobody has it
    open. A connection that holds the file alone keeps this index in memory: https://sqlite.org/wal.html#noshm. Raises
    QueueFull where that is refused: the file stays locked for as long as the copy takes, and no longer.
    """
    memory = apsw.Connection(":memory:")
    try:
        source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        with closing(source):
            source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            source.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON")
            with memory.backup("main", source, "main") as copy:
                copy.step()
        _refuse_other_version(path, _version(memory, path))
    except apsw.Error as error:
        memory.close()
        raise full(path) from error
    except BaseException:
        memory.close()
        raise
    return memory


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise forbidden(path) from error


def _create(path: Path) -> None:
    """Directory and file, before SQLite would make them readable for everybody.

    An existing file is never opened here: closing it would drop the locks that SQLite holds on it in this process.
    """
    make_folder(path.parent)
    if not path.exists():
        try:
            os.close(open_new(path, os.O_RDWR))
        except FileExistsError:
            return  # another process was faster by a moment


def _configure(db: apsw.Connection, path: Path, read_only: bool) -> None:
    db.set_busy_handler(Patience())
    db.execute("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL")
    # looked at before anything is written: a file of another program must stay as it is
    version = _version(db, path)
    if read_only:
        _refuse_other_version(path, version)
        db.execute("PRAGMA query_only = ON")
        return
    if db.pragma("journal_mode") != "wal":
        _switch_to_wal(db)
    db.execute(f"PRAGMA journal_size_limit = {WAL_KEEP_BYTES}")
    if version != SCHEMA_VERSION:
        _bring_up_to_date(db, path)


def _version(db: apsw.Connection, path: Path) -> int:
    """Of the schema; 0 where the file is empty. Raises SchemaMismatch where it is not ours, or of a version that this
    Headrace cannot bring up to date."""
    with snapshot(db):
        found_id, version = db.pragma("application_id"), db.pragma("user_version")
        has_tables = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is not None
    if (found_id, version) == (0, 0) and not has_tables:
        return 0
    if found_id != APPLICATION_ID:
        raise SchemaMismatch(f"{path}: belongs to another program. Correct queue in config.toml.")
    if not OLDEST_VERSION <= version <= SCHEMA_VERSION:
        raise SchemaMismatch(
            f"{_told(path, version)} Use the Headrace that wrote it, or move the file away once its jobs have ended."
        )
    return int(version)


def _refuse_other_version(path: Path, version: int) -> None:
    """Who only reads can neither make a schema nor bring it up to date. Raises QueueError, SchemaMismatch."""
    if version == 0:
        raise QueueError(f"{path}: there is no queue in it yet. It is made when the first job is enqueued.")
    if version != SCHEMA_VERSION:
        raise SchemaMismatch(f"{_told(path, version)} Start `headraced`, which brings it up to date.")


def _told(path: Path, version: int) -> str:
    return f"{path}: its schema has version {version}, this Headrace expects {SCHEMA_VERSION}."


def _switch_to_wal(db: apsw.Connection) -> None:
    """SQLite does not ask the busy handler when two processes switch a new file at the same moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            mode = db.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
            continue
        if mode != "wal":
            raise UnsafeQueue(f"{db.filename}: cannot use WAL here (it stays {mode}). Move it to a local disk.")
        return


def _bring_up_to_date(db: apsw.Connection, path: Path) -> None:
    # SQLite does not heed the first of them within a transaction
    db.execute("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON")
    with Transaction(db, path):
        version = _version(db, path)  # another process may have done it while this one waited for the lock
        if version == 0:
            create(db)
        elif version != SCHEMA_VERSION:
            migrate(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("PRAGMA foreign_keys = ON; PRAGMA legacy_alter_table = OFF")


@contextmanager
def snapshot(db: apsw.Connection) -> Iterator[None]:
    """Several reads of one state of the queue; part of the transaction where one is open."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        _end_snapshot(db)


def _end_snapshot(db: apsw.Connection) -> None:
    if db.in_transaction:  # an error may have ended it already
        db.execute("COMMIT")


class Transaction:
    """One commit for everything inside `with`; an inner `with` is a savepoint, which undoes only itself.

    Begins with the write lock: a transaction that reads first and writes later gets "busy" at once, however long it
    is willing to wait. Raises QueueError and its leaves for errors of SQLite.
    """

    def __init__(self, db: apsw.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._depth = 0
        self._lost: QueueError | None = None  # why SQLite gave up the whole transaction while it was open

    def __enter__(self) -> None:
        if self._depth:
            self._check_alive()
        else:
            self._lost = None
        try:
            self._db.execute("SAVEPOINT inner_step" if self._depth else "BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise self._translate(error) from error
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._depth -= 1
        if error is None:
            self._keep()
        elif isinstance(error, apsw.Error):
            known = self._translate(error)
            self._undo(known)
            raise known from error
        else:
            self._undo(error if isinstance(error, QueueError) else None)

    def _keep(self) -> None:
        self._check_alive()
        try:
            self._db.execute("RELEASE inner_step" if self._depth else "COMMIT")
        except apsw.Error as error:
            known = self._translate(error)
            self._undo(known)
            raise known from error

    def _undo(self, error: QueueError | None) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK TO inner_step; RELEASE inner_step" if self._depth else "ROLLBACK")
        elif self._depth:
            # SQLite rolled back everything by itself, as it does when the disk is full
            self._lost = error or self._lost

    def _check_alive(self) -> None:
        """A savepoint after SQLite's own rollback would begin, and commit, a transaction of its own."""
        if not self._db.in_transaction:
            lost = self._lost or QueueError(f"{self._path}: SQLite rolled the transaction back.")
            raise type(lost)(str(lost))

    def _translate(self, error: apsw.Error) -> QueueError:
        return as_queue_error(error, self._path, self._db.system_errno)
