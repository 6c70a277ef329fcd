"""Standing by while a worker does the work: --wait, `wait`, `watch`, and the lines of a dry run."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from headrace_queue.client import POLL_SECONDS, any_live_worker, drain_job, follow, named_jobs
from headrace_queue.errors import QueueError
from headrace_queue.job_json import job_json, to_text
from headrace_queue.jobs import Job
from headrace_queue.progress import closing_lines, display_for, silent
from headrace_queue.render import report_line, summary_lines
from headrace_queue.report_file import ReportSummary, ReportTail, entry_json, report_path, summary_json
from headrace_queue.states import EXIT_CODE, FINAL
from headrace_queue.store import Store

INTERRUPTED: Final = 130


def wait_for(store: Store, pick: Callable[[], list[Job]], *, quiet: bool = False) -> list[Job] | None:
    """The jobs at their end, with progress on stderr until then; None where the user left with Ctrl-C."""
    jobs: list[Job] = []
    try:
        with silent() if quiet else display_for(sys.stderr, time.monotonic) as display:

            def pause() -> None:
                display.tick()
                time.sleep(POLL_SECONDS)

            for jobs in follow(store, pick, pause):
                display.update(jobs)
    except KeyboardInterrupt:
        say_they_go_on(jobs)
        return None
    return jobs


def say_they_go_on(jobs: Sequence[Job]) -> None:
    """What became of the jobs when the user stopped watching: nothing."""
    for job in jobs:
        if job.state not in FINAL:
            hint = f"`headrace watch {job.id}` looks again, `headrace cancel {job.id}` stops it"
            print(f"\njob {job.id} stays in the queue and goes on without you: {hint}", file=sys.stderr)


def hint_without_worker(store: Store, file: Path | None) -> None:
    """Says how to start a worker where none is there to take the job up."""
    if not any_live_worker(store, time.time()):
        option = f" --config {file}" if file is not None else ""
        print(
            f"No worker is running here. Start one: `headraced serve{option}`, "
            f"or `headraced drain{option}` to work until the queue is empty.",
            file=sys.stderr,
        )


def exit_code(jobs: Sequence[Job]) -> int:
    """The code of the worst of them; 0 where there is none."""
    return max((EXIT_CODE[job.state] for job in jobs), default=0)


def print_endings(jobs: Sequence[Job]) -> None:
    """How each job ended, on stdout."""
    for line in closing_lines(jobs, time.time()):
        print(line)


def show_dry_run(store: Store, state_dir: Path, file: Path | None, job: Job, *, as_json: bool) -> int:
    """Prints what a dry run finds, object by object as it finds it, and a summary; the exit code of its job.

    Where no worker runs, it is worked on here in a child process first. Raises QueueError where that fails.
    """
    tail, summary = ReportTail(report_path(state_dir, job.id)), ReportSummary()

    def print_new() -> None:
        for entry in tail.read():
            summary.add(entry)
            print(to_text(entry_json(entry)) if as_json else report_line(entry), flush=True)

    def pause() -> None:
        print_new()
        time.sleep(POLL_SECONDS)

    try:
        if job.state not in FINAL and not any_live_worker(store, time.time()):
            _drain_here(store, file, job.id)
        for (latest,) in follow(store, named_jobs(store, [job.id]), pause):
            job = latest
    except KeyboardInterrupt:
        say_they_go_on([job])
        return INTERRUPTED
    print_new()
    _print_dry_run_end(job, summary, as_json)
    return EXIT_CODE[job.state]


def _drain_here(store: Store, file: Path | None, job_id: int) -> None:
    drain_job(job_id, file, os.environ)
    if store.job(job_id).state not in FINAL:
        raise QueueError(f"job {job_id}: `headraced drain` left it unfinished. `headrace status {job_id}` says why.")


def _print_dry_run_end(job: Job, summary: ReportSummary, as_json: bool) -> None:
    if as_json:
        print(to_text({"summary": summary_json(summary), "job": job_json(job, time.time())}))
        return
    for line in summary_lines(summary) if summary.outcomes else []:
        print(line)
    print_endings([job])
