"""CRC64NVME over buffers in flight, its text form, and the whole object's value from those of its parts.

The CRC costs about 0.02 ms a MiB and releases the GIL, so it is computed where the buffer is, on the event loop too:
a part of 16 MiB holds the loop for a third of a millisecond. S3 writes the value as base64 of eight big-endian bytes
and always means the whole object, never a composite (x-amz-checksum-type: FULL_OBJECT).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from awscrt import checksums  # type: ignore[import-untyped]  # ships no types; it stands behind this module alone

from headrace_daemon.s3.engine import Buffer

EMPTY = 0
"""The CRC64NVME of no bytes."""
_SMALL = 64 * 2**10
_PIECE = 4096
"""The most of which awscrt 0.38 sums without letting go of Python's lock. To get the lock back from busy threads costs
twenty times what 16 KiB cost to sum."""


def crc64nvme(buffer: Buffer, previous: int = EMPTY) -> int:
    """The CRC64NVME of `buffer`, or of everything before it and `buffer` where their CRC is given. No copy is made."""
    size = len(buffer)
    piece = _PIECE if _PIECE < size <= _SMALL else max(1, size)
    view, crc = memoryview(buffer), previous
    for start in range(0, size, piece):
        crc = checksums.crc64nvme(view[start : start + piece], crc)
    return crc


class RunningSum:
    """The CRC64NVME of pieces in their order, taken while they still lie in the processor's cache: what was read into a
    part of 16 MiB and is summed at the end has to come from memory once more, three times as slow."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = EMPTY

    def add(self, piece: Buffer) -> None:
        self.value = crc64nvme(piece, self.value)


def combine(first: int, second: int, second_size: int) -> int:
    """The CRC64NVME of two neighbouring byte ranges from the CRC of each; second_size in bytes."""
    crc: int = checksums.combine_crc64nvme(first, second, second_size)
    return crc


def to_text(crc: int) -> str:
    """The form of x-amz-checksum-crc64nvme: base64 of the eight bytes, most significant first."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode("ascii")


def from_text(text: str) -> int:
    """The reverse of to_text. Raises ValueError where the text is not base64 of eight bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a CRC64NVME in base64: {text!r}") from error
    if len(raw) != 8:
        raise ValueError(f"not a CRC64NVME in base64: {text!r} holds {len(raw)} bytes, not 8")
    return int.from_bytes(raw, "big")


def md5_hex(buffer: Buffer) -> str:
    """The MD5 of `buffer` in hex, as the ETag of a single PUT shows it. Costs 1.3 s a GB: not for the hot path."""
    return hashlib.md5(buffer, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class PartSums:
    """The CRC and size of each part of one object, added in any order; part numbers count from 1."""

    _parts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, number: int, crc: int, size: int) -> None:
        """Notes one part; a part that was sent again replaces its former value. Sizes in bytes.

        Raises ValueError for a number below 1 or a negative size.
        """
        if number < 1 or size < 0:
            raise ValueError(f"part {number} of {size} bytes: numbers count from 1, sizes from 0")
        self._parts[number] = (crc, size)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def size(self) -> int:
        """The bytes of all parts noted so far."""
        return sum(size for _, size in self._parts.values())

    def missing(self, count: int) -> list[int]:
        """Which of the parts 1 to `count` are not noted, ascending."""
        return [number for number in range(1, count + 1) if number not in self._parts]

    def whole(self, count: int, size: int) -> int:
        """The CRC64NVME of the object of `count` parts and `size` bytes.

        Raises ValueError where a part is missing, one is too many, or the sizes do not add up: such a value would
        be the CRC of some other object and could prove a damaged one right.
        """
        if missing := self.missing(count):
            raise ValueError(f"parts missing: {missing[:10]}, {len(missing)} of {count}")
        if len(self._parts) != count:
            raise ValueError(f"{len(self._parts)} parts are noted, the object has {count}")
        if self.size != size:
            raise ValueError(f"the parts hold {self.size} bytes, the object {size}")
        crc = EMPTY
        for number in range(1, count + 1):
            part_crc, part_size = self._parts[number]
            crc = combine(crc, part_crc, part_size)
        return crc
