"""What a person asks of selection beside plain patterns: folders at any depth, bounds of size and of age."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Options, Rule
from headrace_queue.refusals import refused
from headrace_queue.units import parse_duration, parse_size

RULE_OPTIONS: Final = ("include", "exclude", "include_folder", "exclude_folder")
"""The options whose order among each other counts, by the names of their parameters."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGE_EXAMPLE: Final = "Write for example 36h, 7d, 2024-06-01 or 2024-06-01T12:00:00Z."


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes in bytes and instants in nanoseconds since the epoch, each of them still inside; None where there is none.

    An age is kept as the instant that it meant when the job was submitted, so that a job that is resumed a day later
    decides as it began.
    """

    min_size: int | None = None
    max_size: int | None = None
    oldest_ns: int | None = None  # --max-age
    newest_ns: int | None = None  # --min-age

    @classmethod
    def of(cls, options: Options) -> "Bounds":
        """The bounds of a job."""
        return cls(options.min_size, options.max_size, options.oldest_ns, options.newest_ns)

    def outside(self, size: int, mtime_ns: int) -> str:
        """The option that leaves out a source object of this size and time; '' where all of them take it."""
        if self.min_size is not None and size < self.min_size:
            return "--min-size"
        if self.max_size is not None and size > self.max_size:
            return "--max-size"
        if self.oldest_ns is not None and mtime_ns < self.oldest_ns:
            return "--max-age"
        if self.newest_ns is not None and mtime_ns > self.newest_ns:
            return "--min-age"
        return ""


UNBOUNDED: Final = Bounds()


def bounds_of(
    *, min_size: str | None, max_size: str | None, min_age: str | None, max_age: str | None, now: float
) -> Bounds:
    """From the texts of the four options; now: seconds since the epoch. Raises UsageError."""
    bounds = Bounds(
        min_size=_size("--min-size", min_size),
        max_size=_size("--max-size", max_size),
        oldest_ns=instant_of("--max-age", max_age, now),
        newest_ns=instant_of("--min-age", min_age, now),
    )
    if bounds.min_size is not None and bounds.max_size is not None and bounds.min_size > bounds.max_size:
        why = "the least size is larger than the greatest, so nothing could be selected"
        raise UsageError(f"--min-size {min_size} --max-size {max_size}", why, "Correct one of the two.")
    if bounds.oldest_ns is not None and bounds.newest_ns is not None and bounds.oldest_ns > bounds.newest_ns:
        why = "whatever is young enough for --max-age is too young for --min-age, so nothing could be selected"
        raise UsageError(f"--min-age {min_age} --max-age {max_age}", why, "Correct one of the two.")
    return bounds


def rules_from(option: str, text: str) -> tuple[Rule, ...]:
    """The rules that one of RULE_OPTIONS stands for. Raises UsageError for a folder that has no name."""
    include = option.startswith("include")
    return folder_rules(include, text) if option.endswith("_folder") else (Rule(include, text),)


def folder_rules(include: bool, name: str) -> tuple[Rule, ...]:
    """Everything below folders of this name (which may be a pattern, or several levels), at any depth."""
    plain = name.removesuffix("/")
    if not plain or plain.startswith("/") or {"", ".", ".."} & set(plain.split("/")):
        option = "--include-folder" if include else "--exclude-folder"
        why = "it names no folder below the source"
        raise UsageError(f"{option} {name!r}", why, "Write the folder's name alone, such as download.")
    return (Rule(include, f"{plain}/*"), Rule(include, f"*/{plain}/*"))


def _size(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise refused(f"{option} {text}", str(error)) from None


def instant_ns(text: str) -> int:
    """Nanoseconds since the epoch of a date or time of ISO 8601, in local time where it names no offset.

    Raises ValueError, OverflowError.
    """
    return (datetime.fromisoformat(text).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def instant_of(option: str, text: str | None, now: float) -> int | None:
    """A duration counts back from now; a date or time stands for itself, in local time where it names no offset."""
    if text is None:
        return None
    try:
        if "-" in text:
            return instant_ns(text)
        return round((now - parse_duration(text)) * 1e9)
    except (ValueError, OverflowError):
        why = "it is neither a duration nor a date or time of ISO 8601"
        raise UsageError(f"{option} {text}", why, _AGE_EXAMPLE) from None
