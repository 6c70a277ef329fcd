"""Whether a schedule fires now: decided from what is known of it, without I/O. Clock and chance are passed in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from headrace_queue.schedule_times import local_text, newest_instants, next_instant
from headrace_queue.schedules import CatchUp, Overlap, Rule, Schedule, Standing

GRACE: Final = 60.0
"""Seconds after which an instant counts as missed: no daemon ran when it came."""
MOST_CAUGHT_UP: Final = 100
"""Missed instants of which each gets a firing with `catch_up = "all"`; older ones are passed over."""


class Turn(NamedTuple):
    """What is to be written. fire: the planned instant for which the command is enqueued in the same transaction; None:
    nothing is. Neither `fired` nor `jobs` of the standing are set: whoever enqueues knows them."""

    fire: float | None
    standing: Standing


def look(schedule: Schedule, now: float, busy: int | None, chance: Callable[[], float]) -> Turn | None:
    """What is due of a schedule of instants; None where nothing is. busy: a job of its last firing that is not over.
    chance: uniform from 0 to 1, drawn once for each planned instant."""
    rule, old = schedule.spec.rule, schedule.standing
    if old.paused:
        return None
    if old.planned is None or old.due is None:
        new = _next(schedule, now, chance)
        return None if new.planned is None else Turn(None, new)
    if now < old.due:
        return None
    late = now - old.due > GRACE
    if rule.catch_up is CatchUp.SKIP and late and old.held_since is None:
        return _passed_over(schedule, now, busy, chance)
    if rule.catch_up is CatchUp.ALL and (late or _several(schedule, old.planned, now)):
        return _one_of_many(schedule, now, busy, chance)
    if busy is not None:
        return _overlapping(schedule, now, busy, chance)
    note = f"caught up on what was planned for {_told(rule, old.planned)}" if late and old.held_since is None else None
    return Turn(old.planned, replace(_next(schedule, now, chance), note=note))


def _passed_over(schedule: Schedule, now: float, busy: int | None, chance: Callable[[], float]) -> Turn | None:
    """Nothing is caught up on; but an instant that came just now is none of those that were missed."""
    rule, old = schedule.spec.rule, schedule.standing
    assert old.planned is not None
    fresh = next_instant(rule, schedule.created, max(now - GRACE, old.planned))
    note = f"passed over {_told(rule, old.planned)}: no daemon ran"
    if fresh is None or fresh > now:
        return Turn(None, replace(_next(schedule, now, chance), note=note))
    as_now = replace(schedule, standing=replace(old, planned=fresh, due=fresh))
    if busy is not None:
        return _overlapping(as_now, now, busy, chance)
    return Turn(fresh, replace(_next(as_now, now, chance), note=note))


def _one_of_many(schedule: Schedule, now: float, busy: int | None, chance: Callable[[], float]) -> Turn | None:
    """The oldest of those that were missed, once the one before it is over; the next one is due at once, or at its
    time."""
    rule, old = schedule.spec.rule, schedule.standing
    assert old.planned is not None
    if busy is not None:
        return _held(schedule, now, busy)
    planned = newest_instants(rule, schedule.created, old.planned, now, MOST_CAUGHT_UP)
    after = next_instant(rule, schedule.created, planned)
    note = f"caught up on {_told(rule, planned)}"
    if after is None or after > now:
        return Turn(planned, replace(_next(schedule, now, chance), note=note))
    return Turn(planned, replace(old, planned=after, due=after, held_since=None, note=note))


def _several(schedule: Schedule, planned: float, now: float) -> bool:
    """Whether the instant after this one has passed as well."""
    after = next_instant(schedule.spec.rule, schedule.created, planned)
    return after is not None and after <= now


def _overlapping(schedule: Schedule, now: float, busy: int, chance: Callable[[], float]) -> Turn | None:
    rule, old = schedule.spec.rule, schedule.standing
    assert old.planned is not None
    if rule.overlap is Overlap.HOLD:
        return _held(schedule, now, busy)
    note = f"passed over {_told(rule, old.planned)}: job {busy} was not over"
    return Turn(None, replace(_next(schedule, now, chance), note=note))


def _held(schedule: Schedule, now: float, busy: int) -> Turn | None:
    note = f"waits for the end of job {busy}"
    if schedule.standing.held_since is not None and schedule.standing.note == note:
        return None
    return Turn(None, replace(schedule.standing, held_since=now, note=note))


def _next(schedule: Schedule, now: float, chance: Callable[[], float]) -> Standing:
    """The first instant that is still to come, with its jitter."""
    rule = schedule.spec.rule
    planned = next_instant(rule, schedule.created, now)
    due = None if planned is None else planned + chance() * rule.jitter
    return replace(schedule.standing, planned=planned, due=due, held_since=None)


def _told(rule: Rule, instant: float) -> str:
    return local_text(instant, rule.timezone)
