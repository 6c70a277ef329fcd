"""`headrace watch` on a terminal: looks at the queue and the daemon again and again, and draws what it sees.

The alternate screen keeps what stood there before. Keys are read where standard input is a terminal. Everything is put
back however it ends. It draws by itself: the width of every line is known here, so that nothing wraps, and the library
that draws the bars takes 60 ms to load.
"""

import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headrace_queue.client import live_workers_now
from headrace_queue.dashboard_screen import JobView, View, screen
from headrace_queue.errors import UnknownJob
from headrace_queue.following import INTERRUPTED, exit_code, leaving_by_signal, parts_of, print_endings, say_they_go_on
from headrace_queue.job_source import JobSource
from headrace_queue.jobs import Failure, Job, Worker
from headrace_queue.metrics_client import Endpoint, endpoints_of, listen_of, with_rates
from headrace_queue.pace import Pace
from headrace_queue.states import FINAL, JobState
from headrace_queue.terminal_text import is_ascii_only, painted
from headrace_queue.throughput_graph import Throughput

_LOOK_SECONDS: Final = 0.5
_ENDPOINTS_SECONDS: Final = 2.0
_MOST_JOBS: Final = 200
_JUST_ENDED_SECONDS: Final = 60.0
_FAILING: Final = 20
"""Jobs of which failures are read at each look."""
_MOST_MET: Final = 1000
"""Jobs of which is known how they ended, for whoever leaves the screen after weeks."""
_AT_WORK: Final = (JobState.RUNNING, JobState.CANCELLING, JobState.PAUSED)
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_UP: Final = frozenset({"k", "\x1b[A", "\x1bOA"})
_DOWN: Final = frozenset({"j", "\x1b[B", "\x1bOB"})


class Watching:
    """What is known, from look to look. only: the one job to watch. listen: where the daemon tells of its endpoints;
    None: it is on another host. now: seconds since the epoch; clock: of one monotonic clock."""

    def __init__(
        self,
        store: JobSource,
        only: int | None,
        listen: str | None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._only = only
        self._listen = listen
        self._now = now
        self._clock = clock
        self._paces: dict[int, Pace] = {}
        self._throughput = Throughput()
        self._endpoints: list[Endpoint] | None = None
        self._asked: float | None = None
        self._version: int | None = None
        self._jobs: list[Job] = []
        self._parts: dict[int, int] = {}
        self._failures: list[tuple[int, Failure]] = []
        self._more = False
        self.met: dict[int, Job] = {}
        """Every job that was seen, as it was seen last; of those that ended long ago only the newest."""
        self.worst = 0
        """The highest exit code of those that are known no more."""

    def look(self, columns: int) -> View:
        """columns: of the graph. Raises UnknownJob for the one job, also when it is purged meanwhile."""
        now, clock = self._now(), self._clock()
        if (version := self._store.version()) != self._version:  # a daemon on another host is asked now and then
            self._version = version
            self._read(now)
        jobs = [job for job in self._jobs if not self._is_long_over(job, now)]
        for job in jobs:
            self._paces.setdefault(job.id, Pace()).add(clock, job, self._parts.get(job.id, 0))
        self._throughput.add(clock, {job.id: self._paces[job.id].moved for job in jobs})
        workers = live_workers_now(self._store, now)
        self._ask(workers, clock)
        live = [job.state for job in jobs if job.state not in FINAL]
        return View(
            now=now,
            workers=len(workers),
            jobs=[self._view(job, clock) for job in jobs],
            rates=self._throughput.rates(clock, columns),
            endpoints=self._endpoints,
            no_endpoints=self._why_none(workers),
            failures=[(number, failure) for number, failure in self._failures if number in {job.id for job in jobs}],
            depth={state: live.count(state) for state in JobState},
            more=self._more,
            alone=self._only is not None,
        )

    def over(self) -> bool:
        """Whether every job that was seen has ended."""
        return all(job.state in FINAL for job in self.met.values())

    def _read(self, now: float) -> None:
        """All that the queue tells, once more."""
        self._jobs = self._read_jobs(now)
        self.met |= {job.id: job for job in self._jobs}
        self._forget(now)
        self._parts = parts_of(self._store, self._jobs)
        self._failures = self._read_failures(self._jobs)

    def _forget(self, now: float) -> None:
        """What is shown no more, so that a screen may stand for weeks."""
        shown = {job.id for job in self._jobs}
        self._paces = {number: pace for number, pace in self._paces.items() if number in shown}
        self._throughput.forget_all_but(shown)
        over = [number for number, job in self.met.items() if number not in shown or self._is_long_over(job, now)]
        for number in over[: max(len(over) - _MOST_MET, 0)]:
            self.worst = max(self.worst, exit_code([self.met.pop(number)]))

    def _is_long_over(self, job: Job, now: float) -> bool:
        return self._only is None and job.finished is not None and now - job.finished > _JUST_ENDED_SECONDS

    def _read_jobs(self, now: float) -> list[Job]:
        """Those that are not over, first of all those that somebody works on, and those that ended while one watched;
        oldest first."""
        if self._only is not None:
            return [self._store.job(self._only)]
        live: dict[int, Job] = {}
        for states in (_AT_WORK, (JobState.QUEUED,)):
            if room := _MOST_JOBS - len(live):
                live |= {job.id: job for job in self._store.jobs(states, room)}
        self._more = len(live) >= _MOST_JOBS
        for number, job in list(self.met.items()):
            if number in live or self._is_long_over(job, now):
                continue
            try:
                live[number] = self._store.job(number)
            except UnknownJob:
                del self.met[number]  # purged
        return [live[number] for number in sorted(live)]

    def _view(self, job: Job, clock: float) -> JobView:
        pace = self._paces[job.id]
        return JobView(job, pace.moved, pace.rate(clock), pace.estimate(job, clock))

    def _ask(self, workers: list[Worker], clock: float) -> None:
        """The daemon, every now and then."""
        if self._listen is None or (self._asked is not None and clock - self._asked < _ENDPOINTS_SECONDS):
            return
        before, asked = self._endpoints, self._asked
        self._asked = clock
        self._endpoints = endpoints_of(self._listen, workers)
        if self._endpoints is not None and before is not None and asked is not None:
            self._endpoints = with_rates(self._endpoints, before, clock - asked)

    def _why_none(self, workers: list[Worker]) -> str:
        if self._listen is None:
            return "only a daemon on this host tells of them"
        return f"no daemon of this queue answers at {self._listen}" if workers else "no worker is running"

    def _read_failures(self, jobs: list[Job]) -> list[tuple[int, Failure]]:
        """Of jobs that are shown, the newest first."""
        failing = [job.id for job in jobs if job.counters.failed][-_FAILING:]
        rows = [
            (number, job_id, failure)
            for job_id in failing
            for number, failure in self._store.newest_failures(job_id, 10)
        ]
        return [(job_id, failure) for _, job_id, failure in sorted(rows, key=lambda row: row[0], reverse=True)]


def watch_screen(store: JobSource, only: int | None, file: Path | None, *, here: bool) -> int:
    """The screen until q, or until the one job is over; the exit code.

    Of one job: its exit code, or 130 where it goes on. Of all: that of the worst of those that ended meanwhile. here:
    whether the queue is that of this host. Raises UnknownJob.
    """
    watching = Watching(store, only, listen_of(file) if here else None)
    watching.look(1)  # a job that there is not is told on the screen that stood there before
    interrupted = False
    try:
        with leaving_by_signal(), _full_screen() as keys:
            _draw_until_left(watching, keys, only)
    except KeyboardInterrupt:
        interrupted = True
    return _left(watching, only, interrupted)


def _left(watching: Watching, only: int | None, interrupted: bool) -> int:
    """What is said once the screen is gone; the exit code."""
    jobs = list(watching.met.values())
    ended = [job for job in jobs if job.state in FINAL]
    print_endings(ended)
    if (only is not None or interrupted) and len(ended) < len(jobs):
        say_they_go_on(jobs)
        return INTERRUPTED
    return max(watching.worst, exit_code(ended))


def _draw_until_left(watching: Watching, keys: "Keys", only: int | None) -> None:
    stream, first = sys.stdout, 0
    ascii_only, colour = is_ascii_only(stream), not os.environ.get("NO_COLOR")
    drawn: tuple[str, ...] = ()
    while True:
        width, height = shutil.get_terminal_size()
        view = watching.look(width)
        first = min(first, 2 * len(view.jobs))
        lines = screen(_scrolled(view, first), width, height, ascii_only=ascii_only)
        now = (f"{width}x{height}", *(painted(line, colour=colour) for line in lines))
        if now != drawn:
            # cleared before it is written: after a line that fills the row, the cursor stands on its last character
            stream.write("\x1b[H" + "\r\n".join(f"\x1b[K{line}" for line in now[1:]))
            stream.flush()
            drawn = now
        if only is not None and watching.over():
            return
        for key in keys.wait(_LOOK_SECONDS):
            if key in ("q", "Q", "\x1b"):
                return
            first = max(first - 1, 0) if key in _UP else first + 1 if key in _DOWN else first


def _scrolled(view: View, first: int) -> View:
    from dataclasses import replace

    return replace(view, first=first)


class Keys:
    """What is typed, without a wait for the end of a line. fd: None where nobody types."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def wait(self, seconds: float) -> list[str]:
        """The keys of the next moment, of at most so many seconds."""
        if self._fd is None:
            time.sleep(seconds)
            return []
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return []
        try:
            typed = os.read(self._fd, 256)
        except OSError:  # the terminal is gone
            typed = b""
        if not typed:
            self._fd = None  # nobody types any more: it would be ready for ever
        return keys_of(typed.decode("utf-8", "replace"))


def keys_of(text: str) -> list[str]:
    """`q`, or the three characters that an arrow sends, as one."""
    keys: list[str] = []
    while text:
        length = 3 if text[:2] in ("\x1b[", "\x1bO") and len(text) > 2 else 1
        keys.append(text[:length])
        text = text[length:]
    return keys


@contextmanager
def _full_screen() -> Iterator[Keys]:
    """The alternate screen without a cursor, and keys as they are typed; both are put back."""
    import termios
    import tty

    fd = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = termios.tcgetattr(fd) if fd is not None else None
    try:
        if fd is not None:
            tty.setcbreak(fd)
            mode = termios.tcgetattr(fd)
            mode[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the terminal as it is now
            termios.tcsetattr(fd, termios.TCSANOW, mode)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()
        yield Keys(fd)
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        if fd is not None and before is not None:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
