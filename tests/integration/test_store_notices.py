"""What every engine has to pass: notices, method by method."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from headrace_queue.errors import QueueError, UnknownNotice
from headrace_queue.jobs import Job, Multipart, PartRecord
from headrace_queue.notices import (
    ENDED_TOLD,
    FIRST_ERROR_TOLD,
    STALL_TOLD,
    Notice,
    NoticeChanges,
    NoticeEvent,
    NoticeSpec,
    NoticeState,
)
from headrace_queue.states import JobState
from tests.support.queue import Bench, Engine, items

HOLD = 60.0


def notice(name: str = "ops", token: str = "t1", event: NoticeEvent = NoticeEvent.DONE) -> NoticeSpec:
    return NoticeSpec(event, name, token, '{"title": "ü"}')


def ended(bench: Bench, failed: bool = False) -> Job:
    job = bench.job()
    bench.plan(job, items(2))
    return bench.finish(bench.claim(), [0] if failed else [])


def told(bench: Bench) -> list[tuple[int, int]]:
    return [(one.job.id, one.told) for one in bench.store.untold()]


def test_an_ended_job_is_untold_until_it_is_told(bench: Bench) -> None:
    running, job = bench.job(), ended(bench)
    assert told(bench) == [(job.id, 0)]
    assert bench.store.tell(job.id, ENDED_TOLD, [notice()])
    assert told(bench) == []
    now = bench.clock.now
    (row,) = bench.store.notices()
    assert row == Notice(row.id, job.id, notice(), NoticeState.WAITING, now, now, now)
    assert running.id not in [one.job.id for one in bench.store.untold()]


def test_who_comes_second_changes_nothing(bench: Bench) -> None:
    job = ended(bench)
    assert bench.store.tell(job.id, ENDED_TOLD, [notice(token="first")])
    assert not bench.store.tell(job.id, ENDED_TOLD, [notice(token="second"), notice("more", "third")])
    assert [row.spec.token for row in bench.store.notices()] == ["first"]
    assert not bench.store.tell(999, ENDED_TOLD, [notice(token="fourth")])


def test_of_two_at_once_one_tells(queue_engine: Engine, tmp_path: Path, bench: Bench) -> None:
    job, barrier = ended(bench), Barrier(2)

    def tell(token: str) -> bool:
        with closing(queue_engine(tmp_path, bench.clock)) as store:
            barrier.wait(60)
            return store.tell(job.id, ENDED_TOLD, [notice(token=token)])

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(tell, ["a", "b"])) == [False, True]
    assert len(bench.store.notices()) == 1


def test_the_first_failure_is_untold_while_the_job_goes_on(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1), items(1, "m"))
    bench.finish(bench.claim(), [0])
    assert told(bench) == [(job.id, 0)]
    bench.store.tell(job.id, FIRST_ERROR_TOLD)
    assert told(bench) == []
    bench.finish(bench.claim())
    assert told(bench) == [(job.id, FIRST_ERROR_TOLD)]  # and now it ended
    assert bench.store.job(job.id).state is JobState.INCOMPLETE


def test_what_is_tried_again_is_told_again(bench: Bench) -> None:
    job = ended(bench, failed=True)
    bench.store.tell(job.id, ENDED_TOLD, [notice(event=NoticeEvent.INCOMPLETE)])
    (row,) = bench.store.notices()
    bench.store.change_notice(row.id, NoticeChanges(state=NoticeState.GIVEN_UP, looks=7, error="no"), "t1")
    bench.store.retry(job.id)
    assert told(bench) == []
    bench.finish(bench.claim(), [0])
    assert told(bench) == [(job.id, 0)]
    bench.clock.now += 5
    bench.store.tell(job.id, ENDED_TOLD, [notice(token="t2", event=NoticeEvent.INCOMPLETE)])
    (again,) = bench.store.notices()
    assert (again.spec.token, again.state, again.looks, again.error) == ("t2", NoticeState.WAITING, 0, None)
    assert again.created == bench.clock.now
    with pytest.raises(UnknownNotice):  # who still sends the former one has no say any more
        bench.store.change_notice(again.id, NoticeChanges(state=NoticeState.SENT), "t1")


def test_a_stall_can_come_again(bench: Bench) -> None:
    job = bench.job()
    assert bench.store.tell(job.id, STALL_TOLD)
    assert not bench.store.tell(job.id, STALL_TOLD)
    bench.store.untell(job.id, STALL_TOLD)
    bench.store.untell(job.id, STALL_TOLD)
    assert bench.store.tell(job.id, STALL_TOLD)
    assert [one.told for one in bench.store.moving((JobState.QUEUED,))] == [STALL_TOLD]


def test_movement_shows_parts(bench: Bench) -> None:
    job = bench.job()
    bench.plan(job, items(1))
    batch = bench.claim()
    (before,) = bench.store.moving((JobState.RUNNING, JobState.QUEUED))
    bench.store.begin_multipart(batch.lease, Multipart(job.id, "k", "u", 20, 10, "f", "w"))
    bench.store.add_parts(batch.lease, "k", [PartRecord(1, 10, "e", "c")])
    (after,) = bench.store.moving((JobState.RUNNING,))
    assert (before.parts, after.parts) == (0, 1)
    assert before.mark != after.mark
    assert bench.store.moving((JobState.PAUSED,)) == []


def test_due_ones_are_held(bench: Bench) -> None:
    job = ended(bench)
    bench.store.tell(job.id, ENDED_TOLD, [notice("a", "1"), notice("b", "2"), notice("c", "3")])
    now = bench.clock.now
    first = bench.store.due_notices(now, HOLD, 2)
    assert [row.spec.name for row in first] == ["a", "b"]
    assert [row.spec.name for row in bench.store.due_notices(now, HOLD)] == ["c"]
    assert bench.store.due_notices(now + HOLD - 1, HOLD) == []
    bench.store.change_notice(first[0].id, NoticeChanges(state=NoticeState.SENT))
    bench.store.change_notice(first[1].id, NoticeChanges(next_look=now + 5, looks=1, error="later"))
    (due,) = bench.store.due_notices(now + 5, HOLD)
    assert (due.spec.name, due.looks, due.error) == ("b", 1, "later")
    assert {row.spec.name for row in bench.store.notices((NoticeState.WAITING,))} == {"b", "c"}
    assert [row.spec.name for row in bench.store.notices(limit=1)] == ["c"]


def test_a_notice_outlives_its_job(bench: Bench) -> None:
    job = ended(bench)
    bench.store.tell(job.id, ENDED_TOLD, [notice()])
    assert bench.store.purge(bench.clock.now + 1) == [job.id]
    assert [row.job_id for row in bench.store.notices()] == [job.id]


def test_old_ones_go_and_what_waits_stays(bench: Bench) -> None:
    job = ended(bench)
    bench.store.tell(job.id, ENDED_TOLD, [notice("a", "1"), notice("b", "2")])
    (row, _) = bench.store.due_notices(bench.clock.now, HOLD)
    bench.store.change_notice(row.id, NoticeChanges(state=NoticeState.SENT))
    assert bench.store.purge_notices(bench.clock.now) == 0
    assert bench.store.purge_notices(bench.clock.now + 1) == 1
    assert [left.spec.name for left in bench.store.notices()] == ["b"]
    with pytest.raises(UnknownNotice):
        bench.store.change_notice(row.id, NoticeChanges(looks=1))


def test_given_up_without_a_reason_cannot_be_stored(bench: Bench) -> None:
    bench.store.tell(ended(bench).id, ENDED_TOLD, [notice()])
    (row,) = bench.store.notices()
    with pytest.raises(QueueError):
        bench.store.change_notice(row.id, NoticeChanges(state=NoticeState.GIVEN_UP))
