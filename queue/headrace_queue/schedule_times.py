"""The instants that the rule of a schedule names. Instants are seconds since the epoch.

Calendar rules are read as Debian's cron reads them, also where the clock is put forward or back: a rule that names
hours fires once a day, at the first minute that exists where its own is left out, and in the first of two equal hours;
a rule for every hour or every few minutes follows the time that really passes. See cron(8) of Debian and
https://github.com/cuu508/cronsim, which is what computes them.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from headrace_queue.errors import UsageError
from headrace_queue.schedules import Rule

LOCALTIME: Final = Path("/etc/localtime")
_FIELDS: Final = "minute hour day month weekday"


def next_instant(rule: Rule, created: float, after: float) -> float | None:
    """The first one later than `after`; None where there is none. created: when the schedule was made, from which
    equal distances count."""
    if rule.every is not None:
        passed = int((after - created) // rule.every) if after > created else 0
        instant = created + (passed + 1) * rule.every
        return instant if instant > after else instant + rule.every
    if rule.cron is None:
        return None
    for found in islice(_calendar(rule.cron, rule.timezone, after), 3):
        # a start within the second of two equal hours gives the first of them, which has passed
        if found > after:
            return found
    return None


def newest_instants(rule: Rule, created: float, first: float, until: float, limit: int) -> float:
    """The first of the `limit` newest instants up to `until`, none of them before `first`, which is one itself."""
    if rule.every is not None:
        back = until - limit * rule.every
    elif rule.cron is not None:
        earlier = list(islice(_calendar(rule.cron, rule.timezone, until, reverse=True), limit))
        back = earlier[-1] - 1 if len(earlier) == limit else first
    else:
        return first
    if back <= first:
        return first
    return next_instant(rule, created, back) or first


def check_cron(text: str) -> None:
    """Raises UsageError for what is no rule of cron, or names an instant that never comes."""
    from cronsim import CronSim, CronSimError

    try:
        if len(text.split()) != len(_FIELDS.split()):
            raise CronSimError("it has not five fields")
        next(CronSim(text, datetime(2000, 1, 1, tzinfo=ZoneInfo("UTC"))))
    except (CronSimError, StopIteration) as error:
        why = f"it is no rule of cron: {str(error)[:1].lower()}{str(error)[1:]}" if str(error) else "it never comes"
        raise UsageError(f"cron {text!r}", why, f"Write five fields ({_FIELDS}), such as '0 3 * * *'.") from None


def check_timezone(name: str) -> None:
    """Raises UsageError for a zone that the IANA database does not have."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from difflib import get_close_matches

        near = get_close_matches(name, available_timezones(), n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Write a name such as Europe/Copenhagen, or UTC."
        raise UsageError(f"time zone {name!r}", "there is no zone of this name", remedy) from None


def zone_of_host(environ: Mapping[str, str], localtime: Path = LOCALTIME) -> str:
    """The name of this host's time zone: TZ, or what /etc/localtime leads to; UTC where neither names one."""
    try:
        link = os.path.realpath(localtime).partition("zoneinfo/")[2]
    except OSError:
        link = ""
    for name in (environ.get("TZ", "").removeprefix(":"), link.removeprefix("posix/")):
        if name:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                continue
            return name
    return "UTC"


def local_text(instant: float, zone: str) -> str:
    """`2026-03-29 03:00:00 +0200`."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %z")


def _calendar(cron: str, zone: str, start: float, *, reverse: bool = False) -> Iterator[float]:
    from cronsim import CronSim  # only who has such a schedule needs it

    # where the first hour of two repeats itself the start may name an instant that passed, see next_instant
    found = CronSim(cron, datetime.fromtimestamp(start, ZoneInfo(zone)), reverse=reverse)
    return (instant.timestamp() for instant in found)
