"""Schedules in every engine of the queue, and one firing of them: whole or not at all, and once."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_queue.collisions import Collision
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind, Options, Owner
from headrace_queue.overlap import Services
from headrace_queue.schedule_firing import busy_job, fire
from headrace_queue.schedules import (
    MOST_PENDING,
    CatchUp,
    Origin,
    Overlap,
    Rule,
    ScheduleSpec,
    Standing,
    Trigger,
    UnknownSchedule,
)
from headrace_queue.states import JobState
from headrace_queue.store import Store
from tests.support.queue import Bench, Clock, Engine, worker

NIGHTLY = ScheduleSpec(
    "nightly",
    Trigger.CRON,
    Rule(cron="0 3 * * *", timezone="Europe/Copenhagen", catch_up=CatchUp.ALL, overlap=Overlap.HOLD),
    ("run", "sentinel2", "--exclude", "*.tmp"),
    "/data",
)
NEXT = ScheduleSpec("next", Trigger.AFTER, Rule(after="sentinel2"), ("run", "landsat"), "/")
HERE = Services({})


def spec_of(destination: str = "/fsx/a", **labels: str) -> JobSpec:
    return JobSpec(Kind.SYNC, "s3://bucket/a/", destination, labels=tuple(labels.items()))


def finish(bench: Bench, job_id: int) -> None:
    bench.plan(bench.store.job(job_id))
    assert bench.store.job(job_id).state is JobState.DONE


def test_what_was_written_is_read(store: Store, clock: Clock) -> None:
    made = store.add_schedule(NIGHTLY)
    assert (made.spec, made.standing, made.created, made.holder) == (NIGHTLY, Standing(), clock.now, None)
    assert store.schedule("nightly") == made
    standing = Standing(False, 5.0, 6.5, 7.0, 8.0, 9.0, (1, 2), (3,), "a note", "an error")
    changed = store.change_schedule("nightly", standing)
    assert (changed.standing, changed.revision > made.revision) == (standing, True)
    store.add_schedule(NEXT)
    assert [row.name for row in store.schedules()] == ["next", "nightly"]


def test_a_name_is_one_schedule(store: Store) -> None:
    store.add_schedule(NIGHTLY)
    with pytest.raises(UsageError, match="there is one of this name"):
        store.add_schedule(replace(NEXT, name="nightly"))


def test_one_that_is_not_there(store: Store) -> None:
    for call in (
        lambda: store.schedule("x"),
        lambda: store.change_schedule("x", Standing()),
        lambda: store.remove_schedule("x"),
        lambda: store.respecify_schedule(replace(NIGHTLY, name="x")),
    ):
        with pytest.raises(UnknownSchedule):
            call()
    assert not store.hold_schedule("x", "w1")


def test_another_spec_plans_anew_and_keeps_what_happened(store: Store) -> None:
    store.add_schedule(NIGHTLY)
    store.change_schedule("nightly", Standing(True, 5.0, 6.0, None, 4.0, 4.5, (7,), (), "a note", "an error"))
    other = replace(NEXT, name="nightly", origin=Origin.CONFIG)
    row = store.respecify_schedule(other)
    assert row.spec == other
    assert row.standing == Standing(True, None, None, None, 4.0, 4.5, (7,))


def test_what_is_due_stays_due_where_only_the_command_changes(store: Store) -> None:
    """The daemon was down at the instant, and the file was corrected before it was started again."""
    store.add_schedule(NIGHTLY)
    standing = Standing(planned=5.0, due=6.0, held_since=7.0, fired=4.0, jobs=(7,))
    store.change_schedule("nightly", standing)
    other = replace(NIGHTLY, command=("run", "other"), rule=replace(NIGHTLY.rule, jitter=1.0))
    assert store.respecify_schedule(other).standing == standing
    later = replace(other, rule=replace(other.rule, cron="0 4 * * *", timezone="UTC"))
    assert store.respecify_schedule(later).standing == Standing(fired=4.0, jobs=(7,))


def test_an_end_of_what_it_comes_after_no_more_is_forgotten(store: Store) -> None:
    store.add_schedule(NEXT)
    store.change_schedule("next", Standing(pending=(3, 4)))
    row = store.respecify_schedule(replace(NEXT, command=("run", "other")))
    assert row.standing.pending == (3, 4)
    row = store.respecify_schedule(replace(NEXT, rule=replace(NEXT.rule, after="another")))
    assert row.standing.pending == ()


def test_a_removed_one_leaves_its_jobs(store: Store) -> None:
    row = store.add_schedule(NIGHTLY)
    assert fire(store, row, row.standing, [spec_of()], HERE, instant="i", now=1.0) is not None
    store.remove_schedule("nightly")
    assert store.schedules() == []
    assert len(store.jobs()) == 1


# -- who watches ------------------------------------------------------------------------------------------------------


def test_one_worker_watches_until_it_is_gone(store: Store, bench: Bench) -> None:
    store.add_schedule(NIGHTLY)
    assert store.hold_schedule("nightly", "w1")
    assert store.hold_schedule("nightly", "w1")
    assert not store.hold_schedule("nightly", "w2")
    assert store.schedule("nightly").holder == "w1"
    store.expire(["w1"])
    assert store.hold_schedule("nightly", "w2")
    store.register(worker("w1"))
    assert not store.hold_schedule("nightly", "w1"), "it was taken for dead"
    store.retire("w2")
    assert store.hold_schedule("nightly", "w1")


# -- firing -----------------------------------------------------------------------------------------------------------


def test_a_firing_is_its_jobs_and_what_is_known_of_it(store: Store) -> None:
    row = store.change_schedule(store.add_schedule(NIGHTLY).name, Standing(planned=5.0, due=5.0, error="no folder"))
    new = Standing(planned=9.0, due=9.5, note="why", error="no folder")
    jobs = fire(store, row, new, [spec_of("/a", k="v"), spec_of("/b")], HERE, instant="1970", now=7.0)
    assert jobs is not None
    assert [job.spec.submission_id for job in jobs] == ["schedule:nightly:1970", "schedule:nightly:1970:1"]
    assert [dict(job.spec.labels) for job in jobs] == [{"k": "v", "schedule": "nightly"}, {"schedule": "nightly"}]
    after = store.schedule("nightly").standing
    assert after == replace(new, fired=7.0, jobs=(jobs[0].id, jobs[1].id), error=None)


def test_of_two_daemons_one_fires(queue_engine: Engine, store: Store, tmp_path: Path, clock: Clock) -> None:
    seen = store.add_schedule(NIGHTLY)
    with closing(queue_engine(tmp_path, clock)) as other:
        same = other.schedule("nightly")
        assert fire(other, same, same.standing, [spec_of()], HERE, instant="i", now=1.0) is not None
    assert fire(store, seen, seen.standing, [spec_of()], HERE, instant="i", now=1.0) is None
    assert len(store.jobs()) == 1


def test_the_same_instant_is_the_same_jobs(store: Store) -> None:
    """As after a copy of the queue was put back: the instant is told by the submission id."""
    for _ in range(2):
        row = store.schedule("nightly") if store.schedules() else store.add_schedule(NIGHTLY)
        jobs = fire(store, row, row.standing, [spec_of()], HERE, instant="i", now=1.0)
        assert jobs is not None
        assert [job.id for job in jobs] == [1]


def test_a_firing_that_breaks_off_did_nothing(store: Store) -> None:
    row = store.add_schedule(NIGHTLY)
    store.enqueue(spec_of("/b"))
    with pytest.raises(Collision):
        fire(store, row, Standing(note="fired"), [spec_of("/a"), spec_of("/b")], HERE, instant="i", now=1.0)
    assert (len(store.jobs()), store.schedule("nightly")) == (1, row)

    class Crash(Exception):
        pass

    def crash() -> None:
        with store.group():
            assert fire(store, row, Standing(note="fired"), [spec_of("/a")], HERE, instant="i", now=1.0) is not None
            raise Crash

    with pytest.raises(Crash):
        crash()
    assert (len(store.jobs()), store.schedule("nightly")) == (1, row)


def test_a_job_of_the_last_firing_keeps_it_busy(store: Store, bench: Bench, clock: Clock) -> None:
    row = store.add_schedule(NIGHTLY)
    jobs = fire(store, row, row.standing, [spec_of("/a"), spec_of("/b")], HERE, instant="i", now=1.0)
    assert jobs is not None
    for job in jobs:
        assert busy_job(store, store.schedule("nightly")) == job.id
        finish(bench, job.id)
    assert busy_job(store, store.schedule("nightly")) is None
    assert store.schedule("nightly").standing.succeeded == clock.now
    store.purge(clock.now + 1)
    assert busy_job(store, store.schedule("nightly")) is None


# -- after other jobs -------------------------------------------------------------------------------------------------


def pending(store: Store) -> tuple[int, ...]:
    return store.schedule("next").standing.pending


def test_each_end_of_a_job_of_the_data_set_is_remembered(store: Store, bench: Bench) -> None:
    store.add_schedule(NEXT)
    store.add_schedule(replace(NEXT, name="deaf", rule=Rule(after="landsat")))
    ends = []
    for labels in ({"dataset": "sentinel2"}, {"schedule": "sentinel2"}, {"dataset": "sentinel2"}):
        job, _ = store.enqueue(spec_of(**labels))
        finish(bench, job.id)
        ends.append(job.id)
    assert pending(store) == tuple(ends)
    assert store.schedule("deaf").standing.pending == ()


@pytest.mark.parametrize(
    "spec",
    [
        spec_of(dataset="landsat"),
        spec_of(project="sentinel2"),
        replace(spec_of(dataset="sentinel2"), options=Options(dry_run=True)),
        replace(spec_of(dataset="sentinel2"), owner=Owner("ann")),
    ],
    ids=["another data set", "another label", "a dry run", "of a user of the API"],
)
def test_an_end_that_means_nothing_to_it(store: Store, bench: Bench, spec: JobSpec) -> None:
    store.add_schedule(NEXT)
    job, _ = store.enqueue(spec)
    finish(bench, job.id)
    assert pending(store) == ()


def test_a_job_that_fails_fires_nothing_until_it_is_done(store: Store, bench: Bench) -> None:
    store.add_schedule(NEXT)
    job, _ = store.enqueue(spec_of(dataset="sentinel2"))
    bench.plan_lease(job)
    store.fail(job.id, "no such bucket")
    assert pending(store) == ()
    store.retry(job.id)
    finish(bench, job.id)
    assert pending(store) == (job.id,)


def test_a_paused_one_remembers_nothing(store: Store, bench: Bench) -> None:
    store.add_schedule(NEXT)
    store.change_schedule("next", Standing(paused=True))
    job, _ = store.enqueue(spec_of(dataset="sentinel2"))
    finish(bench, job.id)
    assert pending(store) == ()


def test_what_is_remembered_is_bounded(store: Store, bench: Bench) -> None:
    store.add_schedule(NEXT)
    store.change_schedule("next", Standing(pending=tuple(range(10_000, 10_000 + MOST_PENDING))))
    job, _ = store.enqueue(spec_of(dataset="sentinel2"))
    finish(bench, job.id)
    assert (len(pending(store)), pending(store)[0], pending(store)[-1]) == (MOST_PENDING, 10_001, job.id)
