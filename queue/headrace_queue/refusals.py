"""A value that could not be read, as a UsageError."""

from typing import Final

from headrace_queue.errors import UsageError

_MOST_JOBS: Final = 2**63 - 1  # SQLite's largest row id


def refused(what: str, message: str) -> UsageError:
    """what: the setting or option. message: why, and after a semicolon what to write instead, as `units` words it."""
    why, _, remedy = message.partition("; ")
    said = f"{remedy[:1].upper()}{remedy[1:].rstrip('.')}." if remedy else "Correct the value."
    return UsageError(what, f"{why[:1].lower()}{why[1:].rstrip('.')}", said)


def job_number(text: str) -> int:
    """The number of a job as it was typed. Raises UsageError."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST_JOBS):
        raise UsageError(f"job {text!r}", "this is no number of a job", "`headrace jobs` lists those that exist.")
    return int(text)
