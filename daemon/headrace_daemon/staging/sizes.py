"""Into how many parts an upload is cut. Pure; sizes in bytes.

Limits: Amazon S3 user guide, "Amazon S3 multipart upload limits".
"""

from typing import Final

MIB: Final = 2**20
MAX_PARTS: Final = 10_000
MAX_PART: Final = 5 * 2**30


class TooLarge(ValueError):
    """No cut of this size is allowed."""


def part_size(size: int, usual: int, most: int = MAX_PART) -> int:
    """Bytes of every part but the last: `usual`, or more where there would be more than MAX_PARTS.

    most: of one part. Raises TooLarge.
    """
    least = -(-size // MAX_PARTS)
    whole = -(-least // MIB) * MIB
    found = max(min(usual, most), whole)
    if found > most:
        raise TooLarge(f"{size:,} bytes; {MAX_PARTS:,} parts of {most:,} bytes hold {MAX_PARTS * most:,}")
    return found


def part_count(size: int, each: int) -> int:
    """An empty file is one empty part: an upload without parts cannot be completed."""
    return max(1, -(-size // each))
