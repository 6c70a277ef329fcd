"""Files with a key of the customer's (SSE-C): where they are and who may read them. What they hold, only the daemon
reads; a job knows the path."""

import os
import stat
from pathlib import Path
from typing import Final, Protocol

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location

DESTINATION_OPTION: Final = "--sse-c-key-file"
SOURCE_OPTION: Final = "--source-sse-c-key-file"


class Asked(Protocol):
    """What check_key_files() looks at of a request."""

    @property
    def source_sse_c_key_file(self) -> Path | None: ...

    @property
    def sse_c_key_file(self) -> Path | None: ...

    @property
    def sse(self) -> str | None: ...

    @property
    def trash(self) -> str | None: ...


def check_key_files(start: Location, end: Location, request: Asked) -> tuple[str | None, str | None]:
    """The absolute paths of the source's and of the destination's key file, None where none was given.

    Raises UsageError where a key has nothing to encrypt, and for a file that cannot be the daemon's.
    """
    source_key, key, sse = request.source_sse_c_key_file, request.sse_c_key_file, request.sse
    if source_key is not None and start.path is not None:
        _refuse(SOURCE_OPTION, f"it opens objects, and the source {start} is a path", "Leave it out.")
    if key is not None and end.path is not None:
        _refuse(DESTINATION_OPTION, f"it encrypts objects, and the destination {end} is a path", "Leave it out.")
    if key is not None and sse is not None:
        _refuse(f"{DESTINATION_OPTION} with --sse {sse}", "an object is encrypted in one way", "Keep one of the two.")
    if request.trash is not None and end.path is None and (key is not None or source_key is not None):
        why = "by which key the objects are encrypted that would be moved is not known"
        _refuse(f"--trash with {DESTINATION_OPTION if key is not None else SOURCE_OPTION}", why, "Leave out --trash.")
    return _checked(SOURCE_OPTION, source_key), _checked(DESTINATION_OPTION, key)


def refuse_key_file(path: str, status: os.stat_result) -> None:
    """Raises UsageError for what is no file, or one that others than its owner may read."""
    if not stat.S_ISREG(status.st_mode):
        _refuse(path, "a key file is a regular file, and this is none", "Correct the path.")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        why = f"it has mode {stat.S_IMODE(status.st_mode):04o}, so that others than its owner can use the key"
        _refuse(path, why, f"`chmod 600 {path}`.")


def _checked(option: str, path: Path | None) -> str | None:
    if path is None:
        return None
    absolute = str(path.absolute())
    try:
        refuse_key_file(absolute, os.stat(absolute))
    except PermissionError:
        pass  # the daemon may be allowed what this user is not, and looks again
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        _refuse(f"{option} {absolute}", f"it cannot be looked at: {why}", "Correct the path.")
    return absolute


def _refuse(what: str, why: str, remedy: str) -> None:
    raise UsageError(what, why, remedy)
