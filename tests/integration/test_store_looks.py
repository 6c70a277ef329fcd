"""What every engine has to pass: what people who watch are told of a job beside its row."""

import pytest

from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Counters, Failure, Item, Multipart, PartRecord
from headrace_queue.situation import Situation
from tests.support.queue import Bench, items


def test_a_job_that_was_just_enqueued_holds_nothing(bench: Bench) -> None:
    job = bench.job()
    assert bench.store.situation(job.id) == Situation()
    with pytest.raises(UnknownJob):
        bench.store.situation(99)


def test_batches_are_told_by_what_they_wait_for(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1), items(1), items(1))
    first, second = bench.claim(), bench.claim()
    bench.store.snooze(first.lease, bench.clock.now + 5, "the service asks to slow down")
    bench.store.snooze(second.lease, bench.clock.now + 9, "the service asks to slow down")
    assert bench.store.situation(job.id) == Situation(ready=1, sleeping=2, wakes=bench.clock.now + 5)
    bench.claim()
    assert bench.store.situation(job.id) == Situation(sleeping=2, wakes=bench.clock.now + 5, leased=1)
    bench.clock.now += 6
    assert bench.store.situation(job.id) == Situation(ready=1, sleeping=1, wakes=bench.clock.now + 3, leased=1)


def test_dead_batches_are_told(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    while not bench.store.give_back(bench.claim().lease, 0.0, "io").buried:
        pass
    assert bench.store.situation(job.id) == Situation(dead=1)


def test_a_plan_is_told_by_who_has_it_and_until_when_it_is_held(bench: Bench) -> None:
    job, other = bench.job(), bench.job()
    lease = bench.plan_lease(job)
    assert bench.store.situation(job.id) == Situation(planned_by="w1")
    assert bench.store.situation(other.id) == Situation(planning=1)
    bench.store.release_plan(lease, bench.clock.now + 5)
    assert bench.store.situation(job.id) == Situation(plan_not_before=bench.clock.now + 5)


def test_others_are_told_that_come_first_or_are_at_work(bench: Bench) -> None:
    job, high, equal, over = bench.job(), bench.job(priority=5), bench.job(), bench.job(priority=9)
    bench.store.cancel(over.id)
    for one in (high, equal):
        bench.plan(one, items(1))
    assert bench.store.situation(job.id) == Situation(ahead=(high.id,))
    bench.claim()
    bench.claim()
    assert bench.store.situation(job.id) == Situation(ahead=(high.id,), others=2)
    assert bench.store.situation(high.id) == Situation(leased=1, others=1)


def test_parts_of_large_objects_count_until_they_are_whole(bench: Bench) -> None:
    first, second, none = bench.job(), bench.job(), bench.job()
    assert bench.store.under_way([]) == {}
    for number, job in enumerate((first, second), start=1):
        bench.plan(job, items(2, prefix=f"{number}"))
        lease = bench.claim().lease
        for name in ("a", "b"):
            bench.store.begin_multipart(lease, Multipart(job.id, name, "t", 100, 10, "f", "w"))
            bench.store.add_parts(lease, name, [PartRecord(part, 10, "e", "c") for part in (1, 2, number)])
    ids = [first.id, second.id, none.id]
    assert bench.store.under_way(ids) == {first.id: 40, second.id: 40}
    bench.store.end_multipart(first.id, "a")
    assert bench.store.under_way(ids) == {first.id: 20, second.id: 40}
    assert bench.store.under_way([none.id]) == {}


def test_the_newest_failures_come_first(bench: Bench) -> None:
    job, other = bench.job(), bench.job()
    for one, prefix in ((job, "k"), (other, "o")):
        bench.plan(one, items(4, prefix=prefix))
        batch = bench.claim()
        for index in range(3):
            failure = Failure(batch.items[index], "io", str(index))
            bench.store.progress(batch.lease, [index], Counters(), [failure])
    newest = bench.store.newest_failures(job.id, 2)
    assert [(failure.item.key, failure.message) for _, failure in newest] == [("k00002", "2"), ("k00001", "1")]
    assert newest[0][0] > newest[1][0]
    assert newest == bench.store.failures(job.id)[:0:-1]
    assert bench.store.newest_failures(bench.job().id) == []
    assert isinstance(newest[0][1].item, Item)
