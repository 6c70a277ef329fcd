"""What an error of the file system means for the person who asked."""

import errno
from typing import Final

from headrace_daemon.api.errors import ApiError
from headrace_daemon.files import names
from headrace_daemon.files.acting import MayNotAct
from headrace_queue.errors import UsageError

NO_ROOM: Final = 507
"""Insufficient Storage (RFC 4918, 11.5): the disk filled up while it was written to."""

FileTrouble = OSError | names.FileError | UsageError | MayNotAct

_STATUS: Final[dict[type[names.FileError], int]] = {
    names.SourceVanished: 404,
    names.AccessRefused: 403,
    names.NameRefused: 400,
    names.Blocked: 400,
    names.AlreadyThere: 409,
    names.SourceChanged: 409,
    names.DestinationFull: NO_ROOM,
}
_SAID: Final[dict[type[names.FileError], str]] = {
    # clients of FirecREST look for these very words
    names.SourceVanished: "No such file or directory",
    names.AccessRefused: "Permission denied",
}


def refusal_of(trouble: FileTrouble, path: str) -> ApiError:
    """path: absolute, as the person knows it."""
    if isinstance(trouble, MayNotAct):
        return ApiError(503, "the service cannot act with your rights just now; its administrator has to look")
    if isinstance(trouble, UsageError):
        return _of_root(trouble, path)
    shown = names.shown(path)
    if isinstance(trouble, OSError) and trouble.errno in (errno.EXDEV, errno.ELOOP):
        return ApiError(400, f"{shown}: a symbolic link on the way leads out of the folder that you may use")
    error = names.file_error(trouble, path) if isinstance(trouble, OSError) else trouble
    for leaf, status in _STATUS.items():
        if isinstance(error, leaf):
            return ApiError(status, f"{shown}: {_SAID.get(leaf, error.reason)}")
    return ApiError(503, f"{shown}: the file system failed ({error.reason}); try again later", retry_after=30.0)


def _of_root(trouble: UsageError, path: str) -> ApiError:
    """The root itself could not be opened."""
    cause = trouble.__cause__
    if isinstance(cause, OSError):
        return refusal_of(cause, path)
    return ApiError(503, f"{names.shown(path)}: {trouble.why}", retry_after=30.0)
