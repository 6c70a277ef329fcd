"""How schedules are shown: the lines of a table, and JSON whose names are a contract.

name, origin (config or command), trigger, command (words), directory, paused; rule: cron, every, timezone, jitter,
catch_up, overlap, after, messages, remote, settle, rescan as in `Rule`; due, planned, fired, succeeded, created
(seconds since the epoch or null); jobs (numbers of the last firing), job (the last of them as id and state, null where
there is none any more), pending (numbers of jobs for whose end it has yet to fire), note and error (text or null).
"""

from collections.abc import Mapping
from dataclasses import asdict
from shlex import join
from typing import Any, Final

from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Job
from headrace_queue.render import shown, state_text
from headrace_queue.schedule_times import local_text
from headrace_queue.schedules import Rule, Schedule, ScheduleSpec, Trigger
from headrace_queue.store import Store
from headrace_queue.units import format_duration

COLUMNS: Final = ("SCHEDULE", "WHEN", "NEXT", "LAST JOB", "COMMAND", "NOTE")


def last_job(store: Store, schedule: Schedule) -> Job | None:
    """The newest of its last firing that is not purged."""
    for number in reversed(schedule.standing.jobs):
        try:
            return store.job(number)
        except UnknownJob:
            continue
    return None


def schedule_json(schedule: Schedule, last: Job | None) -> dict[str, Any]:
    """One schedule. last: as of `last_job`."""
    spec, standing = schedule.spec, schedule.standing
    times = {name: getattr(standing, name) for name in ("due", "planned", "fired", "succeeded")}
    if standing.paused:
        times |= {"due": None, "planned": None}
    return {
        "name": spec.name,
        "origin": str(spec.origin),
        "trigger": str(spec.trigger),
        "command": list(spec.command),
        "directory": spec.cwd,
        "paused": standing.paused,
        "rule": {name: value if value is None else _plain(value) for name, value in asdict(spec.rule).items()},
        **times,
        "created": schedule.created,
        "jobs": list(standing.jobs),
        "job": None if last is None else {"id": last.id, "state": str(last.state)},
        "pending": list(standing.pending),
        "note": standing.note,
        "error": standing.error,
    }


def schedule_row(schedule: Schedule, last: Job | None) -> tuple[str, ...]:
    """One row of the table, as COLUMNS names them."""
    spec, standing = schedule.spec, schedule.standing
    return (
        shown(spec.name),
        shown(when_text(spec)),
        next_text(schedule),
        "never fired" if standing.fired is None else "purged" if last is None else f"{last.id}, {state_text(last)}",
        shown(join(spec.command)),
        shown(standing.error or standing.note or ""),
    )


def when_text(spec: ScheduleSpec) -> str:
    """What fires it, for people."""
    rule = spec.rule
    texts: Mapping[Trigger, str] = {
        Trigger.CRON: f"{rule.cron} ({rule.timezone})",
        Trigger.EVERY: f"every {format_duration(rule.every or 0.0)}",
        Trigger.AFTER: f"after {rule.after}",
        Trigger.MESSAGES: f"messages of {rule.messages}",
        Trigger.WATCH: f"new files, {format_duration(rule.settle)} old",
    }
    return texts[spec.trigger] + _jitter(rule)


def next_text(schedule: Schedule) -> str:
    """When it fires next, in the zone of its rule."""
    standing = schedule.standing
    if standing.paused:
        return "paused"
    if standing.due is None:
        return "as the daemon starts" if schedule.spec.trigger in (Trigger.CRON, Trigger.EVERY) else ""
    return local_text(standing.due, schedule.spec.rule.timezone)


def _jitter(rule: Rule) -> str:
    return f", up to {format_duration(rule.jitter)} later" if rule.jitter else ""


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value
