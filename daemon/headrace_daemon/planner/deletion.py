"""The phase DELETE: what only the destination has, planned after the last transfer, and only if none of them failed.

Both sides are listed again to their ends before a single deletion is planned: an error half way, an unmounted source or
too many objects end the job with nothing deleted. Meanwhile the candidates wait in a temporary file.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from headrace_daemon.planner.batches import cut
from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry, to_item
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.extras import Extras, Regions, Toll, outside, refuse_empty_source, refuse_too_many
from headrace_daemon.planner.filters import Filter
from headrace_daemon.planner.merge import Segment, aligned, match
from headrace_daemon.planner.task import PlanEnd, PlanPorts, PlanTask
from headrace_queue.jobs import Action, Counters, Item, PlanStep

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
        self._filter = Filter.of(self._options)
        self._extras = Extras(task.route)
        self._regions = Regions(self._options.select)
        self._cursor = task.lease.cursor
        self._listed = 0
        self._there = 0
        self._folded: set[str] = set()

    async def run(self) -> PlanEnd:
        """Plans nothing where an object of the job failed: its name may be what is missing at the source.

        Raises JobFailure where deleting is refused; errors of the listings and LeaseLost as they are.
        """
        job, options = self._task.lease.job, self._options
        if job.counters.failed:
            self._ports.event("nothing_deleted", f"{job.counters.failed:,} objects failed, so --delete deletes nothing")
            return await self._finish()
        sorter = DiskSorter(self._task.scratch)
        try:
            await self._collect(sorter)
            extra = await asyncio.to_thread(self._count, sorter)
            toll = Toll(extra, job.counters.deleted, self._there)
            if not options.allow_empty_source:
                refuse_empty_source(job.spec.source, self._listed, extra)
                self._regions.refuse_empty(job.spec.source)
            if options.dry_run:
                await self._tell_all(sorter)
                refuse_too_many(toll, options)
                return await self._finish()
            refuse_too_many(toll, options)
            return await self._commit_all(sorter)
        finally:
            sorter.close()

    async def _finish(self) -> PlanEnd:
        await self._ports.commit(PlanStep((), self._cursor, Counters(), finished=True))
        return PlanEnd.FINISHED

    def _count(self, sorter: DiskSorter) -> int:
        """How many are to be deleted. What stands under a rewritten name is found out only behind the last page."""
        if not self._folded:
            return sorter.count
        return sum(entry.key not in self._folded for page in sorter.pages() for entry in page)

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
        source, destination = self._visible(segment.source), self._visible(segment.destination)
        self._there += len(destination)
        _, unmatched = match(source, destination)
        gone = self._extras.gone(unmatched, segment.problems, segment.last)
        self._regions.see(source, gone)
        return [entry for entry in gone if entry.key > self._cursor] if self._cursor else gone

    def _visible(self, entries: list[Entry]) -> list[Entry]:
        return outside(self._task.trash, self._filter.visible(entries))

    async def _items(self, sorter: DiskSorter) -> AsyncGenerator[list[Item], None]:
        pages = sorter.pages()
        while entries := await asyncio.to_thread(next, pages, None):
            self._cursor = entries[-1].key
            yield [to_item(entry, Action.DELETE) for entry in entries if entry.key not in self._folded]

    async def _tell_all(self, sorter: DiskSorter) -> None:
        """Each by its name, also where they turn out to be too many: whoever looks first wants to see which."""
        async with aclosing(self._items(sorter)) as found:
            async for items in found:
                for item in items:
                    self._ports.tell(item, "not_in_source")
                # not the cursor: a restart has to count all of them again
                await self._ports.commit(PlanStep((), self._task.lease.cursor, Counters()))

    async def _commit_all(self, sorter: DiskSorter) -> PlanEnd:
        limits = self._task.limits
        async with aclosing(self._items(sorter)) as found:
            async for items in found:
                step = PlanStep(tuple(cut(items, limits.batches)), self._cursor, Counters())
                waiting = await self._ports.commit(step)
                if waiting >= limits.max_waiting and not await self._ports.room(waiting):
                    return PlanEnd.PAUSED
        return await self._finish()
