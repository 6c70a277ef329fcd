"""What other moves of a job say of its objects that are being restored. Each function is called in a transaction."""

from typing import Final

import apsw

from headrace_queue.sqlite_rows import first, query
from headrace_queue.thaw import waiting_text

_SUM: Final = "SELECT count(*), min(expected) FROM thaw INDEXED BY thaw_of_job WHERE job_id = ?"
_CLASSES: Final = "SELECT DISTINCT storage_class FROM thaw WHERE job_id = ? LIMIT 8"
_TELL: Final = "UPDATE job SET waiting = ?1 WHERE id = ?2 AND waiting IS NOT ?1 AND finished IS NULL"
_FORGET: Final = "SELECT count(*), coalesce(sum(size), 0) FROM thaw WHERE job_id = ?"


def tell_thawing(db: apsw.Connection, job_id: int) -> None:
    """The job waits for these objects, and for nothing else. Writes only where the text changes."""
    row = first(db, _SUM, (job_id,))
    if row is None or not row[0]:
        return
    classes = [name for (name,) in query(db, _CLASSES, (job_id,))]
    db.execute(_TELL, (waiting_text(row[0], classes, row[1]), job_id))


def forget_thaws(db: apsw.Connection, job_id: int) -> tuple[int, int]:
    """The plan begins anew and finds them again; how many they were, and their bytes."""
    ((count, size),) = query(db, _FORGET, (job_id,))
    db.execute("DELETE FROM thaw WHERE job_id = ?", (job_id,))
    return count, size
