"""What went wrong, as three short lines: what, why, and what to do about it; and the exit code that says so."""

import errno
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from headrace_queue.errors import TRY_AGAIN_EXIT, QueueUnavailable, UsageError
from headrace_queue.job_json import to_text
from headrace_queue.render import shown

USAGE_EXIT: Final = 2
_PASSING_ERRNO: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

# The base of all errors of the command line. Typer brought its own copy of click at some version, so the class is taken
# from where every version shows it: BadParameter -> UsageError -> ClickException.
CommandLineError: Final[type[Exception]] = typer.BadParameter.__mro__[2]


class Complaint(NamedTuple):
    """what is wrong, as the user wrote it; why: the rule or the fact; remedy: what to type or edit."""

    what: str
    why: str
    remedy: str


def complaint_of(error: Exception) -> Complaint:
    """The three lines of a HeadraceError, CommandLineError or OSError. Our messages read `what: why. remedy`."""
    if isinstance(error, UsageError):
        return Complaint(error.what, error.why, error.remedy)
    if isinstance(error, CommandLineError):
        return _of_command_line(error)
    if isinstance(error, OSError):
        what = str(error.filename or _program())
        return Complaint(what, error.strerror or str(error), "Let this user read and write there, or look at the disk.")
    what, separator, rest = str(error).partition(": ")
    if not separator:
        what, rest = "the queue", str(error)
    why, _, remedy = rest.partition(". ")
    return Complaint(what, why.rstrip("."), remedy or "`headraced doctor` looks for the cause.")


def exit_code_of(error: Exception) -> int:
    """75 for what passes by itself or once a disk has room again, 2 for everything that a person has to correct."""
    passing = isinstance(error, QueueUnavailable) or (isinstance(error, OSError) and error.errno in _PASSING_ERRNO)
    return TRY_AGAIN_EXIT if passing else USAGE_EXIT


def complain(error: Exception, *, as_json: bool) -> int:
    """Writes the error to stderr; the exit code."""
    complaint, exit_code = complaint_of(error), exit_code_of(error)
    if as_json:
        print(to_text({"error": {**complaint._asdict(), "exit_code": exit_code}}), file=sys.stderr)
    else:
        print(f"{_program()}: {shown(complaint.what)}", file=sys.stderr)
        print(f"  why: {shown(complaint.why)}", file=sys.stderr)
        print(f"  do:  {shown(complaint.remedy)}", file=sys.stderr)
    return exit_code


def print_version(program: str) -> None:
    """`headrace 1.2.3`, as it is installed."""
    # imported here alone: the look-up costs 10 ms
    from importlib.metadata import version

    print(f"{program} {version('headrace')}")


def _of_command_line(error: Any) -> Complaint:
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "headrace"
    why = error.format_message().replace("Value error, ", "").rstrip(".")
    return Complaint(command, why, f"`{command} --help` shows what it takes.")


def _program() -> str:
    """headrace or headraced, as it was called."""
    return Path(sys.argv[0]).name
