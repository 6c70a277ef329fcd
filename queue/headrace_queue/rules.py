"""What every engine of the queue decides alike: plain functions of what they are given."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from headrace_queue.jobs import Action, Item, Phase
from headrace_queue.states import JobState

RETRY_ITEMS: Final = 1000
RETRY_BYTES: Final = 2**30


class Standing(NamedTuple):
    """What decides whether a job moves on by itself. failed, ready, leased, thawing: objects, batches, batches,
    objects that S3 restores from an archive class."""

    state: JobState
    phase: Phase
    failed: int
    ready: int
    leased: int
    thawing: int = 0


def ending(job: Standing) -> tuple[str, ...]:
    """The events that are due now; none while something of the job is still under way.

    A job that was resumed or retried may turn out to have nothing left: it starts and ends at once, for no worker
    would ever come to it.
    """
    if job.state is JobState.CANCELLING:
        return ("settle",) if not job.leased else ()
    if job.state not in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED):
        return ()
    if job.phase is not Phase.DONE or job.ready or job.leased or job.thawing:
        return ()
    start = ("start",) if job.state is JobState.QUEUED else ()
    return (*start, "finish_with_failures" if job.failed else "finish")


def back_in_line(event: str, leased: int) -> tuple[str, ...]:
    """resume or retry, and the start that belongs to it where workers still hold batches: queued means nobody does."""
    return (event, "start") if leased else (event,)


class Turn(NamedTuple):
    """A job that has batches to claim. leased: batches that workers hold; available: batches they could have now."""

    job_id: int
    priority: int
    leased: int
    available: int


def take_turns(jobs: Iterable[Turn], limit: int) -> list[int]:
    """Whose batches to hand out, one entry a batch: highest priority, then fewest leased batches, then oldest job."""
    heap = [(-job.priority, job.leased, job.job_id, job.available) for job in jobs if job.available > 0]
    heapq.heapify(heap)
    order: list[int] = []
    while heap and len(order) < limit:
        priority, leased, job_id, available = heap[0]
        order.append(job_id)
        if available > 1:
            heapq.heapreplace(heap, (priority, leased + 1, job_id, available - 1))
        else:
            heapq.heappop(heap)
    return order


def pack(items: Iterable[Item], max_items: int = RETRY_ITEMS, max_bytes: int = RETRY_BYTES) -> Iterator[Sequence[Item]]:
    """Batches in the order of the items, holding one batch in memory.

    A larger object stands alone. Copies and deletions never share a batch.
    """
    batch: list[Item] = []
    room = max_bytes
    for item in items:
        weight = item.size if item.action is Action.COPY else 0
        if batch and (len(batch) == max_items or weight > room or item.action is not batch[0].action):
            yield batch
            batch, room = [], max_bytes
        batch.append(item)
        room -= weight
    if batch:
        yield batch
