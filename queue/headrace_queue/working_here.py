"""--here and dry runs: a command does the work itself where no worker runs, one job after the other."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace_queue.client import any_live_worker
from headrace_queue.drain_child import DrainChild
from headrace_queue.errors import QueueError, UsageError
from headrace_queue.following import leaving_by_signal, wait_for
from headrace_queue.jobs import Job
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store
from headrace_queue.units import format_duration


class WorkHere:
    """A child process for one job after the other, wherever no worker is alive to take it. file: as for DrainChild."""

    def __init__(self, store: Store, file: Path | None) -> None:
        self._store = store
        self._file = file
        self._child: DrainChild | None = None
        self._at = 0

    def look(self, jobs: Sequence[Job]) -> None:
        """Called between two looks at these jobs; starts what is to be started.

        Raises UsageError or QueueError where the child failed or left its job unfinished, or none of them can begin.
        """
        if self._child is not None:
            if not self._child.ended():
                return
            self._child.close()
            self._child = None
            self._check_finished()
        # read anew: what the child just ended may be older in the hands of the caller
        left = [job for job in jobs if job.state not in FINAL]
        left = [job for job in (self._store.job(job.id) for job in left) if _can_move(job)]
        if not left or any_live_worker(self._store, time.time()):
            return
        free = next((job for job in left if not self._store.is_held(job.id)), None)
        if free is None:
            others = ", ".join(map(str, left[0].spec.after))
            what, why = f"job {left[0].id}", f"it starts after job {others}, and nobody works on that"
            raise UsageError(what, why, "`headraced drain` works on everything, and ends when nothing is left to do.")
        self._at, self._child = free.id, DrainChild(free.id, self._file, os.environ)

    def _check_finished(self) -> None:
        if _can_move(self._store.job(self._at)) and not any_live_worker(self._store, time.time()):
            why = "`headraced drain` left it unfinished"
            raise QueueError(f"job {self._at}: {why}. `headrace status {self._at}` says more.")

    @property
    def busy(self) -> bool:
        """Whether a child is at work, as far as anybody looked."""
        return self._child is not None

    def close(self) -> None:
        """Waits for the end of the child, whose job is over or cancelled; it is asked for after a few seconds."""
        if self._child is not None:
            self._child.close()

    def stop(self, seconds: float) -> None:
        """Asks the child to finish what is in flight, for so long; a second Ctrl-C ends it at once."""
        if self._child is not None:
            self._child.stop(seconds)


def _can_move(job: Job) -> bool:
    return job.state not in FINAL and job.state is not JobState.PAUSED


def wait_here(
    store: Store, pick: Callable[[], list[Job]], file: Path | None, seconds: float, *, quiet: bool
) -> list[Job] | None:
    """As `wait_for`, and does the work where nobody else does; None where the user left, by Ctrl-C, SIGTERM or SIGHUP.

    seconds: what a worker gets to finish what is in flight. Raises UsageError, QueueError.
    """
    work = WorkHere(store, file)

    def left(jobs: Sequence[Job]) -> None:
        if work.busy:
            within = f"for at most {format_duration(seconds)}"
            print(f"\nfinishing what is in flight, {within}; Ctrl-C again ends it at once", file=sys.stderr)

    try:
        with leaving_by_signal():
            ended = wait_for(store, pick, quiet=quiet, meanwhile=work.look, left=left)
        if ended is not None:
            work.close()
    finally:
        work.stop(seconds)
    if ended is None:
        _say_what_became(pick(), f" --config {file}" if file is not None else "")
    return ended


def _say_what_became(jobs: Sequence[Job], option: str) -> None:
    """Of the jobs of a user who left, as they are once what was in flight has arrived. option: leads to their queue."""
    for job in jobs:
        hint = f"`headraced drain --job {job.id}{option}` goes on with it, `headrace cancel {job.id}{option}` ends it"
        text = f"is {job.state} all the same" if job.state in FINAL else f"stays in the queue: {hint}"
        print(f"job {job.id} {text}", file=sys.stderr)
