"""`headrace jobs`, `status`, `watch`, `wait`, `cancel`, `pause`, `resume`, `retry`, `report` and `purge`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.client import (
    POLL_SECONDS,
    any_live_worker,
    follow,
    named_jobs,
    unfinished_jobs,
)
from headrace_queue.collisions import refuse_collision
from headrace_queue.errors import IllegalTransition, UsageError
from headrace_queue.following import (
    INTERRUPTED,
    exit_code,
    hint_how_to_start,
    hint_without_worker,
    parts_of,
    print_endings,
    say_they_go_on,
    wait_for,
    warn,
)
from headrace_queue.job_json import failure_json, job_json, to_text
from headrace_queue.job_selection import JobOrder, chosen_jobs, job_filter
from headrace_queue.job_source import JobSource
from headrace_queue.jobs import Job
from headrace_queue.name_list import drop_lists
from headrace_queue.overlap import Services
from headrace_queue.progress import draws
from headrace_queue.reach import Here, Reach
from headrace_queue.refusals import job_number, refused
from headrace_queue.render import (
    JOB_COLUMNS,
    count,
    in_flight_text,
    job_row,
    report_line,
    state_text,
    status_lines,
    stranded,
    summary_lines,
)
from headrace_queue.report_file import entry_json, report_path, summarise, summary_json
from headrace_queue.report_selection import ReportFilter, ReportOrder, chosen_lines, outcomes_of
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store, open_store
from headrace_queue.tables import print_table
from headrace_queue.task_lines import task_json, task_line
from headrace_queue.units import parse_duration

if TYPE_CHECKING:
    from headrace_queue.over_http_jobs import RemoteJobs

_FAILURES_SHOWN = 10

Move: TypeAlias = Callable[[Any, int], Job]
"""What is done to the job of a number; of a store or a daemon elsewhere."""

Plain = Annotated[
    bool, typer.Option("--plain", help="Lines one below the other, nothing drawn over: for screen readers and logs.")
]


def jobs(
    context: typer.Context,
    state: Annotated[list[JobState] | None, typer.Option("--state", help="Only these; may be repeated.")] = None,
    label: given.Labels = [],  # noqa: B006 - typer copies defaults
    dataset: Annotated[str | None, typer.Option("--dataset", metavar="NAME", help="Only of this data set.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="PATTERN", help="Only from there: a part of it, or with * all.")
    ] = None,
    destination: Annotated[
        str | None, typer.Option("--destination", metavar="PATTERN", help="Only to there, likewise.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help="Only enqueued that long ago at most, such as 2d.")
    ] = None,
    sort: Annotated[JobOrder, typer.Option("--sort", help="The newest, or the largest, first.")] = JobOrder.ID,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 20,
    before: Annotated[
        int | None, typer.Option("--before", metavar="JOB", parser=job_number, help="Only older ones.")
    ] = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """List jobs, newest first."""
    reach, now = given.reach_of(context, config), time.time()
    wanted = job_filter(state or [], label, dataset, source, destination, since, now)
    found: list[Job] = []
    alive = False
    if reach.exists():
        with closing(reach.look()) as store:
            found = chosen_jobs(store.jobs, wanted, sort, limit, before, now, reverse=reverse)
            alive = any_live_worker(store, now)
    if as_json:
        print(to_text({"jobs": [job_json(job, now) for job in found], "live_worker": alive}))
    elif not found:
        print("No jobs.")
    else:
        print_table(JOB_COLUMNS, [job_row(job, now, live_worker=alive) for job in found])
        if any(stranded(job, alive) for job in found):
            hint_how_to_start(given.config_file(context, config))
    return 0


def status(
    context: typer.Context, job: given.JobId, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """Show one job: state, counters, what failed, and what to do next."""
    reach, now = given.reach_of(context, config), time.time()
    with closing(reach.look()) as store:
        row = store.job(job)
        failures = [failure for _, failure in store.failures(job, limit=_FAILURES_SHOWN)]
        tasks = store.tasks(job)
        parts = parts_of(store, [row]).get(job, 0)
        in_flight = in_flight_text(job, store.situation(job), parts) if row.state is JobState.PAUSED else ""
        alive = any_live_worker(store, now)
    if as_json:
        lists = {"failures": list(map(failure_json, failures)), "tasks": list(map(task_json, tasks))}
        print(to_text(job_json(row, now) | lists | {"live_worker": alive}))
        return 0
    for line in status_lines(row, failures, now, live_worker=alive, tasks=list(map(task_line, tasks)), parts=parts):
        print(line)
    if in_flight:
        print(in_flight)
    if stranded(row, alive):
        hint_how_to_start(given.config_file(context, config))
    return 0


def watch(
    context: typer.Context,
    job: Annotated[int | None, typer.Argument(metavar="[JOB]", parser=job_number, help="Default: all.")] = None,
    plain: Plain = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Show progress until the job, or every job, is over; on a terminal, a screen of all until q. The exit code is that
    of the worst of them."""
    reach = given.reach_of(context, config)
    if job is None and not reach.exists():
        print("Nothing was ever enqueued here: there is nothing to watch.", file=sys.stderr)
        return 0
    with closing(reach.follow()) as store:
        if draws(sys.stdout) and not plain and not as_json:
            from headrace_queue.dashboard import watch_screen  # nobody else needs it

            return watch_screen(store, job, given.config_file(context, config), here=isinstance(reach, Here))
        pick = unfinished_jobs(store) if job is None else named_jobs(store, [job])
        return _watch_json(store, pick) if as_json else _wait_and_tell(store, pick, plain)


def wait(
    context: typer.Context,
    job: given.JobIds,
    plain: Plain = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Wait until jobs are over. The exit code is that of the worst of them."""
    with closing(given.reach_of(context, config).follow()) as store:
        pick = named_jobs(store, list(dict.fromkeys(job)))
        if not as_json:
            return _wait_and_tell(store, pick, plain)
        ended = wait_for(store, pick, quiet=True)
        if ended is None:
            return INTERRUPTED
        now = time.time()
        print(to_text({"jobs": [job_json(row, now) for row in ended]}))
        return exit_code(ended)


def pause(
    context: typer.Context, job: given.JobIds, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """Start nothing more of jobs; what is in flight finishes."""

    def told(store: JobSource, row: Job) -> str:
        in_flight = in_flight_text(row.id, store.situation(row.id), parts_of(store, [row]).get(row.id, 0))
        return f"\n{in_flight}" if in_flight else ""

    return _change(
        "pause", job, given.reach_of(context, config), as_json, lambda store, number: store.pause(number), told
    )


def resume(
    context: typer.Context, job: given.JobIds, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """Go on with paused jobs."""
    return _change("resume", job, given.reach_of(context, config), as_json, lambda store, number: store.resume(number))


def cancel(
    context: typer.Context, job: given.JobIds, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """End jobs; objects that are there already stay."""
    return _change("cancel", job, given.reach_of(context, config), as_json, lambda store, number: store.cancel(number))


def retry(
    context: typer.Context, job: given.JobIds, config: given.ConfigFile = None, as_json: given.AsJson = False
) -> int:
    """Try again, but only what failed or was never reached."""
    reach = given.reach_of(context, config)
    retried = _retry_here(context, config) if isinstance(reach, Here) else _retry_there
    return _change("retry", job, reach, as_json, retried, _left_alone)


def _retry_there(jobs: "RemoteJobs", job_id: int) -> Job:
    """The daemon looks for jobs that are in the way itself."""
    return jobs.retry(job_id)


def _left_alone(_store: JobSource, row: Job) -> str:
    if not row.counters.failed:
        return ""
    return (
        f"\n{row.counters.failed:,} failures are of its listing: names that were not there or are no text, folders that"
        " could not be read, objects that are too large. A retry lists nothing; to look again, enqueue the sync anew."
    )


def _retry_here(context: typer.Context, config: Path | None) -> Move:
    # the models cost 80 ms to import, and of these commands only this one has to know which remotes are one service
    from headrace_queue.config import load_config

    services = Services(load_config(given.config_file(context, config)).remotes)

    def again(store: Any, job_id: int) -> Job:
        with store.group():
            row: Job = store.retry(job_id)
            refuse_collision(store, row, services)
        return row

    return again


def report(
    context: typer.Context,
    job: given.JobId,
    failed: Annotated[bool, typer.Option("--failed", help="Only objects that failed.")] = False,
    outcome: Annotated[
        list[str] | None, typer.Option("--outcome", metavar="WORD", help="Only what ended so; may be repeated.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="PATTERN", help="Only these: a part of the name, or with * all of it."),
    ] = None,
    error: Annotated[
        str | None, typer.Option("--error", metavar="WORD", help="Only this error, or with this text in its message.")
    ] = None,
    sort: Annotated[
        ReportOrder | None, typer.Option("--sort", help="Keys from A to Z, else the largest first.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="With --sort: the other way round.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, max=100_000, help="How many at most.")] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Only the totals.")] = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Print what became of every object of a job."""
    if reverse and sort is None:
        raise UsageError("--reverse", "without --sort lines come as they were written", "Add --sort, such as key.")
    reach = given.reach_of(context, config)
    with closing(reach.look()) as store:
        warn([store.job(job)])
    wanted = ReportFilter(failed, outcomes_of(outcome or []), key, error)
    entries = chosen_lines(reach.report(job), wanted, sort, limit, reverse=reverse)
    if not summary:
        for entry in entries:
            print(to_text(entry_json(entry)) if as_json else report_line(entry))
        return 0
    totals = summarise(entries)
    for line in [to_text({"job": job, **summary_json(totals)})] if as_json else summary_lines(totals):
        print(line)
    return 0


def purge(
    context: typer.Context,
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Such as 12h or 30d.")] = "30d",
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Remove jobs that ended that long ago, and their reports; and transfers that did."""
    places = given.whereabouts_of(context, config)
    try:
        finished_before = time.time() - parse_duration(older_than)
    except ValueError as error:
        raise refused(f"--older-than {older_than}", str(error)) from None
    removed: list[int] = []
    transfers: list[int] = []
    with closing(open_store(places.queue_url)) as store:
        while gone := store.purge_transfers(finished_before):
            transfers += gone
        while found := store.purge(finished_before):
            for job_id in found:
                report_path(places.state_dir, job_id).unlink(missing_ok=True)
            removed += found
        drop_lists(places.state_dir, removed, _lists(store), time.time())
    if as_json:
        print(to_text({"purged": removed, "transfers": transfers}))
    else:
        print(f"Removed {count(len(removed), 'job')} and {count(len(transfers), 'transfer')}.")
    return 0


def _lists(store: Store) -> Iterator[str]:
    """The list of names of each job that has one."""
    before: int | None = None
    while page := store.jobs(before=before):
        yield from (listed for job in page if (listed := job.spec.options.files_from) is not None)
        before = page[-1].id


def _change(
    event: str,
    job_ids: Sequence[int],
    reach: Reach,
    as_json: bool,
    move: Move,
    more: Callable[[JobSource, Job], str] = lambda _store, _row: "",
) -> int:
    """One move of each job, and how it stands then. more: what else is to be said of it.

    A job that does not exist is told before anything is moved; one that cannot be moved keeps no other from it.
    """
    moved: list[Job] = []
    refusals: list[UsageError] = []
    with closing(reach.change()) as store:
        wanted = named_jobs(store, list(dict.fromkeys(job_ids)))()
        for before in wanted:
            try:
                moved.append(move(store, before.id))
            except IllegalTransition as error:
                remedy = f"`headrace status {before.id}` shows how it stands."
                refusals.append(UsageError(f"{event} {before.id}", str(error), remedy))
            except UsageError as error:
                refusals.append(error)
            else:
                if not as_json:
                    print(f"job {before.id}: {state_text(moved[-1])}{more(store, moved[-1])}")
    if as_json and moved:
        rows = [job_json(job, time.time()) for job in moved]
        print(to_text(rows[0] if len(wanted) == 1 else {"jobs": rows}))
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        why = f"{len(refusals)} of {len(wanted)} jobs are as they were"
        details = tuple(f"{refusal.what}: {refusal.why}" for refusal in refusals)
        raise UsageError(event, why, "`headrace status JOB` shows how each stands.", details)
    return 0


def _wait_and_tell(store: JobSource, pick: Callable[[], list[Job]], plain: bool) -> int:
    pick()  # a job that there is not is told before anything else
    hint_without_worker(store, None)
    ended = wait_for(store, pick, plain=plain)
    if ended is None:
        return INTERRUPTED
    print_endings(ended)
    return exit_code(ended)


def _watch_json(store: JobSource, pick: Callable[[], list[Job]]) -> int:
    """One line of JSON for each job at first, then for each that changed."""
    last: dict[int, Job] = {}
    try:
        for found in follow(store, pick, lambda: time.sleep(POLL_SECONDS)):
            now = time.time()
            for job in found:
                if last.get(job.id) != job:
                    print(to_text(job_json(job, now)), flush=True)
                last[job.id] = job
    except KeyboardInterrupt:
        say_they_go_on([job for job in last.values() if job.state not in FINAL])
        return INTERRUPTED
    return exit_code(list(last.values()))
