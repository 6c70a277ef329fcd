"""Jobs that start after others, in every engine of the queue."""

from dataclasses import replace

import pytest

from headrace_queue.collisions import Collision, enqueue_all
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Item, Job, JobSpec, Kind
from headrace_queue.overlap import Services
from headrace_queue.states import JobState
from headrace_queue.store import Store
from tests.support.queue import Bench, items


def after(bench: Bench, *others: int) -> Job:
    """A job that starts after these."""
    bench.made += 1
    spec = JobSpec(Kind.SYNC, f"s3://bucket/{bench.made}/", f"/fsx/{bench.made}", after=others)
    job, _ = bench.store.enqueue(spec)
    return job


def finish(bench: Bench, job: Job) -> None:
    assert bench.plan(job).state is JobState.DONE


def fail(bench: Bench, job: Job) -> None:
    bench.plan_lease(job)
    bench.store.fail(job.id, "no such bucket")


def stands(store: Store, job: Job) -> tuple[JobState, str | None, bool]:
    row = store.job(job.id)
    return row.state, row.waiting, store.is_held(job.id)


def test_it_waits_until_the_other_is_done(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    assert stands(store, second) == (JobState.QUEUED, f"for job {first.id}", True)
    assert store.claim_plan("w1", 100, second.id) is None
    assert store.depth().held == 1
    finish(bench, first)
    assert stands(store, second) == (JobState.QUEUED, None, False)
    assert store.depth().held == 0
    finish(bench, second)


def test_it_waits_for_all_of_them(store: Store, bench: Bench) -> None:
    first, second = bench.job(), bench.job()
    third = after(bench, first.id, second.id)
    assert stands(store, third)[1] == f"for jobs {first.id} and {second.id}"
    finish(bench, second)
    assert stands(store, third) == (JobState.QUEUED, f"for job {first.id}", True)
    finish(bench, first)
    assert stands(store, third) == (JobState.QUEUED, None, False)


def test_one_that_is_done_is_not_waited_for(store: Store, bench: Bench) -> None:
    first = bench.job()
    finish(bench, first)
    assert stands(store, after(bench, first.id)) == (JobState.QUEUED, None, False)


@pytest.mark.parametrize("end", ["failed", "cancelled", "incomplete"])
def test_it_fails_when_the_other_does_not_end_well(store: Store, bench: Bench, end: str) -> None:
    first = bench.job()
    second = after(bench, first.id)
    third = after(bench, second.id)
    match end:
        case "failed":
            fail(bench, first)
        case "cancelled":
            store.cancel(first.id)
        case _:
            bench.plan(first, [Item("k", 1, 1)])
            bench.finish(bench.claim(), failed=[0])
    assert store.job(first.id).state == end
    told = store.job(second.id)
    assert (told.state, told.started) == (JobState.FAILED, None)
    assert told.error == (
        f"it was to start after job {first.id}, which is {end}; "
        f"`headrace retry {first.id}`, then `headrace retry {second.id}`"
    )
    assert store.job(third.id).state is JobState.FAILED, "and so on"


def test_both_are_tried_again(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    fail(bench, first)
    with pytest.raises(UsageError, match=f"job {first.id} is failed.*First `headrace retry {first.id}`"):
        store.retry(second.id)
    assert store.job(second.id).state is JobState.FAILED
    store.retry(first.id)
    store.retry(second.id)
    assert stands(store, second) == (JobState.QUEUED, f"for job {first.id}", True)
    finish(bench, first)
    finish(bench, second)


def test_a_retry_after_the_other_is_done_starts_at_once(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    fail(bench, first)
    store.retry(first.id)
    finish(bench, first)
    store.retry(second.id)
    assert stands(store, second) == (JobState.QUEUED, None, False)
    finish(bench, second)


def test_one_that_had_begun_waits_for_nobody_again(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    finish(bench, first)
    bench.plan(second, items(1))
    bench.finish(bench.claim(), failed=[0])
    assert store.purge(2_000_000.0)
    third = bench.job()
    fourth = after(bench, third.id)
    finish(bench, third)
    bench.plan(fourth, items(1))
    bench.finish(bench.claim(), failed=[0])
    store.retry(fourth.id)
    assert stands(store, fourth) == (JobState.QUEUED, None, False)


def test_pause_and_resume_keep_it_waiting(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    store.pause(second.id)
    store.resume(second.id)
    assert stands(store, second) == (JobState.QUEUED, f"for job {first.id}", True)
    store.pause(second.id)
    finish(bench, first)
    assert store.job(second.id).state is JobState.PAUSED
    store.resume(second.id)
    finish(bench, second)


def test_a_paused_one_fails_as_well(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    store.pause(second.id)
    store.cancel(first.id)
    assert store.job(second.id).state is JobState.FAILED


def test_it_can_be_cancelled(store: Store, bench: Bench) -> None:
    first = bench.job()
    second = after(bench, first.id)
    assert store.cancel(second.id).state is JobState.CANCELLED
    finish(bench, first)
    assert store.job(second.id).state is JobState.CANCELLED
    store.retry(second.id)
    finish(bench, second)


@pytest.mark.parametrize("numbers", [(99,), (1, 99)])
def test_jobs_that_there_are_not(store: Store, bench: Bench, numbers: tuple[int, ...]) -> None:
    bench.job()
    with pytest.raises(UsageError, match="there is no job 99"):
        after(bench, *numbers)
    assert len(store.jobs()) == 1


def test_a_job_that_did_not_end_well_is_refused(store: Store, bench: Bench) -> None:
    first = bench.job()
    store.cancel(first.id)
    with pytest.raises(UsageError, match=f"--after {first.id}: job {first.id} is cancelled"):
        after(bench, first.id)


def test_one_that_is_waited_for_is_not_purged(store: Store, bench: Bench) -> None:
    first, other = bench.job(), bench.job()
    second = after(bench, first.id, other.id)
    finish(bench, first)
    assert store.purge(2_000_000.0) == []
    finish(bench, other)
    finish(bench, second)
    assert store.purge(2_000_000.0) == [first.id, other.id, second.id]


def test_a_long_row_of_them_fails_at_once(store: Store, bench: Bench) -> None:
    jobs = [bench.job()]
    with store.group():
        for _ in range(600):
            jobs.append(after(bench, jobs[-1].id))
    store.cancel(jobs[0].id)
    assert store.job(jobs[-1].id).state is JobState.FAILED


def test_two_into_one_place_one_after_the_other(store: Store, bench: Bench) -> None:
    services = Services({})
    spec = JobSpec(Kind.SYNC, "s3://bucket/a/", "/fsx/a")
    ((first, _),) = enqueue_all(store, [spec], services)
    with pytest.raises(Collision):
        enqueue_all(store, [spec], services)
    ((second, _),) = enqueue_all(store, [replace(spec, after=(first.id,))], services)
    # also by way of another
    ((between, _),) = enqueue_all(store, [replace(spec, destination="/fsx/b", after=(second.id,))], services)
    ((third, _),) = enqueue_all(store, [replace(spec, after=(between.id,))], services)
    assert stands(store, third)[1] == f"for job {between.id}"


def test_who_asks_for_the_same_is_not_given_a_job_that_was_cancelled(store: Store, bench: Bench) -> None:
    """It ends without having done it, once its worker has let go."""
    services, spec = Services({}), JobSpec(Kind.SYNC, "s3://bucket/a/", "/fsx/a")
    ((first, _),) = enqueue_all(store, [spec], services, attach=True)
    assert enqueue_all(store, [spec], services, attach=True) == [(first, False)]
    bench.plan(first, items(1))
    bench.claim()
    assert enqueue_all(store, [spec], services, attach=True)[0][0].id == first.id
    store.cancel(first.id)
    assert store.job(first.id).state is JobState.CANCELLING
    with pytest.raises(Collision):
        enqueue_all(store, [spec], services, attach=True)
