"""Standing by while a worker does the work: --wait, `wait`, `watch`, and the lines of a dry run."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headrace_queue.client import POLL_SECONDS, any_live_worker, follow, named_jobs
from headrace_queue.dry_run_room import room_json, room_lines
from headrace_queue.errors import HeadraceError, IllegalTransition
from headrace_queue.free_space import Reserve
from headrace_queue.job_json import job_json, to_text, warning_of
from headrace_queue.job_source import JobSource
from headrace_queue.jobs import Job
from headrace_queue.progress import Waits, closing_lines, display_for
from headrace_queue.render import report_line, shown, summary_lines
from headrace_queue.report_file import ReportSummary, ReportTail, entry_json, report_path, summary_json
from headrace_queue.states import EXIT_CODE, FINAL, JobState
from headrace_queue.store import Store

INTERRUPTED: Final = 130
PARTS_SECONDS: Final = 1.0


def wait_for(
    store: JobSource,
    pick: Callable[[], list[Job]],
    *,
    quiet: bool = False,
    plain: bool = False,
    meanwhile: Callable[[Sequence[Job]], None] | None = None,
    left: Callable[[Sequence[Job]], None] | None = None,
) -> list[Job] | None:
    """The jobs at their end, with progress on stderr until then; None where the user left with Ctrl-C.

    quiet: no progress, but what a job waits for is said all the same. plain: lines, on a terminal too.
    meanwhile: called between two looks, with the jobs as they were read last. left: says what becomes of them where
    the user left; None: they go on.
    """
    jobs: list[Job] = []
    looked = time.monotonic()
    alive = any_live_worker(store, time.time())
    try:
        with _waits_only() if quiet else display_for(sys.stderr, time.monotonic, plain=plain) as display:

            def pause() -> None:
                nonlocal looked, alive
                display.tick()
                if meanwhile is not None:
                    meanwhile(jobs)
                time.sleep(POLL_SECONDS)
                if time.monotonic() - looked >= PARTS_SECONDS:  # parts change no row of a job, nor does a worker's end
                    looked = time.monotonic()
                    display.update(jobs, parts_of(store, jobs))
                    before, alive = alive, any_live_worker(store, time.time())
                    if alive != before and left is None:  # else this command starts and ends one itself
                        display.say(worker_news(alive))

            for jobs in follow(store, pick, pause):
                display.update(jobs, parts_of(store, jobs))
    except KeyboardInterrupt:
        (left or say_they_go_on)(jobs)
        return None
    return jobs


def worker_news(alive: bool) -> str:
    """What is said when the last worker is gone, or one is back."""
    return "A worker is running now." if alive else "No worker is running any more: nothing moves until one does."


def parts_of(store: JobSource, jobs: Sequence[Job]) -> dict[int, int]:
    """Bytes under way in large objects, of those jobs that may have any."""
    return store.under_way([job.id for job in jobs if job.state not in FINAL and job.started is not None][:500])


def _waits_only() -> Waits:
    return Waits(lambda line: print(line, file=sys.stderr, flush=True))


def say_they_go_on(jobs: Sequence[Job]) -> None:
    """What became of the jobs when the user stopped watching: nothing."""
    for job in jobs:
        if job.state not in FINAL:
            hint = f"`headrace watch {job.id}` looks again, `headrace cancel {job.id}` stops it"
            print(f"\njob {job.id} stays in the queue and goes on without you: {hint}", file=sys.stderr)


def hint_without_worker(store: JobSource, file: Path | None, *, or_here: bool = False) -> None:
    """Says how to start a worker where none is there to take the job up. or_here: the command has --here."""
    if not any_live_worker(store, time.time()):
        hint_how_to_start(file)
        if or_here:
            print("With --here, the command itself does the work.", file=sys.stderr)


def hint_how_to_start(file: Path | None) -> None:
    """What to type where no worker runs. file: the config.toml that was named, for the worker to read it too."""
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
    """How each job ended, on stdout; what is odd about it, on stderr."""
    for line in closing_lines(jobs, time.time()):
        print(line, flush=True)
    warn(jobs)


def warn(jobs: Sequence[Job]) -> None:
    """What is odd about jobs that ended well, on stderr."""
    for job in jobs:
        if warning := warning_of(job):
            print(f"job {job.id}: warning: {shown(warning)}", file=sys.stderr)


def show_dry_run(
    store: Store, state_dir: Path, file: Path | None, job: Job, reserve: Reserve, *, created: bool, as_json: bool
) -> int:
    """Prints what a dry run finds, object by object as it finds it, and a summary; the exit code of its job.

    Where no worker runs, a child process works on it. created: whether the job is this call's own; it is cancelled then
    when the user leaves (Ctrl-C, SIGTERM, SIGHUP) or the child fails, for nobody else would look at what it finds.
    reserve: what stays free at the destination.
    Raises UsageError, QueueError where the child fails.
    """
    from headrace_queue.working_here import WorkHere  # what it needs costs 2 ms, and only a dry run has a child

    run = _DryRun(store, state_dir, job, reserve, as_json)
    work = WorkHere(store, file)
    try:
        with leaving_by_signal():
            run.follow(work.look)
    except KeyboardInterrupt:
        if not created:
            say_they_go_on([run.job])
        elif cancelled(store, job.id):
            print(f"\njob {job.id}, the dry run, is cancelled", file=sys.stderr)
        return INTERRUPTED
    except HeadraceError:
        if created:
            cancelled(store, job.id)
        raise
    finally:
        work.close()
    run.print_end()
    return EXIT_CODE[run.job.state]


def cancelled(store: Store, job_id: int) -> bool:
    """Cancels it; False where it ended, or somebody else cancelled it, before."""
    try:
        store.cancel(job_id)
    except IllegalTransition:
        return False
    return True


@contextmanager
def leaving_by_signal() -> Iterator[None]:
    """SIGTERM and a closed terminal inside it are what Ctrl-C is: KeyboardInterrupt. What is ignored stays ignored."""

    def leave(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


class _DryRun:
    """One dry run, as it is followed. job: as it was read last."""

    def __init__(self, store: Store, state_dir: Path, job: Job, reserve: Reserve, as_json: bool) -> None:
        self.job = job
        self._reserve = reserve
        self._store = store
        self._as_json = as_json
        self._tail = ReportTail(report_path(state_dir, job.id))
        self._summary = ReportSummary()
        self._waits = _waits_only()

    def follow(self, work: Callable[[Sequence[Job]], None]) -> None:
        """To the end of the job. work: called between two looks. Raises what that raises."""

        def pause() -> None:
            self._print_new()
            work([self.job])
            time.sleep(POLL_SECONDS)

        for (latest,) in follow(self._store, named_jobs(self._store, [self.job.id]), pause):
            self.job = latest
            self._waits.update([latest])
        self._print_new()

    def _print_new(self) -> None:
        for entry in self._tail.read():
            self._summary.add(entry)
            print(to_text(entry_json(entry)) if self._as_json else report_line(entry), flush=True)

    def print_end(self) -> None:
        """The summary, and how the job ended."""
        _print_dry_run_end(self.job, self._summary, self._reserve, self._as_json)


def _print_dry_run_end(job: Job, summary: ReportSummary, reserve: Reserve, as_json: bool) -> None:
    if as_json:
        space = room_json(job, reserve) if job.state is not JobState.FAILED else None
        print(to_text({"summary": summary_json(summary), "job": job_json(job, time.time()), "space": space}))
        return
    # what a job would take is not known where its listing broke off
    room = room_lines(job, reserve) if job.state is not JobState.FAILED else []
    for line in [*(summary_lines(summary) if summary.outcomes else []), *room]:
        print(line)
    print_endings([job])
