"""How a job goes its way: until when, and after which others."""

from collections.abc import Sequence
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Job
from headrace_queue.selection import instant_ns
from headrace_queue.states import JobState
from headrace_queue.units import parse_duration

MAX_ERRORS: Final = "--max-errors"
"""Stands in the error of a job that ended so."""


def bore_too_many(job: Job) -> bool:
    """Whether it failed as a whole because of --max-errors: that happens in the queue, and nobody else tells it."""
    return job.state is JobState.FAILED and job.spec.options.max_errors is not None and MAX_ERRORS in (job.error or "")


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
    except (ValueError, OverflowError):
        why = "it is neither a duration from now nor a date or time of ISO 8601"
        remedy = "Write for example 6h, 2d, 2026-12-01 or 2026-12-01T08:00:00Z."
        raise UsageError(f"--deadline {text}", why, remedy) from None
    if until <= now:
        raise UsageError(f"--deadline {text}", "it is over already", "Write a later one, such as 6h.")
    return until
