"""What `--json` prints of a job. These names are a contract: fields are added, never renamed or taken away.

id, kind, state, phase, source, destination; priority, submission_id, labels (name -> value), after (numbers of jobs),
user (whose it is where it came through the API, else null); options as in `Options`, `rules` as a list of {include,
pattern}, `headers`, `metadata` and `tags` as name -> value; counters as in `Counters`; created, started, finished
(seconds since the epoch or null); error, waiting, note and warning (text or null); seconds (how long it ran so far) and
bytes_per_second (null before it started); exit_code (what `wait` gives, null while it is not over). `status` adds
failures (see failure_json), tasks (see task_lines) and live_worker.
"""

import json
from dataclasses import asdict
from typing import Any

from headrace_queue.jobs import Failure, Job, Options
from headrace_queue.selected_names import NOTHING_FOUND
from headrace_queue.states import EXIT_CODE, JobState


def job_json(job: Job, now: float) -> dict[str, Any]:
    """One job. now: seconds since the epoch."""
    spec, seconds = job.spec, running_seconds(job, now)
    return {
        "id": job.id,
        "kind": str(spec.kind),
        "state": str(job.state),
        "phase": str(job.phase),
        "source": spec.source,
        "destination": spec.destination,
        "priority": spec.priority,
        "submission_id": spec.submission_id,
        "labels": dict(spec.labels),
        "after": list(spec.after),
        "user": spec.owner.user if spec.owner is not None else None,
        "options": options_json(spec.options),
        "counters": asdict(job.counters),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "error": job.error,
        "waiting": job.waiting,
        "note": job.note,
        "warning": warning_of(job),
        "seconds": seconds,
        "bytes_per_second": average_rate(job, now),
        "exit_code": EXIT_CODE.get(job.state),
    }


def entry_json(job: Job, now: float, *, created: bool, live_worker: bool) -> dict[str, Any]:
    """What enqueueing prints. created: false where the submission id had it already; live_worker: whether one was there
    to take it."""
    return {"job": job_json(job, now), "created": created, "live_worker": live_worker}


def options_json(options: Options) -> dict[str, Any]:
    """The options under the names of their fields."""
    rules = [rule._asdict() for rule in options.rules]
    described = {"headers": dict(options.headers), "metadata": dict(options.metadata)}
    described["tags"] = dict(options.tags)
    words = {name: str(getattr(options, name)) for name in ("compare", "via", "links", "archived")}
    return asdict(options) | {"rules": rules} | described | words


def failure_json(failure: Failure) -> dict[str, Any]:
    """key, size, error (a short, stable word), message, attempts."""
    item = failure.item
    return {
        "key": item.key,
        "size": item.size,
        "error": failure.error,
        "message": failure.message,
        "attempts": failure.attempts,
    }


def warning_of(job: Job) -> str | None:
    """What a person should know of a job that ended well: that its source held nothing at all, or nothing of what was
    selected by name; else None.

    A prefix of S3 that no key begins with is no error of the service's, and looks just like one that was mistyped.
    """
    seen, options = job.counters, job.spec.options
    if job.state is not JobState.DONE:
        return None
    if options.select and seen.excluded == seen.listed > 0:
        return f"nothing at {job.spec.source} is selected: --select {' --select '.join(options.select)}"
    if options.select and job.note is not None and job.note.startswith(NOTHING_FOUND):
        return job.note
    if seen.listed or seen.excluded:
        return None
    if options.files_from is not None:
        return None  # what the list does not name counts as nothing, and may be there
    if options.inventory is not None:
        return f"the inventory {options.inventory} names nothing at {job.spec.source}"
    return f"nothing is at {job.spec.source}"


def running_seconds(job: Job, now: float) -> float | None:
    """From its start to its end, or until now; None before it started."""
    if job.started is None:
        return None
    return max((job.finished if job.finished is not None else now) - job.started, 0.0)


def average_rate(job: Job, now: float) -> float | None:
    """Bytes a second since its start; None before it started."""
    seconds = running_seconds(job, now)
    return job.counters.done_bytes / seconds if seconds else None


def to_text(data: Any) -> str:
    """One line of JSON; lone surrogates and all else outside ASCII as escapes, safe for every terminal and pipe."""
    return json.dumps(data)
