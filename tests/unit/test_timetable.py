"""Bandwidth by the hour: how an entry is written, which limit holds at an instant, and how a limit changes."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.flow.bandwidth import Bandwidth
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.flow.timetable import next_change, next_minute, rate_at
from headrace_queue.bandwidth_timetable import Window, parse_window
from headrace_queue.config import load_config
from headrace_queue.errors import UsageError

MIB = 2**20
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
WORKDAYS = "mon-fri 08:00-18:00 50MiB/s"
WEEKEND = "sat,sun 00:00-24:00 off"


def instant(text: str, zone: ZoneInfo | None = None) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()


# -- how an entry is written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (WORKDAYS, Window(frozenset(range(5)), 480, 1080, 50 * MIB)),
        (WEEKEND, Window(frozenset({5, 6}), 0, 1440, None)),
        ("22:00-06:00 1MiB", Window(frozenset(range(7)), 1320, 360, MIB)),
        ("  MON  07:30 - 09:00   800Mbit/s ", Window(frozenset({0}), 450, 540, 100_000_000)),
        ("sat-mon,wed 01:00-02:00 OFF", Window(frozenset({5, 6, 0, 2}), 60, 120, None)),
        ("00:00-24:00 1kB/s", Window(frozenset(range(7)), 0, 1440, 1000)),
    ],
)
def test_entries(text: str, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("08:00 50MiB/s", "no entry of a timetable"),
        ("08:00-18:00", "no entry of a timetable"),
        ("monday 08:00-18:00 1MiB", "unknown day 'monday'"),
        ("mon- 08:00-18:00 1MiB/s x", "unknown unit|no rate|no size"),
        ("08:61-18:00 1MiB", "the time 08:61"),
        ("08:00-24:01 1MiB", "the time 24:01"),
        ("08:00-08:00 1MiB", "lasts no time"),
        ("24:00-08:00 1MiB", "lasts no time"),
        ("08:00-18:00 fast", "no rate"),
        ("08:00-18:00 0", "would stop everything"),
    ],
)
def test_what_is_no_entry(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_window(text)


def config(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("\n".join([f'state_dir = "{tmp_path}"', *lines]))
    return path


def test_it_stands_in_the_configuration(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        f'[transfer]\nbandwidth_timetable = ["{WORKDAYS}", "{WEEKEND}"]\ntimezone = "Europe/Copenhagen"',
        '[remotes.lake]\nbandwidth = "9MiB/s"\nbandwidth_timetable = ["22:00-06:00 off"]',
    )
    found = load_config(path, {})
    assert found.transfer.bandwidth_timetable == (parse_window(WORKDAYS), parse_window(WEEKEND))
    assert found.remotes["lake"].bandwidth_timetable == (parse_window("22:00-06:00 off"),)
    entries = {"HEADRACE_TRANSFER__BANDWIDTH_TIMETABLE": f"{WORKDAYS}; {WEEKEND}"}
    assert load_config(config(tmp_path), entries).transfer.bandwidth_timetable == found.transfer.bandwidth_timetable


@pytest.mark.parametrize("line", ['bandwidth_timetable = ["08:00-18:00"]', 'timezone = "Europe/Nowhere"'])
def test_what_is_wrong_with_it_is_said(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"transfer\.(bandwidth_timetable|timezone)"):
        load_config(config(tmp_path, f"[transfer]\n{line}"), {})


# -- which limit holds ----------------------------------------------------------------------------------------------

WEEK = (parse_window(WORKDAYS), parse_window(WEEKEND), parse_window("mon 00:00-24:00 1MiB/s"))
USUAL = 7 * MIB


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("2026-03-02T07:59:59", MIB),  # Monday: the entry for all of Monday comes last
        ("2026-03-02T08:00:00", 50 * MIB),
        ("2026-03-02T17:59:59", 50 * MIB),
        ("2026-03-02T18:00:00", MIB),
        ("2026-03-03T07:00:00", USUAL),
        ("2026-03-06T12:00:00", 50 * MIB),
        ("2026-03-07T00:00:00", None),
        ("2026-03-08T23:59:59", None),
    ],
)
def test_the_first_entry_that_fits_holds(text: str, rate: int | None) -> None:
    assert rate_at(WEEK, USUAL, instant(text), UTC) == rate


NIGHT = (parse_window("fri 22:00-06:00 1MiB/s"),)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("2026-03-06T21:59:00", None),
        ("2026-03-06T22:00:00", MIB),
        ("2026-03-07T05:59:00", MIB),
        ("2026-03-07T06:00:00", None),
        ("2026-03-06T05:00:00", None),  # the night of Thursday
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(text: str, rate: int | None) -> None:
    assert rate_at(NIGHT, None, instant(text), UTC) == rate


def test_sunday_night_goes_on_into_monday() -> None:
    night = (parse_window("sun 22:00-06:00 1MiB/s"),)
    assert rate_at(night, None, instant("2026-03-09T05:00:00"), UTC) == MIB


def test_hours_are_those_of_the_zone() -> None:
    day = (parse_window("08:00-09:00 1MiB/s"),)
    assert rate_at(day, None, instant("2026-01-05T07:30:00"), COPENHAGEN) == MIB
    assert rate_at(day, None, instant("2026-07-06T07:30:00"), COPENHAGEN) is None
    assert rate_at(day, None, instant("2026-07-06T06:30:00"), COPENHAGEN) == MIB


def test_the_hour_that_summer_time_leaves_out_never_comes() -> None:
    gap = (parse_window("02:00-03:00 1MiB/s"),)
    start = instant("2026-03-29T00:00:00")
    minutes = [rate_at(gap, None, start + 60 * minute, COPENHAGEN) for minute in range(180)]
    assert minutes == [None] * 180
    half = (parse_window("02:30-03:30 1MiB/s"),)
    assert next_change(half, None, start, COPENHAGEN) == instant("2026-03-29T01:00:00"), "03:00 on the wall"


def test_the_hour_that_winter_time_repeats_is_limited_twice() -> None:
    fold = (parse_window("02:00-03:00 1MiB/s"),)
    start = instant("2026-10-24T23:00:00")
    limited = [minute for minute in range(240) if rate_at(fold, None, start + 60 * minute, COPENHAGEN)]
    assert limited == list(range(60, 180))


def test_when_another_rate_begins() -> None:
    assert next_change(WEEK, USUAL, instant("2026-03-02T09:00:30"), UTC) == instant("2026-03-02T18:00:00")
    assert next_change(WEEK, USUAL, instant("2026-03-06T18:00:00"), UTC) == instant("2026-03-07T00:00:00")
    assert next_change((), USUAL, instant("2026-03-06T18:00:00"), UTC) is None
    assert next_change((parse_window("00:00-24:00 1MiB/s"),), USUAL, 0.0, UTC) is None
    assert next_minute(119.5) == 120
    assert next_minute(120.0) == 180


# -- a limit that changes -------------------------------------------------------------------------------------------


class Time:
    """Seconds, and a sleep that is the only way they pass. at: what happens at which second."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.at: dict[float, object] = {}

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_what_is_owed_is_paid_at_the_new_rate() -> None:
    async def scenario() -> float:
        time = Time()
        bandwidth = Bandwidth(100, time.clock, time.sleep)
        bandwidth.charge(1025)  # ten seconds
        bandwidth.change(1000)
        await bandwidth.take(1)
        return time.now

    assert asyncio.run(scenario()) == pytest.approx(1001.0)


def test_who_waits_already_goes_on_once_there_is_no_limit() -> None:
    async def scenario() -> float:
        time = Time()
        bandwidth = Bandwidth(10, time.clock)

        async def sleep(seconds: float) -> None:
            await time.sleep(seconds)
            if time.now >= 1003:
                bandwidth.change(None)

        bandwidth._sleep = sleep
        bandwidth.charge(100_000)
        await bandwidth.take(1)
        await bandwidth.take(10**9)
        return time.now

    assert asyncio.run(scenario()) == pytest.approx(1003.0)


def test_a_limit_that_begins_owes_nothing_of_before() -> None:
    async def scenario() -> float:
        time = Time()
        bandwidth = Bandwidth(None, time.clock, time.sleep)
        await bandwidth.take(10**9)
        bandwidth.change(100)
        await bandwidth.take(100)
        await bandwidth.take(1)
        return time.now

    assert asyncio.run(scenario()) == pytest.approx(1000.75, abs=0.26)


class Heard(Facts):
    def __init__(self) -> None:
        self.limits: list[tuple[str, int | None]] = []

    def bandwidth_limit(self, remote: str, rate: int | None) -> None:
        self.limits.append((remote, rate))


def test_limits_switch_at_the_minute_and_say_so(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        '[transfer]\nbandwidth = "3MiB/s"\nbandwidth_timetable = ["08:00-09:00 1MiB/s"]\ntimezone = "UTC"',
        '[remotes.lake]\nbandwidth = "9MiB/s"',
        '[remotes.pond]\nbandwidth_timetable = ["07:00-08:01 off", "08:01-08:02 2MiB/s"]',
    )
    heard, time = Heard(), Time(instant("2026-03-02T07:58:30"))
    stops: list[float] = []

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        stops.append(time.now)
        if len(stops) > 5:
            raise asyncio.CancelledError

    limits = BandwidthLimits(load_config(path, {}), heard, time.clock, time.clock, sleep)
    assert limits.switches
    assert [limit.rate for limit in limits.of_host] == [3 * MIB]
    assert {name: limit.rate for name, limit in limits.of_remotes.items()} == {"lake": 9 * MIB, "pond": None}
    assert heard.limits == [("", 3 * MIB), ("lake", 9 * MIB), ("pond", None)]
    heard.limits.clear()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(limits.run())
    assert stops == [instant("2026-03-02T07:59:00") + 60 * minute for minute in range(6)]
    assert heard.limits == [("", MIB), ("pond", 2 * MIB), ("pond", None)]
    assert [limit.rate for limit in limits.of_host] == [MIB]


def test_without_a_timetable_nothing_switches(tmp_path: Path) -> None:
    limits = BandwidthLimits(load_config(config(tmp_path), {}), Heard(), lambda: 0.0, lambda: 0.0)
    assert (limits.switches, limits.of_host, limits.of_remotes) == (False, [], {})
