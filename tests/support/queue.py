"""What tests of the queue share: the engines it runs on, a clock they set, and short ways to jobs and batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace_queue.jobs import (
    Batch,
    Counters,
    Failure,
    Item,
    Job,
    JobSpec,
    Kind,
    Options,
    PlanLease,
    PlanStep,
    Worker,
)
from headrace_queue.sqlite import SqliteStore
from headrace_queue.store import Store

MAX_ATTEMPTS = 2


@dataclass
class Clock:
    """Seconds since the epoch, as the test says."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def open_sqlite(directory: Path, clock: Clock, read_only: bool = False) -> Store:
    return SqliteStore(directory / "queue.db", read_only=read_only, clock=clock, max_attempts=MAX_ATTEMPTS)


Engine = Callable[..., Store]
ENGINES: dict[str, Engine] = {"sqlite": open_sqlite}
"""Name -> open(directory, clock, read_only=False): every call opens the same queue once more."""


@dataclass
class Bench:
    """A store, the clock it reads, and the workers w1 and w2."""

    store: Store
    clock: Clock
    made: int = field(default=0)

    def __post_init__(self) -> None:
        for name in ("w1", "w2"):
            self.store.register(worker(name))

    def job(self, priority: int = 0, options: Options | None = None, submission_id: str | None = None) -> Job:
        self.made += 1
        job, _ = self.store.enqueue(spec(f"s3://bucket/{self.made}/", priority, options, submission_id))
        return job

    def plan(self, job: Job, *batches: Sequence[Item], finished: bool = True) -> Job:
        """The batches in one step, by w1, which lets go of the plan."""
        lease = self.plan_lease(job)
        planned = sum(map(len, batches))
        step = PlanStep(tuple(map(tuple, batches)), f"cursor-{planned}", Counters(planned=planned), finished=finished)
        self.store.commit_plan(lease, step)
        self.store.release_plan(lease)
        return self.store.job(job.id)

    def plan_lease(self, job: Job, worker_id: str = "w1") -> PlanLease:
        lease = self.store.claim_plan(worker_id, 1_000_000, job.id)
        assert lease is not None
        return lease

    def claim(self, worker_id: str = "w1") -> Batch:
        (batch,) = self.store.claim(worker_id, 1)
        return batch

    def finish(self, batch: Batch, failed: Sequence[int] = ()) -> Job:
        """Every open object done, or failed where its index is among `failed`; then complete."""
        todo = batch.open_items()
        failures = [Failure(item, "access_denied", "no", 1) for index, item in todo if index in failed]
        counters = Counters(done=len(todo) - len(failures))
        self.store.progress(batch.lease, [index for index, _ in todo], counters, failures)
        return self.store.complete(batch.lease)


def spec(
    source: str = "s3://bucket/a/",
    priority: int = 0,
    options: Options | None = None,
    submission_id: str | None = None,
) -> JobSpec:
    return JobSpec(Kind.SYNC, source, "/fsx/a", options or Options(), priority, submission_id)


def worker(name: str) -> Worker:
    return Worker(name, "host", 1234, 5678)


def items(count: int, prefix: str = "k", size: int = 10) -> list[Item]:
    return [Item(f"{prefix}{index:05}", size, index, f"etag{index}") for index in range(count)]
