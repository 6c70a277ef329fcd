"""How a job goes its way: until when, and after which others."""

from collections.abc import Sequence

from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.selection import instant_ns
from headrace_queue.units import parse_duration


def after_of(numbers: Sequence[int], *, dry_run: bool) -> tuple[int, ...]:
    """The jobs to start after, each once. Raises UsageError for a dry run: it is worked on at once and alone."""
    if numbers and dry_run:
        why = "a dry run looks at both sides as they are now"
        raise UsageError("--after with --dry-run", why, "Leave out one of the two.")
    return tuple(dict.fromkeys(numbers))


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
