"""Whether something fits onto a file system: bytes and inodes, decided apart from asking.

Part of a file system stays free: one that is full to its last block gets slow long before (Lustre balances new files
over the targets by their free space), and others write there too.
"""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from headrace_queue.units import LARGEST, format_bytes, parse_size

_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%(?:\s+up\s+to\s+(.+))?", re.ASCII)


class Reserve(NamedTuple):
    """What stays free of a file system: a share of it, in percent, and never more than `most` bytes."""

    percent: float = 1.0
    most: int = 2**30

    def of(self, total: int) -> int:
        return min(self.most, int(total * self.percent / 100))


def parse_reserve(value: object) -> Reserve:
    """`1% up to 1GiB`, `5%`, `20GiB` or bytes. Raises ValueError naming what is wrong."""
    if isinstance(value, Reserve):
        return value
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, str) and "%" in value:
            raise ValueError(f"{value!r} is no share; write for example 5%, or 1% up to 1GiB")
        return Reserve(100.0, parse_size(value))
    if float(match[1]) >= 100:
        raise ValueError(f"{value!r} would leave no room for anything; write less than 100%")
    return Reserve(float(match[1]), parse_size(match[2]) if match[2] is not None else LARGEST)


class Free(NamedTuple):
    """What an ordinary user may still take of a file system. total: 0 where it does not tell, as some FUSE ones do not;
    inodes: None where their number is not fixed."""

    size: int
    total: int
    inodes: int | None


class Need(NamedTuple):
    """What is to be written: bytes, and new files at most."""

    size: int
    files: int


def free_at(path: Path) -> Free:
    """Of the file system on which this path lies, or would lie. Asks the file system, which may hang: not on a loop.

    Raises OSError.
    """
    place = path
    while True:
        try:
            found = os.statvfs(place)
        except FileNotFoundError:
            if place == place.parent:
                raise
            place = place.parent
        else:
            return free_of(found)


def free_of(found: os.statvfs_result) -> Free:
    """f_files is 0 on file systems that make inodes as they go."""
    inodes = found.f_favail if found.f_files else None
    return Free(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, inodes)


def shortage(need: Need, free: Free, reserve: Reserve, promised: int = 0) -> str:
    """What is missing, for people; '' where it fits. promised: bytes that are free still and will be written."""
    kept = min(free.size, reserve.of(free.total))
    if free.total and need.size > max(0, free.size - kept - promised):
        told = [f"{format_bytes(kept)} stay free"] if kept else []
        told += [f"{format_bytes(promised)} are for large objects under way"] if promised else []
        of_which = f", of which {' and '.join(told)}" if told else ""
        return f"{format_bytes(need.size)} are needed and {format_bytes(free.size)} are free{of_which}"
    if free.inodes is not None and need.files > free.inodes:
        return f"{need.files:,} files are needed and {free.inodes:,} inodes are free"
    return ""


def fit_text(path: str, need: Need, free: Free, reserve: Reserve) -> str:
    """One line for people about what a dry run would bring to this path."""
    inodes = "" if free.inodes is None else f", {free.inodes:,} inodes"
    there = f"{path}: {format_bytes(free.size)}{inodes} free" if free.total else f"{path}: does not tell what is free"
    missing = shortage(need, free, reserve)
    return f"{there}: does not fit ({missing})" if missing else f"{there}: fits"
