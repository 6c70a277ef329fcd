"""Bandwidth limits by the hour, as config.toml has them: `mon-fri 08:00-18:00 50MiB/s`, `sat,sun 00:00-24:00 off`."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator

from headrace_queue.units import parse_rate

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES: Final = 24 * 60
_EVERY_DAY: Final = frozenset(range(7))
_ENTRY: Final = re.compile(r"(?:(\S+)\s+)?(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)\s+(\S.*)")
_EXAMPLE: Final = "write for example 'mon-fri 08:00-18:00 50MiB/s', or 'sat,sun 00:00-24:00 off'"
_OFF: Final = "off"


class Window(NamedTuple):
    """Some hours of some days. days: 0 is Monday. start, end: minutes of the local day, the end not among them; one
    that is not after the start is on the next day. rate: bytes a second, None for no limit."""

    days: frozenset[int]
    start: int
    end: int
    rate: int | None

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether that minute of that day lies in it."""
        if self.end > self.start:
            return weekday in self.days and self.start <= minute < self.end
        return (weekday in self.days and minute >= self.start) or ((weekday - 1) % 7 in self.days and minute < self.end)


def parse_window(text: str) -> Window:
    """One entry. Raises ValueError naming what is wrong."""
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no entry of a timetable; {_EXAMPLE}")
    days, *hours, rate = match.groups()
    start, end = _minute(text, hours[0], hours[1]), _minute(text, hours[2], hours[3])
    if start in (end, MINUTES):
        raise ValueError(f"{text!r} lasts no time; for a whole day write 00:00-24:00")
    limit = None if rate.strip().lower() == _OFF else parse_rate(rate)
    return Window(_EVERY_DAY if days is None else _days(text, days), start, end, limit)


def _minute(text: str, hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > MINUTES:
        raise ValueError(f"{text!r} has the time {hour}:{minute}; write 00:00 to 24:00")
    return found


def _days(text: str, names: str) -> frozenset[int]:
    days: set[int] = set()
    for name in names.lower().split(","):
        first, _, last = name.partition("-")
        unknown = [one for one in (first, last or first) if one not in DAYS]
        if unknown:
            raise ValueError(f"{text!r} has the unknown day {unknown[0]!r}; write {', '.join(DAYS)}")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(days)


def zone_of(name: str) -> tzinfo:
    """A time zone by its name, such as Europe/Copenhagen. Raises ValueError for an unknown one."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of this host; write for example Europe/Copenhagen") from None


def local_time(instant: float, zone: tzinfo | None) -> datetime:
    """What the clock on the wall says then. zone: None for that of the host."""
    return datetime.fromtimestamp(instant, zone)


def _parsed(value: object) -> object:
    """Entries of a list, or of one text in which semicolons part them: the environment has only texts."""
    texts = [part for part in value.split(";") if part.strip()] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        return value
    return tuple(parse_window(one) if isinstance(one, str) else one for one in texts)


def _zone(name: str) -> str:
    zone_of(name)
    return name


Timetable = Annotated[tuple[Window, ...], BeforeValidator(_parsed)]
ZoneName = Annotated[str, AfterValidator(_zone)]
