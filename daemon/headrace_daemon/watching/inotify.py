"""The kernel's own notices of what changes in folders: inotify(7), by way of libc.

Constants are from linux/inotify.h. A binding of our own, for it is small and has to tell what others hide: that the
queue of events ran over, and that the limit of watches is reached.
"""

import ctypes
import os
import struct
from typing import Final, NamedTuple

IN_MODIFY: Final = 0x0002
IN_CLOSE_WRITE: Final = 0x0008
IN_MOVED_FROM: Final = 0x0040
IN_MOVED_TO: Final = 0x0080
IN_CREATE: Final = 0x0100
IN_DELETE: Final = 0x0200
IN_DELETE_SELF: Final = 0x0400
IN_MOVE_SELF: Final = 0x0800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ISDIR: Final = 0x40000000

_IN_ONLYDIR: Final = 0x01000000
_IN_DONT_FOLLOW: Final = 0x02000000
_IN_EXCL_UNLINK: Final = 0x04000000

CHANGED: Final = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE
GONE: Final = IN_MOVED_FROM | IN_DELETE
LOST: Final = IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF
"""Of the folder itself that is watched: nothing more is heard of it under its path."""

_WATCHED: Final = CHANGED | GONE | IN_DELETE_SELF | IN_MOVE_SELF | _IN_ONLYDIR | _IN_EXCL_UNLINK
_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """watch: the number that add() gave; -1 of an overflow. name: of what lies in that folder; b'' of itself."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One queue of events."""

    def __init__(self) -> None:
        """Raises OSError: EMFILE where fs.inotify.max_user_instances of this user are in use."""
        self.fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder: bytes, *, follow: bool = False) -> int:
        """The number of the watch; that of before, for a folder that is watched already. follow: a link to a folder.

        Raises OSError: ENOSPC where fs.inotify.max_user_watches are in use, ENOENT, ENOTDIR, EACCES.
        """
        mask = _WATCHED if follow else _WATCHED | _IN_DONT_FOLLOW
        return _checked(_libc.inotify_add_watch(self.fd, folder, mask))

    def remove(self, watch: int) -> None:
        """Of one that is gone with its folder, nothing remains to be done."""
        _libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Event]:
        """What happened since; nothing where nothing did."""
        try:
            return parse(os.read(self.fd, _BUFFER))
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self.fd)


def parse(raw: bytes) -> list[Event]:
    """A block of struct inotify_event: 16 bytes, and a name that is filled up with NULs."""
    events, at = [], 0
    while at < len(raw):
        watch, mask, _, length = _HEADER.unpack_from(raw, at)
        at += _HEADER.size
        events.append(Event(watch, mask, raw[at : at + length].rstrip(b"\0")))
        at += length
    return events


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
