"""Any order of calls, by several workers, against a plain model of the queue: what the model says, the store says.

The model holds no SQL and no rows: lists of batches with their open keys, moved by the rules that the Store protocol
states. Leases that were lost are kept and tried again, for a fence is only proven by those who come too late.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from headrace_queue.errors import IllegalTransition, LeaseLost
from headrace_queue.jobs import Batch, Counters, Failure, Item, Options, Phase, PlanLease, PlanStep
from headrace_queue.states import FINAL, JOB_MOVES, BatchState, JobState
from tests.support.queue import ENGINES, MAX_ATTEMPTS, Clock, Engine, spec, worker

MEMORY = Path("/dev/shm")  # thousands of commits, whose durability is not what is asked here
MAX_WAITING = 4
MAX_JOBS = 4


WORKERS = st.sampled_from(["w1", "w2", "w3"])
INDEX = st.integers(0, 5)  # 0: the newest
PEOPLE = st.sampled_from(["pause", "resume", "cancel", "retry", "retry", "fail"])
STEPS = st.sampled_from(["progress", "finish", "finish", "complete", "snooze", "give_back"])
SIZES = st.lists(st.integers(1, 3), max_size=3)


def calls(action: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(action), st.fixed_dictionaries(arguments))


PLAN = calls(
    "plan", name=WORKERS, index=INDEX, sizes=SIZES, fails=st.booleans(), finished=st.booleans(), release=st.booleans()
)
CLAIM = calls("claim", name=WORKERS, limit=st.integers(1, 4))
WORK = calls("work", index=INDEX, step=STEPS, fails=st.booleans(), seconds=st.sampled_from([0, 0, 5]))
ENQUEUE = calls("enqueue", priority=st.integers(0, 1), delete=st.booleans())
PERSON = calls("person", index=INDEX, event=PEOPLE)
REGISTER = calls("register", name=WORKERS)
LEAVE = calls("leave", name=WORKERS, dies=st.booleans())
ACTIONS = st.sampled_from(
    [ENQUEUE, *[PERSON] * 2, *[REGISTER] * 2, LEAVE, *[PLAN] * 5, *[CLAIM] * 5, *[WORK] * 10]
).flatmap(lambda action: action)
"""One rule of weighted actions: of many rules Hypothesis leaves half out of every run, and then nothing gets far."""


@dataclass
class ModelBatch:
    """keys: of its objects; open: the indexes of those that are not finished."""

    keys: list[str]
    open: set[int]
    holder: object = None  # the lease
    worker: str = ""
    tries: int = 0
    not_before: float = 0.0
    age: int = 0


@dataclass
class ModelJob:
    id: int
    priority: int
    delete: bool
    state: JobState = JobState.QUEUED
    phase: Phase = Phase.COPY
    cursor: str = ""
    planner: object = None  # the lease
    plan_worker: str = ""
    batches: list[ModelBatch] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    dead: int = 0
    done: int = 0

    @property
    def held(self) -> list[ModelBatch]:
        return [batch for batch in self.batches if batch.holder is not None]

    @property
    def ready(self) -> list[ModelBatch]:
        return [batch for batch in self.batches if batch.holder is None]


class QueueModel(RuleBasedStateMachine):
    """One store under test; `engine` is set by the test below."""

    engine: Engine

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None)
        self.clock = Clock()
        self.store = type(self).engine(Path(self.folder.name), self.clock)
        self.jobs: dict[int, ModelJob] = {}
        self.workers: set[str] = set()
        self.leases: list[Batch] = []
        self.plans: list[PlanLease] = []
        self.keys = 0
        self.ages = 0
        # from here most rules have something to bite on: two jobs, one of them planned
        self.register("w1")
        self.register("w2")
        self.enqueue(0, False)
        self.enqueue(0, True)
        self.claim_plan("w1")
        self.commit_plan(0, [2, 2], False, False)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(action=ACTIONS)
    def act(self, action: tuple[str, dict[str, Any]]) -> None:
        name, arguments = action
        getattr(self, name)(**arguments)

    # -- the model's own rules ------------------------------------------------------------------------------------

    def move(self, job: ModelJob, event: str) -> None:
        job.state = JOB_MOVES[job.state][event]
        if job.state is not JobState.RUNNING:
            job.planner = None

    def settle(self, job: ModelJob) -> None:
        if job.state is JobState.CANCELLING and not job.held:
            self.move(job, "settle")
        elif job.state not in FINAL and job.phase is Phase.DONE and not job.batches:
            if job.state is JobState.QUEUED:
                self.move(job, "start")
            self.move(job, "finish_with_failures" if job.failed else "finish")

    def let_go(self, job: ModelJob, batch: ModelBatch, counts: bool, until: float = 0.0) -> bool:
        """Whether the batch lives on."""
        batch.holder = None
        batch.not_before = until
        lives = not counts or batch.tries < MAX_ATTEMPTS
        if not counts:
            batch.tries -= 1
        if not lives:
            job.failed.extend(batch.keys[index] for index in sorted(batch.open))
            job.dead += 1
            job.batches.remove(batch)
        self.settle(job)
        return lives

    def find(self, lease: object) -> tuple[ModelJob, ModelBatch] | None:
        for job in self.jobs.values():
            for batch in job.held:
                if batch.holder == lease:
                    return job, batch
        return None

    def new_batch(self, keys: list[str]) -> ModelBatch:
        self.ages += 1
        return ModelBatch(keys, set(range(len(keys))), age=self.ages)

    # -- people ---------------------------------------------------------------------------------------------------

    def enqueue(self, priority: int, delete: bool) -> None:
        if len(self.jobs) == MAX_JOBS:
            return
        job, is_new = self.store.enqueue(spec(priority=priority, options=Options(delete=delete)))
        assert is_new
        self.jobs[job.id] = ModelJob(job.id, priority, delete)

    def person(self, index: int, event: str) -> None:
        job = list(self.jobs.values())[index % len(self.jobs)]
        calls: dict[str, Callable[[int], object]] = {
            "pause": self.store.pause,
            "resume": self.store.resume,
            "cancel": self.store.cancel,
            "retry": self.store.retry,
            "fail": lambda job_id: self.store.fail(job_id, "why"),
        }
        call = calls[event]
        if event not in JOB_MOVES[job.state]:
            with pytest.raises(IllegalTransition):
                call(job.id)
            return
        call(job.id)
        self.move(job, event)
        if event in ("resume", "retry") and job.held:
            self.move(job, "start")
        if event == "retry":
            job.batches.extend([self.new_batch(job.failed)] if job.failed else [])
            job.failed, job.dead = [], 0
            if job.delete and job.phase is Phase.DONE:  # deletions are planned by whole listings alone
                job.phase, job.cursor = Phase.DELETE, ""
        self.settle(job)

    # -- workers --------------------------------------------------------------------------------------------------

    def register(self, name: str) -> None:
        assert self.store.heartbeat(name) is (name in self.workers)
        self.store.register(worker(name))
        self.workers.add(name)

    def leave(self, name: str, dies: bool) -> None:
        mine = [(job, batch) for job in self.jobs.values() for batch in job.held if batch.worker == name]
        plans = [job for job in self.jobs.values() if job.planner is not None and job.plan_worker == name]
        if dies:
            returned = self.store.expire([name])
            assert returned.leases == len(mine) + len(plans)
        else:
            self.store.retire(name)
        for job, batch in sorted(mine, key=lambda pair: pair[1].age):
            self.let_go(job, batch, counts=dies)
        for job in plans:
            job.planner = None
        self.workers.discard(name)

    # -- planners -------------------------------------------------------------------------------------------------

    def claim_plan(self, name: str) -> None:
        lease = self.store.claim_plan(name, MAX_WAITING)
        able = [
            job
            for job in self.jobs.values()
            if job.state in (JobState.QUEUED, JobState.RUNNING)
            and job.planner is None
            and job.phase is not Phase.DONE
            and len(job.ready) < MAX_WAITING
            and (job.phase is Phase.COPY or not job.batches)
        ]
        if name not in self.workers or not able:
            assert lease is None
            return
        expected = min(able, key=lambda job: (-job.priority, len(job.ready), job.id))
        assert lease is not None
        assert (lease.job.id, lease.cursor, lease.phase) == (expected.id, expected.cursor, expected.phase)
        assert lease not in self.plans
        self.plans.append(lease)
        if expected.state is JobState.QUEUED:
            self.move(expected, "start")
        expected.planner, expected.plan_worker = lease, name

    def plan(self, name: str, index: int, sizes: list[int], fails: bool, finished: bool, release: bool) -> None:
        """A claim, then a commit of some plan, the newest or one long lost."""
        self.claim_plan(name)
        if self.plans:
            self.commit_plan(index, sizes, fails, finished)
            if release:
                self.release_plan(index)

    def commit_plan(self, index: int, sizes: list[int], fails: bool, finished: bool) -> None:
        lease = self.plans[-1 - index % len(self.plans)]
        job = self.jobs[lease.job.id]
        batches = [[self.new_key() for _ in range(size)] for size in sizes]
        failed = [self.new_key()] if fails else []
        step = PlanStep(
            tuple(tuple(Item(key, 1, 1) for key in keys) for keys in batches),
            f"c{self.keys}",
            Counters(),
            tuple(Failure(Item(key, 1, 1), "bad_name", "no") for key in failed),
            finished,
        )
        if job.planner != lease:
            with pytest.raises(LeaseLost):
                self.store.commit_plan(lease, step)
            return
        waiting = self.store.commit_plan(lease, step)
        job.batches.extend(self.new_batch(keys) for keys in batches)
        job.failed.extend(failed)
        assert waiting == len(job.ready)
        job.cursor = step.cursor
        if finished:
            job.planner, job.cursor = None, ""
            job.phase = Phase.DELETE if job.phase is Phase.COPY and job.delete else Phase.DONE
            self.settle(job)

    def new_key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    def release_plan(self, index: int) -> None:
        lease = self.plans[-1 - index % len(self.plans)]
        self.store.release_plan(lease)
        job = self.jobs[lease.job.id]
        if job.planner == lease:
            job.planner = None

    # -- batches --------------------------------------------------------------------------------------------------

    def claim(self, name: str, limit: int) -> None:
        self.clock.now += 3
        for batch in self.store.claim(name, limit):
            job = self.next_job()
            assert name in self.workers
            assert job is not None, "a batch that is not to be had"
            assert batch.job.id == job.id
            mine = min(self.claimable(job), key=lambda each: (each.not_before, each.age))
            assert [item.key for item in batch.items] == mine.keys
            assert {index for index, _ in batch.open_items()} == mine.open
            assert all(batch.lease != other.lease for other in self.leases), "a fence that was used before"
            self.leases.append(batch)
            if job.state is JobState.QUEUED:
                self.move(job, "start")
            mine.holder, mine.worker, mine.tries = batch.lease, name, mine.tries + 1
            limit -= 1
        assert not limit or name not in self.workers or self.next_job() is None

    def claimable(self, job: ModelJob) -> list[ModelBatch]:
        return [batch for batch in job.ready if batch.not_before <= self.clock.now]

    def next_job(self) -> ModelJob | None:
        able = [
            job
            for job in self.jobs.values()
            if job.state in (JobState.QUEUED, JobState.RUNNING) and self.claimable(job)
        ]
        return min(able, key=lambda job: (-job.priority, len(job.held), job.id), default=None)

    def lease_of(self, index: int) -> Batch:
        return self.leases[-1 - index % len(self.leases)]

    def work(self, index: int, step: str, fails: bool, seconds: int) -> None:
        """One step with some lease, the newest or one long lost."""
        if not self.leases:
            return
        if step in ("progress", "finish"):
            self.progress(index, fails, whole=step == "finish")
        if step in ("complete", "finish"):
            self.complete(index)
        if step in ("snooze", "give_back"):
            self.let_batch_go(index, seconds, counts=step == "give_back")

    def progress(self, index: int, fails: bool, whole: bool) -> None:
        batch = self.lease_of(index)
        found = self.find(batch.lease)
        if found is None:
            with pytest.raises(LeaseLost):
                self.store.progress(batch.lease, [0], Counters(done=1), [])
            return
        job, mine = found
        finished = sorted(mine.open) if whole else sorted(mine.open)[:1]
        failed = [mine.keys[number] for number in finished[:1]] if fails else []
        failures = [Failure(Item(key, 1, 1), "denied", "no") for key in failed]
        self.store.progress(batch.lease, finished, Counters(done=len(finished) - len(failed)), failures)
        mine.open -= set(finished)
        if finished:
            mine.tries = 1
        job.failed.extend(failed)
        job.done += len(finished) - len(failed)

    def complete(self, index: int) -> None:
        batch = self.lease_of(index)
        found = self.find(batch.lease)
        if found is None or found[1].open:
            with pytest.raises(LeaseLost if found is None else ValueError):
                self.store.complete(batch.lease)
            return
        job, mine = found
        job.batches.remove(mine)
        self.settle(job)
        assert self.store.complete(batch.lease).state is job.state

    def let_batch_go(self, index: int, seconds: int, counts: bool) -> None:
        batch = self.lease_of(index)
        found = self.find(batch.lease)
        until = self.clock.now + seconds
        if found is None:
            with suppress(LeaseLost):
                self.give_up(batch, until, counts)
            return
        lives = self.let_go(*found, counts=counts, until=until)
        if counts:
            assert bool(self.store.give_back(batch.lease, until, "broken").buried) is not lives
        else:
            self.store.snooze(batch.lease, until, "throttled")

    def give_up(self, batch: Batch, until: float, counts: bool) -> NoReturn:
        if counts:
            self.store.give_back(batch.lease, until, "broken")
        else:
            self.store.snooze(batch.lease, until, "throttled")
        raise AssertionError("a lost lease was taken for a good one")

    # -- always ---------------------------------------------------------------------------------------------------

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not hasattr(self, "jobs"):
            return
        depth = self.store.depth()
        for job in self.jobs.values():
            row = self.store.job(job.id)
            assert (row.state, row.phase) == (job.state, job.phase)
            assert (row.counters.failed, row.counters.done) == (len(job.failed), job.done)
            assert [failure.item.key for _, failure in self.store.failures(job.id)] == job.failed
            assert job.state is not JobState.QUEUED or not job.held
        live = [job for job in self.jobs.values() if job.state not in FINAL]
        assert depth.batches[BatchState.READY] == sum(len(job.ready) for job in live)
        assert depth.batches[BatchState.LEASED] == sum(len(job.held) for job in self.jobs.values())
        assert depth.batches[BatchState.DEAD] == sum(job.dead for job in self.jobs.values())


@pytest.mark.parametrize("name", list(ENGINES))
def test_any_order_of_calls(name: str) -> None:
    machine = type("Machine", (QueueModel,), {"engine": staticmethod(ENGINES[name])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=60,
            deadline=None,
            database=None,
            phases=(Stage.generate,),  # add Stage.shrink to look for a shorter way to a failure: that takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
