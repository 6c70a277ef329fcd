"""Text of a known width for a terminal: cells are counted, not characters, and nothing ever wraps."""

import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple, TextIO

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Span(NamedTuple):
    """A piece of a line. style: '' or one of bold, dim, red, green, yellow, cyan; never the only sign of anything."""

    text: str
    style: str = ""


Line = Sequence[Span]


def cells(text: str) -> int:
    """How many columns it takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int, *, ascii_only: bool = False) -> str:
    """At most so many columns; what is cut off is marked."""
    if cells(text) <= width:
        return text
    mark = "~" if ascii_only else "…"
    kept, used = "", 0
    for character in text:
        used += _cells_of(character)
        if used > width - 1:
            break
        kept += character
    return kept + mark if width > 0 else ""


def left(text: str, width: int, *, ascii_only: bool = False) -> str:
    """Cut or filled up to exactly this width."""
    text = cut(text, width, ascii_only=ascii_only)
    return text + " " * (width - cells(text))


def right(text: str, width: int, *, ascii_only: bool = False) -> str:
    text = cut(text, width, ascii_only=ascii_only)
    return " " * (width - cells(text)) + text


def cut_line(line: Line, width: int, *, ascii_only: bool = False) -> list[Span]:
    """A line of at most this width."""
    spans, room = [], width
    for span in line:
        if room <= 0:
            break
        text = cut(span.text, room, ascii_only=ascii_only)
        spans.append(span._replace(text=text))
        room -= cells(text)
    return spans


def plain(line: Line) -> str:
    """Without styles, and without blanks at its end."""
    return "".join(span.text for span in line).rstrip()


def painted(line: Line, *, colour: bool) -> str:
    """With the codes of ECMA-48 where colour is wanted."""
    if not colour:
        return "".join(span.text for span in line)
    return "".join(f"\x1b[{_CODES[span.style]}m{span.text}\x1b[0m" if span.style else span.text for span in line)


def is_ascii_only(stream: TextIO) -> bool:
    """Whether its encoding has no block characters."""
    try:
        "█▁…→".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False
