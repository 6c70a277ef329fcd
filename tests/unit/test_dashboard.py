"""The screen of `headrace watch`: it fits every terminal, and says the same without colours."""

from dataclasses import replace

import pytest

from headrace_queue.dashboard import keys_of
from headrace_queue.dashboard_screen import JobView, View, screen
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, Options, Phase
from headrace_queue.metrics_client import Endpoint
from headrace_queue.pace import Estimate
from headrace_queue.states import JobState
from headrace_queue.terminal_text import Span, cells, cut, cut_line, left, painted, plain, right
from headrace_queue.throughput_graph import Throughput, graph
from tests.support.snapshots import check

NOW = 1_000_000.0
MIB = 2**20
GIB = 2**30


def make(number: int = 7, state: JobState = JobState.RUNNING, **counts: int) -> Job:
    spec = JobSpec(Kind.SYNC, "lake://b/p/", "/data/漢字", Options())
    started = None if state is JobState.QUEUED else NOW - 20
    return Job(number, spec, state, Phase.DONE, Counters(**counts), NOW - 60, started, None, None, None)


HALF = JobView(make(planned=4, planned_bytes=4 * MIB, done=2, done_bytes=2 * MIB), 3 * MIB, MIB, Estimate(60, 300))
WAITS = JobView(replace(make(8, JobState.RUNNING), phase=Phase.COPY, waiting="no endpoint answers " * 9))
QUEUED = JobView(make(123456, JobState.QUEUED))
FULL = View(
    now=NOW,
    workers=1,
    jobs=[HALF, WAITS, QUEUED],
    rates=[None, 0.0, 1.0 * MIB] * 60,
    endpoints=[
        Endpoint("lake", "https://a.example.org:8443", True, 1, 64, 100, 0, 1234.5),
        Endpoint("lake", "b", False),
    ],
    failures=[(7, Failure(Item("a\x1bb/漢字" * 20, 1, 0), "io", "no"))] * 9,
    depth={JobState.RUNNING: 2, JobState.QUEUED: 1},
)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("height", [5, 10, 20, 24, 60])
@pytest.mark.parametrize("width", [20, 40, 44, 56, 60, 80, 100, 110, 132, 200])
def test_nothing_wraps_and_every_line_has_its_place(width: int, height: int, alone: bool) -> None:
    for ascii_only in (False, True):
        lines = screen(replace(FULL, alone=alone), width, height, ascii_only=ascii_only)
        assert len(lines) == height
        assert max(cells(plain(line)) for line in lines) <= width
        assert "\x1b" not in "".join(map(plain, lines))
        if ascii_only:
            known = "".join(map(plain, lines)).replace("漢字", "").replace("漢", "")
            assert known.isascii()


def text(view: View, width: int = 100, height: int = 30) -> str:
    return "\n".join(map(plain, screen(view, width, height, ascii_only=False)))


def test_a_row_tells_how_far_it_is_with_the_parts_under_way() -> None:
    shown = text(FULL)
    assert "7 running ██████░░ 75 % 3.0 of 4.0 MiB 1.0 MiB/s 1-5 min" in " ".join(shown.split())
    assert "      waits: no endpoint answers" in shown
    assert "1 worker  2 running, 1 queued" in shown


@pytest.mark.parametrize("width", [40, 80])
def test_the_number_of_a_job_is_never_cut(width: int) -> None:
    rows = [line for line in text(FULL, width).splitlines() if line.startswith("123456  queued")]
    assert len(rows) == 1
    assert f"{7:>6}  running" in text(FULL, width)


def test_jobs_that_are_left_out_are_told_of() -> None:
    assert "2 running, 1 queued and more" in text(replace(FULL, more=True))


def test_the_page_shows_a_busy_day() -> None:
    """What docs/terminal.md begins with."""
    listing = replace(
        make(13, planned=800, planned_bytes=20 * GIB, done=120, done_bytes=2 * GIB, listed=90_000), phase=Phase.COPY
    )
    down = Endpoint("snow", "https://10.0.0.12:8443", False, 0, 64, 900, 12, 0.0)
    view = View(
        now=NOW,
        workers=2,
        jobs=[
            JobView(
                make(12, planned=5000, planned_bytes=400 * GIB, done=2400, done_bytes=210 * GIB, failed=1),
                212 * GIB,
                310.0 * MIB,
                Estimate(600, 780),
            ),
            JobView(listing, 2 * GIB, 95.0 * MIB, Estimate(190, None)),
            JobView(replace(make(14, JobState.QUEUED), waiting="for job 12")),
            JobView(make(11, JobState.DONE, planned=9, planned_bytes=GIB, done=9, done_bytes=GIB), GIB),
        ],
        rates=[None] * 30 + [(200 + 40 * (place % 7) + 3 * place) * MIB for place in range(50)],
        endpoints=[Endpoint("snow", "https://10.0.0.11:8443", True, 48, 64, 90_000, 0, 42.5), down],
        failures=[(12, Failure(Item("2024/scene-017.tif", 1, 0), "access_denied", "AccessDenied: Access Denied"))],
        depth={JobState.QUEUED: 1, JobState.RUNNING: 2},
    )
    check("watch-full", map(plain, screen(view, 80, 22, ascii_only=False)))


def test_what_is_not_known_is_said() -> None:
    none = replace(FULL, workers=0, endpoints=None, no_endpoints="no worker is running", rates=[None] * 9, jobs=[])
    shown = text(none)
    for words in ("NO WORKER", "Endpoints: no worker is running", "nothing moved yet", "No job is under way"):
        assert words in shown


def test_a_hundred_percent_is_said_of_what_is_whole() -> None:
    nearly = JobView(make(planned=1000, planned_bytes=1000, done=999, done_bytes=999), 999)
    assert " 99 %" in text(replace(FULL, jobs=[nearly]))


def test_more_jobs_than_fit_can_be_scrolled_to() -> None:
    many = replace(FULL, jobs=[JobView(make(number, JobState.QUEUED)) for number in range(1, 41)], failures=())
    first = text(many, height=24)
    assert "   1  queued" in first
    assert "more lines: up and down" in first
    assert "  40  queued" in text(replace(many, first=99), height=24)


def test_every_job_is_over() -> None:
    over = replace(FULL, jobs=[JobView(make(1, JobState.DONE))])
    assert text(over).endswith("q quit   every job is over")


def test_keys_come_one_by_one() -> None:
    assert keys_of("q") == ["q"]
    assert keys_of("\x1b[A\x1bOBj\x1b") == ["\x1b[A", "\x1bOB", "j", "\x1b"]


# -- text of a known width ---------------------------------------------------------------------------------------------


def test_width_is_counted_in_cells() -> None:
    assert (cells("abc"), cells("漢字"), cells("e\u0301")) == (3, 4, 1)
    assert (cut("漢字漢字", 5), cut("abc", 3), cut("abcd", 3), cut("abcd", 0)) == ("漢字…", "abc", "ab…", "")
    assert cut("abcd", 3, ascii_only=True) == "ab~"
    assert (left("漢", 4), right("ab", 4)) == ("漢  ", "  ab")
    assert plain(cut_line([Span("abc"), Span("defg", "red"), Span("h")], 5)) == "abcd…"


def test_colour_is_never_needed() -> None:
    line = [Span("a", "red"), Span("b")]
    assert painted(line, colour=False) == "ab"
    assert painted(line, colour=True) == "\x1b[31ma\x1b[0mb"


# -- throughput --------------------------------------------------------------------------------------------------------


def test_throughput_counts_what_came_since_the_last_look() -> None:
    seen = Throughput(2.0)
    assert seen.rates(0, 2) == [None, None]
    for second, total in ((0, 1000), (1, 1000), (2, 1100), (3, 1300), (4, 1300), (6, 1900)):
        seen.add(second, {7: total})
    assert seen.rates(8, 5) == [None, None, 150.0, 0.0, 300.0], "the first slice was not seen from its start"
    seen.add(8, {7: 100, 8: 5000})
    assert seen.rates(10, 1) == [0.0], "a retry, and a job that was there before"


def test_the_graph_is_as_high_as_its_highest_rate() -> None:
    assert graph([None, 0.0, 1.0, 50.0, 100.0], 1, ascii_only=False) == ["  ▁▄█"]
    assert graph([0.0, 50.0, 100.0], 2, ascii_only=True) == ["  @", " @@"]
    assert graph([None, None], 2, ascii_only=False) == ["  ", "  "]
