"""The screen of `headrace watch`: from what is known to lines of text that fit. Pure.

A narrow terminal gets fewer columns, a low one fewer lines; nothing wraps. No meaning hangs on a colour alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from headrace_queue.jobs import Failure, Job, Phase
from headrace_queue.metrics_client import Endpoint
from headrace_queue.pace import Estimate
from headrace_queue.progress import bar_position, bytes_text
from headrace_queue.render import count, phase_text, progress_text, shown, state_text
from headrace_queue.states import FINAL, JobState
from headrace_queue.terminal_text import Line, Span, cut_line, left, right
from headrace_queue.throughput_graph import graph
from headrace_queue.units import format_duration, format_rate

GRAPH_ROWS: Final = 3
_ERRORS: Final = 5
_NARROW: Final = 44
_TIGHT: Final = {"PROGRESS": 12, "LEFT": 8}
"""Of columns in a terminal that is narrower than that."""
_STYLES: Final = {
    JobState.RUNNING: "cyan",
    JobState.PAUSED: "yellow",
    JobState.DONE: "green",
    JobState.INCOMPLETE: "red",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
}


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as it is shown. moved: bytes so far, with those of objects that are not whole yet."""

    job: Job
    moved: int = 0
    rate: float | None = None
    left: Estimate | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown. now: seconds since the epoch. rates: of the graph, a column each, see Throughput.rates.

    endpoints: None where the daemon cannot be asked, and `no_endpoints` says why. failures: (job, failure), the newest
    first. more: there are more jobs than those. alone: the one job that is watched. first: the row of the table at
    which it begins.
    """

    now: float
    workers: int
    jobs: Sequence[JobView]
    rates: Sequence[float | None] = ()
    slice_seconds: float = 2.0
    endpoints: Sequence[Endpoint] | None = None
    no_endpoints: str = ""
    failures: Sequence[tuple[int, Failure]] = ()
    depth: Mapping[JobState, int] = field(default_factory=dict)
    more: bool = False
    alone: bool = False
    first: int = 0


class _Column(NamedTuple):
    title: str
    width: int
    right: bool
    least: int  # the width of a terminal that has room for it


_COLUMNS: Final = (
    _Column("JOB", 4, True, 0),
    _Column("STATE", 10, False, 0),
    _Column("PROGRESS", 14, False, 0),
    _Column("OBJECTS", 22, False, 110),
    _Column("BYTES", 22, False, 80),
    _Column("RATE", 11, True, 56),
    _Column("LEFT", 9, True, 0),
    _Column("ROUTE", 0, False, 130),
)
"""ROUTE takes what is left of the line."""


def screen(view: View, width: int, height: int, *, ascii_only: bool) -> list[Line]:
    """At most `height` lines of at most `width` columns; the last one names the keys."""
    paint = _Screen(view, max(width, 20), ascii_only)
    foot = [*_gap(paint.endpoints()), *_gap(paint.failures())]
    head = [paint.header(), *paint.throughput(GRAPH_ROWS if height >= 20 else 1 if height >= 12 else 0)]
    body = paint.detail() if view.alone and view.jobs else paint.table()
    room = max(height - 1 - len(head), 1)
    least = min(len(body), max(room // 2, 4))
    foot = foot[: max(room - least, 0)]
    body = paint.cut_body(body, room - len(foot))
    lines: list[Line] = [*head, *body, *foot]
    lines = lines[: height - 1]
    lines += [[Span("")]] * (height - 1 - len(lines))
    return [cut_line(line, width, ascii_only=ascii_only) for line in [*lines, paint.keys()]]


def _gap(lines: list[Line]) -> list[Line]:
    return [[Span("")], *lines] if lines else []


class _Screen:
    """The parts of one screen."""

    def __init__(self, view: View, width: int, ascii_only: bool) -> None:
        self._view = view
        self._width = width
        self._ascii = ascii_only

    def header(self) -> Line:
        view = self._view
        now = datetime.fromtimestamp(view.now).astimezone().strftime("%H:%M:%S")
        known = {state: number for state, number in view.depth.items() if number and state not in FINAL}
        jobs = ", ".join(f"{number:,} {state}" for state, number in known.items()) or "no job under way"
        jobs += " and more" if view.more else ""
        workers = Span(count(view.workers, "worker") if view.workers else "NO WORKER", "" if view.workers else "red")
        return [Span("Headrace", "bold"), Span(f" {now}  "), workers, Span(f"  {jobs}")]

    def throughput(self, rows: int) -> list[Line]:
        """A line of numbers, and a graph of so many rows; nothing where there is room for none."""
        view = self._view
        if not rows:
            return []
        known = [rate for rate in view.rates if rate is not None]
        numbers = "Throughput: nothing moved yet"
        if any(known):
            span = format_duration(min(len(known), self._width) * view.slice_seconds)
            numbers = f"Throughput, last {span}: {format_rate(known[-1])} now, {format_rate(max(known))} at most"
        rates = view.rates[-self._width :]
        return [[Span(numbers)], *([Span(line, "cyan")] for line in graph(rates, rows, ascii_only=self._ascii))]

    # -- the table ----------------------------------------------------------------------------------------------------

    def table(self) -> list[Line]:
        """A row for each job, and one below it for what it waits for."""
        columns = [column for column in _COLUMNS if column.least <= self._width]
        if self._width < _NARROW:
            columns = [column._replace(width=_TIGHT.get(column.title, column.width)) for column in columns]
        # no number is cut, whatever else has to give way
        digits = max((len(str(one.job.id)) for one in self._view.jobs), default=0)
        columns[0] = columns[0]._replace(width=max(columns[0].width, digits))
        heading = "  ".join(self._cell(column, column.title) for column in columns)
        lines: list[Line] = [[Span(heading, "bold")]]
        if not self._view.jobs:
            return [*lines, [Span("No job is under way. `headrace sync SRC DST` enqueues one.")]]
        for one in self._view.jobs:
            lines.append(self._row(one, columns))
            if one.job.waiting and one.job.state not in FINAL:
                lines.append([Span(f"      waits: {shown(one.job.waiting)}", "yellow")])
        return lines

    def cut_body(self, body: list[Line], room: int) -> list[Line]:
        """As many rows as there is room for, from `first` on; the heading stays, and what is left out is counted."""
        if len(body) <= room or self._view.alone:
            return body[:room]
        rows, room = body[1:], max(room - 2, 1)
        first = min(max(self._view.first, 0), max(len(rows) - room, 0))
        hidden = len(rows) - room
        return [body[0], *rows[first : first + room], [Span(f"      {hidden:,} more lines: up and down", "dim")]]

    def _row(self, one: JobView, columns: Sequence[_Column]) -> Line:
        cells = []
        for column in columns:
            text = self._text(one, column.title)
            style = _STYLES.get(one.job.state, "") if column.title == "STATE" else ""
            cells += [Span(self._cell(column, text), style), Span("  ")]
        return cells[:-1]

    def _cell(self, column: _Column, text: str) -> str:
        if not column.width:
            return text
        return (right if column.right else left)(text, column.width, ascii_only=self._ascii)

    def _text(self, one: JobView, title: str) -> str:
        job = one.job
        if title == "JOB":
            return str(job.id)
        if title == "STATE":
            return "FAILED" if job.state is JobState.FAILED else str(job.state)
        if title == "PROGRESS":
            return self._bar(one, 6 if self._width < _NARROW else 8)
        if title == "RATE":
            return format_rate(one.rate) if one.rate and job.state not in FINAL else ""
        if title == "LEFT":
            return one.left.short if one.left is not None else ""
        if title == "ROUTE":
            return f"{shown(job.spec.source)} -> {shown(job.spec.destination)}"
        if job.started is None:
            return ""
        if title == "OBJECTS":
            return progress_text(job)
        return _short_bytes(bytes_text(job, one.moved)) if job.counters.planned_bytes else ""

    def _bar(self, one: JobView, width: int) -> str:
        """`█████░░░  62 %`; in words where nobody knows how much there is."""
        job = one.job
        if job.started is None:
            return ""
        done, total = bar_position(job, one.moved)
        if job.spec.options.dry_run and job.state not in FINAL:
            return "dry run"
        if total is None:
            return "listing" if job.phase is Phase.COPY else "deleting" if job.phase is Phase.DELETE else ""
        share = min(done / total, 1.0)
        full = int(share * width)
        filled, empty = ("#", ".") if self._ascii else ("█", "░")
        # 100 % is said of what is whole, and of nothing else
        return f"{filled * full}{empty * (width - full)} {int(share * 100):>3} %"

    # -- one job ------------------------------------------------------------------------------------------------------

    def detail(self) -> list[Line]:
        """Of the one job that is watched."""
        one = self._view.jobs[0]
        job, seen = one.job, one.job.counters
        state = state_text(job) + (f": {phase_text(job)}" if job.state is JobState.RUNNING else "")
        left_text = f", {one.left} left" if one.left is not None else ""
        rate = f", {format_rate(one.rate)}" if one.rate and job.state not in FINAL else ""
        extras = (
            (seen.listed, "listed"),
            (seen.unchanged, "unchanged"),
            (seen.excluded, "excluded"),
            (seen.deleted, "deleted"),
            (seen.vanished, "vanished"),
            (seen.archived, "archived"),
            (seen.failed, "FAILED"),
        )
        fields = (
            (f"Job {job.id}", state),
            ("from", shown(job.spec.source)),
            ("to", shown(job.spec.destination)),
            ("progress", self._bar(one, 20)),
            ("objects", progress_text(job) if job.started is not None else ""),
            ("bytes", f"{bytes_text(job, one.moved)}{rate}{left_text}" if job.started is not None else ""),
            ("so far", ", ".join(f"{number:,} {text}" for number, text in extras if number)),
            ("waits", shown(job.waiting or "")),
            ("note", shown(job.note or "")),
        )
        return [[Span(f"{name:<10}", "dim"), Span(text)] for name, text in fields if text]

    # -- below --------------------------------------------------------------------------------------------------------

    def endpoints(self) -> list[Line]:
        """A row for each, or why there is none."""
        view, narrow = self._view, self._width < 60
        if view.endpoints is None:
            return [[Span(f"Endpoints: {view.no_endpoints}", "dim")]] if view.no_endpoints else []
        if not view.endpoints:
            return [[Span("Endpoints: none in use yet", "dim")]]
        room = self._width - (22 if narrow else 44)
        titles = ("STATE", "REQ/S") if narrow else ("STATE", "IN FLIGHT", "REQ/S", "ERRORS")
        widths = (9, 9) if narrow else (9, 9, 9, 9)
        head = left("ENDPOINT", room, ascii_only=self._ascii)
        lines: list[Line] = [
            [Span(head + "".join(f"  {left(*pair)}" for pair in zip(titles, widths, strict=True)), "bold")]
        ]
        for one in view.endpoints:
            rate = "" if one.request_rate is None else f"{one.request_rate:,.1f}"
            state = "healthy" if one.healthy else "SET ASIDE"
            texts = (state, rate) if narrow else (state, f"{one.in_flight} of {one.limit}", rate, f"{one.errors:,}")
            cells = "".join(f"  {left(*pair, ascii_only=self._ascii)}" for pair in zip(texts, widths, strict=True))
            name = left(f"{one.remote} {one.url}", room, ascii_only=self._ascii)
            lines.append([Span(name + cells, "" if one.healthy else "red")])
        return lines

    def failures(self) -> list[Line]:
        """The newest first."""
        if not self._view.failures:
            return []
        lines: list[Line] = [[Span("NEWEST ERRORS", "bold")]]
        for number, failure in self._view.failures[:_ERRORS]:
            key = shown(failure.item.key) or "(the source itself)"
            lines.append(
                [Span(f"{number:>4}  ", "red"), Span(f"{shown(failure.error)}: {key}  {shown(failure.message)}")]
            )
        return lines

    def keys(self) -> Line:
        over = all(one.job.state in FINAL for one in self._view.jobs)
        said = "q quit   up/down scroll" if not self._view.alone else "q quit; the job goes on"
        if over and self._view.jobs and not self._view.alone:
            said = "q quit   every job is over"
        return [Span(said, "dim")]


def _short_bytes(text: str) -> str:
    """`1.2 of 3.4 GiB`, `1.2 of >3.4 GiB` while the listing goes on."""
    done, _, planned = text.replace("at least ", ">").partition(" of ")
    number, _, unit = done.partition(" ")
    return f"{number} of {planned}" if planned.endswith(f" {unit}") else f"{done} of {planned}"
