"""Brings outcomes to the report and to the queue, in this order, in groups.

The report's lines are written before the queue records the objects: after a crash an object may stand in the report
twice (the last line counts), and none is ever recorded without a line.
"""

from collections.abc import Callable
from typing import Protocol

from headrace_daemon.facts import Facts, Outcome
from headrace_queue.jobs import Batch, Counters, Failure, Item, Job
from headrace_queue.writer import Queue

GROUP = 256
SECONDS = 1.0


class Report(Protocol):
    """Where lines of the report go before the queue learns of them."""

    def write(self, job: int, item: Item, outcome: Outcome) -> None: ...

    def flush(self, job: int) -> None:
        """Returns when the lines are in the file. Raises OSError."""
        ...


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
        self._finished: list[int] = []
        self._failures: list[Failure] = []
        self._done = self._bytes = self._deleted = self._vanished = self._failed = self._retries = self._skipped = 0
        self._flushed = clock()

    async def done(self, index: int, item: Item, outcome: Outcome, retries: int) -> None:
        """One object of the batch ended. Raises LeaseLost, OSError of the report."""
        job = self._batch.job.id
        self._report.write(job, item, outcome)
        self._facts.object_done(job, self._direction, item, outcome)
        self._finished.append(index)
        self._retries += retries
        self._count(item, outcome)
        if len(self._finished) >= GROUP or self._clock() - self._flushed > SECONDS:
            await self.flush()

    def _count(self, item: Item, outcome: Outcome) -> None:
        if outcome.state == "failed":
            self._failed += 1
            self._failures.append(Failure(item, outcome.error, outcome.message, outcome.attempts))
        elif outcome.state == "vanished":
            self._vanished += 1
        elif outcome.state == "deleted":
            self._deleted += 1
        elif outcome.state == "skipped":
            self._skipped += 1
        else:
            self._done += 1
            self._bytes += outcome.size

    async def flush(self) -> None:
        """Everything told so far is in the report and in the queue. Raises LeaseLost, OSError."""
        if not self._finished and not self._retries:
            return
        self._report.flush(self._batch.job.id)
        finished, failures, counters = self._finished, self._failures, self._counters()
        self._finished, self._failures = [], []
        self._done = self._bytes = self._deleted = self._vanished = self._failed = self._retries = self._skipped = 0
        self._flushed = self._clock()
        lease = self._batch.lease
        await self._queue.write(lambda store: store.progress(lease, finished, counters, failures))

    async def complete(self) -> Job:
        """The batch is finished; the job as it stands then. Raises LeaseLost, OSError."""
        await self.flush()
        lease = self._batch.lease
        return await self._queue.write(lambda store: store.complete(lease))

    def _counters(self) -> Counters:
        return Counters(
            done=self._done,
            done_bytes=self._bytes,
            deleted=self._deleted,
            vanished=self._vanished,
            failed=self._failed,
            retries=self._retries,
            unchanged=self._skipped,
        )
