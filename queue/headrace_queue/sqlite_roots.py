"""Which directories a job with --delete saw first, in SQLite. Each function is called in a transaction."""

from typing import Final

import apsw

from headrace_queue.sqlite_rows import query

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS root (
        job_id      INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
        source      TEXT NOT NULL,
        destination TEXT NOT NULL
    ) STRICT
"""
"""Made when it is first needed, so that a queue of an earlier Headrace stays one that both can open."""

_PIN: Final = """
    INSERT INTO root (job_id, source, destination) VALUES (?, ?, ?)
    ON CONFLICT (job_id) DO UPDATE SET
        source = CASE source WHEN '' THEN excluded.source ELSE source END,
        destination = CASE destination WHEN '' THEN excluded.destination ELSE destination END
    RETURNING source, destination
"""


def pin_roots(db: apsw.Connection, job_id: int, source: str, destination: str) -> tuple[str, str]:
    """The identities that were pinned first; these, where none were. '' says nothing, and pins nothing."""
    db.execute(_TABLE)
    ((first_source, first_destination),) = query(db, _PIN, (job_id, source, destination))
    return first_source, first_destination
