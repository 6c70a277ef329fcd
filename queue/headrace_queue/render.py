"""What people read: lines and tables of jobs, reports and errors. Plain functions from data to text."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from headrace_queue.advice import split_advice
from headrace_queue.job_json import average_rate, running_seconds, warning_of
from headrace_queue.jobs import Failure, Job, Phase
from headrace_queue.report_file import ReportEntry, ReportSummary
from headrace_queue.situation import Situation
from headrace_queue.states import FINAL, JobState
from headrace_queue.units import format_bytes, format_duration, format_rate

JOB_COLUMNS: Final = ("JOB", "STATE", "PROGRESS", "SIZE", "RATE", "AGE", "SOURCE", "DESTINATION")
RIGHT_COLUMNS: Final = frozenset({"JOB", "TRANSFER", "SIZE", "RATE", "AGE"})
_LIVE: Final = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING})
_MOVING: Final = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING})
_OUTCOME_WIDTH: Final = 14


def shown(text: str) -> str:
    """A key or message as it may go to a terminal: control characters, and what is not text, as escapes.

    Without it a file name could clear the screen or fake a line.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def count(number: int, word: str) -> str:
    """`1 object`, `1,234 objects`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def state_text(job: Job) -> str:
    """The state in a word or two; a job with failed objects never reads like one without."""
    failed = job.counters.failed
    dry = "dry run " if job.spec.options.dry_run else ""
    if failed and job.state in (JobState.DONE, JobState.INCOMPLETE):
        return f"{dry}ended, {failed:,} failed"
    if failed and job.state in _LIVE:
        return f"{dry}{job.state}, {failed:,} failed"
    return f"{dry}{job.state}"


def enqueued_line(job: Job, *, created: bool) -> str:
    """What became of a job that was submitted. created: whether it is a new one."""
    route = f"{shown(job.spec.source)} -> {shown(job.spec.destination)}"
    if created:
        return f"job {job.id}: {job.spec.kind} {route}"
    if job.spec.submission_id is None:
        return f"job {job.id} does this already and is {job.state}: {route}"
    return f"job {job.id} has this submission id already and is {job.state}: {route}"


def progress_text(job: Job) -> str:
    """How many objects of how many; `of at least` while the listing goes on."""
    seen = job.counters
    if job.spec.options.dry_run:
        return f"{seen.listed:,} compared"
    if job.phase is Phase.COPY and job.state not in FINAL:
        return f"{seen.done:,} of at least {seen.planned:,}" if seen.planned else f"listing, {seen.listed:,} seen"
    return f"{seen.done:,} of {seen.planned:,}" if seen.planned else "nothing to send"


def stranded(job: Job, live_worker: bool) -> bool:
    """Whether it would go on by itself, and nobody is there who does it."""
    return job.state in _MOVING and not live_worker


def job_row(job: Job, now: float, *, live_worker: bool = True) -> tuple[str, ...]:
    """One row of the table of jobs, as JOB_COLUMNS names them. live_worker: whether any worker runs."""
    rate = average_rate(job, now)
    return (
        str(job.id),
        state_text(job) + (", no worker" if stranded(job, live_worker) else ""),
        progress_text(job) if job.started is not None else "",
        format_bytes(job.counters.done_bytes) if job.started is not None else "",
        format_rate(rate) if rate else "",
        format_duration(now - job.created),
        shown(job.spec.source),
        shown(job.spec.destination),
    )


def in_flight_text(job_id: int, situation: Situation | None, parts: int) -> str:
    """What of a paused job comes all the same; '' where nothing does, or nobody can tell. parts: bytes of large objects
    that are not whole yet."""
    leased = situation.leased if situation is not None else 0
    if not leased:
        return ""
    batches = f"{leased:,} {'batch' if leased == 1 else 'batches'}"
    so_far = f", {format_bytes(parts)} of large objects so far" if parts else ""
    return f"What is in flight finishes: {batches}{so_far}. `headrace cancel {job_id}` stops it at once."


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines for pipes and logs, the heading first."""
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    lines = []
    for row in (columns, *rows):
        cells = zip(columns, row, widths, strict=True)
        texts = [text.rjust(width) if name in RIGHT_COLUMNS else text.ljust(width) for name, text, width in cells]
        lines.append("  ".join(texts).rstrip())
    return lines


def status_lines(
    job: Job,
    failures: Sequence[Failure],
    now: float,
    *,
    live_worker: bool = True,
    tasks: Sequence[str] = (),
    parts: int = 0,
) -> list[str]:
    """Everything a person wants to know of one job; failures: the first few; live_worker: whether any worker runs;
    tasks: a line for each of its data repository tasks; parts: bytes of large objects that are not whole yet."""
    spec = job.spec
    fields = [
        ("state", state_text(job)),
        ("worker", "none is running: nothing moves until one does" if stranded(job, live_worker) else ""),
        ("source", shown(spec.source)),
        ("destination", shown(spec.destination)),
        ("phase", phase_text(job)),
        ("objects", _objects_text(job)),
        ("bytes", _bytes_text(job, now, parts)),
        ("times", _times_text(job, now)),
        ("labels", shown(", ".join(f"{name}={value}" for name, value in spec.labels))),
        ("submission", spec.submission_id or ""),
        ("user", shown(spec.owner.user) if spec.owner is not None else ""),
        *(("task", task) for task in tasks),
        ("waiting", shown(job.waiting or "")),
        ("note", shown(job.note or "")),
        ("warning", shown(warning_of(job) or "")),
        ("error", shown(split_advice(job.error or "")[0])),
        ("do", shown(split_advice(job.error or "")[1])),
    ]
    lines = [f"Job {job.id}, {spec.kind}"]
    lines += [f"  {name:<12}{value}" for name, value in fields if value]
    if failures:
        lines.append(f"Failed objects ({min(len(failures), job.counters.failed):,} of {job.counters.failed:,}):")
        lines += [f"  {_name(item.key)}  {_reason(error, text)}" for item, error, text, _ in failures]
    return lines + next_steps(job, failures)


def next_steps(job: Job, failures: Sequence[Failure] = ()) -> list[str]:
    """What to type next, if anything. failures: as many of the job's as are known here."""
    all_known = len(failures) == job.counters.failed > 0
    if job.state is JobState.INCOMPLETE and all_known and not any(failure.attempts for failure in failures):
        return ["Look again:       enqueue the sync anew; a retry lists nothing"]
    steps = {
        JobState.PAUSED: [f"Go on:            headrace resume {job.id}"],
        JobState.INCOMPLETE: [
            f"What failed:      headrace report {job.id} --failed",
            f"Try those again:  headrace retry {job.id}",
        ],
        JobState.FAILED: [f"Try again:        headrace retry {job.id}"],
        JobState.CANCELLED: [f"Take it up again: headrace retry {job.id}"],
    }
    return steps.get(job.state, [])


def ending_line(job: Job, now: float) -> str:
    """How a job ended, in one line, with how many objects failed. Why a whole job did stands in lines below it."""
    seen, seconds = job.counters, running_seconds(job, now) or 0.0
    what = f"job {job.id} {_ENDINGS[job.state]}"
    if seen.failed and job.state is JobState.DONE:
        what = f"job {job.id} ended"
    if job.spec.options.dry_run:
        moved = f"{_dry_run_text(job)}; nothing was changed"
    else:
        moved = f"{count(seen.done, 'object')}, {format_bytes(seen.done_bytes)} in {format_duration(seconds)}"
        if seen.done_bytes and seconds:
            moved += f" ({format_rate(seen.done_bytes / seconds)})"
    extras = [moved]
    numbers = (
        (seen.unchanged, "unchanged"),
        (seen.deleted, "deleted"),
        (seen.vanished, "vanished"),
        (seen.archived, "archived and passed over"),
    )
    for number, text in numbers:
        if number and not job.spec.options.dry_run:
            extras.append(f"{number:,} {text}")
    if seen.failed:
        extras.append(f"{seen.failed:,} FAILED")
        if job.spec.options.delete and seen.extra > seen.deleted:
            extras.append(f"{seen.extra - seen.deleted:,} only at the destination not deleted")
    return f"{what}: {', '.join(extras)}"


def report_line(entry: ReportEntry) -> str:
    """One object of a report: outcome, size, key, and why where there is a reason."""
    outcome = entry.outcome.replace("_", " ")
    size = "" if entry.outcome in ("deleted", "would_delete", "created", "task_failed") else format_bytes(entry.bytes)
    reason = "; ".join(
        text for text in (_reason(entry.error, entry.message) or entry.proof, _not_kept(entry), _tried(entry)) if text
    )
    return f"{outcome:<{_OUTCOME_WIDTH}}  {size:>10}  {_name(entry.key)}{f'  ({reason})' if reason else ''}"


def _not_kept(entry: ReportEntry) -> str:
    """What the service dropped of an object beside its bytes."""
    return f"not kept: {shown(entry.lost)}" if entry.lost else ""


def _tried(entry: ReportEntry) -> str:
    """`3 attempts, the last repeated for SlowDown`; '' where once was enough."""
    if entry.attempts < 2:
        return ""
    why = f", the last repeated for {shown(entry.last_error)}" if entry.last_error and not entry.failed else ""
    return f"{count(entry.attempts, 'attempt')}{why}"


def summary_lines(summary: ReportSummary) -> list[str]:
    """A report all in all, one line a subject."""
    lines = [
        f"{outcome.replace('_', ' '):<{_OUTCOME_WIDTH}}  {count(tally['objects'], 'object')}, "
        f"{format_bytes(tally['bytes'])}"
        for outcome, tally in sorted(summary.outcomes.items())
    ]
    for title, numbers in (("errors", summary.errors), ("not kept", summary.lost), ("proofs", summary.proofs)):
        if numbers:
            lines.append(
                f"{title:<{_OUTCOME_WIDTH}}  " + ", ".join(f"{name}: {numbers[name]:,}" for name in sorted(numbers))
            )
    for title, shares in (("from", summary.source_endpoints), ("to", summary.destination_endpoints)):
        for url, tally in sorted(shares.items()):
            share = f"{count(tally['objects'], 'object')}, {format_bytes(tally['bytes'])}"
            lines.append(f"{title:<{_OUTCOME_WIDTH}}  {shown(url)}: {share}")
    return lines or ["The report is empty."]


_ENDINGS: Final = {
    JobState.DONE: "is done",
    JobState.INCOMPLETE: "ended, but not everything arrived",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "was cancelled",
}


def phase_text(job: Job) -> str:
    """What it is at, in words; '' before it starts and at its end."""
    if job.state in FINAL or job.started is None:
        return ""
    return {Phase.COPY: "listing and sending", Phase.DELETE: "deleting", Phase.DONE: "sending the rest"}[job.phase]


def _objects_text(job: Job) -> str:
    seen = job.counters
    if job.started is None:
        return ""
    if job.spec.options.dry_run:
        return _dry_run_text(job)
    numbers = (
        (seen.listed, "listed"),
        (seen.excluded, "excluded"),
        (seen.unchanged, "unchanged"),
        (seen.deleted, "deleted"),
        (seen.extra, "only at the destination"),
        (seen.vanished, "vanished"),
        (seen.archived, "archived and passed over"),
        (seen.failed, "failed"),
    )
    parts = [f"{progress_text(job)} sent"] if seen.planned else [progress_text(job)]
    return ", ".join(parts + [f"{number:,} {text}" for number, text in numbers if number])


def _dry_run_text(job: Job) -> str:
    seen = job.counters
    deletions = f", {seen.extra:,} to delete" if job.spec.options.delete else ""
    return (
        f"{count(seen.listed, 'object')} listed, {seen.unchanged:,} unchanged, {seen.excluded:,} excluded, "
        f"{seen.planned:,} to transfer ({format_bytes(seen.planned_bytes)}){deletions}"
    )


def _bytes_text(job: Job, now: float, parts: int) -> str:
    seen, rate = job.counters, average_rate(job, now)
    if job.started is None or job.spec.options.dry_run:
        return ""
    listing = "at least " if job.phase is Phase.COPY and job.state not in FINAL else ""
    text = f"{format_bytes(seen.done_bytes)} of {listing}{format_bytes(seen.planned_bytes)}"
    if parts:
        text += f", {format_bytes(parts)} more of large objects under way"
    if rate:
        text += f", {format_rate(rate)} on average"
    return text + (f", {count(seen.retries, 'request')} sent again" if seen.retries else "")


def _times_text(job: Job, now: float) -> str:
    text = f"enqueued {clock(job.created)}"
    if job.started is not None:
        text += f", started {clock(job.started)}"
    if job.finished is not None:
        text += f", ended {clock(job.finished)}"
    seconds = running_seconds(job, now)
    return text if seconds is None else f"{text} ({format_duration(seconds)})"


def clock(seconds: float) -> str:
    """A time of the queue, in the time zone of whoever looks."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


def _name(key: str) -> str:
    """A key of a report; that of a copy is empty."""
    return shown(key) or "(the source itself)"


def _reason(error: str, message: str) -> str:
    return shown(f"{error}: {message}" if error and message else error or message)
