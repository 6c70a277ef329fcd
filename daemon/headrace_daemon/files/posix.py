"""POSIX metadata in user metadata, in the keys and forms that FSx for Lustre itself reads and writes
(https://docs.aws.amazon.com/fsx/latest/LustreGuide/posix-metadata-support.html)."""

import contextlib
import os
import stat
from dataclasses import dataclass

_MODE = "file-permissions"
_OWNER = "file-owner"
_GROUP = "file-group"
_MTIME = "file-mtime"
_ATIME = "file-atime"


@dataclass(frozen=True, slots=True)
class Posix:
    """What of a file's metadata travels. mode as st_mode; None where an object does not say."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    atime_ns: int | None = None

    def times(self, mtime_ns: int) -> tuple[int, int]:
        """Of access and of change, as os.utime() takes them; without a word on the first both are the second."""
        return (mtime_ns if self.atime_ns is None else self.atime_ns), mtime_ns

    @property
    def is_link(self) -> bool:
        """A symbolic link: its content is the path it leads to."""
        return self.mode is not None and stat.S_ISLNK(self.mode)


_MODES = range(0o200000)
_IDS = range(2**32 - 1)  # the last number means "leave it" to chown
_TIMES = range(-(2**63), 2**63)

NOTHING = Posix()
"""Says nothing: the file gets what the process gives any new file."""

LINK = Posix(mode=stat.S_IFLNK | 0o777)
"""Says only that it is a symbolic link."""


def to_metadata(posix: Posix) -> dict[str, str]:
    """FSx's keys: octal mode with the file type, decimal ids, times in nanoseconds with the suffix ns."""
    fields = {
        _MODE: None if posix.mode is None else f"{posix.mode:07o}",
        _OWNER: None if posix.uid is None else str(posix.uid),
        _GROUP: None if posix.gid is None else str(posix.gid),
        _MTIME: None if posix.mtime_ns is None else f"{posix.mtime_ns}ns",
        _ATIME: None if posix.atime_ns is None else f"{posix.atime_ns}ns",
    }
    return {key: value for key, value in fields.items() if value is not None}


def from_metadata(metadata: dict[str, str]) -> Posix:
    """What an object says, read tolerantly: a value that is no number, or none that a kernel takes, counts as not said.

    A time without the suffix is in milliseconds.
    """
    return Posix(
        mode=_within(_MODES, _number(metadata.get(_MODE), 8)),
        uid=_within(_IDS, _number(metadata.get(_OWNER), 10)),
        gid=_within(_IDS, _number(metadata.get(_GROUP), 10)),
        mtime_ns=_within(_TIMES, _time(metadata.get(_MTIME))),
        atime_ns=_within(_TIMES, _time(metadata.get(_ATIME))),
    )


def _number(text: str | None, base: int) -> int | None:
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


def _time(text: str | None) -> int | None:
    if text and text.endswith("ns"):
        return _number(text[:-2], 10)
    milliseconds = _number(text, 10)
    return None if milliseconds is None else milliseconds * 1_000_000


def _within(known: range, number: int | None) -> int | None:
    """Anyone may write any number into an object's metadata; one that overflows would fail more than its object."""
    return number if number is not None and number in known else None


def give(fd: int, posix: Posix) -> None:
    """Owner and mode of an open file, as far as they are said.

    The owner only where the process may give files away (root, CAP_CHOWN); elsewhere the file stays its own. setuid and
    setgid are never taken over, as FSx does not. Raises OSError.
    """
    if posix.uid is not None or posix.gid is not None:
        with contextlib.suppress(PermissionError):
            os.fchown(fd, -1 if posix.uid is None else posix.uid, -1 if posix.gid is None else posix.gid)
    if posix.mode is not None:
        os.fchmod(fd, stat.S_IMODE(posix.mode) & 0o1777)


def give_link(dir_fd: int, name: bytes, posix: Posix) -> None:
    """The owner of a symbolic link, as give() does; a link has no mode of its own. Raises OSError."""
    if posix.uid is not None or posix.gid is not None:
        uid, gid = (-1 if number is None else number for number in (posix.uid, posix.gid))
        with contextlib.suppress(PermissionError):
            os.chown(name, uid, gid, dir_fd=dir_fd, follow_symlinks=False)


_OWN_LOOK = 0o500  # read and search, of a folder's owner
_OWN_WRITE = 0o200


def folder_mode(posix: Posix) -> int | None:
    """The permissions of the folder that a marker stands for; None where it does not say.

    A mode without the type of a folder was meant for a file, as in the Lustre guide's own example (0100664): whoever
    may read the folder may search it too. The owner always keeps both rights: a folder that Headrace itself could not
    list would look like an empty one from then on.
    """
    if posix.mode is None or posix.is_link:
        return None
    bits = stat.S_IMODE(posix.mode) & 0o1777
    if not stat.S_ISDIR(posix.mode):
        bits |= (bits & 0o444) >> 2
    return bits | _OWN_LOOK


def give_folder(fd: int, posix: Posix, *, whole: bool, last: bool) -> None:
    """Times of an open folder, and with `whole` its mode and owner, as far as they are said.

    last: nobody lands anything in it any more. Until then its owner may write, and a mode that lacks only this is given
    later, whole or not. setgid stays as it is: folders inherit it. What the kernel refuses, for the folder belongs to
    somebody else, stays as it is. Raises OSError for all else.
    """
    mode, now = folder_mode(posix), os.fstat(fd).st_mode
    if mode is not None and (whole or now & 0o1777 == mode | _OWN_WRITE):
        with contextlib.suppress(PermissionError):
            os.fchmod(fd, (mode if last else mode | _OWN_WRITE) | now & stat.S_ISGID)
    if posix.mtime_ns is not None:
        with contextlib.suppress(PermissionError):
            os.utime(fd, ns=posix.times(posix.mtime_ns))
    if whole and (posix.uid is not None or posix.gid is not None):
        # last of all: who gave a folder away may not change it any more
        with contextlib.suppress(PermissionError):
            os.fchown(fd, -1 if posix.uid is None else posix.uid, -1 if posix.gid is None else posix.gid)


def let_write(fd: int, posix: Posix) -> bool:
    """Whether the owner of an open folder may write in it now, although its marker says read-only. Any other folder
    stays closed. Raises OSError."""
    mode, now = folder_mode(posix), os.fstat(fd).st_mode
    if mode is None or mode & _OWN_WRITE:
        return False
    if now & 0o1777 == mode:
        with contextlib.suppress(PermissionError):
            os.fchmod(fd, stat.S_IMODE(now) & ~stat.S_ISUID | _OWN_WRITE)
            return True
    return now & 0o1777 == mode | _OWN_WRITE
