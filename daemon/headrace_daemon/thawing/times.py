"""When to look whether an object is restored. Pure.

How long a restore takes: Amazon S3 user guide, "Understanding archive retrieval options". Where the guide names only
the longest time, the first look is at half of it.
"""

from typing import Final, NamedTuple

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
LOOKS: Final = 8
"""Looks from the shortest time to the longest."""
MOST_BETWEEN: Final = 3600.0
"""Seconds between looks once a restore takes longer than it should."""
NO_CAPACITY: Final = 300.0
"""Seconds until Expedited is asked for again, when S3 had no capacity for it."""


class Span(NamedTuple):
    """Seconds that a restore takes."""

    least: float
    most: float


_FLEXIBLE: Final = {
    "Expedited": Span(_MINUTE, 5 * _MINUTE),
    "Standard": Span(3 * _HOUR, 5 * _HOUR),
    "Bulk": Span(5 * _HOUR, 12 * _HOUR),
}
_DEEP: Final = {
    "Expedited": Span(6 * _HOUR, 12 * _HOUR),  # S3 refuses it there; for a service that does not
    "Standard": Span(6 * _HOUR, 12 * _HOUR),
    "Bulk": Span(24 * _HOUR, 48 * _HOUR),
}


def span_of(place: str, tier: str) -> Span:
    """place: the archive class or access tier; one that is not known counts as the slowest."""
    table = _FLEXIBLE if place in ("GLACIER", "ARCHIVE_ACCESS") else _DEEP
    return table.get(tier, table["Bulk"])


def next_look(place: str, tier: str, asked: float, now: float, poll: float | None = None) -> float:
    """When to look next at an object that was asked for then. poll: seconds between looks in place of what S3 takes."""
    if poll is not None:
        return now + poll
    span = span_of(place, tier)
    if now < asked + span.least:
        return asked + span.least
    between = (span.most - span.least) / LOOKS
    return now + (between if now < asked + span.most else min(2 * between, MOST_BETWEEN))


def expected(place: str, tier: str, asked: float) -> float:
    """By when it should be readable."""
    return asked + span_of(place, tier).most
