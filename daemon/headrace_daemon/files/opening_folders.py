"""Folders by their path: opened, made, and made durable. Below a root they are opened by files/root.py."""

import errno
import os
from typing import Final

from headrace_daemon.files import mounts
from headrace_daemon.files.making import AS_ANY, Making
from headrace_queue.errors import UsageError

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_root(path: str) -> int:
    """Raises UsageError where there is no such directory, or none for us."""
    try:
        return os.open(path, FOLDER)
    except PermissionError as error:
        remedy = "Whoever the worker runs as (systemd: User=) has to be let in there, and through the folders above it."
        raise UsageError(path, error.strerror or "", remedy) from error
    except OSError as error:
        reason = error.strerror or "cannot be opened"
        raise UsageError(path, reason, "Name an existing directory; is its file system mounted?") from error


def make_durably(path: str, making: Making = AS_ANY) -> None:
    """A root whose own name is lost in a power cut takes everything beneath it along. Raises OSError."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(os.path.abspath(path))
    for folder in reversed(missing):
        try:
            os.mkdir(folder, making.folder_mode)
        except FileExistsError:
            os.makedirs(folder, exist_ok=True)  # somebody else made it, or it is no folder
        else:
            making.give_folder(folder)
        parent = os.open(os.path.dirname(os.path.abspath(folder)), FOLDER)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def sync_names(fd: int) -> OSError | None:
    """The error as a value: raised, it would make Root.within() sync once more."""
    try:
        os.fsync(fd)
    except OSError as error:
        # file systems that have nothing to sync in a folder say so (FUSE, some network ones)
        return None if error.errno in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP) else error
    return None


def has_openat2(fd: int) -> bool:
    """Whether openat2 works here. Raises OSError."""
    try:
        os.close(mounts.openat2(fd, b".", os.O_PATH | os.O_DIRECTORY, 0, mounts.RESOLVE_BENEATH))
    except OSError as error:
        # containers answer EPERM for system calls they do not know
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return False
        raise
    return True
