"""`headrace --url … sync` and `copy`: jobs go to a daemon on another host."""

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from headrace_queue.client import named_jobs
from headrace_queue.errors import IllegalTransition
from headrace_queue.following import INTERRUPTED, exit_code, print_endings, wait_for
from headrace_queue.job_json import entry_json, job_json, to_text
from headrace_queue.jobs import Job
from headrace_queue.over_http_jobs import RemoteJobs, job_body
from headrace_queue.render import enqueued_line, report_line, summary_lines
from headrace_queue.report_file import ReportSummary, summary_json
from headrace_queue.report_file import entry_json as line_json

if TYPE_CHECKING:
    from headrace_queue.over_http import Server
    from headrace_queue.submit import Request


def submit_there(
    server: "Server", kind: str, source: str, destination: str, request: "Request", *, wait: bool, as_json: bool
) -> int:
    """Enqueues it, and goes on as asked; the exit code. Raises UsageError, Unreachable."""
    with closing(RemoteJobs(server)) as jobs:
        job, created = jobs.submit(job_body(kind, source, destination, request))
        if request.dry_run:
            return _show_dry_run(jobs, job, created=created, as_json=as_json)
        if not as_json:
            print(enqueued_line(job, created=created), flush=True)
        if wait:
            ended = wait_for(jobs, named_jobs(jobs, [job.id]), quiet=as_json)
            if ended is None:
                return INTERRUPTED
            (job,) = ended
        if as_json:
            print(to_text(entry_json(job, time.time(), created=created, live_worker=True)))
        elif wait:
            print_endings([job])
        return exit_code([job]) if wait else 0


def _show_dry_run(jobs: RemoteJobs, job: Job, *, created: bool, as_json: bool) -> int:
    """What it found, once it is over: its report is written there and not here. Nothing is known of the room there.

    created: whether it is this call's own; nobody else would look at what it finds.
    """
    ended = wait_for(jobs, named_jobs(jobs, [job.id]), quiet=True)
    if ended is None:
        with suppress(IllegalTransition):  # it ended just now
            if created:
                jobs.cancel(job.id)
        return INTERRUPTED
    summary = ReportSummary()
    for entry in jobs.report(job.id):
        summary.add(entry)
        print(to_text(line_json(entry)) if as_json else report_line(entry), flush=True)
    if as_json:
        print(to_text({"summary": summary_json(summary), "job": job_json(ended[0], time.time()), "space": None}))
        return exit_code(ended)
    for line in summary_lines(summary) if summary.outcomes else []:
        print(line)
    print_endings(ended)
    return exit_code(ended)
