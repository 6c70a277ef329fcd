"""What went wrong, as three short lines: what, why, and what to do about it."""

import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from headrace_queue.errors import UsageError
from headrace_queue.job_json import to_text
from headrace_queue.render import shown

USAGE_EXIT: Final = 2

# The base of all errors of the command line. Typer brought its own copy of click at some version, so the class is taken
# from where every version shows it: BadParameter -> UsageError -> ClickException.
CommandLineError: Final[type[Exception]] = typer.BadParameter.__mro__[2]


class Complaint(NamedTuple):
    """what is wrong, as the user wrote it; why: the rule or the fact; remedy: what to type or edit."""

    what: str
    why: str
    remedy: str


def complaint_of(error: Exception) -> Complaint:
    """The three lines of a HeadraceError or CommandLineError. Our messages read `what: why. remedy`."""
    if isinstance(error, UsageError):
        return Complaint(error.what, error.why, error.remedy)
    if isinstance(error, CommandLineError):
        return _of_command_line(error)
    what, separator, rest = str(error).partition(": ")
    if not separator:
        what, rest = "the queue", str(error)
    why, _, remedy = rest.partition(". ")
    return Complaint(what, why.rstrip("."), remedy or "`headraced doctor` looks for the cause.")


def complain(error: Exception, *, as_json: bool) -> int:
    """Writes the error to stderr; the exit code."""
    complaint = complaint_of(error)
    if as_json:
        print(to_text({"error": {**complaint._asdict(), "exit_code": USAGE_EXIT}}), file=sys.stderr)
    else:
        print(f"{_program()}: {shown(complaint.what)}", file=sys.stderr)
        print(f"  why: {shown(complaint.why)}", file=sys.stderr)
        print(f"  do:  {shown(complaint.remedy)}", file=sys.stderr)
    return USAGE_EXIT


def _of_command_line(error: Any) -> Complaint:
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "headrace"
    why = error.format_message().replace("Value error, ", "").rstrip(".")
    return Complaint(command, why, f"`{command} --help` shows what it takes.")


def _program() -> str:
    """headrace or headraced, as it was called."""
    return Path(sys.argv[0]).name
