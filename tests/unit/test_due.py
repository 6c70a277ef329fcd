"""When schedules fire: tables of what is known of one, the clock, and what is decided."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.schedules.due import GRACE, MOST_CAUGHT_UP, look
from headrace_queue.errors import UsageError
from headrace_queue.schedule_times import (
    check_cron,
    check_timezone,
    local_text,
    newest_instants,
    next_instant,
    zone_of_host,
)
from headrace_queue.schedules import CatchUp, Overlap, Rule, Schedule, ScheduleSpec, Standing, Trigger, circle

COPENHAGEN = "Europe/Copenhagen"
NIGHTLY = Rule(cron="30 2 * * *", timezone=COPENHAGEN)
HALF_HOURS = Rule(cron="*/30 * * * *", timezone=COPENHAGEN)
HOUR = 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def row(rule: Rule, standing: Standing) -> Schedule:
    trigger = Trigger.EVERY if rule.every is not None else Trigger.CRON
    return Schedule(1, ScheduleSpec("s", trigger, rule, ("run", "a"), "/"), standing, 0.0, 0)


def hourly(planned: float | None = None, *, jitter: float = 0.0, **rule: object) -> Schedule:
    """Every hour from 0 on, with this planned instant."""
    standing = Standing(planned=planned, due=planned if planned is None else planned + jitter)
    return row(replace(Rule(every=HOUR, jitter=jitter), **rule), standing)  # type: ignore[arg-type]


def never() -> float:
    raise AssertionError("chance is drawn only for a new instant")


# -- instants of the calendar -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "after", "instants"),
    [
        # in winter and in summer 2:30 on the wall
        (NIGHTLY, "2026-01-01T00:00+01:00", ["2026-01-01 02:30:00 +0100", "2026-01-02 02:30:00 +0100"]),
        (NIGHTLY, "2026-07-01T02:30+02:00", ["2026-07-02 02:30:00 +0200"]),
        # there is no 2:30 on 29 March: once, at the first minute that there is
        (NIGHTLY, "2026-03-28T12:00+01:00", ["2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"]),
        (NIGHTLY, "2026-03-29T03:00+02:00", ["2026-03-30 02:30:00 +0200"]),
        # there are two 2:30 on 25 October: once, in the first
        (NIGHTLY, "2026-10-25T02:15+02:00", ["2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"]),
        (NIGHTLY, "2026-10-25T02:15+01:00", ["2026-10-26 02:30:00 +0100"]),
        # what is said in minutes follows the time that passes
        (HALF_HOURS, "2026-03-29T01:30+01:00", ["2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00 +0200"]),
        (
            HALF_HOURS,
            "2026-10-25T02:15+02:00",
            ["2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100", "2026-10-25 02:30:00 +0100"],
        ),
    ],
)
def test_instants_of_a_calendar_where_the_clock_is_changed(rule: Rule, after: str, instants: list[str]) -> None:
    found, instant = [], at(after)
    for _ in instants:
        following = next_instant(rule, 0.0, instant)
        assert following is not None
        assert following > instant
        instant = following
        found.append(local_text(instant, rule.timezone))
    assert found == instants


@given(st.floats(at("2026-03-27T00:00+01:00"), at("2026-11-01T00:00+01:00")), st.sampled_from([NIGHTLY, HALF_HOURS]))
def test_the_next_instant_is_always_later_and_within_a_day(after: float, rule: Rule) -> None:
    following = next_instant(rule, 0.0, after)
    assert following is not None
    assert after < following <= after + 25 * HOUR


@given(st.floats(0, 1e6), st.floats(1, 1e4), st.floats(0, 1e6))
def test_equal_distances_count_from_when_it_was_made(created: float, every: float, after: float) -> None:
    following = next_instant(Rule(every=every), created, after)
    assert following is not None
    assert max(created, after) < following <= max(created, after) + every * 1.0001 + 1e-6


@pytest.mark.parametrize("text", ["61 * * * *", "* * * *", "* * * * * *", "0 0 31 2 *", "", "@daily", "a b c d e"])
def test_what_is_no_rule_of_cron_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cron"):
        check_cron(text)


def test_rules_and_zones_that_there_are() -> None:
    check_cron("0 3 * * MON-FRI")
    check_timezone(COPENHAGEN)
    with pytest.raises(UsageError, match=r"Did you mean Europe/Copenhagen\?"):
        check_timezone("Europe/Kopenhagen")
    with pytest.raises(UsageError):
        check_timezone("../etc/passwd")


def test_the_zone_of_the_host(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    assert zone_of_host({}, link) == "UTC"
    zones = tmp_path / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Copenhagen").touch()
    link.symlink_to(zones / "Copenhagen")
    assert zone_of_host({}, link) == COPENHAGEN
    assert zone_of_host({"TZ": "America/Nuuk"}, link) == "America/Nuuk"
    assert zone_of_host({"TZ": "CET-1CEST"}, link) == COPENHAGEN, "no name of the database"


# -- decisions --------------------------------------------------------------------------------------------------------


def test_the_first_look_only_plans() -> None:
    turn = look(hourly(None, jitter=600.0), 100.0, None, lambda: 0.5)
    assert turn is not None
    assert (turn.fire, turn.standing.planned, turn.standing.due) == (None, HOUR, HOUR + 300)


def test_a_paused_one_rests() -> None:
    paused = hourly(HOUR)
    paused = replace(paused, standing=replace(paused.standing, paused=True))
    assert look(paused, 9 * HOUR, None, never) is None


@pytest.mark.parametrize(("now", "fires"), [(HOUR - 1, False), (HOUR + 599, False), (HOUR + 600, True)])
def test_it_fires_at_its_instant_and_jitter(now: float, fires: bool) -> None:
    turn = look(hourly(HOUR, jitter=600.0), now, None, lambda: 0.25)
    assert (turn is not None) is fires
    if turn is not None:
        assert (turn.fire, turn.standing.planned, turn.standing.due) == (HOUR, 2 * HOUR, 2 * HOUR + 150)
        assert turn.standing.note is None


@pytest.mark.parametrize(
    ("catch_up", "now", "fire", "planned", "note"),
    [
        # five instants passed: one firing, none, or the oldest of them with the next one due at once
        (CatchUp.ONCE, 5.5 * HOUR, HOUR, 6 * HOUR, "caught up on what was planned for"),
        (CatchUp.SKIP, 5.5 * HOUR, None, 6 * HOUR, "passed over"),
        (CatchUp.ALL, 5.5 * HOUR, HOUR, 2 * HOUR, "caught up on"),
        (CatchUp.ALL, 2 * HOUR + 1, HOUR, 2 * HOUR, "caught up on"),
        # the last of them came just now: it is not missed
        (CatchUp.SKIP, 5 * HOUR + GRACE / 2, 5 * HOUR, 6 * HOUR, "passed over"),
        (CatchUp.SKIP, HOUR + GRACE / 2, HOUR, 2 * HOUR, None),
    ],
)
def test_after_downtime(catch_up: CatchUp, now: float, fire: float | None, planned: float, note: str | None) -> None:
    turn = look(hourly(HOUR, catch_up=catch_up), now, None, lambda: 0.0)
    assert turn is not None
    assert (turn.fire, turn.standing.planned, turn.standing.due) == (fire, planned, planned)
    assert (turn.standing.note or "").startswith(note or "")
    assert (turn.standing.note is None) == (note is None)


def test_each_missed_instant_gets_its_firing_once_and_no_more_than_a_hundred() -> None:
    now, schedule = 500.5 * HOUR, hourly(HOUR, catch_up=CatchUp.ALL)
    fired = []
    while (turn := look(schedule, now, None, lambda: 0.0)) is not None:
        assert turn.fire is not None
        fired.append(turn.fire / HOUR)
        schedule = replace(schedule, standing=turn.standing)
    assert fired == list(range(501 - MOST_CAUGHT_UP, 501))
    assert schedule.standing.planned == 501 * HOUR


def test_while_it_catches_up_each_waits_for_the_one_before() -> None:
    turn = look(hourly(HOUR, catch_up=CatchUp.ALL), 5.5 * HOUR, 7, never)
    assert turn is not None
    assert (turn.fire, turn.standing.planned, turn.standing.note) == (None, HOUR, "waits for the end of job 7")


def test_a_short_downtime_passes_over_none_of_them() -> None:
    schedule = row(Rule(every=2.0, catch_up=CatchUp.ALL), Standing(planned=2.0, due=2.0))
    fired = []
    while (turn := look(schedule, 9.0, None, lambda: 0.0)) is not None:
        fired.append(turn.fire)
        schedule = replace(schedule, standing=turn.standing)
    assert fired == [2.0, 4.0, 6.0, 8.0]


def test_a_firing_that_would_overlap_is_passed_over() -> None:
    turn = look(hourly(HOUR), HOUR + 1, 7, lambda: 0.0)
    assert turn is not None
    assert (turn.fire, turn.standing.planned) == (None, 2 * HOUR)
    assert turn.standing.note == "passed over 1970-01-01 01:00:00 +0000: job 7 was not over"


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_firing_that_is_held_comes_when_the_other_job_is_over(catch_up: CatchUp) -> None:
    schedule = hourly(HOUR, overlap=Overlap.HOLD, catch_up=catch_up)
    held = look(schedule, HOUR + 1, 7, never)
    assert held is not None
    assert (held.fire, held.standing.held_since, held.standing.due) == (None, HOUR + 1, HOUR)
    schedule = replace(schedule, standing=held.standing)
    assert look(schedule, HOUR + 2, 7, never) is None, "nothing to write"
    late = look(schedule, HOUR + 1000, None, lambda: 0.0)
    assert late is not None
    assert (late.fire, late.standing.held_since, late.standing.planned) == (HOUR, None, 2 * HOUR)


def test_a_clock_that_is_put_back_fires_nothing_twice() -> None:
    turn = look(hourly(3 * HOUR), 3 * HOUR, None, lambda: 0.0)
    assert turn is not None
    after = replace(hourly(), standing=turn.standing)
    assert look(after, HOUR, None, never) is None
    assert look(after, 3 * HOUR, None, never) is None


@given(
    st.sampled_from([NIGHTLY, HALF_HOURS, Rule(every=HOUR), Rule(every=7.0)]),
    st.integers(0, 400),
    st.integers(1, 5),
)
def test_the_newest_instants_are_instants(rule: Rule, hours: int, limit: int) -> None:
    start = at("2026-03-27T00:00+01:00")
    first = next_instant(rule, start, start)
    assert first is not None
    until = start + 26 * HOUR + hours * HOUR
    oldest = newest_instants(rule, start, first, until, limit)
    assert first <= oldest <= until
    assert oldest == first or next_instant(rule, start, oldest - 0.5) == pytest.approx(oldest)
    count, instant = 0, oldest
    while instant <= until:
        count += 1
        instant = next_instant(rule, start, instant) or until + 1
    assert count <= limit + 2, "an hour that comes twice, or not at all, may add one"


# -- circles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        ({"a": (("run", "x"), None), "b": (("run", "y"), "x")}, []),
        ({"a": (("run", "x"), "x")}, ["a", "a"]),
        ({"a": (("run", "x"), "a")}, ["a", "a"]),
        ({"a": (("run", "x"), "y"), "b": (("run", "y"), "x")}, ["a", "b", "a"]),
        ({"a": (("run", "x"), "b"), "b": (("run", "y"), "c"), "c": (("sync", "/s", "/d"), "a")}, ["a", "c", "b", "a"]),
        ({"a": (("run", "--all"), "x")}, ["a", "a"]),
        ({"a": (("run", "x"), "b"), "b": (("run", "y"), "other")}, []),
    ],
)
def test_schedules_that_would_fire_each_other_for_ever(
    commands: dict[str, tuple[tuple[str, ...], str | None]], names: list[str]
) -> None:
    found = circle(commands)
    assert len(found) == len(names)
    assert set(found) == set(names)


def test_instants_are_told_in_the_zone_of_the_rule() -> None:
    assert local_text(datetime(2026, 7, 1, 1, tzinfo=UTC).timestamp(), COPENHAGEN) == "2026-07-01 03:00:00 +0200"


@pytest.mark.parametrize("label", [("--label", "dataset=docs"), ("--label=dataset=docs",)])
def test_a_job_that_calls_itself_of_the_data_set_is_a_circle_too(label: tuple[str, ...]) -> None:
    words = ("sync", "s3://b/a", "/fsx/a", *label)
    assert circle({"a": (words, "docs")}) == ["a", "a"]
    assert circle({"a": (words, "other")}) == []
