"""What went wrong, as three short lines: what, why, and what to do about it; and the exit code that says so."""

import errno
import re
from typing import Any, Final

import typer

from headrace_queue.errors import TRY_AGAIN_EXIT, Occupied, QueueUnavailable, UsageError
from headrace_queue.telling import Complaint, program, tell

USAGE_EXIT: Final = 2
_PASSING_ERRNO: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_SUGGESTION: Final = re.compile(r" \(?Did you mean")
_UNKNOWN_COMMAND: Final = re.compile(r"No such command '([^']*)'")

# The base of all errors of the command line. Typer brought its own copy of click at some version, so the class is taken
# from where every version shows it: BadParameter -> UsageError -> ClickException.
CommandLineError: Final[type[Exception]] = typer.BadParameter.__mro__[2]


def complaint_of(error: Exception) -> Complaint:
    """The three lines of a HeadraceError, CommandLineError or OSError. Our messages read `what: why. remedy`."""
    if isinstance(error, UsageError):
        return Complaint(error.what, error.why, error.remedy, error.details)
    if isinstance(error, CommandLineError):
        return _of_command_line(error)
    if isinstance(error, OSError):
        what = str(error.filename or program())
        remedy = "Let this user read and write there, or look at the disk."
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            remedy = "Check the name, and the directory it counts from."
        return Complaint(what, error.strerror or str(error), remedy)
    what, separator, rest = str(error).partition(": ")
    if not separator:
        what, rest = "the queue", str(error)
    why, _, remedy = rest.partition(". ")
    return Complaint(what, why.rstrip("."), remedy or "`headraced doctor` looks for the cause.")


def exit_code_of(error: Exception) -> int:
    """75 for what passes by itself or once a disk has room again, 2 for everything that a person has to correct."""
    if isinstance(error, OSError):
        return TRY_AGAIN_EXIT if error.errno in _PASSING_ERRNO else USAGE_EXIT
    return TRY_AGAIN_EXIT if isinstance(error, QueueUnavailable | Occupied) else USAGE_EXIT


def complain(error: Exception, *, as_json: bool) -> int:
    """Writes the error to stderr; the exit code."""
    exit_code = exit_code_of(error)
    tell(complaint_of(error), exit_code, as_json=as_json)
    return exit_code


def print_version(program: str) -> None:
    """`headrace 1.2.3`, as it is installed."""
    # imported here alone: the look-up costs 10 ms
    from importlib.metadata import version

    print(f"{program} {version('headrace')}")


def _of_command_line(error: Any) -> Complaint:
    context: Any = getattr(error, "ctx", None) or _context_below(error)
    command = context.command_path if context is not None else program()
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help
        names = ", ".join(context.command.list_commands(context)) if context is not None else ""
        return Complaint(command, f"it takes a command: {names}", f"`{command} --help` tells of each.")
    why = " ".join(error.format_message().split())  # click puts what one may choose of into lines
    why = why.replace("Value error, ", "").replace("valid integer range", "whole number").rstrip(".")
    # typer and newer versions of click each suggest a command, the latter perhaps in parentheses
    suggestions = list(_SUGGESTION.finditer(why))
    if len(suggestions) > 1:
        why = why[: suggestions[1].start()]
    helped = command
    if (unknown := _UNKNOWN_COMMAND.match(why)) is not None:
        command = f"{command} {unknown[1]}"
    return Complaint(command, why, f"`{helped} --help` shows what it takes.")


def _context_below(error: Exception) -> Any:
    """The context that the error came from. An option without its value is refused where click knows of no command; the
    functions that called it do."""
    trace, found = error.__traceback__, None
    while trace is not None:
        found = trace.tb_frame.f_locals.get("ctx", found)
        trace = trace.tb_next
    return found
