"""What `headrace watch` makes of a queue from look to look; the clocks are set by hand."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace_queue import dashboard
from headrace_queue.dashboard import Keys, Watching
from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Counters, Multipart, PartRecord, PlanStep
from headrace_queue.pace import Estimate
from headrace_queue.states import EXIT_CODE, JobState
from headrace_queue.store import Store
from tests.support.queue import ENGINES, Bench, Clock, Engine, items

MIB = 2**20


class Seen(Bench):
    """A queue with a connection of its own for whoever watches."""

    reader: Store


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Seen]:
    engine: Engine = ENGINES["sqlite"]
    clock = Clock()
    with closing(engine(tmp_path, clock)) as store, closing(engine(tmp_path, clock, read_only=True)) as reader:
        bench = Seen(store, clock)
        bench.reader = reader
        yield bench


def watching(bench: Seen, only: int | None = None) -> Watching:
    """By another connection, as a command does."""
    return Watching(bench.reader, only, None, bench.clock, bench.clock)


def planned(bench: Seen, count: int, size: int = MIB) -> int:
    job = bench.job()
    batch = tuple(items(count, size=size))
    step = PlanStep((batch,), "z", Counters(listed=count, planned=count, planned_bytes=count * size), finished=True)
    bench.store.commit_plan(bench.plan_lease(job), step)
    return job.id


def test_a_rate_an_end_and_a_graph_grow_from_look_to_look(bench: Seen) -> None:
    number = planned(bench, 100)
    batch, seen = bench.claim(), watching(bench)
    seen.look(10)
    for index in range(20):
        bench.clock.now += 1
        bench.store.progress(batch.lease, [index], Counters(done=1, done_bytes=MIB), [])
        view = seen.look(10)
    (one,) = view.jobs
    assert (one.job.id, one.moved, one.rate) == (number, 20 * MIB, MIB)
    assert one.left == Estimate(80.0, 80.0)
    assert view.rates[-5:] == [MIB] * 5
    bench.clock.now += 15
    assert seen.look(10).jobs[0].rate == 0, "nothing came, and nothing changed in the queue"


def test_parts_of_a_large_object_are_seen(bench: Seen) -> None:
    number = planned(bench, 1, size=100 * MIB)
    lease, seen = bench.claim().lease, watching(bench)
    bench.store.begin_multipart(lease, Multipart(number, "k00000", "t", 100 * MIB, 10 * MIB, "f", "w"))
    bench.store.add_parts(lease, "k00000", [PartRecord(1, 10 * MIB, "", "")])
    assert seen.look(10).jobs[0].moved == 10 * MIB
    bench.store.add_parts(lease, "k00000", [PartRecord(2, 10 * MIB, "", "")])
    assert seen.look(10).jobs[0].moved == 20 * MIB


def test_a_job_that_ends_stays_for_a_minute_and_one_that_ended_before_is_not_shown(bench: Seen) -> None:
    old = bench.job().id
    bench.store.cancel(old)
    number, seen = bench.job().id, watching(bench)
    assert [one.job.id for one in seen.look(10).jobs] == [number]
    assert not seen.over()
    bench.store.cancel(number)
    assert [one.job.state for one in seen.look(10).jobs] == [JobState.CANCELLED]
    assert seen.over()
    bench.clock.now += 61
    assert seen.look(10).jobs == []
    later = bench.job().id
    assert [one.job.id for one in seen.look(10).jobs] == [later]
    assert sorted(seen.met) == [number, later], "whose endings are told when one leaves"


def test_who_works_is_seen_however_many_wait(bench: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_MOST_JOBS", 3)
    number = planned(bench, 2)
    bench.claim()
    waiting = [bench.job().id for _ in range(5)]
    view = watching(bench).look(10)
    assert [one.job.id for one in view.jobs] == [number, *waiting[-2:]]
    assert view.more


def test_weeks_of_jobs_leave_little_behind(bench: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_MOST_MET", 2)
    seen, numbers = watching(bench), []
    for _ in range(5):
        number = bench.job().id
        numbers.append(number)
        seen.look(10)
        bench.store.cancel(number)
        bench.clock.now += 61
        seen.look(10)
    assert len(seen.met) <= 3, "one may not be counted as long over yet"
    assert numbers[0] not in seen.met
    assert seen.worst == EXIT_CODE[JobState.CANCELLED]
    assert set(seen._paces) | set(seen._throughput._totals) <= {numbers[-1]}


def test_a_terminal_that_is_gone_is_asked_no_more() -> None:
    reading, writing = os.pipe()
    keys = Keys(reading)
    os.write(writing, b"jq")
    assert keys.wait(0) == ["j", "q"]
    os.close(writing)
    assert keys.wait(0) == []
    os.close(reading)
    assert keys.wait(0) == [], "a closed one would be an error"


def test_errors_come_the_newest_first_and_go_with_their_job(bench: Seen) -> None:
    first, second = planned(bench, 2), planned(bench, 2)
    for failing in ([0], [0, 1]):
        bench.finish(bench.claim(), failing)
    seen = watching(bench, second)
    assert [number for number, _ in seen.look(10).failures] == [second, second]
    assert watching(bench).look(10).failures == [], "both are over"
    third = planned(bench, 1)
    together = watching(bench)
    together.look(10)
    bench.finish(bench.claim(), [0])
    assert [number for number, _ in together.look(10).failures] == [third]
    assert first not in together.met


def test_a_job_that_is_purged_meanwhile_is_gone(bench: Seen) -> None:
    number, seen = bench.job().id, watching(bench)
    alone = watching(bench, number)
    for one in (seen, alone):
        one.look(10)
    bench.store.cancel(number)
    bench.clock.now += 1
    assert bench.store.purge(bench.clock.now) == [number]
    assert seen.look(10).jobs == []
    with pytest.raises(UnknownJob):
        alone.look(10)
