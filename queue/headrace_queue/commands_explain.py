"""`headrace explain`: why a job is not moving, from what the queue and the daemon show."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from headrace_queue import command_options as given
from headrace_queue.client import POLL_SECONDS, live_workers_now
from headrace_queue.errors import UnknownJob
from headrace_queue.explaining import Facts, Limit, explain_job, finding_json, finding_lines
from headrace_queue.job_json import job_json, to_text
from headrace_queue.job_source import JobSource
from headrace_queue.jobs import Job
from headrace_queue.metrics_client import Endpoint, endpoints_of, listen_of
from headrace_queue.pace import Pace
from headrace_queue.reach import Here
from headrace_queue.render import shown, state_text
from headrace_queue.states import JobState

_LOOK_SECONDS: Final = 2.0
"""How long a running job is looked at: its rate is that of these seconds."""
_FAILURES: Final = 1000


def explain(
    context: typer.Context, job: given.JobId, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """Say why a job is not moving, by what one sees it, and what to do."""
    reach, file = given.reach_of(context, config), given.config_file(context, config)
    with closing(reach.follow()) as store:
        facts = _facts(store, job, file, here=isinstance(reach, Here))
    findings = explain_job(facts)
    if as_json:
        print(to_text({"job": job_json(facts.job, facts.now), "findings": list(map(finding_json, findings))}))
        return 0
    spec = facts.job.spec
    print(f"Job {job}, {state_text(facts.job)}: {spec.kind} {shown(spec.source)} -> {shown(spec.destination)}")
    for finding in findings:
        print("\n".join(finding_lines(finding)))
    return 0


@dataclass(frozen=True, slots=True)
class _Look:
    """What a short look at a running job saw."""

    rate: float | None
    moved: bool
    under_way: int
    pace: Pace


def _facts(store: JobSource, number: int, file: Path | None, *, here: bool) -> Facts:
    store.job(number)  # one that there is not is told before anything else
    look = _look_at(store, number, time.monotonic)
    row, workers, now = store.job(number), live_workers_now(store, time.time()), time.time()
    failures = [failure for _, failure in store.newest_failures(number, _FAILURES)]
    return Facts(
        job=row,
        now=now,
        workers=len(workers),
        situation=store.situation(number),
        tasks=store.tasks(number),
        failures=failures,
        before={other: _job_or_none(store, other) for other in row.spec.after},
        endpoints=_of_remotes(endpoints_of(listen_of(file), workers), row) if here else None,
        rate=look.rate,
        moved=look.moved,
        under_way=look.under_way,
        last_sign=max((worker.heartbeat for worker in store.workers()), default=None),
        left=look.pace.estimate(row, time.monotonic()),
        limits=list(_limits(row, file)) if here else _own_limit(row),
    )


def _look_at(store: JobSource, number: int, clock: Callable[[], float]) -> _Look:
    """Until the seconds are over, or at once for a job that is not running."""
    pace, started, first = Pace(), clock(), store.job(number)
    row, version, begun = first, -1, store.under_way([number]).get(number, 0)
    moved = begun
    while row.state is JobState.RUNNING and clock() - started < _LOOK_SECONDS:
        if (current := store.version()) != version:
            version, row = current, store.job(number)
            moved = store.under_way([number]).get(number, 0)
            pace.add(clock(), row, moved)
        time.sleep(POLL_SECONDS)
    seconds = clock() - started
    gone = row.counters.done_bytes + moved - first.counters.done_bytes - begun
    rate = gone / seconds if gone > 0 and seconds >= _LOOK_SECONDS / 2 else None
    return _Look(rate, row.counters != first.counters or gone > 0, moved, pace)


def _job_or_none(store: JobSource, number: int) -> Job | None:
    try:
        return store.job(number)
    except UnknownJob:
        return None


def _of_remotes(endpoints: list[Endpoint] | None, job: Job) -> list[Endpoint] | None:
    names = {text.partition("://")[0] for text in (job.spec.source, job.spec.destination) if "://" in text}
    return None if endpoints is None else [one for one in endpoints if one.remote in names]


def _own_limit(job: Job) -> list[Limit]:
    own = job.spec.options.bandwidth
    return [] if own is None else [Limit("--bandwidth", own)]


def _limits(job: Job, file: Path | None) -> Iterable[Limit]:
    """That of the job, of [transfer] and of its remotes, as far as they are one rate at all times."""
    import os

    from headrace_queue.config_source import read_source
    from headrace_queue.units import parse_rate

    yield from _own_limit(job)
    values = read_source(file, os.environ).values
    remotes = values.get("remotes")
    tables = [("bandwidth of [transfer]", values.get("transfer"))]
    for text in (job.spec.source, job.spec.destination):
        name, separator, _ = text.partition("://")
        if separator and isinstance(remotes, dict):
            tables.append((f"bandwidth of [remotes.{name}]", remotes.get(name)))
    for name, table in tables:
        try:
            yield Limit(name, parse_rate(table["bandwidth"] if isinstance(table, dict) else None))
        except (KeyError, ValueError, TypeError):
            continue  # there is none, or it depends on the hour
