"""How a job goes its way: until when, and after which others."""

from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.selection import instant_ns
from headrace_queue.units import parse_duration


def deadline_of(text: str | None, now: float) -> float | None:
    """Seconds since the epoch; a duration counts from now. Raises UsageError for an instant that is over."""
    if text is None:
        return None
    try:
        until = instant_ns(text) / 1e9 if "-" in text else now + parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise refused(f"--deadline {text}", str(error)) from None
    if until <= now:
        raise UsageError(f"--deadline {text}", "it is over already", "Write a later one, such as 6h.")
    return until
