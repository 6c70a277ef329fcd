"""The report of a data repository task: which files FSx could not move, and why.

FSx writes `task-ID/failures.csv` below the report's path, of an import perhaps `report.csv`, with the columns FilePath,
FileStatus and ErrorCode (https://docs.aws.amazon.com/fsx/latest/LustreGuide/task-completion-report.html).
"""

import csv
import io
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_REPORT: Final = 256 * 2**20
"""Bytes of one report that are read; a longer one is told by its count alone."""


_COLUMNS: Final = 3
_FORMULA: Final = "@+-="


class FileFailure(NamedTuple):
    """One line. path as FSx writes it; status and error are FSx's words."""

    path: str
    status: str
    error: str


def read_failures(text: str) -> Iterator[FileFailure]:
    """The lines of a report; those that have too few columns are passed over. The guide's example has no heading, and
    encloses a path that begins like a formula in quotes of its own."""
    for row in csv.reader(io.StringIO(text, newline="")):
        if len(row) < _COLUMNS or row[0].strip('\ufeff "') == "FilePath":
            continue
        path = row[0]
        if len(path) > 1 and path[0] == path[-1] == '"' and path[1] in _FORMULA:
            path = path[1:-1]
        yield FileFailure(path, row[1], row[2])


def key_below(path: str, mounted: str, imported: str) -> str:
    """The key relative to the job's roots of a file that FSx names. mounted: the job's folder relative to the mount;
    imported: its location in the bucket, s3://bucket/prefix/. The path as it is where it lies below neither."""
    if imported and path.startswith(imported):
        return path[len(imported) :]
    plain = path.lstrip("/")
    folder = f"{mounted.strip('/')}/" if mounted.strip("/") else ""
    return plain[len(folder) :] if plain.startswith(folder) else path
