"""A file system that should be mounted and is not: its empty folder looks like an empty source, or like a destination
that is the host's own disk.

Read from /etc/fstab and /proc/self/mountinfo (fstab(5), proc_pid_mountinfo(5)); a host that mounts by other means is
taken as it is.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Final

from headrace_queue.errors import UsageError

FSTAB: Final = Path("/etc/fstab")
MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def refuse_unmounted(path: Path) -> None:
    """Raises UsageError where the file system that /etc/fstab names for this path is not mounted."""
    try:
        missing = unmounted(os.path.realpath(path), FSTAB.read_text(), MOUNTS.read_text())
    except OSError:
        return  # no such tables here: the daemon looks at the tree itself
    if missing is not None:
        why = f"{missing} is a file system of /etc/fstab, and it is not mounted"
        raise UsageError(str(path), why, f"Run: mount {missing}")


def unmounted(path: str, fstab: str, mountinfo: str) -> str | None:
    """The deepest mount point of fstab that holds the absolute path, if nothing is mounted there; else None."""
    points = {fields[1] for line in fstab.splitlines() if len(fields := _fields(line)) > 1}
    holding = [point for point in points if point.startswith("/") and PurePosixPath(path).is_relative_to(point)]
    deepest = os.path.normpath(max(holding, key=len, default="/"))
    if deepest == "/":
        return None
    mounted = {fields[4] for line in mountinfo.splitlines() if len(fields := _fields(line)) > 4}
    return None if deepest in mounted else deepest


def _fields(line: str) -> list[str]:
    """The words of a line of either table; spaces inside a word are written as octal escapes."""
    return [] if line.lstrip().startswith("#") else [_plain(word) for word in line.split()]


def _plain(word: str) -> str:
    for escape, character in _ESCAPES.items():
        word = word.replace(escape, character)
    return word
