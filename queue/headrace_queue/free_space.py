"""Whether something fits onto a file system: bytes and inodes, decided apart from asking.

Part of a file system stays free: one that is full to its last block gets slow long before (Lustre balances new files
over the targets by their free space), and others write there too.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from headrace_queue.units import format_bytes

RESERVE_PERCENT: Final = 1
RESERVE_BYTES: Final = 2**30
"""What stays free: one percent, and never more than this."""


class Free(NamedTuple):
    """What an ordinary user may still take of a file system. inodes: None where their number is not fixed."""

    size: int
    total: int
    inodes: int | None

    @property
    def usable(self) -> int:
        """Bytes, without what stays free."""
        return max(0, self.size - min(RESERVE_BYTES, self.total * RESERVE_PERCENT // 100))


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


def shortage(need: Need, free: Free) -> str:
    """What is missing, for people; '' where it fits."""
    if need.size > free.usable:
        kept = free.size - free.usable
        reserve = f", of which {format_bytes(kept)} stay free" if kept else ""
        return f"{format_bytes(need.size)} are needed and {format_bytes(free.size)} are free{reserve}"
    if free.inodes is not None and need.files > free.inodes:
        return f"{need.files:,} files are needed and {free.inodes:,} inodes are free"
    return ""


def fit_text(path: str, need: Need, free: Free) -> str:
    """One line for people about what a dry run would bring to this path."""
    inodes = "" if free.inodes is None else f", {free.inodes:,} inodes"
    there = f"{path}: {format_bytes(free.size)}{inodes} free"
    missing = shortage(need, free)
    return f"{there}: does not fit ({missing})" if missing else f"{there}: fits"
