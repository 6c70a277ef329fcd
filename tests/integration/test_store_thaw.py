"""What every engine has to pass: objects that wait to be restored from an archive class, and the limits of a job."""

from collections.abc import Sequence

import pytest

from headrace_queue.errors import LeaseLost, UnknownThaw
from headrace_queue.jobs import Counters, Failure, Item, Job, Options, PlanStep
from headrace_queue.states import JobState
from headrace_queue.thaw import Thaw, ThawChanges, waiting_text
from tests.support.queue import Bench, items

HOLD = 30.0


def parked(bench: Bench, count: int = 3, options: Options | None = None) -> tuple[Job, list[Thaw]]:
    """A job whose listing is over and whose only batch left all of its objects to be restored."""
    job = bench.job(options=options)
    bench.plan(job, items(count))
    batch = bench.claim()
    bench.store.park(batch.lease, list(enumerate(batch.items)))
    bench.store.complete(batch.lease)
    return bench.store.job(job.id), bench.store.thaws(job.id)


def ids(thaws: Sequence[Thaw]) -> list[int]:
    return [thaw.id for thaw in thaws]


def test_what_is_parked_leaves_its_batch_and_keeps_the_job_from_its_end(bench: Bench) -> None:
    job, thaws = parked(bench)
    assert job.state is JobState.RUNNING
    assert job.waiting == "3 objects are being restored from an archive class"
    now = bench.clock.now
    assert [(thaw.item, thaw.asked, thaw.next_look, thaw.looks) for thaw in thaws] == [
        (item, None, now, 0) for item in items(3)
    ]
    assert bench.store.thawing(job.id) == 3
    assert bench.store.claim("w1", 9) == []
    for thaw in thaws:
        assert bench.store.job(job.id).state is JobState.RUNNING
        bench.store.end_thaw(thaw.id, Counters(vanished=1))
    ended = bench.store.job(job.id)
    assert (ended.state, ended.counters.vanished, ended.waiting) == (JobState.DONE, 3, None)


def test_what_can_be_read_becomes_part_of_a_batch_again(bench: Bench) -> None:
    job, thaws = parked(bench)
    bench.store.thawed(thaws[0].id)
    bench.store.thawed(thaws[2].id)
    assert bench.store.put_back_thawed() == 2
    assert bench.store.put_back_thawed() == 0
    batch = bench.claim()
    assert batch.items == [thaws[0].item, thaws[2].item]
    bench.finish(batch)
    assert bench.store.job(job.id).state is JobState.RUNNING, "one is waited for still"
    bench.store.thawed(thaws[1].id)
    assert bench.store.put_back_thawed() == 1
    assert bench.finish(bench.claim()).state is JobState.DONE


def test_an_item_comes_back_as_it_was(bench: Bench) -> None:
    job = bench.job()
    odd = Item("a/\udcff ü'", 7, 1, "etag", version="v-1")
    bench.plan(job, [odd, *items(1)])
    batch = bench.claim()
    bench.store.park(batch.lease, [(0, odd)])
    (thaw,) = bench.store.thaws(job.id)
    assert thaw.item == odd
    bench.store.thawed(thaw.id)
    bench.store.put_back_thawed()
    assert bench.claim().items == [odd]


def test_parking_is_fenced_and_says_nothing_twice(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(2))
    batch = bench.claim()
    bench.store.park(batch.lease, [(0, batch.items[0])])
    bench.store.park(batch.lease, [(0, batch.items[0])])
    assert bench.store.thawing(job.id) == 1
    with pytest.raises(ValueError, match="none of index 2"):
        bench.store.park(batch.lease, [(2, batch.items[0])])
    with pytest.raises(ValueError, match="1 objects of it"):
        bench.store.complete(batch.lease)
    bench.store.retire("w1")
    with pytest.raises(LeaseLost):
        bench.store.park(batch.lease, [(1, batch.items[1])])
    (again,) = bench.store.claim("w2", 9)
    assert [index for index, _ in again.open_items()] == [1]


def test_due_ones_are_held_and_a_look_says_when_to_look_again(bench: Bench) -> None:
    _, thaws = parked(bench)
    now = bench.clock.now
    assert bench.store.any_thaw_due(now)
    assert len(bench.store.due_thaws(now, HOLD, 2)) == 2
    assert len(bench.store.due_thaws(now, HOLD, 2)) == 1
    assert not bench.store.any_thaw_due(now)
    assert ids(bench.store.due_thaws(now + HOLD, HOLD)) == ids(thaws)
    changed = bench.store.change_thaw(thaws[0].id, ThawChanges(now + 7200, 1, "GLACIER", now, now + 3600))
    assert (changed.storage_class, changed.asked, changed.expected, changed.looks) == ("GLACIER", now, now + 3600, 1)
    assert bench.store.change_thaw(thaws[0].id, ThawChanges()) == changed
    assert ids(bench.store.due_thaws(now + 2 * HOLD, HOLD)) == ids(thaws[1:])
    bench.store.look_at_thaws_soon(now, 3 * HOLD)
    assert ids(bench.store.due_thaws(now, HOLD)) == ids(thaws[1:]), "not what is due in two hours"
    bench.store.thawed(thaws[1].id)
    assert ids(bench.store.due_thaws(now + 8000, HOLD)) == [thaws[2].id, thaws[0].id]


def test_the_job_says_what_it_waits_for(bench: Bench) -> None:
    job, thaws = parked(bench)
    for thaw, (name, expected) in zip(
        thaws, [("GLACIER", 3600.0), ("DEEP_ARCHIVE", 7200.0), ("GLACIER", 60.0)], strict=True
    ):
        bench.store.change_thaw(thaw.id, ThawChanges(storage_class=name, expected=expected))
    bench.store.put_back_thawed()
    text = "3 objects are being restored from DEEP_ARCHIVE and GLACIER, the first is expected by about"
    assert bench.store.job(job.id).waiting == f"{text} 1970-01-01 00:01 UTC"
    bench.store.pause(job.id)
    assert bench.store.job(job.id).waiting is None
    assert str(bench.store.resume(job.id).waiting).startswith(text)
    assert waiting_text(1, ["DEEP_ARCHIVE"], 60.0) == (
        "1 object is being restored from DEEP_ARCHIVE, it is expected by about 1970-01-01 00:01 UTC"
    )


def test_nothing_is_looked_at_for_a_job_that_does_not_go_on(bench: Bench) -> None:
    job, thaws = parked(bench)
    now = bench.clock.now
    bench.store.pause(job.id)
    bench.store.thawed(thaws[0].id)
    assert bench.store.due_thaws(now, HOLD) == []
    assert bench.store.put_back_thawed() == 0
    assert bench.store.job(job.id).state is JobState.PAUSED
    bench.store.resume(job.id)
    assert bench.store.cancel(job.id).state is JobState.CANCELLED
    assert not bench.store.any_thaw_due(now)
    assert bench.store.retry(job.id).state is JobState.QUEUED
    assert ids(bench.store.due_thaws(now, HOLD)) == ids(thaws[1:])
    assert bench.store.put_back_thawed() == 1
    bench.finish(bench.claim())
    for thaw in thaws[1:]:
        bench.store.end_thaw(thaw.id, Counters(), Failure(thaw.item, "archived", "no"))
    ended = bench.store.job(job.id)
    assert (ended.state, ended.counters.failed) == (JobState.INCOMPLETE, 2)
    bench.store.retry(job.id)
    assert bench.claim().items == [thaw.item for thaw in thaws[1:]], "what failed so is tried again"


def test_purge_takes_them_along(bench: Bench) -> None:
    job, thaws = parked(bench)
    bench.store.cancel(job.id)
    bench.clock.now += 10
    assert bench.store.purge(bench.clock.now) == [job.id]
    with pytest.raises(UnknownThaw):
        bench.store.change_thaw(thaws[0].id, ThawChanges(looks=1))
    with pytest.raises(UnknownThaw):
        bench.store.thawed(thaws[0].id)
    with pytest.raises(UnknownThaw):
        bench.store.end_thaw(thaws[0].id, Counters())


def test_deletions_wait_for_what_is_being_restored(bench: Bench) -> None:
    job, thaws = parked(bench, 1, Options(delete=True))
    assert bench.store.claim_plan("w1", 9) is None
    bench.store.thawed(thaws[0].id)
    bench.store.put_back_thawed()
    assert bench.store.claim_plan("w1", 9) is None
    bench.finish(bench.claim())
    lease = bench.store.claim_plan("w1", 9)
    assert lease is not None
    assert lease.job.id == job.id


def test_a_plan_that_begins_anew_finds_them_again(bench: Bench) -> None:
    job = bench.job()
    lease = bench.plan_lease(job)
    bench.store.commit_plan(lease, PlanStep((tuple(items(2, size=10)),), "k", Counters(planned=2, planned_bytes=20)))
    batch = bench.claim()
    bench.store.park(batch.lease, [(0, batch.items[0])])
    bench.store.retire("w1")
    bench.store.register(bench.store.workers()[0])
    again = bench.plan_lease(job, "w2")
    bench.store.restart_plan(again, sort_source=True, sort_destination=False)
    counters = bench.store.job(job.id).counters
    assert (counters.planned, counters.planned_bytes) == (0, 0)
    assert bench.store.thawing(job.id) == 0


# -- limits ---------------------------------------------------------------------------------------------------------


def failing(bench: Bench, job: Job, failed: int, of: int = 4) -> Job:
    bench.plan(job, items(of))
    return bench.finish(bench.claim(), range(failed))


def test_as_many_failures_as_it_bears_do_not_end_a_job(bench: Bench) -> None:
    assert failing(bench, bench.job(options=Options(max_errors=2)), 2).state is JobState.INCOMPLETE
    assert failing(bench, bench.job(options=Options()), 4).state is JobState.INCOMPLETE


def test_one_more_ends_it_and_a_retry_counts_anew(bench: Bench) -> None:
    job = bench.job(options=Options(max_errors=2))
    failed = failing(bench, job, 3)
    assert failed.state is JobState.FAILED
    assert failed.error == (
        "3 objects have failed, and --max-errors is 2. do: see what failed with "
        f"`headrace report {job.id} --failed`, then `headrace retry {job.id}` goes on with the rest"
    )
    bench.store.retry(job.id)
    assert bench.finish(bench.claim(), range(2)).state is JobState.INCOMPLETE


def test_what_the_listing_found_counts_too_and_is_forgiven_by_a_retry(bench: Bench) -> None:
    job = bench.job(options=Options(max_errors=0))
    lease = bench.plan_lease(job)
    failure = Failure(items(1)[0], "name", "no", attempts=0)
    bench.store.commit_plan(lease, PlanStep((tuple(items(2, "l")),), "k", Counters(planned=3), (failure,)))
    assert bench.store.job(job.id).state is JobState.FAILED
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(lease, PlanStep((), "l", Counters()))
    bench.store.retry(job.id)
    bench.plan(bench.store.job(job.id))
    ended = bench.finish(bench.claim())
    assert (ended.state, ended.counters.failed) == (JobState.INCOMPLETE, 1)


def test_in_flight_work_of_a_failed_job_is_recorded(bench: Bench) -> None:
    job = bench.job(options=Options(max_errors=0))
    bench.plan(job, items(2), items(2, "l"))
    first, second = bench.store.claim("w1", 2)
    assert bench.finish(first, [0]).state is JobState.FAILED
    ended = bench.finish(second)
    assert (ended.state, ended.counters.done, ended.counters.failed) == (JobState.FAILED, 3, 1)


@pytest.mark.parametrize("state", ["queued", "running", "paused", "thawing"])
def test_a_deadline_ends_a_job_whatever_it_is_at(bench: Bench, state: str) -> None:
    until = bench.clock.now + 60
    options = Options(deadline=until)
    job = parked(bench, options=options)[0] if state == "thawing" else bench.job(options=options)
    if state != "thawing":
        lease = bench.plan_lease(job) if state != "queued" else None
        if state == "paused":
            bench.store.pause(job.id)
    bench.clock.now = until - 1
    assert not bench.store.overdue()
    assert bench.store.miss_deadlines() == []
    bench.clock.now = until
    assert bench.store.overdue()
    (missed,) = bench.store.miss_deadlines()
    assert missed == bench.store.job(job.id)
    assert missed.state is JobState.FAILED
    assert str(missed.error).startswith("its --deadline, 1970-01-12 13:47:40 UTC, came before its end. do: ")
    assert not bench.store.overdue()
    if state == "running" and lease is not None:
        with pytest.raises(LeaseLost):
            bench.store.commit_plan(lease, PlanStep((), "", Counters()))
    bench.store.retry(job.id)
    assert bench.store.miss_deadlines() == [], "it does not count any more"


def test_a_retry_in_time_keeps_the_deadline(bench: Bench) -> None:
    job = bench.job(options=Options(deadline=bench.clock.now + 60))
    bench.store.cancel(job.id)
    bench.store.retry(job.id)
    bench.clock.now += 61
    assert [one.id for one in bench.store.miss_deadlines()] == [job.id]


def test_a_job_that_is_over_or_being_cancelled_misses_nothing(bench: Bench) -> None:
    done = bench.job(options=Options(deadline=bench.clock.now + 60))
    bench.plan(done)
    cancelled = bench.job(options=Options(deadline=bench.clock.now + 60))
    bench.plan(cancelled, items(1))
    bench.claim()
    bench.store.cancel(cancelled.id)
    bench.clock.now += 61
    assert bench.store.miss_deadlines() == []
    assert bench.store.job(cancelled.id).state is JobState.CANCELLING
