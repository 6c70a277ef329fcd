"""Sizes and rates of whole data sets, as people write them: `40T`, `20G`."""

import re
from typing import Final

from headrace_queue.units import parse_rate, parse_size

_BARE_LETTER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP])(/s)?", re.ASCII | re.IGNORECASE)


def data_size(text: str) -> int:
    """Bytes, as `units` reads them, and of `40T`: a bare letter is a power of 1024, as `du -h` prints it. It is the
    larger of its two meanings, so that what is bought is not too small. Raises ValueError."""
    return parse_size(_with_unit(text))


def data_rate(text: str) -> int:
    """Bytes a second, with bare letters likewise. Raises ValueError."""
    return parse_rate(_with_unit(text))


def _with_unit(text: str) -> str:
    bare = _BARE_LETTER.fullmatch(text.strip())
    return f"{bare[1]}{bare[2].upper()}iB" if bare is not None else text
