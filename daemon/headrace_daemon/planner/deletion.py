"""The phase DELETE: what only the destination has, planned after the last transfer.

Both sides are listed again to their ends before a single deletion is planned: an error half way, an unmounted source or
too many objects end the job with nothing deleted. Meanwhile the candidates wait in a temporary file.
"""

import asyncio
import re
from contextlib import aclosing
from typing import Final

from headrace_daemon.planner.batches import cut
from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry, to_item
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.extras import Extras, refuse_empty_source, refuse_too_many
from headrace_daemon.planner.filters import Filter
from headrace_daemon.planner.merge import Segment, aligned, match
from headrace_daemon.planner.task import PlanEnd, PlanPorts, PlanTask
from headrace_queue.jobs import Action, Counters, PlanStep

MAX_FOLDED: Final = 100_000


def is_folded(key: str) -> bool:
    """A name that some services (SeaweedFS) store as another one."""
    return "\\" in key or "//" in key


def folded(key: str) -> str:
    """What they make of it. An object found under this name is the one that was sent, and not foreign."""
    return re.sub("/+", "/", key.replace("\\", "/"))


class DeletePlan:
    """The phase DELETE of one job."""

    def __init__(self, task: PlanTask, ports: PlanPorts) -> None:
        self._task = task
        self._ports = ports
        self._options = task.lease.job.spec.options
        self._filter = Filter(self._options.rules)
        self._extras = Extras(task.route)
        self._cursor = task.lease.cursor
        self._listed = 0
        self._folded: set[str] = set()

    async def run(self) -> PlanEnd:
        """Raises JobFailure where deleting is refused; errors of the listings and LeaseLost as they are."""
        sorter = DiskSorter(self._task.scratch)
        try:
            await self._collect(sorter)
            job = self._task.lease.job
            refuse_empty_source(job.spec.source, self._listed, sorter.count)
            refuse_too_many(sorter.count, job.counters.deleted, self._options.max_delete)
            return await self._commit_all(sorter)
        finally:
            sorter.close()

    async def _collect(self, sorter: DiskSorter) -> None:
        """Always from the start, whatever was planned before a restart: only whole listings prove that one is gone."""
        committed_at = self._ports.clock()
        task = self._task
        async with aclosing(aligned(task.source(""), task.destination(""))) as both:
            async for segment in both:
                if gone := self._gone(segment):
                    await asyncio.to_thread(sorter.add, gone)
                if self._ports.clock() - committed_at >= task.limits.commit_seconds:
                    # an empty step: a job that was cancelled or paused shall not be listed to its end
                    await self._ports.commit(PlanStep((), self._cursor, Counters()))
                    committed_at = self._ports.clock()

    def _gone(self, segment: Segment) -> list[Entry]:
        self._listed += len(segment.source)
        self._folded.update(folded(entry.key) for entry in segment.source if is_folded(entry.key))
        if len(self._folded) > MAX_FOLDED:
            raise JobFailure(
                f"{self._task.lease.job.spec.source}: more than {MAX_FOLDED:,} names hold a backslash or an empty "
                "folder, which some services rewrite. Nothing was deleted, for what is foreign cannot be told. "
                "Leave out --delete."
            )
        visible = self._filter.visible
        _, unmatched = match(visible(segment.source), visible(segment.destination))
        gone = self._extras.gone(unmatched, segment.problems, segment.last)
        return [entry for entry in gone if entry.key > self._cursor] if self._cursor else gone

    async def _commit_all(self, sorter: DiskSorter) -> PlanEnd:
        limits = self._task.limits
        pages = sorter.pages()
        while entries := await asyncio.to_thread(next, pages, None):
            items = [to_item(entry, Action.DELETE) for entry in entries if entry.key not in self._folded]
            self._cursor = entries[-1].key
            if self._options.dry_run:
                for item in items:
                    self._ports.tell(item, "not_in_source")
                continue
            step = PlanStep(tuple(cut(items, limits.batches)), self._cursor, Counters())
            waiting = await self._ports.commit(step)
            if waiting >= limits.max_waiting and not await self._ports.room(waiting):
                return PlanEnd.PAUSED
        await self._ports.commit(PlanStep((), self._cursor, Counters(), finished=True))
        return PlanEnd.FINISHED
