"""From requests to jobs in the queue, and how a command goes on then: `sync`, `copy`, `archive` and `run` alike."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.client import any_live_worker, named_jobs
from headrace_queue.collisions import enqueue_all
from headrace_queue.following import (
    INTERRUPTED,
    exit_code,
    hint_without_worker,
    print_endings,
    show_dry_run,
    wait_for,
)
from headrace_queue.job_json import entry_json, to_text
from headrace_queue.jobs import JobSpec
from headrace_queue.overlap import Services
from headrace_queue.render import enqueued_line
from headrace_queue.store import Store, open_store
from headrace_queue.submit import Request, copy_job

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.over_http import Server

Shape: TypeAlias = Callable[[list[dict[str, Any]]], dict[str, Any]]
"""From the JSON of each job to what is printed: one object, or for `run` a list in one."""


@dataclass(frozen=True)
class Manner:
    """How the command goes on once the jobs are made. server: where they are enqueued, None for the queue here."""

    file: Path | None
    wait: bool
    as_json: bool
    server: "Server | None"

    @cached_property
    def config(self) -> "Config":
        # the models cost 80 ms to import, and only these commands need them, on the host of the queue
        from headrace_queue.config import load_config

        return load_config(self.file)


def manner_of(context: typer.Context, config: Path | None, wait: bool, as_json: bool) -> Manner:
    return Manner(given.config_file(context, config), wait, as_json, given.server_of(context))


def submit_one(
    make: Callable[["Config", str, str, Request], JobSpec],
    source: str,
    destination: str,
    asked: Request,
    manner: Manner,
) -> int:
    if manner.server is not None:
        from headrace_queue.over_http_submit import submit_there

        kind = "copy" if make is copy_job else "sync"
        return submit_there(manner.server, kind, source, destination, asked, wait=manner.wait, as_json=manner.as_json)
    spec = make(manner.config, source, destination, asked)
    with closing(open_store(manner.config.queue_url)) as store:
        return submit(store, [spec], manner, lambda entries: entries[0])


def submit(store: Store, specs: Sequence[JobSpec], manner: Manner, shape: Shape) -> int:
    """Enqueues all of them in one commit, and goes on as asked; the exit code."""
    entries = enqueue_all(store, specs, Services(manner.config.remotes))
    jobs = [job for job, _ in entries]
    if specs[0].options.dry_run:
        return max(
            show_dry_run(
                store,
                manner.config.state_dir,
                manner.file,
                job,
                manner.config.transfer.min_free,
                created=created,
                as_json=manner.as_json,
            )
            for job, created in entries
        )
    live_worker = any_live_worker(store, time.time())
    if not manner.as_json:
        for job, created in entries:
            print(enqueued_line(job, created=created), flush=True)
        hint_without_worker(store, manner.file)
    if manner.wait:
        ended = wait_for(store, named_jobs(store, [job.id for job in jobs]), quiet=manner.as_json)
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
