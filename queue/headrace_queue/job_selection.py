"""Which jobs `headrace jobs` lists, and in which order. Pure but for the pages that it reads."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

from headrace_queue.errors import UsageError
from headrace_queue.job_json import running_seconds
from headrace_queue.jobs import Job
from headrace_queue.refusals import refused
from headrace_queue.states import JobState
from headrace_queue.units import parse_duration

_PAGE: Final = 500
_WILD: Final = frozenset("*?[")

Page = Callable[[Sequence[JobState], int, int | None], list[Job]]
"""Store.jobs: states, how many at most, only below this number; newest first."""


class JobOrder(StrEnum):
    """By what jobs are sorted."""

    ID = "id"
    CREATED = "created"
    BYTES = "bytes"  # sent so far
    DURATION = "duration"  # how long it ran so far
    STATE = "state"  # in the order of a job's life


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a job has to be, all of it. since: seconds since the epoch; source, destination: see `fits`."""

    states: tuple[JobState, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    source: str | None = None
    destination: str | None = None
    since: float | None = None

    def takes(self, job: Job) -> bool:
        """Whatever its state is: that is the queue's to choose."""
        spec = job.spec
        return (
            set(self.labels) <= set(spec.labels)
            and fits(self.source, spec.source)
            and fits(self.destination, spec.destination)
            and (self.since is None or job.created >= self.since)
        )


def fits(pattern: str | None, text: str) -> bool:
    """A pattern with *, ? or [ has to match all of the text, any other to stand somewhere in it. None fits all."""
    if pattern is None:
        return True
    return fnmatchcase(text, pattern) if _WILD & set(pattern) else pattern in text


def job_filter(
    states: Sequence[JobState],
    labels: Sequence[str],
    dataset: str | None,
    source: str | None,
    destination: str | None,
    since: str | None,
    now: float,
) -> JobFilter:
    """From the command line. since: how long ago, such as 2d. Raises UsageError."""
    pairs = [_label(text) for text in labels] + ([("dataset", dataset)] if dataset is not None else [])
    begin = None
    if since is not None:
        try:
            begin = now - parse_duration(since)
        except ValueError as error:
            raise refused(f"--since {since}", str(error)) from None
    return JobFilter(tuple(states), tuple(pairs), source, destination, begin)


def chosen_jobs(
    page: Page, wanted: JobFilter, order: JobOrder, limit: int, before: int | None, now: float, *, reverse: bool = False
) -> list[Job]:
    """At most `limit` jobs, the newest, the largest, the longest or the first in the life of a job first.

    Reads page by page, so that memory is bounded by `limit`. By number, it stops as soon as there are enough.
    """
    if order is JobOrder.ID and not reverse:
        size = min(limit, _PAGE) if wanted == JobFilter(wanted.states) else _PAGE
        return list(islice(_all_that_fit(page, wanted, before, size), limit))
    found = _all_that_fit(page, wanted, before, _PAGE)
    ranked = heapq.nsmallest if reverse else heapq.nlargest
    return ranked(limit, found, key=_key(order, now))


def _all_that_fit(page: Page, wanted: JobFilter, before: int | None, size: int) -> Iterator[Job]:
    """The newest first. Jobs are numbered in the order in which they were made."""
    while jobs := page(wanted.states, size, before):
        yield from (job for job in jobs if wanted.takes(job))
        before = jobs[-1].id
        if len(jobs) < size or (wanted.since is not None and jobs[-1].created < wanted.since):
            return


def _key(order: JobOrder, now: float) -> Callable[[Job], Any]:
    life = {state: -place for place, state in enumerate(JobState)}
    keys: dict[JobOrder, Callable[[Job], Any]] = {
        JobOrder.ID: lambda job: job.id,
        JobOrder.CREATED: lambda job: (job.created, job.id),
        JobOrder.BYTES: lambda job: (job.counters.done_bytes, job.id),
        JobOrder.DURATION: lambda job: (running_seconds(job, now) or 0.0, job.id),
        JobOrder.STATE: lambda job: (life[job.state], job.id),
    }
    return keys[order]


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--label {text}", "it is not of the form NAME=VALUE", "Write --label project=glacier.")
    return name, value
