"""The report of a data repository task: which files FSx could not move, and why.

FSx writes `task-ID/failures.csv` below the report's path, of an import perhaps `report.csv`, with the columns FilePath,
FileStatus and ErrorCode (https://docs.aws.amazon.com/fsx/latest/LustreGuide/task-completion-report.html).
"""

import re
from typing import BinaryIO, Final, NamedTuple

MAX_LINE: Final = 64 * 2**10
"""Bytes of one line; Linux has no path of more than 4,096."""
_FIELD: Final = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",][^,]*+)?)(,|\Z)')
_COLUMNS: Final = 3
_FORMULA: Final = "@+-="


class FileFailure(NamedTuple):
    """One line. path as FSx writes it; status and error are FSx's words."""

    path: str
    status: str
    error: str


class Block(NamedTuple):
    """Some lines of a report. rows: how many were read. broken: how many of them say nothing that can be understood."""

    failures: list[FileFailure]
    rows: int
    broken: int


def read_block(report: BinaryIO, most: int) -> Block:
    """The next lines, so many at most; fewer where the report ends.

    A line is read by itself, so that one that is broken costs no other. A name with a line feed in it is two of these:
    its file is found by the comparison of both sides.
    """
    failures, rows, broken = [], 0, 0
    while rows < most and (line := report.readline()):
        rows += 1
        fields = _fields(line)
        if fields is None:
            broken += 1
        elif fields and fields[0].strip() != "FilePath":
            failures.append(FileFailure(_unquoted(fields[0]), fields[1], fields[2]))
    return Block(failures, rows, broken)


def _fields(raw: bytes) -> list[str] | None:
    """The first columns of a line; none of an empty one, None of one that is broken, has too few or names no file."""
    if len(raw) > MAX_LINE:
        return None
    line, at, fields = raw.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n"), 0, list[str]()
    if not line.strip():
        return fields
    while len(fields) < _COLUMNS:
        found = _FIELD.match(line, at)
        if found is None:
            return None
        quoted, plain, end = found.groups()
        fields.append(plain or "" if quoted is None else quoted.replace('""', '"'))
        at = found.end()
        if not end and len(fields) < _COLUMNS:
            return None
    return fields if fields[0] else None


def _unquoted(path: str) -> str:
    """The guide's example encloses a path that begins like a formula in quotes of its own."""
    inner = path[1:-1]
    return inner if inner and path[0] == path[-1] == '"' and inner[0] in _FORMULA else path


def key_below(path: str, mounted: str, imported: str) -> str:
    """The key relative to the job's roots of a file that FSx names. mounted: the job's folder relative to the mount;
    imported: its location in the bucket, s3://bucket/prefix/. The path as it is where it lies below neither."""
    if imported and path.startswith(imported):
        return path[len(imported) :]
    plain = path.lstrip("/")
    folder = f"{mounted.strip('/')}/" if mounted.strip("/") else ""
    return plain[len(folder) :] if plain.startswith(folder) else path
