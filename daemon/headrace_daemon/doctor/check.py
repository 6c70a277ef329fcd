"""One thing that was looked at, and how all of them are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace_queue.errors import HeadraceError, UsageError
from headrace_queue.job_json import to_text
from headrace_queue.render import shown


class Status(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"  # it works, and something should be known or changed
    FAIL = "fail"  # it keeps Headrace, or one remote, from working


@dataclass(frozen=True, slots=True)
class Check:
    """name: what was looked at. detail: what was found. remedy: what to type or edit; '' where all is well."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


CONFIGURATION: Final = "configuration"
"""The name of the check that decides between the exit codes 1 and 2."""


def ok(name: str, detail: str) -> Check:
    return Check(name, Status.OK, detail)


def refused(name: str, error: HeadraceError) -> Check:
    """What an error of ours says, as a check that failed. Our messages read `what: why. remedy`."""
    if isinstance(error, UsageError):
        return Check(name, Status.FAIL, f"{error.what}: {error.why}", error.remedy)
    detail, _, remedy = str(error).partition(". ")
    return Check(name, Status.FAIL, detail, remedy)


def exit_code(checks: Sequence[Check]) -> int:
    """0 where nothing failed, 1 for a problem, 2 for a configuration that cannot be read."""
    failed = [check for check in checks if check.status is Status.FAIL]
    if any(check.name == CONFIGURATION for check in failed):
        return 2
    return 1 if failed else 0


def to_lines(checks: Sequence[Check]) -> list[str]:
    """A table for people; the remedy stands below what it is for."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.status:<4}  {shown(check.name).ljust(width)}  {shown(check.detail)}")
        if check.remedy:
            lines.append(f"{'':<4}  {'':<{width}}  do: {shown(check.remedy)}")
    return lines


def in_json(checks: Sequence[Check]) -> str:
    """{"checks": [{name, status, detail, remedy}], "exit_code"}: stable fields."""
    rows = [
        {"name": check.name, "status": check.status, "detail": check.detail, "remedy": check.remedy} for check in checks
    ]
    return to_text({"checks": rows, "exit_code": exit_code(checks)})
