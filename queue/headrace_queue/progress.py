"""Jobs while they run: a bar for each on a terminal, a line now and then everywhere else."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from headrace_queue.advice import split_advice
from headrace_queue.jobs import Job, Phase
from headrace_queue.pace import Estimate, Pace
from headrace_queue.render import count, ending_line, progress_text, shown, state_text
from headrace_queue.states import FINAL, JobState
from headrace_queue.units import format_bytes, format_rate

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_SECONDS: Final = 10.0
_WORDS: Final = 72
_KEPT: Final = 4
"""Of what is said of a job, what matters so much is never left out."""
_GOES_ON: Final = " goes on"
_SPARE: Final = 2
"""Columns at the end of a line in which a terminal echoes ^C: in the last one it would begin another row."""
_NUMBER: Final = len("job 123")
_SHORTEST_BAR: Final = 6
_LONGEST_BAR: Final = 24
"""Columns: of all that stands beside a bar, and of the bar."""
_NOTHING: Final[Mapping[int, int]] = {}


def progress_line(job: Job, rate: float | None = None, left: Estimate | None = None, moved: int | None = None) -> str:
    """`1,200 of 5,000 objects, 1.2 GiB of 3.4 GiB, 110.0 MiB/s, about 20 s left`, and what it waits for.

    moved: bytes so far with those of objects that are not whole yet; None: only those of whole ones.
    """
    return ", ".join(text for _, text in _progress_parts(job, rate, left, moved))


def fitted_line(
    job: Job, columns: int, rate: float | None = None, left: Estimate | None = None, moved: int | None = None
) -> str:
    """progress_line() in at most so many columns: what matters least is left out, but never what failed, what it waits
    for and what to type."""
    parts = _progress_parts(job, rate, left, moved)
    while len(", ".join(text for _, text in parts)) > columns:
        least = min(parts)
        if least[0] >= _KEPT:
            break
        parts.remove(least)
    line = ", ".join(text for _, text in parts)
    return line if len(line) <= columns else line.removesuffix(_GOES_ON)


def _progress_parts(job: Job, rate: float | None, left: Estimate | None, moved: int | None) -> list[tuple[int, str]]:
    """Each with how much it matters."""
    seen = job.counters
    if job.state is not JobState.RUNNING and not seen.listed:
        return [(_KEPT, f"{state_text(job)}, waits: {shown(job.waiting)}" if job.waiting else state_text(job))]
    parts = [(3, progress_text(job))]
    if seen.planned_bytes and not job.spec.options.dry_run:
        parts.append((1, bytes_text(job, moved)))
    if rate:
        parts.append((0, format_rate(rate)))
    if left is not None:
        parts.append((2, f"{left} left"))
    if seen.failed:
        parts.append((_KEPT, f"{seen.failed:,} FAILED"))
    if job.waiting:
        parts.append((_KEPT, f"waits: {shown(job.waiting)}"))
    if job.state is JobState.PAUSED:
        parts.append((_KEPT, f"paused, `headrace resume {job.id}`{_GOES_ON}"))
    return parts


def bytes_text(job: Job, moved: int | None = None) -> str:
    """`1.2 GiB of at least 3.4 GiB`."""
    seen = job.counters
    so_far = seen.done_bytes if moved is None else min(moved, max(seen.planned_bytes, seen.done_bytes))
    least = "at least " if job.phase is Phase.COPY and job.state not in FINAL else ""
    return f"{format_bytes(so_far)} of {least}{format_bytes(seen.planned_bytes)}"


class Display(Protocol):
    """Shows jobs until it is closed. tick() is called several times a second, update() after every change."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, jobs: Sequence[Job], under_way: Mapping[int, int] = _NOTHING) -> None:
        """under_way: bytes of large objects that are not whole yet, as Store.under_way gives them."""
        ...

    def tick(self) -> None: ...

    def say(self, line: str) -> None:
        """A line of its own, about no single job."""
        ...


class Lines:
    """One line when a job changes its state or begins to wait, and every few seconds while bytes move."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._paces: dict[int, Pace] = {}
        self._said: dict[int, tuple[float, tuple[JobState, str | None], str]] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is out already."""

    def tick(self) -> None:
        """A line is written on a change only: a log does not want one that says the same."""

    def say(self, line: str) -> None:
        self._write(line)

    def update(self, jobs: Sequence[Job], under_way: Mapping[int, int] = _NOTHING) -> None:
        now = self._clock()
        for job in jobs:
            pace = self._paces.setdefault(job.id, Pace())
            pace.add(now, job, under_way.get(job.id, 0))
            said_at, standing, before = self._said.get(job.id, (now - _LINE_SECONDS, None, ""))
            if job.state in FINAL or (standing == (job.state, job.waiting) and now - said_at < _LINE_SECONDS):
                continue  # how it ended is told by whoever waited for it
            text = progress_line(job, pace.rate(now), pace.estimate(job, now), pace.moved)
            if standing == (job.state, job.waiting) and text == before:
                continue
            self._said[job.id] = (now, (job.state, job.waiting), text)
            self._write(f"job {job.id} {job.state}: {text}")


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

    def say(self, line: str) -> None:
        self._write(line)

    def update(self, jobs: Sequence[Job], under_way: Mapping[int, int] = _NOTHING) -> None:
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
        from rich.table import Column

        self._clock = clock
        self._paces: dict[int, Pace] = {}
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, TaskID] = {}
        # a bar is cut at the edge of the terminal: a reason stands in a line of its own above it
        self._waits = Waits(lambda line: self._progress.console.print(line, markup=False, highlight=False))
        console = Console(file=stream)
        # the words come first, to their end, which is the time left; the number of the job is never cut
        room = console.width - _WORDS
        bar = [BarColumn(bar_width=min(room, _LONGEST_BAR))] if room >= _SHORTEST_BAR else []
        self._console, self._bar = console, bar[0].bar_width or 0 if bar else 0
        number = Column(no_wrap=True, min_width=_NUMBER)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=number),
            *bar,
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)

    def update(self, jobs: Sequence[Job], under_way: Mapping[int, int] = _NOTHING) -> None:
        now = self._clock()
        self._waits.update(jobs)
        for job in jobs:
            self._jobs[job.id] = job
            self._paces.setdefault(job.id, Pace()).add(now, job, under_way.get(job.id, 0))
            if job.id not in self._tasks:
                self._tasks[job.id] = self._progress.add_task(f"job {job.id}", total=None, text="")
        self.tick()

    def tick(self) -> None:
        now = self._clock()
        for job_id, job in self._jobs.items():
            pace = self._paces[job_id]
            done, total = bar_position(job, pace.moved)
            left = pace.estimate(job, now)
            if job.waiting:
                job = replace(job, waiting="see above")
            text = state_text(job)
            if job.state not in FINAL:
                text = fitted_line(job, self._room(), pace.rate(now), left, pace.moved)
            self._progress.update(self._tasks[job_id], completed=done, total=total, text=text)

    def _room(self) -> int:
        """Columns beside the number and the bar, each followed by a space."""
        number = max(_NUMBER, *(len(f"job {job_id}") for job_id in self._jobs))
        return self._console.width - number - 1 - (self._bar + 1 if self._bar else 0) - _SPARE


def bar_position(job: Job, moved: int | None = None) -> tuple[int, int | None]:
    """How far, and of how much; None while nobody knows. Bytes, or objects where no object has any. moved: as for
    progress_line."""
    seen = job.counters
    settled = seen.done + seen.failed + seen.vanished + seen.archived
    bytes_so_far = seen.done_bytes if moved is None or job.state in FINAL else min(moved, seen.planned_bytes)
    done, total = (bytes_so_far, seen.planned_bytes) if seen.planned_bytes else (settled, seen.planned)
    if job.state in FINAL:
        return (done, total) if total else (1, 1)
    return done, None if job.phase is Phase.COPY or not total else total


def draws(stream: TextIO) -> bool:
    """Whether what is written there may be drawn over: a terminal, and one that can."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def display_for(stream: TextIO, clock: Callable[[], float], *, plain: bool = False) -> Display:
    """Bars on a terminal, lines elsewhere, and where plain asks for them."""
    if draws(stream) and not plain:
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
