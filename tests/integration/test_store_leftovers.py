"""What every engine has to pass: plans that start over with a sorted listing, and jobs that left something behind."""

from dataclasses import replace

import pytest

from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import Counters, Failure, Item, Job, Multipart, PlanStep
from headrace_queue.states import JobState
from tests.support.queue import Bench, items


def test_a_plan_that_starts_over_drops_what_waits_and_its_counts(bench: Bench) -> None:
    job = bench.job()
    lease = bench.plan_lease(job)
    seen = Counters(listed=9, excluded=1, unchanged=3, unchanged_bytes=30, planned=5, planned_bytes=50, extra=2)
    too_large = Failure(Item("m", 7, 0), "too_large", "no", attempts=0)
    seen = replace(seen, planned=seen.planned + 1, planned_bytes=seen.planned_bytes + 7)
    bench.store.commit_plan(lease, PlanStep((tuple(items(3)), tuple(items(2, "l"))), "l", seen, (too_large,)))
    leased = bench.claim("w2")
    again = bench.store.restart_plan(lease, sort_source=True, sort_destination=False)
    assert (again.cursor, again.sort_source, again.sort_destination) == ("", True, False)
    found = bench.store.job(job.id).counters
    kept = len(leased.items)
    assert found == Counters(planned=kept, planned_bytes=10 * kept)
    assert bench.store.claim("w1", 10) == [], "what waited is dropped; what is leased goes on"
    bench.finish(leased)


def test_what_has_to_be_sorted_is_remembered_for_the_job(bench: Bench) -> None:
    job = bench.job()
    lease = bench.plan_lease(job)
    lease = bench.store.restart_plan(lease, sort_source=False, sort_destination=True)
    lease = bench.store.restart_plan(lease, sort_source=True, sort_destination=False)
    bench.store.release_plan(lease)
    found = bench.plan_lease(job, "w2")
    assert (found.sort_source, found.sort_destination) == (True, True)
    with pytest.raises(LeaseLost):
        bench.store.restart_plan(lease, sort_source=True, sort_destination=True)


def left_behind(bench: Bench) -> Job:
    """A running job with a large object under way."""
    job = bench.job()
    bench.plan(job, items(1))
    record = Multipart(job.id, "k00000", "upload", 10, 5, "etag", "token")
    bench.store.begin_multipart(bench.claim().lease, record)
    return bench.store.job(job.id)


def test_a_cancelled_job_is_littered_until_its_records_go(bench: Bench) -> None:
    job = left_behind(bench)
    assert bench.store.littered(bench.clock.now + 1) == [], "it runs: its upload is in use"
    bench.store.cancel(job.id)
    bench.store.expire(["w1"])
    assert bench.store.job(job.id).state is JobState.CANCELLED
    assert [found.id for found in bench.store.littered(0)] == [job.id]
    assert bench.store.purge(bench.clock.now + 1) == [], "its record is all that is known of the upload"
    bench.store.end_multipart(job.id, "k00000")
    assert bench.store.littered(0) == []
    assert bench.store.purge(bench.clock.now + 1) == [job.id]


def test_a_failed_job_keeps_its_parts_for_a_while(bench: Bench) -> None:
    job = left_behind(bench)
    bench.store.fail(job.id, "no such bucket")
    assert bench.store.littered(bench.clock.now) == []
    assert [found.id for found in bench.store.littered(bench.clock.now + 1)] == [job.id]
