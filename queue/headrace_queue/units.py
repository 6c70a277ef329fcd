"""Sizes, rates and durations: from what people write to bytes and seconds, and back.

KiB, MiB … are powers of 1024, kB, MB … powers of 1000. A bare K, M or G is refused, because programs disagree about it.
"""

import re
from typing import Final

LARGEST: Final = 2**60
"""Bytes, or bytes a second. More than this is a slip of the finger: no service and no network has it."""
SLOWEST: Final = 1000
"""Bytes a second. At less, one object takes days, and its connection is given up long before."""

_IEC: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SI: Final = ("kB", "MB", "GB", "TB", "PB", "EB")
_BITS: Final = ("kbit", "Mbit", "Gbit", "Tbit")
_NUMBER_AND_UNIT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def _scales(units: tuple[str, ...], base: int) -> dict[str, int]:
    """Each unit, also in lower case, and how much it stands for."""
    return {text: base**power for power, unit in enumerate(units, start=1) for text in (unit, unit.lower())}


_SIZE_UNITS: Final = {"": 1, "B": 1, "KB": 1000, **_scales(_IEC, 1024), **_scales(_SI, 1000)}
_BIT_UNITS: Final = {"bit": 1, **_scales(_BITS, 1000)}
_SECONDS: Final[dict[str, float]] = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}
_DURATION_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)


def parse_size(value: object) -> int:
    """Bytes of `16MiB`, `1.5 GiB`, `5GB` or 123. Raises ValueError naming what is wrong."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _not_absurd(int(_not_negative(value, "a size")), value)
    match = _NUMBER_AND_UNIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size; write for example 16MiB")
    number, unit = match.groups()
    if unit not in _SIZE_UNITS:
        raise ValueError(f"{value!r} has the unknown unit {unit!r}; write KiB, MiB, GiB, TiB or kB, MB, GB, TB")
    size = round(float(number) * _SIZE_UNITS[unit]) if "." in number else int(number) * _SIZE_UNITS[unit]
    return _not_absurd(size, value)


def parse_rate(value: object) -> int:
    """Bytes a second of `100MiB/s`, `100MiB`, `800Mbit/s` or 1000, the least. Raises ValueError with what is wrong."""
    text = value.strip().removesuffix("/s").rstrip() if isinstance(value, str) else value
    bits = _NUMBER_AND_UNIT.fullmatch(text) if isinstance(text, str) else None
    try:
        if bits is not None and bits[2] in _BIT_UNITS:
            rate = _not_absurd(round(float(bits[1]) * _BIT_UNITS[bits[2]] / 8), value)
        else:
            rate = parse_size(text)
    except ValueError as error:
        raise ValueError(str(error).replace("no size; write for example 16MiB", "no rate; write 100MiB/s")) from None
    if rate == 0:
        raise ValueError(f"{value!r} would stop everything; leave the limit out where there is none")
    if rate < SLOWEST:
        raise ValueError(f"{value!r} is so slow that nothing arrives; write 1kB/s or more, such as 100MiB/s")
    return rate


def parse_duration(value: object) -> float:
    """Seconds of `90s`, `5m`, `1h30m`, `30d`, `2w` or 45. Raises ValueError naming what is wrong."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(_not_negative(value, "a duration"))
    pieces = _DURATION_PIECE.findall(value.strip()) if isinstance(value, str) else []
    if not isinstance(value, str) or not pieces or _DURATION_PIECE.sub("", value.strip()):
        raise ValueError(f"{value!r} is no duration; write for example 90s, 5m, 12h or 30d")
    unknown = [unit for _, unit in pieces if unit and unit not in _SECONDS]
    if unknown:
        raise ValueError(f"{value!r} has the unknown unit {unknown[0]!r}; write s, m, h, d or w")
    if len(pieces) > 1 and not all(unit for _, unit in pieces):
        raise ValueError(f"{value!r} has a number without a unit; write s, m, h, d or w")
    return sum(float(number) * _SECONDS[unit or "s"] for number, unit in pieces)


def format_bytes(count: float) -> str:
    """`0 B`, `999 B`, `1.5 KiB`, `16.0 MiB` …"""
    if abs(count) < 1024:
        return f"{count:.0f} B"
    scaled = float(count)
    for unit in _IEC:
        scaled /= 1024
        # 1023.96 would round to 1024.0: the next unit is the readable one
        if abs(scaled) < 1023.95 or unit == _IEC[-1]:
            break
    return f"{scaled:.1f} {unit}"


def format_rate(bytes_per_second: float) -> str:
    """`12.5 MiB/s`."""
    return f"{format_bytes(bytes_per_second)}/s"


def format_duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _not_absurd(count: int, written: object) -> int:
    if count > LARGEST:
        raise ValueError(f"{written!r} is more than {format_bytes(LARGEST)}; write a smaller number, or another unit")
    return count


def _not_negative(number: float, what: str) -> float:
    if number < 0:
        raise ValueError(f"{number!r} is negative: {what} is 0 or more")
    return number
