"""Which jobs and which lines of a report are listed, and in which order."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace_queue.errors import UsageError
from headrace_queue.job_selection import JobFilter, JobOrder, chosen_jobs, fits, job_filter
from headrace_queue.jobs import Counters, Job, JobSpec, Kind, Phase
from headrace_queue.report_file import ReportEntry
from headrace_queue.report_selection import MOST_SORTED, OUTCOMES, ReportFilter, ReportOrder, chosen_lines, outcomes_of
from headrace_queue.states import JobState

NOW = 1_000_000.0


def make(number: int) -> Job:
    """The higher the number, the newer; bytes and durations go the other way."""
    spec = JobSpec(
        Kind.SYNC, f"s3://b/{number}/", f"/data/{number}", labels=(("dataset", f"d{number % 2}"), ("n", "1"))
    )
    state = JobState.DONE if number % 3 else JobState.FAILED
    made = NOW - 1000 + number
    return Job(number, spec, state, Phase.DONE, Counters(done_bytes=10**6 - number), made, made, NOW, None, None)


JOBS = [make(number) for number in range(1200, 0, -1)]


def page(states: Sequence[JobState], limit: int, before: int | None) -> list[Job]:
    found = [job for job in JOBS if (before is None or job.id < before) and (not states or job.state in states)]
    return found[:limit]


def ids(order: JobOrder = JobOrder.ID, wanted: JobFilter | None = None, limit: int = 3, **more: bool) -> list[int]:
    return [job.id for job in chosen_jobs(page, wanted or JobFilter(), order, limit, None, NOW, **more)]


def test_order_and_limit() -> None:
    assert ids() == [1200, 1199, 1198]
    assert ids(reverse=True) == [1, 2, 3]
    assert ids(JobOrder.CREATED) == [1200, 1199, 1198]
    assert ids(JobOrder.BYTES) == [1, 2, 3]
    assert ids(JobOrder.BYTES, reverse=True) == [1200, 1199, 1198]
    assert ids(JobOrder.DURATION) == [1, 2, 3]
    assert ids(JobOrder.STATE) == [1199, 1198, 1196], "done before failed"
    assert ids(JobOrder.STATE, reverse=True) == [3, 6, 9]
    assert len(ids(limit=1100)) == 1100, "over several pages"


def test_filters_hold_all_together() -> None:
    def chosen(**given: str) -> list[int]:
        values = dict.fromkeys(("dataset", "source", "destination", "since"), None) | given
        return ids(wanted=job_filter([], [], **values, now=NOW), limit=2)

    assert chosen(dataset="d1") == [1199, 1197]
    assert chosen(source="b/77") == [779, 778]
    assert chosen(source="s3://b/77*") == [779, 778]
    assert chosen(destination="/data/7?") == [79, 78]
    assert chosen(destination="/7?") == [], "a pattern has to match all of it"
    assert len(ids(wanted=JobFilter(since=NOW - 1000 + 1190), limit=100)) == 11
    assert chosen(since="1h", dataset="d0") == [1200, 1198]
    assert ids(wanted=job_filter([JobState.FAILED], ["n=1", "dataset=d1"], None, None, None, None, NOW)) == [
        1197,
        1191,
        1185,
    ]


def test_a_page_is_no_larger_than_it_has_to_be() -> None:
    asked: list[int] = []

    def counting(states: Sequence[JobState], limit: int, before: int | None) -> list[Job]:
        asked.append(limit)
        return page(states, limit, before)

    assert len(chosen_jobs(counting, JobFilter(), JobOrder.ID, 20, None, NOW)) == 20
    assert asked == [20]


def test_wrong_filters_are_told() -> None:
    with pytest.raises(UsageError, match="not of the form"):
        job_filter([], ["x"], None, None, None, None, NOW)
    with pytest.raises(UsageError, match="no duration"):
        job_filter([], [], None, None, None, "soon", NOW)


@pytest.mark.parametrize(
    ("pattern", "text", "yes"),
    [
        (None, "a", True),
        ("b", "abc", True),
        ("x", "abc", False),
        ("a*", "abc", True),
        ("b*", "abc", False),
        ("*b*", "a/b/c", True),
    ],
)
def test_a_pattern_fits(pattern: str | None, text: str, yes: bool) -> None:
    assert fits(pattern, text) is yes


ENTRIES = [
    ReportEntry("b", "transferred", 10, seconds=1.0),
    ReportEntry("a/x", "failed", 30, seconds=2.0, attempts=5, error="io", message="The disk is gone"),
    ReportEntry("c", "would_transfer", 20),
]


def keys(order: ReportOrder | None = None, limit: int | None = None, reverse: bool = False, **wanted: Any) -> list[str]:
    chosen = chosen_lines(ENTRIES, ReportFilter(**wanted), order, limit, reverse=reverse)
    return [entry.key for entry in chosen]


def test_lines_are_filtered_and_sorted() -> None:
    assert keys() == ["b", "a/x", "c"]
    assert keys(limit=2) == ["b", "a/x"]
    assert keys(failed=True) == keys(error="io") == keys(error="DISK") == keys(key="a*") == ["a/x"]
    assert keys(outcomes=outcomes_of(["transferred", "would transfer"])) == ["b", "c"]
    assert keys(ReportOrder.KEY) == ["a/x", "b", "c"]
    assert keys(ReportOrder.KEY, reverse=True) == ["c", "b", "a/x"]
    assert keys(ReportOrder.SIZE, 2) == ["a/x", "c"]
    assert keys(ReportOrder.SIZE, 2, reverse=True) == ["b", "c"]
    assert keys(ReportOrder.RATE, 1) == keys(ReportOrder.ATTEMPTS, 1) == keys(ReportOrder.SECONDS, 1) == ["a/x"]
    with pytest.raises(UsageError, match="no line of a report"):
        outcomes_of(["transfered"])


def test_what_is_not_sorted_is_read_line_by_line() -> None:
    def endless() -> Iterator[ReportEntry]:
        while True:
            yield ENTRIES[0]

    lines = chosen_lines(endless(), ReportFilter(), None, None)
    assert next(lines).key == "b"


def test_what_would_take_memory_without_end_is_refused() -> None:
    many = (replace(ENTRIES[0], bytes=number) for number in range(MOST_SORTED + 1))
    with pytest.raises(UsageError, match="Add --limit"):
        next(chosen_lines(many, ReportFilter(), ReportOrder.SIZE, None))
    many = (replace(ENTRIES[0], bytes=number) for number in range(MOST_SORTED + 1))
    assert next(chosen_lines(many, ReportFilter(), ReportOrder.SIZE, 1)).bytes == MOST_SORTED


def test_every_word_of_a_report_can_be_asked_for() -> None:
    """Those that the daemon writes, as its code names them, and those that the report's own page tells of."""
    daemon = Path(__file__).parents[2] / "daemon" / "headrace_daemon"
    written = {
        word for file in daemon.rglob("*.py") for word in re.findall(r'\bOutcome\(\s*"(\w+)"', file.read_text("utf-8"))
    }
    assert len(written) > 5
    assert written <= OUTCOMES
    assert [word for word in OUTCOMES if word not in (ReportEntry.__doc__ or "")] == []
