"""From requests to jobs in the queue, and how a command goes on then: `sync`, `copy`, `archive` and `run` alike."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.client import any_live_worker, named_jobs
from headrace_queue.collisions import enqueue_all
from headrace_queue.errors import UsageError
from headrace_queue.following import (
    INTERRUPTED,
    cancelled,
    exit_code,
    hint_without_worker,
    leaving_by_signal,
    print_endings,
    show_dry_run,
    wait_for,
)
from headrace_queue.job_json import entry_json, to_text
from headrace_queue.jobs import Job, JobSpec
from headrace_queue.overlap import Services
from headrace_queue.render import enqueued_line
from headrace_queue.store import Store, open_store
from headrace_queue.submit import Request, copy_job

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.over_http import Server

Shape: TypeAlias = Callable[[list[dict[str, Any]]], dict[str, Any]]
"""From the JSON of each job to what is printed: one object, or for `run` a list in one."""


_COLLECTOR: Final = "headrace.collector"


@dataclass(frozen=True)
class Collector:
    """Takes the jobs of a command in place of the queue: for a command that is enqueued time and again. cwd: what its
    relative paths count from."""

    config: "Config"
    cwd: Path
    specs: list[JobSpec] = field(default_factory=list)

    def attach(self, context: typer.Context) -> None:
        """To the command that is about to be called."""
        context.meta[_COLLECTOR] = self


@dataclass(frozen=True)
class Manner:
    """How the command goes on once the jobs are made. server: where they are enqueued, None for the queue here.
    collector: nothing is enqueued, it takes the jobs. here: it does the work where no worker runs, and waits."""

    file: Path | None
    wait: bool
    as_json: bool
    server: "Server | None"
    collector: Collector | None = None
    here: bool = False

    @property
    def cwd(self) -> Path | None:
        """What relative paths count from; None for the working directory."""
        return None if self.collector is None else self.collector.cwd

    @cached_property
    def config(self) -> "Config":
        if self.collector is not None:
            return self.collector.config
        # the models cost 80 ms to import, and only these commands need them, on the host of the queue
        from headrace_queue.config import load_config

        return load_config(self.file)


def manner_of(context: typer.Context, config: Path | None, wait: bool, as_json: bool, *, here: bool = False) -> Manner:
    """Raises UsageError for --here where the jobs are somewhere else."""
    collector: Collector | None = context.meta.get(_COLLECTOR)
    if collector is not None:
        return Manner(None, wait, as_json, None, collector)
    server = given.server_of(context)
    if here and server is not None:
        raise UsageError("--here with --url", "the job is the daemon's on another host", "Leave out one of the two.")
    return Manner(given.config_file(context, config), wait or here, as_json, server, here=here)


def submit_one(
    make: Callable[["Config", str, str, Request, Path | None], JobSpec],
    source: str,
    destination: str,
    asked: Request,
    manner: Manner,
) -> int:
    if manner.server is not None:
        from headrace_queue.over_http_submit import submit_there

        kind = "copy" if make is copy_job else "sync"
        return submit_there(manner.server, kind, source, destination, asked, wait=manner.wait, as_json=manner.as_json)
    spec = make(manner.config, source, destination, asked, manner.cwd)
    if manner.collector is not None:
        manner.collector.specs.append(spec)
        return 0
    with closing(open_store(manner.config.queue_url)) as store:
        return submit(store, [spec], manner, lambda entries: entries[0])


def submit(store: Store, specs: Sequence[JobSpec], manner: Manner, shape: Shape, *, attach: bool = False) -> int:
    """Enqueues all of them in one commit, and goes on as asked; the exit code. attach: see `enqueue_all`."""
    entries = enqueue_all(store, specs, Services(manner.config.remotes), attach=attach)
    jobs = [job for job, _ in entries]
    if specs[0].options.dry_run:
        return _dry_runs(store, manner, entries)
    live_worker = any_live_worker(store, time.time())
    if not manner.as_json:
        for job, created in entries:
            print(enqueued_line(job, created=created), flush=True)
        if not manner.here:
            hint_without_worker(store, manner.file, or_here=True)
    if manner.wait:
        ended = _waited(store, manner, jobs)
        if ended is None:
            return INTERRUPTED
        jobs = ended
    if manner.as_json:
        created_ids = {job.id for job, created in entries if created}
        print(
            to_text(
                shape(
                    [
                        entry_json(job, time.time(), created=job.id in created_ids, live_worker=live_worker)
                        for job in jobs
                    ]
                )
            )
        )
    elif manner.wait:
        print_endings(jobs)
    return exit_code(jobs) if manner.wait else 0


def _waited(store: Store, manner: Manner, jobs: Sequence[Job]) -> list[Job] | None:
    """The jobs at their end; None where the user left. Raises UsageError, QueueError."""
    pick = named_jobs(store, [job.id for job in jobs])
    if not manner.here:
        return wait_for(store, pick, quiet=manner.as_json)
    from headrace_queue.working_here import wait_here  # what it needs costs 2 ms

    return wait_here(store, pick, manner.file, manner.config.daemon.drain_seconds, quiet=manner.as_json)


def _dry_runs(store: Store, manner: Manner, entries: Sequence[tuple[Job, bool]]) -> int:
    """One after the other; the exit code of the worst. Whoever leaves one of them leaves all: nobody would look at what
    the later ones find, so they are cancelled."""
    over, worst = 0, 0
    try:
        with leaving_by_signal():
            for job, created in entries:
                code = _dry_run(store, manner, job, created=created, named=len(entries) > 1)
                if code == INTERRUPTED:
                    return code
                over, worst = over + 1, max(worst, code)
    except KeyboardInterrupt:  # between two of them
        return INTERRUPTED
    finally:
        for job, created in entries[over:]:
            if created and cancelled(store, job.id):
                print(f"job {job.id}, a dry run, is cancelled, too", file=sys.stderr)
    return worst


def _dry_run(store: Store, manner: Manner, job: Job, *, created: bool, named: bool) -> int:
    """Shows it to its end; the exit code. named: it is one of several, whose lines have to be told apart."""
    if named and not manner.as_json:
        print(enqueued_line(job, created=created), flush=True)
    settings = manner.config
    return show_dry_run(
        store,
        settings.state_dir,
        manner.file,
        job,
        settings.transfer.min_free,
        created=created,
        as_json=manner.as_json,
    )
