"""Brings outcomes to the report and to the queue, in this order, in groups.

The report's lines are written before the queue records the objects: after a crash an object may stand in the report
twice (the last line counts), and none is ever recorded without a line.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.transfer.judge import lacks
from headrace_queue.jobs import Batch, Counters, Failure, Item, Job, Returned
from headrace_queue.store import Store
from headrace_queue.writer import Queue

GROUP = 256
SECONDS = 1.0


class Report(Protocol):
    """Where lines of the report go before the queue learns of them."""

    def write(self, job: int, item: Item, outcome: Outcome) -> None: ...

    def flush(self, job: int) -> None:
        """Returns when the lines are in the file. Raises OSError."""
        ...

    def append(self, job: int, ends: Iterable[tuple[Item, Outcome]]) -> None:
        """Lines that are in the file on return; may be called from any thread. Raises OSError."""
        ...


@dataclass(slots=True)
class _Told:
    """What was told and is not recorded yet."""

    finished: list[int] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    done: int = 0
    done_bytes: int = 0
    unchanged: int = 0
    deleted: int = 0
    vanished: int = 0
    archived: int = 0
    retries: int = 0
    parked: list[tuple[int, Item]] = field(default_factory=list)

    def add(self, index: int, item: Item, outcome: Outcome, retries: int) -> None:
        self.finished.append(index)
        self.retries += retries
        match outcome.state:
            case "failed":
                self.failures.append(Failure(item, outcome.error, outcome.message, outcome.attempts))
            case "vanished":
                self.vanished += 1
            case "archived":
                self.archived += 1
            case "deleted" | "trashed":
                self.deleted += 1
            case "skipped":
                self.unchanged += 1
            case _:
                self.done += 1
                self.done_bytes += outcome.size

    def counters(self) -> Counters:
        return Counters(
            unchanged=self.unchanged,
            done=self.done,
            done_bytes=self.done_bytes,
            deleted=self.deleted,
            vanished=self.vanished,
            failed=len(self.failures),
            retries=self.retries,
            archived=self.archived,
        )

    def before(self, later: "_Told") -> "_Told":
        """Both, this one first."""
        return _Told(
            self.finished + later.finished,
            self.failures + later.failures,
            self.done + later.done,
            self.done_bytes + later.done_bytes,
            self.unchanged + later.unchanged,
            self.deleted + later.deleted,
            self.vanished + later.vanished,
            self.archived + later.archived,
            self.retries + later.retries,
            self.parked + later.parked,
        )


class Recorder:
    """The outcomes of one batch."""

    def __init__(
        self, batch: Batch, queue: Queue, report: Report, facts: Facts, direction: str, clock: Callable[[], float]
    ) -> None:
        self._batch = batch
        self._queue = queue
        self._report = report
        self._facts = facts
        self._direction = direction
        self._clock = clock
        self._told = _Told()
        self._flushed = clock()

    async def done(self, index: int, item: Item, outcome: Outcome, retries: int) -> None:
        """One object of the batch ended. Raises LeaseLost, QueueError, OSError of the report."""
        job = self._batch.job.id
        self._report.write(job, item, outcome)
        self._facts.object_done(job, self._direction, item, outcome)
        self._told.add(index, item, outcome, retries)
        if self._is_due():
            await self.flush()

    async def park(self, index: int, item: Item, retries: int) -> None:
        """One object leaves the batch and waits until S3 has restored it. Raises as done()."""
        self._told.parked.append((index, item))
        self._told.retries += retries
        if self._is_due():
            await self.flush()

    def _is_due(self) -> bool:
        told = self._told
        return len(told.finished) + len(told.parked) >= GROUP or self._clock() - self._flushed > SECONDS

    async def flush(self) -> None:
        """Everything told so far is in the report and in the queue. Raises LeaseLost, QueueError, OSError; what could
        not be recorded then is kept for the next flush."""
        if not self._told.finished and not self._told.parked:
            return
        self._report.flush(self._batch.job.id)
        told, self._told = self._told, _Told()
        self._flushed = self._clock()
        lease, counters = self._batch.lease, told.counters()

        def record(store: Store) -> None:
            if told.parked:
                store.park(lease, told.parked)
            store.progress(lease, told.finished, counters, told.failures)

        try:
            await self._queue.write(record)
        except Exception:
            self._told = told.before(self._told)
            raise

    async def complete(self) -> Job:
        """The batch is finished; the job as it stands then. Raises LeaseLost, QueueError, OSError."""
        await self.flush()
        lease = self._batch.lease
        return await self._queue.write(lambda store: store.complete(lease))

    async def give_back(self, until: float, error: str) -> None:
        """The batch failed as a whole, perhaps for the last time. Raises LeaseLost, QueueError, OSError."""
        lease = self._batch.lease
        await let_go(lambda store: store.give_back(lease, until, error), self._queue, self._report, self._facts)


async def let_go(step: Callable[[Store], Returned], queue: Queue, report: Report, facts: Facts) -> int:
    """A step that may end batches as dead; how many leases it let go. What failed with them has its lines in the report
    before the step is committed.

    Within its transaction, for what is about to be buried must not go on elsewhere meanwhile. Raises what the step
    raises, and OSError where the host has no room for the lines: nothing has happened then. Lines that cannot be
    written for another reason are told, and lost, or a job whose report is out of reach would never end.
    """
    unwritten: list[tuple[int, OSError]] = []

    def with_lines(store: Store) -> int:
        returned = step(store)
        for batch in returned.buried:
            try:
                report.append(batch.job_id, map(_end_of, batch.failures))
            except OSError as error:
                if lacks(error) is not None:
                    raise
                unwritten.append((batch.job_id, error))
        return returned.leases

    leases = await queue.write(with_lines)
    for job_id, error in unwritten:
        facts.job_event(job_id, "warning", f"objects failed that its report does not name: {error}")
    return leases


def _end_of(failure: Failure) -> tuple[Item, Outcome]:
    item, error, message, attempts = failure
    return item, Outcome("failed", error=error, message=message, attempts=attempts)
