"""What an error of SQLite means for whoever met it: a leaf of QueueError, with what to do about it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from headrace_queue.errors import QueueError, QueueFull, QueueUnavailable

PATIENCE_SECONDS: Final = 30.0  # a retry of millions of failures holds the file for seconds


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into the leaves of QueueError."""
    try:
        yield
    except apsw.Error as error:
        raise as_queue_error(error, path) from error


def as_queue_error(error: apsw.Error, path: Path, system_errno: int = 0) -> QueueError:
    """What the caller should do about an error of SQLite. system_errno: of the failed system call, where known."""
    no_space = isinstance(error, apsw.IOError | apsw.CantOpenError) and system_errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, apsw.FullError) or no_space:
        return full(path)
    if isinstance(error, apsw.BusyError):
        return QueueUnavailable(
            f"{path}: another process held it for more than {PATIENCE_SECONDS:.0f} s. "
            f"Find it with `fuser -v {path}` and end it, or try again."
        )
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return QueueError(f"{path}: is damaged ({error}). Move it away; the jobs in it must be enqueued again.")
    # looked at without opening the file: closing it again would drop the locks that SQLite holds in this process
    refused = isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError)
    if refused and not os.access(path, os.W_OK):
        return forbidden(path)
    if isinstance(error, apsw.IOError | apsw.CantOpenError):
        why = os.strerror(system_errno) if system_errno else str(error)
        return QueueUnavailable(
            f"{path}: the disk below it does not work as it should ({why}). "
            f"Look at `df {path.parent}` and at the kernel's log (`dmesg`), then try again."
        )
    return QueueError(f"{path}: {error}. Move the file away if this happens again; its jobs have to be enqueued anew.")


def forbidden(path: Path) -> QueueError:
    """The file, or the directory above it, is closed to this user."""
    return QueueError(
        f"{path}: the queue belongs to another user, and this one may not use it. "
        "Run the command as the daemon's user (sudo -u headrace headrace …), or name a state_dir of your own."
    )


def full(path: Path) -> QueueFull:
    """No space is left for the queue, or no quota."""
    return QueueFull(f"{path}: the disk is full. Free space on it (`df {path.parent}`), then everything goes on.")
