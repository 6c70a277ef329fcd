"""What `copy` cannot take as its one file, or write as one, as far as this host shows it."""

import os
import stat
from pathlib import Path
from typing import Final

from headrace_queue.errors import UsageError

LINK_LEADS_OUT: Final = "it is a symbolic link that leads outside its folder, and such links are not followed"
"""Links are followed as a sync of the folder follows them: absolute targets count as outside, wherever they point."""

_KINDS: Final = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "named pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def copy_what_it_leads_to(path: Path) -> str:
    """What to do about a link that leads outside."""
    return f"Copy the file itself: {os.path.realpath(path)}"


def refuse_as_source(path: Path, kind: int | None) -> None:
    """kind: the file type at the end of all links, None where nobody can tell. Raises UsageError."""
    if kind == stat.S_IFDIR:
        raise UsageError(str(path), "copy takes exactly one file, and this is a folder", "Use `headrace sync`.")
    if kind in _KINDS:
        why = f"copy takes regular files, and this is a {_KINDS[kind]}"
        raise UsageError(str(path), why, "Copy its content into a file first, if it has any.")
    if kind is not None and _leads_out(path):
        raise UsageError(str(path), LINK_LEADS_OUT, copy_what_it_leads_to(path))


def refuse_as_destination(path: Path) -> None:
    """A destination that is a folder has taken the source's name by now: here it would be a file. Raises UsageError."""
    if path.is_dir() and not path.is_symlink():
        why = "a folder stands here, and the copy would be a file of this name"
        raise UsageError(str(path), why, "Name the destination file in full, or move the folder away.")


def _leads_out(path: Path) -> bool:
    """Only what is plain to see: the worker asks the kernel, which looks at each step of the way."""
    try:
        target = os.readlink(path)
    except OSError:
        return False
    folder = os.path.realpath(path.parent)
    return os.path.isabs(target) or os.path.commonpath((folder, os.path.realpath(path))) != folder
