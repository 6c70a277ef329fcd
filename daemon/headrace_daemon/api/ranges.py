"""Byte ranges of RFC 9110, section 14: which part of a file a request wants."""

import re
from typing import Final, NamedTuple

_ONE: Final = re.compile(r"(\d{1,19})?-(\d{1,19})?", re.ASCII)


class Span(NamedTuple):
    """Bytes from start up to end, end excluded."""

    start: int
    end: int


class Unsatisfiable(ValueError):
    """No byte of the range exists: 416."""


def span_of(header: str | None, size: int, etag: str, if_range: str | None) -> Span | None:
    """The part that is wanted; None for all of it. Raises Unsatisfiable.

    What is no single byte range is passed over, as section 14.2 allows: other units, several ranges, nonsense.
    if_range: a range counts only where it names this very version (13.1.5); a date is none, for it is a weak validator.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    unit, _, ranges = header.partition("=")
    match = _ONE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or match is None or match[0] == "-":
        return None
    first, last = match[1], match[2]
    if first is None:
        return _last(int(last), size)
    if last is not None and int(last) < int(first):
        return None  # not valid, and so as if it was not there (14.1.1)
    if int(first) >= size:
        raise Unsatisfiable
    return Span(int(first), size if last is None else min(int(last) + 1, size))


def _last(count: int, size: int) -> Span:
    if count == 0 or size == 0:
        raise Unsatisfiable
    return Span(max(0, size - count), size)
