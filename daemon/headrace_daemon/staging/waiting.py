"""How long until the next look at a transfer. Pure; seconds."""

from typing import Final, NamedTuple


class Backoff(NamedTuple):
    """Doubled with every look that found nothing new, from `first` to `most`."""

    first: float
    most: float


UPLOADING: Final = Backoff(0.5, 15.0)
"""A client is told that its upload is complete only after we saw it."""
MOVING: Final = Backoff(0.25, 2.0)
"""The job is a row of our own queue: cheap to look at."""
CLEANING: Final = Backoff(5.0, 3600.0)
"""What a service refuses today it may do tomorrow."""
PARTS_A_SECOND: Final = 1000
"""Of an upload that grows: a list of ten thousand parts is ten requests."""


class Held(NamedTuple):
    """What a service holds of an unfinished upload."""

    parts: int = 0
    size: int = 0


def delay(backoff: Backoff, looks: int) -> float:
    """looks: how many found nothing new since the last that did."""
    return float(min(backoff.most, backoff.first * 2 ** min(looks, 30)))


def upload_delay(looks: int, held: Held, size: int) -> float:
    """Soon after parts arrived, and at once after the last one: it is completed in a moment. While parts are still to
    come nothing can happen."""
    if held.size >= size:
        return delay(UPLOADING, looks)
    return max(delay(UPLOADING, looks), 1.0 if held.parts else 0.0, held.parts / PARTS_A_SECOND)
