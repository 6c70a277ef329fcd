"""What every engine has to pass: data repository tasks, method by method, and jobs that wait for them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from headrace_queue.errors import IllegalTransition, LeaseLost, NotYourTurn, QueueError, UnknownTask, UsageError
from headrace_queue.jobs import Action, Counters, Failure, PlanStep
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.tasks import (
    NO_TASK_CHANGES,
    TASK_ENDED,
    TASK_MOVES,
    Task,
    TaskChanges,
    TaskKind,
    TaskSpec,
    TaskState,
)
from tests.support.queue import Clock, Engine, items
from tests.support.task_rows import TaskBench

EVENTS = sorted({event for moves in TASK_MOVES.values() for event in moves})
HOLD = 60.0


@pytest.fixture
def bench(store: Store, clock: Clock) -> TaskBench:
    return TaskBench(store, clock)


# -- begin and read -----------------------------------------------------------------------------------------------


def test_tasks_come_back_as_they_were_asked_for(bench: TaskBench) -> None:
    job = bench.queue.job()
    specs = [
        TaskSpec(TaskKind.IMPORT, "scratch", "fs-1", "s3://b/ü 'x'/", "", "t" * 63),
        TaskSpec(TaskKind.EXPORT, "scratch", "fs-1", "", "s3://b/reports/", "x"),
        TaskSpec(TaskKind.RELEASE, "cold", "fs-2", "run\0/7", "", "y"),
    ]
    tasks = bench.store.begin_tasks(bench.queue.plan_lease(job), specs)
    now = bench.clock.now
    assert tasks == [
        Task(task.id, job.id, spec, TaskState.WAITING, now, now, now) for task, spec in zip(tasks, specs, strict=True)
    ]
    assert [bench.store.task(task.id) for task in tasks] == tasks == bench.store.tasks(job.id)
    assert [task.id for task in tasks] == sorted(task.id for task in tasks)


def test_the_plan_is_over_with_the_first_task(bench: TaskBench) -> None:
    lease = bench.queue.plan_lease(bench.queue.job())
    bench.store.begin_tasks(lease, [bench.spec()])
    with pytest.raises(LeaseLost):
        bench.store.commit_plan(lease, PlanStep((), "", Counters()))
    with pytest.raises(LeaseLost):
        bench.store.begin_tasks(lease, [bench.spec()])
    assert len(bench.store.tasks()) == 1


def test_who_lost_the_plan_begins_no_task(bench: TaskBench) -> None:
    job = bench.queue.job()
    lease = bench.queue.plan_lease(job)
    bench.store.pause(job.id)
    bench.store.resume(job.id)
    with pytest.raises(LeaseLost):
        bench.store.begin_tasks(lease, [bench.spec()])
    other = bench.queue.plan_lease(job, "w2")
    with pytest.raises(LeaseLost):
        bench.store.begin_tasks(replace(other, attempt=other.attempt - 1), [bench.spec()])
    assert bench.store.tasks() == []
    bench.store.commit_plan(other, PlanStep((), "", Counters()))


@pytest.mark.parametrize(
    "change",
    [{"path": "a\udcff"}, {"report": "s3://b/\udcff"}, {"token": "t" * 64}, {"token": ""}, {"token": "token-1"}],
    ids=["path", "report", "token too long", "no token", "token that was used"],
)
def test_of_several_tasks_all_are_begun_or_none(change: dict[str, str], bench: TaskBench) -> None:
    lease = bench.queue.plan_lease(bench.queue.job())
    with pytest.raises((UsageError, QueueError)):
        bench.store.begin_tasks(lease, [bench.spec(), replace(bench.spec(), **change)])  # type: ignore[arg-type]
    assert bench.store.tasks() == []
    assert bench.store.begin_tasks(lease, [bench.spec()]), "the plan is still its own"


def test_tasks_are_listed_oldest_first_by_job_and_by_whether_they_have_ended(bench: TaskBench) -> None:
    first, second = bench.queue.job(), bench.queue.job()
    made = [*bench.tasks("fs-1", "fs-2", "fs-3", job=first), *bench.tasks("fs-4", "fs-5", job=second)]
    bench.move(made[1], "cancel")
    bench.move(made[4], "ask")
    ids = [task.id for task in made]

    def listed(job_id: int | None = None, open_only: bool = False, limit: int = 9) -> list[int]:
        return [ids.index(task.id) for task in bench.store.tasks(job_id, open_only=open_only, limit=limit)]

    assert listed() == [0, 1, 2, 3, 4]
    assert listed(limit=2) == [0, 1]
    assert listed(open_only=True) == [0, 2, 3, 4]
    bench.store.change_task(made[0].id, TaskChanges(next_look=bench.clock.now + 99))
    assert listed(open_only=True, limit=1) == [0], "the oldest, whoever is to be looked at first"
    assert listed(first.id) == [0, 1, 2]
    assert listed(first.id, open_only=True) == [0, 2]
    assert listed(second.id, open_only=True, limit=1) == [3]
    assert listed(second.id + 1) == []


def test_an_unknown_task_is_told(bench: TaskBench) -> None:
    with pytest.raises(UnknownTask, match="data repository task 99"):
        bench.store.task(99)
    with pytest.raises(UnknownTask, match="99"):
        bench.store.move_task(99, "ask")
    with pytest.raises(UnknownTask, match="99"):
        bench.store.change_task(99, NO_TASK_CHANGES)


# -- moves and changes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", TaskState)
def test_every_move(bench: TaskBench, state: TaskState) -> None:
    for event in EVENTS:
        before = bench.task_in(state)
        before = bench.store.change_task(before.id, TaskChanges(looks=7))
        bench.clock.now += 10
        after, changes = TASK_MOVES[state].get(event), bench.changes_of(event)
        if after is None:
            with pytest.raises(IllegalTransition, match=event):
                bench.store.move_task(before.id, event, changes)
            assert bench.store.task(before.id) == before
            continue
        moved = bench.store.move_task(before.id, event, changes)
        assert moved == bench.store.task(before.id)
        now = bench.clock.now
        assert moved == replace(
            before,
            state=after,
            changed=now,
            next_look=now,
            looks=0,
            finished=now if after in TASK_ENDED else None,
            error=changes.error,
            task_id=changes.task_id or before.task_id,
        )


def test_a_move_takes_its_changes_along_and_the_next_leaves_them(bench: TaskBench) -> None:
    task = bench.move(bench.tasks()[0], "ask")
    later = bench.clock.now + 5
    moved = bench.store.move_task(task.id, "accept", TaskChanges(later, 3, "task-1", 12.5, 30, 20, 10))
    assert (moved.next_look, moved.looks, moved.task_id, moved.started) == (later, 3, "task-1", 12.5)
    assert (moved.total, moved.succeeded, moved.failed) == (30, 20, 10)
    bench.clock.now += 10
    same = bench.store.move_task(task.id, "succeed")
    now = bench.clock.now
    assert same == replace(moved, state=TaskState.SUCCEEDED, changed=now, finished=now, next_look=now, looks=0)


def test_a_change_leaves_the_rest_as_it_is(bench: TaskBench) -> None:
    task = bench.task_in(TaskState.RUNNING)
    bench.clock.now += 10
    assert bench.store.change_task(task.id, NO_TASK_CHANGES) == task
    changes = TaskChanges(5.0, 2, "task-9", 3.5, 9, 8, 1)
    changed = bench.store.change_task(task.id, changes)
    assert changed == bench.store.task(task.id)
    assert changed == replace(
        task, next_look=5.0, looks=2, task_id="task-9", started=3.5, total=9, succeeded=8, failed=1
    )
    assert bench.store.change_task(task.id, TaskChanges(total=0, looks=0)) == replace(changed, total=0, looks=0)


def test_an_error_is_of_what_ended_badly(bench: TaskBench) -> None:
    task = bench.task_in(TaskState.RUNNING)
    with pytest.raises(ValueError, match="failed says why"):
        bench.store.move_task(task.id, "fail")
    with pytest.raises(ValueError, match="succeeded has no error"):
        bench.store.move_task(task.id, "succeed", TaskChanges(error="no"))
    with pytest.raises(ValueError, match="running has no error"):
        bench.store.change_task(task.id, TaskChanges(error="no"))
    assert bench.store.task(task.id) == task
    failed = bench.store.move_task(task.id, "fail", TaskChanges(error="7 files \udcff"))
    assert failed.error == "7 files \\udcff"
    assert bench.store.change_task(task.id, TaskChanges(error="8 files")).error == "8 files"
    other = bench.move(bench.tasks()[0], "ask")
    with pytest.raises(ValueError, match="refused says why"):
        bench.store.move_task(other.id, "refuse")
    by_hand = bench.move(other, "accept")
    assert bench.store.move_task(by_hand.id, "cancelled", TaskChanges(error="by hand")).error == "by hand"


def test_what_runs_has_the_number_that_fsx_gave_it(bench: TaskBench) -> None:
    task = bench.move(bench.tasks()[0], "ask")
    with pytest.raises(ValueError, match="number that FSx gave"):
        bench.store.move_task(task.id, "accept")
    assert bench.store.task(task.id) == task
    told = bench.store.change_task(task.id, TaskChanges(task_id="task-1"))
    assert bench.store.move_task(task.id, "accept").task_id == told.task_id


# -- whose turn it is ---------------------------------------------------------------------------------------------


def test_a_task_waits_for_the_older_ones_of_its_file_system(bench: TaskBench) -> None:
    first, second = bench.tasks("fs-1", "fs-1")
    (third,) = bench.tasks("fs-1")
    (other,) = bench.tasks("fs-2")
    bench.move(other, "ask")
    for late in (second, third):
        with pytest.raises(NotYourTurn, match=f"task {first.id}, which is waiting"):
            bench.store.move_task(late.id, "ask")
        assert bench.store.task(late.id) == late
    for event in ("ask", "accept", "cancel"):
        bench.move(first, event)
        with pytest.raises(NotYourTurn):
            bench.store.move_task(second.id, "ask")
    bench.move(first, "cancelled")
    with pytest.raises(NotYourTurn, match=f"task {second.id}, which is waiting"):
        bench.store.move_task(third.id, "ask")
    bench.move(second, "cancel")
    assert bench.store.move_task(third.id, "ask").state is TaskState.ASKED


def test_a_task_that_was_put_off_is_asked_again(bench: TaskBench) -> None:
    first, second = bench.tasks("fs-1", "fs-1")
    bench.move(first, "ask", "postpone")
    with pytest.raises(NotYourTurn):
        bench.store.move_task(second.id, "ask")
    assert bench.move(first, "ask").state is TaskState.ASKED


def test_one_keeper_of_several_may_ask(bench: TaskBench, queue_engine: Engine, tmp_path: Path) -> None:
    (task,) = bench.tasks()
    start = Barrier(4)

    def ask(_: int) -> int:
        with closing(queue_engine(tmp_path, bench.clock)) as store:
            start.wait()
            try:
                store.move_task(task.id, "ask")
            except IllegalTransition:
                return 0
            return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(4))) == 1


# -- the keeper ---------------------------------------------------------------------------------------------------


def test_what_is_due_is_handed_out_once(bench: TaskBench) -> None:
    made = bench.tasks("fs-1", "fs-2", "fs-3")
    for task, when in zip(made, (5.0, 3.0, 11.0), strict=True):
        bench.store.change_task(task.id, TaskChanges(next_look=when))
    assert bench.store.due_tasks(2.0, HOLD) == []
    (due,) = bench.store.due_tasks(10.0, HOLD, limit=1)
    assert due == replace(made[1], next_look=10.0 + HOLD), "the one that waits longest"
    assert bench.due(10.0) == [made[0].id]
    assert bench.due(10.0) == []
    assert bench.due(12.0) == [made[2].id]
    assert bench.due(10.0 + HOLD) == [made[0].id, made[1].id], "whoever held them has died"
    bench.store.change_task(made[2].id, TaskChanges(next_look=1e6))
    bench.store.change_task(made[0].id, TaskChanges(next_look=80.0))
    assert bench.due(80.0) == [made[0].id], "whoever looked says when to look again"
    assert bench.store.due_tasks(1e9, HOLD, limit=0) == []


def test_only_what_is_open_is_due(bench: TaskBench) -> None:
    for state in TaskState:
        task = bench.task_in(state)
        assert bench.due(bench.clock.now + 1) == ([] if state in TASK_ENDED else [task.id])


# -- jobs that wait for their tasks -------------------------------------------------------------------------------


def test_a_job_is_planned_when_all_of_its_tasks_have_ended(bench: TaskBench) -> None:
    job, other = bench.queue.job(priority=5), bench.queue.job()
    first, second, third = bench.tasks("fs-1", "fs-1", "fs-2", job=job)
    assert bench.plannable() == [other.id]
    bench.move(first, "ask", "accept", "succeed")
    bench.move(third, "ask", "refuse")
    assert bench.plannable() == [other.id]
    assert bench.store.claim_plan("w1", 9, job.id) is None
    bench.move(second, "ask", "accept", "fail")
    assert bench.plannable() == [job.id, other.id]


@pytest.mark.parametrize("event", ["succeed", "fail", "cancelled"])
def test_a_job_waits_for_nothing_with_the_end_of_its_last_task(event: str, bench: TaskBench) -> None:
    job, other = bench.queue.job(), bench.queue.job()
    first, second = bench.tasks("fs-1", "fs-2", job=job)
    bench.tasks("fs-3", job=other)
    for row in (job, other):
        bench.store.set_waiting(row.id, "an export")
    bench.move(first, "ask", "accept", event)
    assert bench.store.job(job.id).waiting == "an export"
    bench.move(second, "ask", "accept")
    assert bench.store.job(job.id).waiting == "an export"
    bench.move(second, event)
    assert bench.store.job(job.id).waiting is None
    assert bench.store.job(other.id).waiting == "an export"


def test_a_cancelled_job_leaves_its_task_to_the_keeper(bench: TaskBench) -> None:
    task = bench.task_in(TaskState.RUNNING)
    assert bench.store.cancel(task.job_id).state is JobState.CANCELLED
    assert bench.store.tasks(open_only=True) == [task]
    assert bench.store.purge(bench.clock.now + 1) == [], "it is all that is known of what runs there"
    bench.move(task, "cancel", "cancelled")
    assert bench.store.purge(bench.clock.now + 1) == [task.job_id]
    assert bench.store.tasks() == []


def test_a_retry_forgets_what_was_cancelled_or_refused(bench: TaskBench) -> None:
    others = [bench.task_in(TaskState.CANCELLED), bench.task_in(TaskState.REFUSED)]
    job = bench.queue.job()
    made = bench.tasks("fs-1", "fs-2", "fs-3", "fs-4", "fs-5", job=job)
    ways = (("accept", "succeed"), ("accept", "fail"), ("accept",), ("accept", "cancelled"), ("refuse",))
    for task, way in zip(made, ways, strict=True):
        bench.move(task, "ask", *way)
    bench.store.cancel(job.id)
    bench.store.retry(job.id)
    assert [task.id for task in bench.store.tasks(job.id)] == [task.id for task in made[:3]]
    assert [task.id for other in others for task in bench.store.tasks(other.job_id)] == [task.id for task in others]
    assert job.id not in bench.plannable(), "one of them still runs"
    bench.move(made[2], "succeed")
    assert job.id in bench.plannable()
    (again,) = bench.tasks("fs-9", job=job)
    assert again.id > made[-1].id, "a number that was given away never comes back"


def test_a_retry_forgets_what_waits_for_its_turn(bench: TaskBench) -> None:
    """It belongs to what was cancelled; without what was to come before it, it must not go on."""
    job = bench.queue.job()
    specs = [bench.spec("fs-1", kind) for kind in (TaskKind.EXPORT, TaskKind.RELEASE)]
    export, _ = bench.store.begin_tasks(bench.queue.plan_lease(job), specs)
    bench.move(export, "ask", "accept")
    bench.store.cancel(job.id)
    bench.move(export, "cancel")
    bench.store.retry(job.id)
    assert [task.id for task in bench.store.tasks(job.id)] == [export.id]
    bench.move(export, "cancelled")
    assert job.id in bench.plannable()
    assert len(bench.tasks("fs-1", job=job)) == 1


def test_the_tasks_of_a_job_that_is_cancelled_are_looked_at_now(bench: TaskBench) -> None:
    job, other = bench.queue.job(), bench.queue.job()
    made = bench.tasks("fs-1", "fs-1", "fs-2", "fs-2", job=job)
    (others,) = bench.tasks("fs-3", job=other)
    bench.move(made[0], "ask", "accept")
    ended = bench.move(made[2], "cancel")
    now = bench.clock.now
    for task, when in zip((*made, others), (now + 3600, now + 60, now + 60, now - 5, now + 3600), strict=True):
        bench.store.change_task(task.id, TaskChanges(next_look=when))
    bench.store.cancel(job.id)
    assert [bench.store.task(task.id).next_look for task in made] == [now, now, now + 60, now - 5]
    assert bench.store.task(ended.id).state is TaskState.CANCELLED
    assert bench.store.task(others.id).next_look == now + 3600
    assert bench.due(now) == [made[0].id, made[1].id, made[3].id]


def test_a_plan_that_begins_anew_takes_back_what_was_to_be_restored(bench: TaskBench) -> None:
    """As what was to be copied, and other than what was to be deleted, which was never counted as planned."""
    lease = bench.queue.plan_lease(bench.queue.job())
    each = [tuple(item._replace(action=action) for item in items(2)) for action in Action]
    bench.store.commit_plan(lease, PlanStep(tuple(each), "k", Counters(planned=4, planned_bytes=40)))
    again = bench.store.restart_plan(lease, sort_source=True, sort_destination=False)
    assert bench.store.job(again.job.id).counters == Counters()


def test_a_retry_restores_again_what_could_not_be_restored(bench: TaskBench) -> None:
    """As it copies again, and other than it deletes."""
    job = bench.queue.job()
    restores = [item._replace(action=Action.RESTORE) for item in items(3)]
    bench.queue.plan(job, restores)
    batch = bench.queue.claim()
    failures = [Failure(restores[1], "restore_failed", "no", 1)]
    bench.store.progress(batch.lease, [0, 1, 2], Counters(done=2), failures)
    assert bench.store.complete(batch.lease).state is JobState.INCOMPLETE
    bench.store.retry(job.id)
    assert bench.queue.claim().items == [restores[1]]
