"""Which keys a POSIX tree can hold, the names of temporary files, and the names of what can go wrong with a file.

A key is a path relative to a root, components joined by `/`; a trailing `/` marks a directory. Python compares str by
code point, which is the order of their UTF-8 bytes, so keys sort as S3 sorts them.
"""

import errno
import os
import re
import struct
from hashlib import blake2b
from typing import Final

from headrace_queue.errors import HeadraceError

NAME_MAX: Final = 255  # bytes of one component, on every Linux file system of interest
PATH_MAX: Final = 4095  # bytes of a whole path that the kernel accepts, without the closing NUL

_TEMP_START: Final = ".headrace-"
_TEMP_NAME: Final = re.compile(r"\.headrace-[0-9]+-[0-9a-f]{32}\.part")


class FileError(HeadraceError):
    """The base: one object could not be read or written here. Others are not touched by it.

    code: a short, stable word for reports and metrics. key: relative to the root, printable.
    """

    code = "file_error"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{shown(key)}: {reason}" if key else reason)  # the root itself has no key
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """It travels between processes. Some leaves take other arguments, so that it is not made anew by them."""
        return _as_it_was, (type(self), self.args, self.key, self.reason)


def _as_it_was(leaf: type[FileError], args: tuple[object, ...], key: str, reason: str) -> FileError:
    error = leaf.__new__(leaf, *args)
    error.args, error.key, error.reason = args, key, reason
    return error


class NameRefused(FileError):
    """No file of this name can exist beneath a root: the object fails, whoever asks again."""

    code = "bad_name"


class Blocked(FileError):
    """Something else stands in the way (a symbolic link, a file where a directory is needed): the object fails."""

    code = "blocked"


class AlreadyThere(FileError):
    """Nothing may be replaced, and a file of this name exists: leave it."""

    code = "exists"


class AccessRefused(FileError):
    """The file system will not, whoever asks again: the object fails."""

    code = "access_denied"


class SourceVanished(FileError):
    """It was listed and is gone: no failure."""

    code = "vanished"


class SourceChanged(FileError):
    """It changed while it was read: discard what was sent, try later."""

    code = "source_unstable"


class DestinationFull(FileError):
    """No space, inodes or quota left: pause what writes there, use up no attempt."""

    code = "destination_full"


class TooManyOpen(FileError):
    """This process, or the host, may open no more files: no fault of this one, and it passes."""

    code = "too_many_open_files"


class FileFault(FileError):
    """The file system failed (EIO, ESTALE, ENOTCONN, …): discard, and start the object anew."""

    code = "io_error"


class DurabilityLost(FileFault):
    """The kernel could not bring written bytes to the disk and has forgotten them: never ask it again, write anew."""

    code = "durability_lost"


class RootLost(FileError):
    """The root is not the directory that was opened, a vanished mount for instance: the job must not go on."""

    code = "root_lost"


class RootRemoved(FileError):
    """The folder that is written to was removed, and with it what had arrived: no object of the job can arrive."""

    code = "root_removed"


_LEAVES: Final[dict[int, type[FileError]]] = {
    errno.ENOENT: SourceVanished,
    errno.EEXIST: AlreadyThere,
    errno.EACCES: AccessRefused,
    errno.EPERM: AccessRefused,
    errno.EROFS: AccessRefused,
    errno.ENOSPC: DestinationFull,
    errno.EDQUOT: DestinationFull,
    errno.EMFILE: TooManyOpen,
    errno.ENFILE: TooManyOpen,
    errno.ENAMETOOLONG: NameRefused,
    errno.EILSEQ: NameRefused,
    errno.ELOOP: Blocked,
    errno.EXDEV: Blocked,
    errno.ENOTDIR: Blocked,
    errno.EISDIR: Blocked,
    errno.ENOTEMPTY: Blocked,
    errno.ENXIO: Blocked,  # a socket, or a pipe that nobody reads
}


def file_error(error: OSError, key: str) -> FileError:
    """The leaf that says what to do about an error of the kernel."""
    leaf = _LEAVES.get(error.errno or 0, FileFault)
    name = errno.errorcode.get(error.errno or 0, "error")
    return leaf(key, f"{os.strerror(error.errno or 0)} ({name})")


def sync_error(error: OSError, key: str) -> FileError:
    """The same for an error of fsync or close, after which the bytes are gone, whatever its number."""
    leaf = file_error(error, key)
    return leaf if isinstance(leaf, DestinationFull) else DurabilityLost(key, leaf.reason)


def check_key(key: str) -> None:
    """Raises NameRefused where no file system can hold `key` beneath a root, or where it would leave the root."""
    reason = _refusal(key, raw_name(key))
    if reason is not None:
        raise NameRefused(key, reason)


def _refusal(key: str, raw: bytes) -> str | None:
    if not key:
        return "the name is empty"
    if key[0] == "/":
        return "the name starts with '/'"
    if len(raw) > PATH_MAX:
        return f"the name has {len(raw)} bytes, a path may have {PATH_MAX}"
    if b"\0" in raw:
        return "the name contains a NUL byte"
    for component in raw.removesuffix(b"/").split(b"/"):
        if component in (b"", b".", b".."):
            return f"the name has {component.decode()!r} as a component"
        if len(component) > NAME_MAX:
            return f"the name has a component of {len(component)} bytes, {NAME_MAX} are allowed"
    if _TEMP_START in key and any(map(is_temp_name, key.split("/"))):
        return "the name is one of Headrace's own temporary files"
    return None


def raw_name(name: str) -> bytes:
    """A name as the kernel takes it. Bytes that are no UTF-8 are lone surrogates in Python, as os.fsdecode gives them.

    Raises NameRefused for any other lone surrogate: it stands for no byte.
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise NameRefused(name, "the name is not valid UTF-8") from None


def is_marker(key: str) -> bool:
    """A key that stands for a directory."""
    return key.endswith("/")


def split_key(key: str) -> tuple[str, str]:
    """The folder ('' for the root itself) and the name in it; a marker counts as its directory. Raises NameRefused."""
    check_key(key)
    folder, _, name = key.removesuffix("/").rpartition("/")
    return folder, name


def temp_name(job_id: int, key: str, created: float = 0.0) -> str:
    """The one temporary name of this job's object, so that a later run finds and removes or resumes it.

    created: when the job was enqueued. Two queues give their jobs the same numbers, and may write to one tree.

    It lives in the destination's own folder: rename stays within one file system, and on Lustre the striping of that
    folder applies.
    """
    digest = blake2b(raw_name(key), digest_size=16, salt=struct.pack("d", created)).hexdigest()
    return f"{_TEMP_START}{job_id}-{digest}.part"


def trial_name(job_id: int, token: bytes) -> str:
    """A name for a trial in a destination, which no listing shows. token: 16 bytes of chance."""
    return f"{_TEMP_START}{job_id}-{token.hex()}.part"


def is_temp_name(name: str) -> bool:
    """A name that temp_name gives, of whatever job."""
    return name.startswith(_TEMP_START) and _TEMP_NAME.fullmatch(name) is not None


def shown(name: str) -> str:
    """A printable form of any name: bytes that are no UTF-8 and control characters as backslash escapes."""
    raw = name.encode("utf-8", "surrogateescape" if _stands_for_bytes(name) else "backslashreplace")
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _stands_for_bytes(name: str) -> bool:
    """No lone surrogates but those that stand for bytes."""
    return not any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in name)
