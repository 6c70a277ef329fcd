"""A value that could not be read, as a UsageError."""

from headrace_queue.errors import UsageError


def refused(what: str, message: str) -> UsageError:
    """what: the setting or option. message: why, and after a semicolon what to write instead, as `units` words it."""
    why, _, remedy = message.partition("; ")
    said = f"{remedy[:1].upper()}{remedy[1:].rstrip('.')}." if remedy else "Correct the value."
    return UsageError(what, f"{why[:1].lower()}{why[1:].rstrip('.')}", said)
