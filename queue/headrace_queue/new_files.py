"""Who may do what with new files and folders: checks of --group and --umask.

The group is looked up on this host, which is the daemon's: the queue never lies on a file system that hosts share.
"""

import grp
import re
from difflib import get_close_matches
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location

_OCTAL: Final = re.compile(r"0?[0-7]{3}", re.ASCII)
_OWNERS_OWN: Final = 0o700


def check_group(group: str | None, end: Location) -> str | None:
    """The group's name as it was given. Raises UsageError where no files are written, or no such group is known."""
    if group is None:
        return None
    if end.path is None:
        why = f"it is about new files, and the destination {end} is a bucket"
        raise UsageError(f"--group {group}", why, "Leave it out.")
    group_number(group)
    return group


def group_number(group: str) -> int:
    """The number of a group, which may itself be given as a number. Raises UsageError for one that is not known."""
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError, OverflowError):
        known = [one.gr_name for one in grp.getgrall()]
        near = get_close_matches(group, known, n=1, cutoff=0.6)
        remedy = f"Did you mean {near[0]}?" if near else "`getent group` lists those that there are."
        raise UsageError(f"group {group!r}", "this host knows no such group", remedy) from None


def check_umask(text: str | None, end: Location) -> int | None:
    """The umask as a number. Raises UsageError."""
    if text is None:
        return None
    if end.path is None:
        why = f"it is about new files, and the destination {end} is a bucket"
        raise UsageError(f"--umask {text}", why, "Leave it out.")
    try:
        return umask_of(text)
    except ValueError as error:
        raise UsageError(f"--umask {text!r}", str(error), "Write three octal digits, such as 007.") from None


def umask_of(text: str) -> int:
    """From octal digits. Raises ValueError for what is none, and for one that takes the owner's own rights away: the
    daemon could not go on with what it made itself."""
    if not _OCTAL.fullmatch(text):
        raise ValueError("this is no umask; write three octal digits, such as 007")
    number = int(text, 8)
    if number & _OWNERS_OWN:
        raise ValueError("it takes rights away from the owner, who writes the files; write a 0 first, such as 007")
    return number
