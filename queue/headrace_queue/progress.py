"""Jobs while they run: a bar for each on a terminal, a line now and then everywhere else."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from headrace_queue.advice import split_advice
from headrace_queue.jobs import Job, Phase
from headrace_queue.render import count, ending_line, progress_text, shown, state_text
from headrace_queue.states import FINAL, JobState
from headrace_queue.units import format_bytes, format_duration, format_rate

if TYPE_CHECKING:
    from rich.progress import TaskID

_WINDOW_SECONDS: Final = 15.0
_LINE_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 2.0
"""A rate from less than this is that of one burst."""
_BASE_SECONDS: Final = 5.0
_BASE_ARRIVALS: Final = 3
"""What an estimate of the time left needs to stand on: bytes count when an object is whole, so that one large object
looks like nothing for minutes and then like a marvel."""


class RateMeter:
    """Bytes a second over the last few seconds. Times are seconds of one monotonic clock."""

    def __init__(self, window: float = _WINDOW_SECONDS) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, total: int) -> None:
        """total: all bytes so far; a total that went down (a retry) starts anew."""
        if self._samples and total < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, total))
        # the newest sample outside the window stays: the window then begins at it
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()

    def rate(self, now: float) -> float | None:
        """None while there is too little to tell; falls towards 0 while nothing arrives."""
        if len(self._samples) < 2 or now - self._samples[0][0] < _LEAST_SECONDS:
            return None
        return (self._samples[-1][1] - self._samples[0][1]) / (now - self._samples[0][0])

    def steady_rate(self, now: float) -> float | None:
        """The rate where an estimate may stand on it: bytes arrived several times over several seconds; else None."""
        totals = [total for _, total in self._samples]
        arrivals = sum(later > earlier for earlier, later in pairwise(totals))
        if arrivals < _BASE_ARRIVALS or now - self._samples[0][0] < _BASE_SECONDS:
            return None
        return self.rate(now)


def seconds_left(job: Job, rate: float | None) -> float | None:
    """How long it will take at this steady rate; None while the listing goes on, for then nobody knows."""
    if not rate or job.phase is Phase.COPY or job.state is not JobState.RUNNING or job.waiting:
        return None
    return max(job.counters.planned_bytes - job.counters.done_bytes, 0) / rate


def progress_line(job: Job, rate: float | None, steady: float | None = None) -> str:
    """`1,200 of 5,000 objects, 1.2 GiB of 3.4 GiB, 110.0 MiB/s, about 20 s left`, and what it waits for.

    steady: the rate on which an estimate of the time left may stand; none is given without it.
    """
    seen = job.counters
    if job.state is not JobState.RUNNING and not seen.listed:
        return f"{state_text(job)}, waits: {shown(job.waiting)}" if job.waiting else state_text(job)
    parts = [progress_text(job)]
    if seen.planned_bytes and not job.spec.options.dry_run:
        least = "at least " if job.phase is Phase.COPY else ""
        parts.append(f"{format_bytes(seen.done_bytes)} of {least}{format_bytes(seen.planned_bytes)}")
    if rate:
        parts.append(format_rate(rate))
    left = seconds_left(job, steady)
    if left is not None:
        parts.append(f"about {format_duration(left)} left")
    if seen.failed:
        parts.append(f"{seen.failed:,} FAILED")
    if job.waiting:
        parts.append(f"waits: {shown(job.waiting)}")
    if job.state is JobState.PAUSED:
        parts.append(f"paused, `headrace resume {job.id}` goes on")
    return ", ".join(parts)


class Display(Protocol):
    """Shows jobs until it is closed. tick() is called several times a second, update() after every change."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, jobs: Sequence[Job]) -> None: ...

    def tick(self) -> None: ...


class Lines:
    """One line when a job changes its state or begins to wait, and every few seconds while bytes move."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._meters: dict[int, RateMeter] = {}
        self._said: dict[int, tuple[float, tuple[JobState, str | None]]] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is out already."""

    def tick(self) -> None:
        """A line is written on a change only: a log does not want one that says the same."""

    def update(self, jobs: Sequence[Job]) -> None:
        now = self._clock()
        for job in jobs:
            meter = self._meters.setdefault(job.id, RateMeter())
            meter.add(now, job.counters.done_bytes)
            said_at, standing = self._said.get(job.id, (now - _LINE_SECONDS, None))
            if job.state in FINAL or (standing == (job.state, job.waiting) and now - said_at < _LINE_SECONDS):
                continue  # how it ended is told by whoever waited for it
            self._said[job.id] = (now, (job.state, job.waiting))
            self._write(f"job {job.id} {job.state}: {progress_line(job, meter.rate(now), meter.steady_rate(now))}")


class Waits:
    """What a job waits for, in one line for each reason; nothing else."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said: dict[int, str | None] = {}

    def __enter__(self) -> "Waits":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is out already."""

    def tick(self) -> None:
        """A reason is told when it changes."""

    def update(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.waiting and job.waiting != self._said.get(job.id):
                self._write(f"job {job.id} waits: {shown(job.waiting)}")
            self._said[job.id] = job.waiting


class Bars:
    """A bar for each job, drawn by rich; one that knows no end while the listing goes on."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        # rich costs 60 ms to import, and only a terminal needs it
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._clock = clock
        self._meters: dict[int, RateMeter] = {}
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, TaskID] = {}
        # a bar is cut at the edge of the terminal: a reason stands in a line of its own above it
        self._waits = Waits(lambda line: self._progress.console.print(line, markup=False, highlight=False))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream),
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, jobs: Sequence[Job]) -> None:
        now = self._clock()
        self._waits.update(jobs)
        for job in jobs:
            self._jobs[job.id] = job
            self._meters.setdefault(job.id, RateMeter()).add(now, job.counters.done_bytes)
            if job.id not in self._tasks:
                self._tasks[job.id] = self._progress.add_task(f"job {job.id}", total=None, text="")
        self.tick()

    def tick(self) -> None:
        now = self._clock()
        for job_id, job in self._jobs.items():
            done, total = bar_position(job)
            meter = self._meters[job_id]
            rates = meter.rate(now), meter.steady_rate(now)
            if job.waiting:
                job = replace(job, waiting="see above")
            text = state_text(job) if job.state in FINAL else progress_line(job, *rates)
            self._progress.update(self._tasks[job_id], completed=done, total=total, text=text)


def bar_position(job: Job) -> tuple[int, int | None]:
    """How far, and of how much; None while nobody knows. Bytes, or objects where no object has any."""
    seen = job.counters
    settled = seen.done + seen.failed + seen.vanished
    done, total = (seen.done_bytes, seen.planned_bytes) if seen.planned_bytes else (settled, seen.planned)
    if job.state in FINAL:
        return (done, total) if total else (1, 1)
    return done, None if job.phase is Phase.COPY or not total else total


def display_for(stream: TextIO, clock: Callable[[], float]) -> Display:
    """Bars on a terminal, lines elsewhere."""
    if stream.isatty():
        return Bars(stream, clock)
    return Lines(lambda line: print(line, file=stream, flush=True), clock)


def closing_lines(jobs: Sequence[Job], now: float) -> list[str]:
    """How each job ended. now: seconds since the epoch."""
    failed = [job for job in jobs if job.counters.failed]
    return [line for job in jobs for line in _closing(job, now)] + [
        f"{count(job.counters.failed, 'object')} failed: headrace report {job.id} --failed" for job in failed
    ]


def _closing(job: Job, now: float) -> list[str]:
    """How one ended; where it failed as a whole, why and what to do in the form in which every command says it."""
    why, remedy = split_advice(job.error or "")
    told = ((" why:", why), (" do: ", remedy))
    return [ending_line(job, now), *(f" {name} {shown(text)}" for name, text in told if text)]
