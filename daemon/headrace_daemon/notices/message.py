"""What a notice says. One text for people and one body for programs, made when the event happens and kept as it is.

The body's fields are a contract: they are added to, never renamed or taken away. event, timestamp (ISO 8601), host,
title, text, advice (what to type next), job (as `headrace status --json` has it), failures (the first of them, as
there).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from headrace_queue.advice import for_job, split_advice
from headrace_queue.job_json import failure_json, job_json, running_seconds, warning_of
from headrace_queue.jobs import Failure, Job
from headrace_queue.notices import NoticeEvent
from headrace_queue.render import count, shown
from headrace_queue.units import format_bytes, format_duration

FAILURES_SHOWN: Final = 5
LONGEST: Final = 300
"""Characters of a name or a reason."""
MOST: Final = 64 * 1024
"""Bytes of a body: SNS takes four times as much, many a chat less."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What happened. now: seconds since the epoch. idle: seconds for which nothing moved. clean: takes secrets out."""

    event: NoticeEvent
    job: Job
    failures: Sequence[Failure]
    now: float
    host: str
    idle: float
    clean: Callable[[str], str]


def body_of(occasion: Occasion) -> str:
    """JSON."""
    why, advice = _advice(occasion)
    title = f"Headrace: {_title(occasion, why)}"
    job = job_json(occasion.job, occasion.now)
    said: dict[str, Any] = {
        "event": str(occasion.event),
        "timestamp": datetime.fromtimestamp(occasion.now, UTC).isoformat(timespec="seconds"),
        "host": occasion.host,
        "title": title,
        "text": "\n".join(_lines(occasion, why, advice)),
        "advice": advice,
        "job": job,
        "failures": [failure_json(failure) for failure in occasion.failures[:FAILURES_SHOWN]],
    }
    text = json.dumps(_cleaned(said, occasion.clean))
    if len(text) > MOST:  # thousands of rules, or of pairs of metadata
        said["job"] = {**job, "options": {}}
        text = json.dumps(_cleaned(said, occasion.clean))
    return text


def trial_body(name: str, host: str, now: float) -> str:
    """That of `headraced notices test`."""
    said: dict[str, Any] = {
        "event": "test",
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "host": host,
        "title": f"Headrace: a trial of [notices.{name}]",
        "text": f"Nothing happened: somebody on {host} tried whether this arrives.",
        "advice": "",
        "job": None,
        "failures": [],
    }
    return json.dumps(said)


def _title(occasion: Occasion, why: str) -> str:
    job, counters = occasion.job, occasion.job.counters
    data_set = dict(job.spec.labels).get("dataset")
    name = f"job {job.id} ({shown(data_set)})" if data_set else f"job {job.id}"
    if job.spec.options.dry_run:
        name += ", a dry run,"
    seconds = running_seconds(job, occasion.now) or 0.0
    match occasion.event:
        case NoticeEvent.DONE:
            return f"{name} done, {format_bytes(counters.done_bytes)} in {format_duration(seconds)}"
        case NoticeEvent.INCOMPLETE:
            return f"{name} ended, {count(counters.failed, 'object')} failed"
        case NoticeEvent.FAILED:
            return _short(f"{name} failed: {why}", 120)
        case NoticeEvent.CANCELLED:
            return f"{name} cancelled"
        case NoticeEvent.FIRST_ERROR:
            return f"{name} goes on, and an object failed"
        case NoticeEvent.STALLED:
            return f"{name} has not moved for {format_duration(occasion.idle)}"


def _lines(occasion: Occasion, why: str, advice: str) -> list[str]:
    job = occasion.job
    lines = [f"{shown(job.spec.source)} -> {shown(job.spec.destination)}", _counts(job)]
    if why:
        lines.append(_short(shown(why), LONGEST))
    if job.note:
        lines.append(_short(shown(job.note), LONGEST))
    if warning := warning_of(job):
        lines.append(f"warning: {_short(shown(warning), LONGEST)}")
    for failure in occasion.failures[:FAILURES_SHOWN]:
        key = _short(shown(failure.item.key), LONGEST)
        lines.append(f"  {key}: {_short(shown(failure.message), LONGEST)}")
    if (more := job.counters.failed - len(occasion.failures[:FAILURES_SHOWN])) > 0 and occasion.failures:
        lines.append(f"  and {count(more, 'object')} more")
    if advice:
        lines.append(f"next: {advice}")
    return [*lines, f"host {occasion.host}"]


def _counts(job: Job) -> str:
    counters = job.counters
    parts = [f"{counters.done:,} of {count(counters.planned, 'object')}, {format_bytes(counters.done_bytes)}"]
    others = (("unchanged", counters.unchanged), ("deleted", counters.deleted), ("failed", counters.failed))
    return "; ".join([*parts, *(f"{number:,} {word}" for word, number in others if number)])


def _advice(occasion: Occasion) -> tuple[str, str]:
    """Why it is so, and what to type."""
    job = occasion.job
    match occasion.event:
        case NoticeEvent.FAILED:
            why, remedy = split_advice(job.error or "")
            return why, for_job(remedy, job.id) or f"`headrace retry {job.id}`"
        case NoticeEvent.INCOMPLETE:
            return "", f"`headrace report {job.id} --failed`, then `headrace retry {job.id}`"
        case NoticeEvent.STALLED:
            waits = f"it waits: {split_advice(job.waiting)[0]}" if job.waiting else ""
            return waits, f"`headrace status {job.id}`"
        case NoticeEvent.FIRST_ERROR:
            return "", f"`headrace status {job.id}`"
        case _:
            return "", ""


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Every text in it without secrets."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {name: _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(one, clean) for one in value]
    return value
