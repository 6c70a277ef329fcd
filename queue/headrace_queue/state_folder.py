"""Who may use what lies in the state directory: its owner alone, or its group where the directory says so.

A directory that its group may write to, and whose set-group-ID bit gives new files to that group (mode 2770), is one
that people share with the daemon: they enqueue as themselves. Everything else is private, for keys and paths of other
people's data stand in it. The bits of a umask do not count: the directory has said what is wanted.
"""

import os
import stat
from pathlib import Path
from typing import Final

_SHARED: Final = stat.S_ISGID | stat.S_IWGRP


def is_shared(folder: Path) -> bool:
    """Whether the group of this directory works in it. Raises OSError."""
    return folder.stat().st_mode & _SHARED == _SHARED


def make_folder(folder: Path) -> None:
    """The directory and what is missing above it, each private unless the one above it is shared. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_dir():
            return  # another process was faster by a moment
        raise
    if is_shared(folder.parent):
        folder.chmod(0o2770)


def open_new(path: Path, flags: int) -> int:
    """A descriptor of a new file: for its owner, or for the group too. Raises OSError, FileExistsError."""
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if is_shared(path.parent):
        os.fchmod(fd, 0o660)
    return fd
