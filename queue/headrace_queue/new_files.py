"""Who may do what with new files and folders: checks of --group and --umask."""

import re
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location

_OCTAL: Final = re.compile(r"0?[0-7]{3}", re.ASCII)


def check_group(group: str | None, end: Location) -> str | None:
    """The group's name as it was given. Raises UsageError where no files are written."""
    if group is not None and end.path is None:
        why = f"it is about new files, and the destination {end} is a bucket"
        raise UsageError(f"--group {group}", why, "Leave it out.")
    return group


def check_umask(text: str | None, end: Location) -> int | None:
    """The umask as a number. Raises UsageError."""
    if text is None:
        return None
    if end.path is None:
        why = f"it is about new files, and the destination {end} is a bucket"
        raise UsageError(f"--umask {text}", why, "Leave it out.")
    if not _OCTAL.fullmatch(text):
        raise UsageError(f"--umask {text!r}", "it is no umask", "Write three octal digits, such as 007.")
    return int(text, 8)
