"""What every engine of the queue has to do, method by method. test_store_model.py beside it tries all together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_queue.errors import IllegalTransition, LeaseLost, UnknownJob, UsageError
from headrace_queue.jobs import (
    Action,
    Batch,
    Buried,
    Counters,
    Failure,
    Item,
    Job,
    Lease,
    Multipart,
    Options,
    PartRecord,
    Phase,
    PlanStep,
    Returned,
    Rule,
)
from headrace_queue.states import FINAL, JOB_MOVES, BatchState, JobState
from tests.support.queue import MAX_ATTEMPTS, Bench, Engine, items, spec, worker

# -- jobs and their states ----------------------------------------------------------------------------------------


def test_a_job_comes_back_as_it_was_enqueued(bench: Bench) -> None:
    options = Options(rules=(Rule(False, "*"), Rule(True, "*.tif")), delete=True, max_delete=None, bandwidth=7)
    job, is_new = bench.store.enqueue(spec("s3://bücket/\0x", 3, options, "id-1"))
    assert is_new
    assert job == bench.store.job(job.id)
    assert job.spec == spec("s3://bücket/\0x", 3, options, "id-1")
    assert (job.state, job.phase, job.counters) == (JobState.QUEUED, Phase.COPY, Counters())
    assert (job.created, job.started, job.finished, job.error, job.waiting) == (bench.clock.now, None, None, None, None)


def test_the_same_submission_id_is_the_same_job(bench: Bench) -> None:
    first = bench.job(submission_id="once")
    again, is_new = bench.store.enqueue(first.spec)
    assert (again.id, is_new) == (first.id, False)
    with pytest.raises(UsageError, match="once"):
        bench.store.enqueue(spec("s3://other/", submission_id="once"))
    assert len(bench.store.jobs()) == 1


def test_a_location_that_is_not_unicode_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        bench.store.enqueue(spec("/data/\udcff"))


def test_jobs_are_listed_newest_first_by_state_and_page(bench: Bench) -> None:
    ids = [bench.job().id for _ in range(5)]
    bench.store.pause(ids[1])
    bench.store.cancel(ids[3])
    assert [job.id for job in bench.store.jobs()] == ids[::-1]
    assert [job.id for job in bench.store.jobs(limit=2, before=ids[3])] == [ids[2], ids[1]]
    assert [job.id for job in bench.store.jobs((JobState.PAUSED, JobState.CANCELLED))] == [ids[3], ids[1]]


STEPS: dict[str, Callable[[Bench, Job], object]] = {
    "pause": lambda bench, job: bench.store.pause(job.id),
    "resume": lambda bench, job: bench.store.resume(job.id),
    "cancel": lambda bench, job: bench.store.cancel(job.id),
    "retry": lambda bench, job: bench.store.retry(job.id),
    "fail": lambda bench, job: bench.store.fail(job.id, "no such bucket"),
}


def job_in(bench: Bench, state: JobState) -> Job:
    """A job that a worker holds a batch of where its state allows that, and has another one waiting."""
    job = bench.job()
    if state is not JobState.QUEUED:
        bench.plan(job, items(2), items(2, "l"))
        held = bench.claim()
    if state in (JobState.DONE, JobState.INCOMPLETE):
        bench.finish(held, failed=[0] if state is JobState.INCOMPLETE else [])
        bench.finish(bench.claim())
    elif state is JobState.PAUSED:
        bench.store.pause(job.id)
    elif state in (JobState.CANCELLING, JobState.CANCELLED):
        bench.store.cancel(job.id)
        if state is JobState.CANCELLED:
            bench.finish(held)
    elif state is JobState.FAILED:
        bench.store.fail(job.id, "no such bucket")
    assert bench.store.job(job.id).state is state
    return job


@pytest.mark.parametrize("event", STEPS)
@pytest.mark.parametrize("state", JobState)
def test_every_move_that_a_person_can_make(bench: Bench, state: JobState, event: str) -> None:
    job = job_in(bench, state)
    before = bench.store.job(job.id)
    if event not in JOB_MOVES[state]:
        with pytest.raises(IllegalTransition, match={"retry": "retried"}.get(event, event)):
            STEPS[event](bench, job)
        assert bench.store.job(job.id) == before
        return
    bench.clock.now += 10
    assert STEPS[event](bench, job) == bench.store.job(job.id)
    after = bench.store.job(job.id)
    holds = bench.store.depth().batches[BatchState.LEASED] > 0
    expected = JOB_MOVES[state][event]
    # queued means that nobody holds anything of it: where somebody does, it runs at once
    assert after.state is (JobState.RUNNING if expected is JobState.QUEUED and holds else expected)
    assert after.finished == (bench.clock.now if after.state in FINAL else None)
    assert after.error == ("no such bucket" if after.state is JobState.FAILED else None)
    assert after.started == before.started


def test_an_unknown_job_is_told(bench: Bench) -> None:
    for step in (
        bench.store.job,
        *(
            lambda number, step=step: step(number)
            for step in (bench.store.pause, bench.store.resume, bench.store.cancel, bench.store.retry)
        ),
    ):
        with pytest.raises(UnknownJob, match="job 99"):
            step(99)
    with pytest.raises(UnknownJob):
        bench.store.fail(99, "why")


def test_a_paused_job_hands_nothing_out_and_finishes_what_is_in_flight(bench: Bench) -> None:
    job = bench.job()
    plan = bench.plan_lease(job)
    bench.store.commit_plan(plan, PlanStep((tuple(items(1)), tuple(items(1, "l"))), "k", Counters()))
    batch = bench.claim()
    bench.store.pause(job.id)
    assert bench.store.claim("w2", 9) == []
    assert bench.store.claim_plan("w2", 9) is None
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(plan, PlanStep((), "z", Counters(), finished=True))
    assert bench.finish(batch).state is JobState.PAUSED
    bench.store.resume(job.id)
    assert bench.store.job(job.id).state is JobState.QUEUED
    assert bench.plan_lease(job).cursor == "k"
    assert [item.key for item in bench.claim().items] == ["l00000"]


def test_a_paused_job_ends_with_its_last_batch(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    batch = bench.claim()
    bench.store.pause(job.id)
    assert bench.finish(batch).state is JobState.DONE


def test_a_job_resumed_with_its_last_batch_in_flight_ends_with_it(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    batch = bench.claim()
    bench.store.pause(job.id)
    assert bench.store.resume(job.id).state is JobState.RUNNING
    assert bench.finish(batch).state is JobState.DONE


@pytest.mark.parametrize("last", ["complete", "snooze", "give_back", "retire", "expire"])
def test_a_cancelled_job_settles_when_the_last_lease_is_let_go(bench: Bench, last: str) -> None:
    job = bench.job()
    bench.plan(job, items(2), items(2, "l"), finished=False)
    batch = bench.claim()
    assert bench.store.cancel(job.id).state is JobState.CANCELLING
    bench.store.progress(batch.lease, [0], Counters(done=1), [])
    if last == "complete":
        bench.store.progress(batch.lease, [1], Counters(done=1), [])
        bench.store.complete(batch.lease)
    elif last == "snooze":
        bench.store.snooze(batch.lease, 0.0, "disk full")
    elif last == "give_back":
        bench.store.give_back(batch.lease, 0.0, "broken")
    elif last == "retire":
        bench.store.retire("w1")
    else:
        bench.store.expire(["w1"])
    after = bench.store.job(job.id)
    assert (after.state, after.finished, after.waiting) == (JobState.CANCELLED, bench.clock.now, None)
    assert bench.store.depth().batches == dict.fromkeys(BatchState, 0), "what stays for a retry does not wait"


def test_a_cancelled_plan_ends_at_once(bench: Bench) -> None:
    job = bench.job()
    plan = bench.plan_lease(job)
    assert bench.store.cancel(job.id).state is JobState.CANCELLED
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(plan, PlanStep((), "k", Counters()))
    bench.store.release_plan(plan)
    assert bench.store.job(job.id).state is JobState.CANCELLED


def test_retry_of_a_cancelled_job_loses_nothing(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(2), items(2, "l"), items(2, "m"), finished=False)
    batch = bench.claim()
    bench.store.progress(batch.lease, [0], Counters(done=1), [])
    bench.store.cancel(job.id)
    bench.store.snooze(batch.lease, 0.0, "cancelled")
    bench.store.retry(job.id)
    assert bench.plan_lease(job).cursor == "cursor-6"
    keys = {item.key for batch in bench.store.claim("w1", 9) for _, item in batch.open_items()}
    assert keys == {"k00001", "l00000", "l00001", "m00000", "m00001"}


def test_a_failed_job_lets_what_is_in_flight_end_and_keeps_the_rest(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(2), items(2, "l"))
    batch = bench.claim()
    bench.store.fail(job.id, "no such bucket \udcff")
    assert bench.store.job(job.id).error == "no such bucket \\udcff"
    assert bench.store.claim("w1", 9) == []
    assert bench.finish(batch).state is JobState.FAILED
    assert bench.store.retry(job.id).state is JobState.QUEUED
    assert bench.finish(bench.claim()).state is JobState.DONE


def test_a_retry_that_finds_nothing_left_ends_at_once(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    batch = bench.claim()
    bench.store.fail(job.id, "no such bucket")
    bench.finish(batch)
    assert bench.store.retry(job.id).state is JobState.DONE


def test_retry_sends_only_what_failed(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(3), items(3, "l"))
    bench.finish(bench.claim(), failed=[1])
    assert bench.finish(bench.claim(), failed=[0, 2]).state is JobState.INCOMPLETE
    assert bench.store.job(job.id).counters == Counters(planned=6, done=3, failed=3)
    retried = bench.store.retry(job.id)
    assert (retried.state, retried.counters.failed, retried.finished) == (JobState.QUEUED, 0, None)
    assert bench.store.failures(job.id) == []
    batch = bench.claim()
    assert [item.key for item in batch.items] == ["k00001", "l00000", "l00002"]
    assert bench.finish(batch).state is JobState.DONE
    with pytest.raises(IllegalTransition):
        bench.store.retry(job.id)


def test_retry_packs_batches_of_a_thousand(bench: Bench) -> None:
    job = bench.job(options=Options(delete=True))
    failures = tuple(Failure(item, "denied", "no") for item in items(2500))
    deleted = tuple(Failure(item._replace(action=Action.DELETE), "denied", "no") for item in items(3, "x"))
    plan = bench.plan_lease(job)
    bench.store.commit_plan(plan, PlanStep((), "", Counters(), (*failures, *deleted), finished=True))
    bench.store.commit_plan(bench.plan_lease(job), PlanStep((), "z", Counters(), finished=True))
    assert bench.store.job(job.id).counters.failed == 2503
    bench.store.retry(job.id)
    batches = bench.store.claim("w1", 99)
    assert [len(batch.items) for batch in batches] == [1000, 1000, 500]
    assert [item for batch in batches for item in batch.items] == items(2500)
    for batch in batches:
        bench.store.progress(batch.lease, range(len(batch.items)), Counters(), ())
        bench.store.complete(batch.lease)
    # a deletion is planned anew, by whole listings
    plan = bench.plan_lease(job)
    assert (plan.phase, plan.cursor) == (Phase.DELETE, "")


def test_the_first_roots_of_a_job_stay_known(bench: Bench) -> None:
    job, other = bench.job(), bench.job()
    assert bench.store.pin_roots(job.id, "1:2", "") == ("1:2", "")
    assert bench.store.pin_roots(job.id, "9:9", "3:4") == ("1:2", "3:4")
    assert bench.store.pin_roots(job.id, "", "9:9") == ("1:2", "3:4")
    assert bench.store.pin_roots(other.id, "5:6", "7:8") == ("5:6", "7:8")


def test_retry_of_a_dry_run_moves_nothing(bench: Bench) -> None:
    job = bench.job(options=Options(dry_run=True))
    step = PlanStep((), "z", Counters(listed=5, planned=4), (Failure(items(1)[0], "too_large", "no"),), finished=True)
    bench.store.commit_plan(bench.plan_lease(job), step)
    assert bench.store.job(job.id).state is JobState.INCOMPLETE
    after = bench.store.retry(job.id)
    assert (after.state, after.phase, after.counters) == (JobState.QUEUED, Phase.COPY, Counters())
    assert bench.store.claim("w1", 9) == []
    assert bench.plan_lease(job).cursor == ""


def test_waiting_is_shown_until_something_moves(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(2), items(1, "l"))
    batch = bench.claim()
    bench.store.set_waiting(job.id, "remote snow is down")
    assert bench.store.job(job.id).waiting == "remote snow is down"
    bench.store.progress(batch.lease, [0], Counters(done=1), [])
    assert bench.store.job(job.id).waiting is None
    bench.store.snooze(batch.lease, 0.0, "disk \udcff full")
    assert bench.store.job(job.id).waiting == "disk \\udcff full"
    bench.store.cancel(job.id)
    bench.store.set_waiting(job.id, "too late")
    assert bench.store.job(job.id).waiting is None


def test_waiting_is_shown_while_any_batch_sleeps(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(2), items(2, "l"))
    asleep, awake = bench.claim(), bench.claim()
    bench.store.snooze(asleep.lease, bench.clock.now + 30, "the destination is full")
    bench.store.progress(awake.lease, [0], Counters(done=1), [])
    assert bench.store.job(job.id).waiting == "the destination is full"
    bench.clock.now += 30
    bench.store.progress(awake.lease, [1], Counters(done=1), [])
    assert bench.store.job(job.id).waiting is None


def test_purge_takes_old_jobs_with_all_that_hangs_on_them(bench: Bench) -> None:
    old, kept = job_in(bench, JobState.INCOMPLETE), bench.job(submission_id="kept")
    bench.clock.now += 100
    recent = job_in(bench, JobState.INCOMPLETE)
    assert bench.store.purge(bench.clock.now - 50) == [old.id]
    assert {job.id for job in bench.store.jobs()} == {kept.id, recent.id}
    assert bench.store.failures(old.id) == []
    assert bench.store.purge(bench.clock.now + 1, limit=0) == []
    assert bench.job().id > recent.id, "a number that was given away never comes back"


def test_failures_come_in_pages(bench: Bench) -> None:
    job, other = bench.job(), bench.job()
    versions = ["", "null", 'v"1'] * 3
    expected = [
        Failure(Item(f"k\udcff{index}", index, 2**70, version=versions[index]), "denied", "no", index)
        for index in range(7)
    ]
    for owner in (job, other):
        bench.store.commit_plan(bench.plan_lease(owner), PlanStep((), "", Counters(), tuple(expected)))
    found: list[Failure] = []
    after = 0
    while page := bench.store.failures(job.id, after, 3):
        assert len(page) <= 3
        found.extend(failure for _, failure in page)
        after = page[-1][0]
    assert found == expected


def test_depth_counts_what_waits(bench: Bench) -> None:
    assert bench.store.depth().oldest_ready is None
    job = bench.job()
    bench.plan(job, items(1), items(1, "l"), items(1, "m"))
    since = bench.clock.now
    bench.clock.now += 5
    batch = bench.claim()
    depth = bench.store.depth()
    assert depth.jobs[JobState.RUNNING] == 1
    assert depth.batches == {BatchState.READY: 2, BatchState.LEASED: 1, BatchState.DEAD: 0}
    assert depth.oldest_ready == since
    bench.store.snooze(batch.lease, bench.clock.now + 60, "later")
    bench.finish(bench.claim())
    bench.finish(bench.claim())
    assert bench.store.depth().oldest_ready is None, "what may not run yet is not late"
    bench.clock.now += 61
    assert bench.store.depth().oldest_ready == bench.clock.now - 1


# -- workers ------------------------------------------------------------------------------------------------------


def test_workers_beat_and_go(bench: Bench) -> None:
    bench.clock.now += 7
    assert bench.store.heartbeat("w2")
    assert not bench.store.heartbeat("nobody")
    beats = {each.id: each.heartbeat for each in bench.store.workers()}
    assert beats == {"w1": bench.clock.now - 7, "w2": bench.clock.now}
    bench.store.retire("w1")
    assert bench.store.expire(["w2", "nobody"]).leases == 0
    assert bench.store.workers() == []
    assert not bench.store.heartbeat("w2")


def test_a_worker_that_was_expired_gets_nothing_until_it_registers(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    bench.job()
    bench.store.expire(["w1"])
    assert bench.store.claim("w1", 9) == []
    assert bench.store.claim_plan("w1", 9) is None
    bench.store.register(worker("w1"))
    assert len(bench.store.claim("w1", 9)) == 1
    assert bench.store.claim_plan("w1", 9) is not None


def test_the_leases_of_a_dead_worker_go_to_others(bench: Bench) -> None:
    job, unplanned = bench.job(), bench.job()
    bench.plan(job, items(2))
    mine = bench.claim("w1")
    plan = bench.plan_lease(unplanned, "w1")
    bench.store.progress(mine.lease, [0], Counters(done=1), [])
    assert bench.store.expire(["w1"]) == Returned(2)
    theirs = bench.claim("w2")
    assert theirs.open_items() == [(1, mine.items[1])]
    assert bench.plan_lease(unplanned, "w2").attempt > plan.attempt
    with pytest.raises(LeaseLost):
        bench.store.complete(mine.lease)
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(plan, PlanStep((), "", Counters()))


def test_a_batch_that_kills_its_workers_ends_dead(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(3))
    for attempt in range(MAX_ATTEMPTS):
        bench.store.register(worker("w1"))
        batch = bench.claim("w1")
        if attempt == 0:
            bench.store.progress(batch.lease, [1], Counters(done=1), [])
        returned = bench.store.expire(["w1"])
        assert returned.leases == 1
        assert bool(returned.buried) is (attempt == MAX_ATTEMPTS - 1)
    assert bench.store.depth().batches[BatchState.DEAD] == 1
    after = bench.store.job(job.id)
    assert (after.state, after.counters) == (JobState.INCOMPLETE, Counters(planned=3, done=1, failed=2))
    assert [failure.item.key for _, failure in bench.store.failures(job.id)] == ["k00000", "k00002"]
    assert {(failure.error, failure.attempts) for _, failure in bench.store.failures(job.id)} == {
        ("worker_died", MAX_ATTEMPTS)
    }
    assert returned.buried == (Buried(job.id, tuple(failure for _, failure in bench.store.failures(job.id))),)


def get_on(bench: Bench, batch: Batch, how: str) -> None:
    """What shows that a batch was worked on: one more of its objects is done or parked, or a part of one is safe."""
    index, item = batch.open_items()[0]
    if how == "progress":
        bench.store.progress(batch.lease, [index], Counters(done=1), [])
    elif how == "failure":
        bench.store.progress(batch.lease, [index], Counters(), [Failure(item, "denied", "no")])
    elif how == "park":
        bench.store.park(batch.lease, [(index, item)])
    else:
        part = PartRecord(batch.lease.attempt, 10, "e", "c")
        if bench.store.multipart(batch.job.id, item.key) is None:
            large = Multipart(batch.job.id, item.key, "upload", 100, 10, "etag", "token")
            bench.store.begin_multipart(batch.lease, large)
            bench.store.add_parts(batch.lease, item.key, [part])
        else:
            bench.store.add_parts(batch.lease, item.key, [part], resumed=True)


def die(bench: Bench) -> Returned:
    bench.store.register(worker("w2"))
    returned = bench.store.expire(["w1"])
    bench.store.register(worker("w1"))
    return returned


@pytest.mark.parametrize("how", ["progress", "failure", "park", "part"])
def test_a_batch_that_gets_on_does_not_kill_its_workers(bench: Bench, how: str) -> None:
    """A host that is restarted again and again in the middle of healthy work."""
    bench.plan(bench.job(), items(9))
    for _ in range(MAX_ATTEMPTS + 3):
        get_on(bench, bench.claim(), how)
        assert die(bench) == Returned(1)
    lives = [bool(bench.claim()) and not die(bench).buried for _ in range(MAX_ATTEMPTS - 1)]
    assert lives == [True] * (MAX_ATTEMPTS - 2) + [False], "the last attempt that got on counts too"


@pytest.mark.parametrize("how", ["progress", "failure", "park", "part"])
def test_an_attempt_that_got_on_can_be_given_back(bench: Bench, how: str) -> None:
    bench.plan(bench.job(), items(9))
    for _ in range(MAX_ATTEMPTS + 1):
        batch = bench.claim()
        get_on(bench, batch, how)
        bench.store.snooze(batch.lease, 0.0, "throttled")
    get_on(bench, bench.claim(), how)
    bench.store.retire("w1")
    bench.store.register(worker("w1"))
    died = [bool(bench.claim()) and bool(die(bench).buried) for _ in range(MAX_ATTEMPTS)]
    assert died == [False] * (MAX_ATTEMPTS - 1) + [True]


def test_what_was_recorded_before_is_nothing_to_get_on_by(bench: Bench) -> None:
    bench.plan(bench.job(), items(3))
    for attempt in range(MAX_ATTEMPTS):
        batch = bench.claim()
        bench.store.progress(batch.lease, [0], Counters(), [])
        if attempt == 0:
            large = Multipart(batch.job.id, "k00001", "upload", 100, 10, "etag", "token")
            bench.store.begin_multipart(batch.lease, large)
        bench.store.add_parts(batch.lease, "k00001", [PartRecord(1, 10, "e", "c")], resumed=attempt > 0)
        assert bool(die(bench).buried) is (attempt == MAX_ATTEMPTS - 1)


def test_a_large_object_that_is_begun_anew_every_time_comes_to_an_end(bench: Bench) -> None:
    """Its parts were all sent, and given up for a fault that comes again after the last one."""
    bench.plan(bench.job(), items(1))
    for attempt in range(MAX_ATTEMPTS):
        batch = bench.claim()
        large = Multipart(batch.job.id, "k00000", f"upload-{attempt}", 20, 10, "etag", "token")
        bench.store.begin_multipart(batch.lease, large)
        bench.store.add_parts(batch.lease, "k00000", [PartRecord(1, 10, "e", "c")])
        bench.store.add_parts(batch.lease, "k00000", [PartRecord(2, 10, "e", "c")])
        bench.store.end_multipart(batch.job.id, "k00000")
        returned = bench.store.give_back(batch.lease, 0.0, "broken")
        assert bool(returned.buried) is (attempt == MAX_ATTEMPTS - 1)


def test_a_fault_that_lets_objects_pass_one_by_one_comes_to_an_end(bench: Bench) -> None:
    job = bench.plan(bench.job(), items(4))
    attempts = 0
    while bench.store.job(job.id).state is JobState.RUNNING or not attempts:
        batch = bench.claim()
        attempts += 1
        if len(batch.open_items()) > 1:
            get_on(bench, batch, "progress")
        bench.store.give_back(batch.lease, 0.0, "broken")
    assert attempts == 3 + MAX_ATTEMPTS - 1
    assert bench.store.job(job.id).counters == Counters(planned=4, done=3, failed=1)


# -- planning -----------------------------------------------------------------------------------------------------


def test_the_plan_goes_on_where_it_was_committed(bench: Bench) -> None:
    job = bench.job()
    plan = bench.plan_lease(job)
    assert (plan.phase, plan.cursor, plan.job.state) == (Phase.COPY, "", JobState.RUNNING)
    assert bench.store.claim_plan("w2", 9) is None, "one planner a job"
    step = PlanStep((tuple(items(2)), tuple(items(1, "l"))), "l\udcff", Counters(listed=3, planned=3))
    assert bench.store.commit_plan(plan, step) == 2
    bench.store.release_plan(plan, bench.clock.now + 5)
    assert bench.store.claim_plan("w2", 9) is None
    bench.clock.now += 5
    again = bench.plan_lease(job, "w2")
    assert (again.cursor, again.job.counters) == ("l\udcff", Counters(listed=3, planned=3))
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(plan, step)
    bench.store.release_plan(plan)
    assert bench.store.commit_plan(again, PlanStep((), "m", Counters(), finished=True)) == 2


def test_a_planner_pauses_when_enough_waits(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1), items(1, "l"), finished=False)
    assert bench.store.claim_plan("w1", 2) is None
    bench.claim()
    assert bench.store.claim_plan("w1", 2) is not None


def test_plans_go_by_priority_then_to_whoever_waits_least(bench: Bench) -> None:
    low, first, second = bench.job(-1), bench.job(), bench.job()
    bench.plan(first, items(1), finished=False)
    claimed = [bench.store.claim_plan("w1", 9) for _ in range(4)]
    assert [plan and plan.job.id for plan in claimed] == [second.id, first.id, low.id, None]


def test_only_one_job_is_claimed_where_asked(bench: Bench) -> None:
    first, second = bench.job(5), bench.job()
    plan = bench.store.claim_plan("w1", 9, second.id)
    assert plan is not None
    assert plan.job.id == second.id
    bench.store.commit_plan(plan, PlanStep((tuple(items(1)),), "", Counters(), finished=True))
    bench.plan(first, items(1))
    assert [batch.job.id for batch in bench.store.claim("w1", 9, second.id)] == [second.id]


@pytest.mark.parametrize("delete", [False, True])
def test_deletions_are_planned_after_the_last_transfer(bench: Bench, delete: bool) -> None:
    job = bench.plan(bench.job(options=Options(delete=delete)), items(1), items(1, "l"))
    assert job.phase is (Phase.DELETE if delete else Phase.DONE)
    first, second = bench.store.claim("w1", 2)
    assert bench.store.claim_plan("w1", 9) is None
    bench.finish(first)
    assert bench.store.claim_plan("w1", 9) is None
    after = bench.finish(second)
    if not delete:
        assert after.state is JobState.DONE
        return
    assert after.state is JobState.RUNNING
    plan = bench.plan_lease(job)
    assert (plan.phase, plan.cursor) == (Phase.DELETE, "")
    bench.store.commit_plan(plan, PlanStep((), "", Counters(extra=1), finished=True))
    ended = bench.store.job(job.id)
    assert (ended.state, ended.phase) == (JobState.DONE, Phase.DONE)


def test_a_job_without_work_ends_with_its_plan(bench: Bench) -> None:
    assert bench.plan(bench.job()).state is JobState.DONE
    job = bench.job()
    step = PlanStep((), "", Counters(failed=9), (Failure(items(1)[0], "bad_name", "no"),), finished=True)
    bench.store.commit_plan(bench.plan_lease(job), step)
    after = bench.store.job(job.id)
    assert (after.state, after.counters.failed) == (JobState.INCOMPLETE, 1), "failed is what stands among the failures"


# -- batches ------------------------------------------------------------------------------------------------------


def test_the_first_claim_starts_a_planned_job_that_waits_in_line(bench: Bench) -> None:
    job = bench.plan(bench.job(), items(1))
    bench.store.pause(job.id)
    assert bench.store.resume(job.id).state is JobState.QUEUED
    batch = bench.claim()
    assert (batch.job.state, batch.state) == (JobState.RUNNING, BatchState.LEASED)
    assert bench.store.job(job.id).state is JobState.RUNNING


def test_jobs_of_one_priority_take_turns(bench: Bench) -> None:
    low, large, small = bench.job(-1), bench.job(), bench.job()
    bench.plan(low, items(1))
    bench.plan(large, *[items(1, f"large{index}") for index in range(5)])
    held = bench.store.claim("w1", 2, large.id)
    assert len(held) == 2
    bench.plan(small, *[items(1, f"small{index}") for index in range(3)])
    got = [batch.job.id for batch in bench.store.claim("w1", 99)]
    assert got == [small.id, small.id, large.id, small.id, large.id, large.id, low.id]
    assert bench.store.claim("w1", 99) == []
    bench.store.retire("w1")
    bench.store.register(worker("w1"))
    assert bench.store.claim("w1", 0) == []
    bench.store.claim("w2", 1, large.id)
    assert [batch.job.id for batch in bench.store.claim("w1", 1)] == [small.id], "also where only one may be had"


def test_idle_jobs_can_be_had_alone(bench: Bench) -> None:
    """One batch each of those of which nobody has any, from a priority on."""
    low, busy, idle = bench.job(-1), bench.job(), bench.job()
    for job in (low, busy, idle):
        bench.plan(job, *[items(1, f"{job.id}-{index}") for index in range(3)])
    bench.store.claim("w2", 1, busy.id)
    assert [batch.job.id for batch in bench.store.claim("w1", 99, None, 0)] == [idle.id]
    assert [batch.job.id for batch in bench.store.claim("w1", 99, None, -1)] == [low.id]
    assert bench.store.claim("w1", 99, None, -1) == []


def test_batches_come_in_the_order_of_their_keys(bench: Bench) -> None:
    bench.plan(bench.job(), *[items(1, f"b{index}") for index in range(4)])
    assert [batch.items[0].key[:2] for batch in bench.store.claim("w1", 3)] == ["b0", "b1", "b2"]


@pytest.mark.parametrize("wrong", ["id", "worker", "attempt"])
def test_every_step_of_a_batch_is_fenced(bench: Bench, wrong: str) -> None:
    job = bench.plan(bench.job(), items(2))
    lease = bench.claim().lease
    other = {
        "id": lease._replace(batch_id=lease.batch_id + 1),
        "worker": lease._replace(worker_id="w2"),
        "attempt": lease._replace(attempt=lease.attempt - 1),
    }[wrong]
    large = Multipart(job.id, "k00000", "upload", 100, 10, "etag", "token")
    steps: list[Callable[[Lease], object]] = [
        lambda fence: bench.store.progress(fence, [0], Counters(done=1), []),
        lambda fence: bench.store.begin_multipart(fence, large),
        lambda fence: bench.store.add_parts(fence, "k00000", [PartRecord(1, 10, "e", "c")]),
        lambda fence: bench.store.complete(fence),
        lambda fence: bench.store.snooze(fence, 0.0, "later"),
        lambda fence: bench.store.give_back(fence, 0.0, "broken"),
    ]
    for step in steps:
        with pytest.raises(LeaseLost):
            step(other)
    assert bench.store.job(job.id).counters == Counters(planned=2)
    assert bench.store.multiparts(job.id) == []
    bench.store.progress(lease, [0, 1], Counters(done=2), [])
    assert bench.store.complete(lease).state is JobState.DONE


def test_progress_survives_and_is_checked(bench: Bench) -> None:
    job = bench.plan(bench.job(), items(300))
    batch = bench.claim()
    bench.store.progress(batch.lease, [0, 299], Counters(done=2, done_bytes=20, retries=1), [])
    bench.store.progress(batch.lease, [7], Counters(), [Failure(batch.items[7], "denied", "no \udcff", 2)])
    bench.store.progress(batch.lease, [], Counters(retries=2), [])
    for index in (-1, 300):
        with pytest.raises(ValueError, match="300 objects"):
            bench.store.progress(batch.lease, [index], Counters(done=1), [])
    with pytest.raises(ValueError, match="297 objects"):
        bench.store.complete(batch.lease)
    assert bench.store.job(job.id).counters == Counters(planned=300, done=2, done_bytes=20, retries=3, failed=1)
    bench.store.retire("w1")
    again = bench.claim("w2")
    assert len(again.finished) == 3
    assert [index for index in (0, 7, 299) if index not in again.finished] == []
    assert bench.finish(again).state is JobState.INCOMPLETE


def test_a_snooze_gives_the_attempt_back_but_not_the_fence(bench: Bench) -> None:
    job = bench.plan(bench.job(), items(1))
    seen: set[int] = set()
    for _ in range(MAX_ATTEMPTS + 2):
        batch = bench.claim()
        seen.add(batch.lease.attempt)
        bench.store.snooze(batch.lease, bench.clock.now + 5, "throttled")
        with pytest.raises(LeaseLost):
            bench.store.complete(batch.lease)
        assert bench.store.claim("w1", 1) == [], "not before its time"
        assert bench.store.job(job.id).waiting == "throttled"
        bench.clock.now += 5
    for _ in range(MAX_ATTEMPTS + 2):
        seen.add(bench.claim().lease.attempt)
        bench.store.retire("w1")
        bench.store.register(worker("w1"))
    assert len(seen) == 2 * (MAX_ATTEMPTS + 2)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        buried = bench.store.give_back(bench.claim().lease, 0.0, "broken").buried
        assert bool(buried) is (attempt == MAX_ATTEMPTS)


def test_a_batch_that_fails_as_a_whole_ends_dead(bench: Bench) -> None:
    job = bench.plan(bench.job(), items(3), items(1, "l"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        batch = bench.claim()
        assert batch.items[0].key == "k00000"
        returned = bench.store.give_back(batch.lease, 0.0, "source unreadable")
        assert bool(returned.buried) is (attempt == MAX_ATTEMPTS)
        assert bench.store.job(job.id).state is JobState.RUNNING
        with pytest.raises(LeaseLost):
            bench.store.give_back(batch.lease, 0.0, "again")
    failures = [failure for _, failure in bench.store.failures(job.id)]
    assert [failure.item for failure in failures] == items(3)
    assert returned == Returned(1, (Buried(job.id, tuple(failures)),))
    assert {failure[1:] for failure in failures} == {("attempts_exhausted", "source unreadable", MAX_ATTEMPTS)}
    assert bench.finish(bench.claim()).state is JobState.INCOMPLETE
    assert bench.store.depth().batches[BatchState.DEAD] == 1
    bench.store.retry(job.id)
    assert bench.store.depth().batches[BatchState.DEAD] == 0
    assert bench.finish(bench.claim()).state is JobState.DONE


def test_completed_batches_leave_nothing_behind(bench: Bench) -> None:
    job = bench.job()
    for step in range(20):
        bench.plan(job, *[items(50, f"{step:03}-{index}-") for index in range(5)], finished=step == 19)
        for batch in bench.store.claim("w1", 99):
            bench.finish(batch)
    assert bench.store.job(job.id).counters == Counters(planned=5000, done=5000)
    assert bench.store.job(job.id).state is JobState.DONE
    assert bench.store.depth().batches == dict.fromkeys(BatchState, 0)


# -- large objects ------------------------------------------------------------------------------------------------


def test_a_large_object_goes_on_after_a_restart(bench: Bench, queue_engine: Engine, tmp_path: Path) -> None:
    job = bench.plan(bench.job(), items(1, "k\udcff"))
    batch = bench.claim()
    key = batch.items[0].key
    large = Multipart(job.id, key, "upload-1", 10**15, 2**30, "etag-1", "write-1")
    bench.store.begin_multipart(batch.lease, large)
    parts = [PartRecord(number, 2**30, f"e{number}", "AAAAAAAAAAA=") for number in (3, 1, 10_001)]
    bench.store.add_parts(batch.lease, key, parts)
    bench.store.add_parts(batch.lease, key, [parts[0]._replace(etag="sent again")])
    other = queue_engine(tmp_path, bench.clock)
    found = other.multipart(job.id, key)
    assert found is not None
    assert [part.number for part in found.parts] == [1, 3, 10_001]
    assert found.parts[1].etag == "sent again"
    assert other.multiparts(job.id) == [large]
    other.close()
    replaced = Multipart(job.id, key, "upload-2", 7, 2, "etag-2", "write-2", (PartRecord(1, 2, "e", "c"),))
    bench.store.begin_multipart(batch.lease, replaced)
    assert bench.store.multipart(job.id, key) == replaced
    bench.store.end_multipart(job.id, key, "upload-1")  # of a worker that lost its lease: not the one that stands there
    assert bench.store.multipart(job.id, key) == replaced
    bench.store.end_multipart(job.id, key, "upload-2")
    assert bench.store.multipart(job.id, key) is None
    bench.store.begin_multipart(batch.lease, replaced)
    bench.store.end_multipart(job.id, key)
    assert bench.store.multipart(job.id, key) is None
    bench.store.end_multipart(job.id, key)
    with pytest.raises(ValueError, match="under way"):
        bench.store.add_parts(batch.lease, key, parts)


def test_a_lease_opens_large_objects_of_its_own_job_only(bench: Bench) -> None:
    bench.plan(bench.job(), items(1))
    other = bench.job()
    with pytest.raises(LeaseLost):
        bench.store.begin_multipart(bench.claim().lease, Multipart(other.id, "k", "t", 1, 1, "f", "w"))


# -- transactions -------------------------------------------------------------------------------------------------


def test_a_group_is_one_commit(bench: Bench, queue_engine: Engine, tmp_path: Path) -> None:
    other = queue_engine(tmp_path, bench.clock, read_only=True)
    with bench.store.group():
        bench.job()
        bench.job()
        assert other.jobs() == []
    assert len(other.jobs()) == 2
    other.close()


def enqueue_and_break(bench: Bench) -> None:
    with bench.store.group():
        bench.job()
        raise RuntimeError


def test_what_raises_inside_a_group_undoes_only_itself(bench: Bench) -> None:
    with bench.store.group():
        kept = bench.job(submission_id="kept")
        with pytest.raises(UsageError):
            bench.store.enqueue(spec("s3://else/", submission_id="kept"))
        with pytest.raises(RuntimeError):
            enqueue_and_break(bench)
        also = bench.job()
    assert [job.id for job in bench.store.jobs()] == [also.id, kept.id]


def test_a_group_that_raises_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(RuntimeError):
        enqueue_and_break(bench)
    assert bench.store.jobs() == []
    assert bench.job().state is JobState.QUEUED


def test_the_version_tells_of_commits_of_others(bench: Bench, queue_engine: Engine, tmp_path: Path) -> None:
    other = queue_engine(tmp_path, bench.clock)
    before = other.version()
    assert other.version() == before
    bench.job()
    after = other.version()
    assert after != before
    other.enqueue(spec())
    assert other.version() == after, "its own commits are no news"
    with other.group():
        assert other.version() == after
    other.close()
