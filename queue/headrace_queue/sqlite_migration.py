"""The schema in SQLite, and how the file of an earlier Headrace comes to it.

SQLite cannot alter a CHECK. A table whose CHECKs are others is made anew and takes over the rows, as
https://www.sqlite.org/lang_altertable.html#otheralter prescribes; its dependents stay as they are.
"""

from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from headrace_queue.errors import QueueError

SCHEMA_VERSION: Final = 4
OLDEST_VERSION: Final = 1
"""Earlier files are refused.

1 -> 2: jobs have an owner and can be archives; transfers.
2 -> 3: data repository tasks.
3 -> 4: jobs that start after others; schedules; notices; objects that are being restored from an archive class.
"""

_OURS: Final = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def create(db: apsw.Connection) -> None:
    """In a transaction, in an empty file."""
    db.execute(Path(__file__).with_name("sqlite_schema.sql").read_text(encoding="utf-8"))


def migrate(db: apsw.Connection) -> None:
    """In a transaction, with PRAGMA foreign_keys off and legacy_alter_table on: so a table that is renamed or dropped
    takes neither references, triggers nor rows of others along. Raises QueueError for a file that is damaged."""
    wanted = _wanted()
    if db.execute("SELECT sql FROM sqlite_schema WHERE name = 'job'").fetchone() != (wanted["job"],):
        _rebuild(db, "job", wanted["job"])
    there = {name for name, _ in db.execute(_OURS)}
    for name, statement in wanted.items():
        if name not in there:
            db.execute(statement)
    if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise QueueError(f"{db.filename}: is damaged: rows of it belong to nothing. Move it away.")


def _wanted() -> dict[str, str]:
    """Name -> statement of all that a new file has, in the order in which it is made."""
    with closing(apsw.Connection(":memory:")) as fresh:
        create(fresh)
        return {str(name): str(statement) for name, statement in fresh.execute(f"{_OURS} ORDER BY rowid")}


def _rebuild(db: apsw.Connection, table: str, statement: str) -> None:
    """The new columns get their defaults, and numbers that were given away stay so. Its indexes go."""
    columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
    db.execute(f"ALTER TABLE {table} RENAME TO former_{table}")
    db.execute(statement)
    db.execute("UPDATE sqlite_sequence SET name = ? WHERE name = ?", (table, f"former_{table}"))
    db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM former_{table}")
    db.execute(f"DROP TABLE former_{table}")
