"""How fast a job gets on, and when an estimate of the time left is honest."""

from dataclasses import replace
from typing import Any

import pytest

from headrace_queue.jobs import Counters, Job, JobSpec, Kind, Options, Phase
from headrace_queue.pace import Estimate, Pace, RateMeter
from headrace_queue.states import JobState

MIB = 2**20


def make(phase: Phase = Phase.DONE, **counts: int) -> Job:
    spec = JobSpec(Kind.SYNC, "s3://b/p/", "/data", Options())
    return Job(7, spec, JobState.RUNNING, phase, Counters(**counts), 0.0, 0.0, None, None, None)


def test_the_rate_is_that_of_the_last_seconds_and_falls_when_nothing_comes() -> None:
    meter = RateMeter(window=10)
    meter.add(0, 0)
    assert meter.rate(0) is None
    meter.add(1, 100)
    assert meter.rate(1) is None, "one burst in the first second says nothing"
    assert meter.rate(2) == 50
    assert meter.rate(4) == 25
    for second in range(2, 31):
        meter.add(second, 100 + 10 * second)
    assert meter.rate(30) == 10
    meter.add(31, 0)
    assert meter.rate(40) is None


def test_an_estimate_needs_several_arrivals_over_several_seconds() -> None:
    meter = RateMeter(window=15)
    meter.add(0, 0)
    for second in (1, 2, 3):
        assert meter.steady_rate(second) is None
        meter.add(second, 100 * second)
    assert meter.steady_rate(3) is None, "three, within three seconds"
    assert meter.steady_rate(6) == 50
    rare = RateMeter(window=15)
    for second, total in ((0, 0), (100, 10**9), (101, 10**9), (115, 10**9)):
        rare.add(second, total)
    assert rare.steady_rate(116) is None, "one large object says nothing of when the next one is whole"


def moving(seconds: int, a_second: int = MIB, phase: Phase = Phase.DONE, pace: Pace | None = None) -> tuple[Pace, Job]:
    """A job of 1,000 objects of a MiB, of which so many arrive each second from the start."""
    pace = pace or Pace()
    job = make(phase)
    for second in range(seconds + 1):
        done = second * a_second // MIB
        job = make(phase, planned=1000, planned_bytes=1000 * MIB, done=done, done_bytes=done * MIB)
        pace.add(second, job)
    return pace, job


def test_a_steady_job_is_estimated_by_what_is_left() -> None:
    pace, job = moving(200)
    assert pace.rate(200) == MIB
    assert pace.estimate(job, 200) == Estimate(800.0, 800.0)
    assert str(pace.estimate(job, 200)) == "about 13 min"


def test_while_the_listing_goes_on_there_is_only_a_lower_bound() -> None:
    pace, job = moving(200, phase=Phase.COPY)
    assert pace.estimate(job, 200) == Estimate(800.0, None)


def test_a_rate_that_changed_gives_a_range() -> None:
    pace, job = moving(105)
    for second in range(106, 121):  # half as fast for as long as the short window is
        job = make(
            planned=1000,
            planned_bytes=1000 * MIB,
            done=105 + (second - 105) // 2,
            done_bytes=job.counters.done_bytes + MIB // 2,
        )
        pace.add(second, job)
    estimate = pace.estimate(job, 120)
    assert estimate is not None
    assert estimate.most is not None
    assert estimate.least < 1000 < estimate.most
    assert str(estimate) == "16 to 32 min"


@pytest.mark.parametrize(
    "change",
    [
        {"state": JobState.PAUSED},
        {"state": JobState.QUEUED},
        {"waiting": "no endpoint answers"},
        {"spec": JobSpec(Kind.SYNC, "s3://b/p/", "/data", Options(dry_run=True))},
    ],
)
def test_a_job_that_does_not_move_has_no_end_in_sight(change: dict[str, Any]) -> None:
    pace, job = moving(200)
    assert pace.estimate(replace(job, **change), 200) is None


def test_what_is_too_uncertain_is_not_said() -> None:
    """Within the last seconds a hundredth of what it was: any range would span days."""
    pace, job = moving(100, a_second=9 * MIB)
    done = job.counters.done_bytes
    for second in range(101, 117):
        done += MIB // 50
        job = replace(job, counters=replace(job.counters, done_bytes=done))
        pace.add(second, job)
    assert pace.estimate(job, 116) is None


def test_many_small_objects_at_the_end_are_not_forgotten() -> None:
    """Of the bytes all but one are there; the objects say how long it takes."""
    pace = Pace()
    job = make()
    for second in range(31):
        job = make(planned=1000, planned_bytes=10**9, done=second, done_bytes=10**9 - 1000 + second)
        pace.add(second, job)
    assert pace.estimate(job, 30) == Estimate(970.0, 970.0)


def test_the_parts_of_a_large_object_count_while_it_is_under_way() -> None:
    pace = Pace()
    job = make(planned=1, planned_bytes=1000 * MIB)
    for second in range(31):
        pace.add(second, job, under_way=second * MIB)
    assert pace.moved == 30 * MIB
    assert pace.rate(30) == MIB
    assert pace.estimate(job, 30) == Estimate(970.0, 970.0)


def test_an_object_that_just_became_whole_is_no_step_back() -> None:
    """For a moment it counts neither as parts nor as done."""
    pace = Pace()
    before = make(planned=2, planned_bytes=200)
    pace.add(0, before, 100)
    pace.add(5, before, 0)
    assert pace.moved == 100
    pace.add(6, make(planned=2, planned_bytes=200, done=1, done_bytes=100))
    assert pace.moved == 100
    assert pace.rate(6) == 0


def test_an_object_that_begins_anew_is_a_step_back_in_the_end() -> None:
    pace = Pace()
    job = make(planned=2, planned_bytes=200)
    pace.add(0, job, 100)
    pace.add(5, job, 10)
    pace.add(16, job, 20)
    assert pace.moved == 20


@pytest.mark.parametrize(
    ("least", "most", "text", "short"),
    [
        (0.2, 0.3, "about 1 s", "1 s"),
        (19.0, 20.0, "about 20 s", "20 s"),
        (20.0, 44.0, "20 to 45 s", "20-45 s"),
        (40.0, 130.0, "40 s to 2 min", "40 s-2 min"),
        (120.0, 300.0, "2 to 5 min", "2-5 min"),
        (180.0, None, "at least 3 min", ">3 min"),
        (5400.0, 9000.0, "1.5 to 2.5 h", "1.5-2.5 h"),
        (3 * 86400.0, 3 * 86400.0, "about 3.0 d", "3.0 d"),
    ],
)
def test_an_estimate_has_no_more_digits_than_it_knows(least: float, most: float | None, text: str, short: str) -> None:
    assert (str(Estimate(least, most)), Estimate(least, most).short) == (text, short)
