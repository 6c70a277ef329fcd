"""The phase COPY: from two listings to batches in the queue, in constant memory and restartable after any commit."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from headrace_daemon.files.names import FileError, RootLost, is_temp_name, shown
from headrace_daemon.planner.compare import SECOND_NS, Decision, Verdict, decide
from headrace_daemon.planner.draft import Draft
from headrace_daemon.planner.entries import Entry, Problem, to_item
from headrace_daemon.planner.extras import Extras, is_in_trash, outside
from headrace_daemon.planner.file_and_folder import FileAndFolder
from headrace_daemon.planner.files_from import part
from headrace_daemon.planner.filters import Filter, within
from headrace_daemon.planner.merge import Pair, Segment, aligned, match
from headrace_daemon.planner.task import PlanEnd, PlanPorts, PlanTask
from headrace_daemon.s3.errors import AccessDenied, IntegrityError, NoSuchBucket, NotFound, PreconditionFailed, Rejected
from headrace_queue.jobs import Action, Failure, Item, PlanStep
from headrace_queue.selected_names import Selected, note_of
from headrace_queue.selection import Bounds

PASSED_OVER: Final = frozenset({"special_file", "symlink"})
"""Problems that are no failures: there is nothing in such a place that could be moved."""

_OF_ONE_OBJECT: Final = (FileError, AccessDenied, IntegrityError, NotFound, PreconditionFailed, Rejected)
"""Errors that say something of one object and nothing of the rest."""


class CopyPlan:
    """The phase COPY of one job."""

    def __init__(self, task: PlanTask, ports: PlanPorts) -> None:
        self._task = task
        self._ports = ports
        self._limits = task.limits
        self._options = task.lease.job.spec.options
        self._filter = Filter.of(self._options)
        self._bounds = Bounds.of(self._options)
        # of a listing that goes on where another run was, nobody knows what that one found
        self._unfound = list(self._options.select) if not task.lease.cursor else []
        self._extras = Extras(task.route)
        self._names = FileAndFolder() if task.route.destination.files else None
        self._cursor = task.lease.cursor
        self._draft = Draft(task.limits.batches)
        self._started = False
        self.newer = 0  # what is left as it is, and was written at the destination after it was at the source
        self._committed_at = ports.clock()

    async def run(self) -> PlanEnd:
        """Plans from the lease's cursor to the end of both listings, or until enough waits.

        Errors of the listings and LeaseLost are raised as they are; what was committed before stays and is not planned
        again.
        """
        task = self._task
        async with aclosing(aligned(task.source(self._cursor), task.destination(self._cursor), self._cursor)) as both:
            async for segment in both:
                await self._plan(segment)
                if self._due() and not await self._commit():
                    return PlanEnd.PAUSED
        if (why := task.after.unreleased) and not task.lease.cursor:
            self._draft.fail(Failure(Item("", 0, 0), "not_released", why, attempts=0))
        step = self._step(finished=True)
        await self._ports.commit(replace(step, note=note_of(self._unfound)) if self._unfound else step)
        return PlanEnd.FINISHED

    async def _plan(self, segment: Segment) -> None:
        """Decides everything of one range of keys. Nothing of it is durable before the next commit."""
        draft = self._draft
        if self._options.files_from is not None:
            there, absent = part(segment.source)
            segment = segment._replace(source=there)
            draft.keys += len(absent)
            for problem in absent:
                self._note(problem)
        source = self._visible(segment.source)
        self._unfound = [name for name in self._unfound if not any(Selected([name]).takes(key) for key, *_ in source)]
        matched, unmatched = match(source, self._visible(segment.destination))
        # by size and age only now: what is left out so keeps its counterpart from being deleted as extra
        pairs = within(self._bounds, matched)
        decisions = await self._decide(pairs)
        draft.keys += len(segment.source) + len(segment.destination)
        draft.listed += len(segment.source)
        draft.excluded += len(segment.source) - len(pairs)
        for (entry, other), decision in zip(pairs, decisions, strict=True):
            above = self._names.file_above(entry) if self._names is not None else None
            if decision.verdict is Verdict.SKIP and self._was_missed(entry, other):
                self._transfer(entry, "missed_by_task")
            elif decision.verdict is Verdict.SKIP:
                self._leave(entry, other, decision)
            elif decision.verdict is Verdict.EXCLUDE:
                draft.excluded += 1
            elif above is not None:
                message = f"{shown(above)} is an object too, and a tree holds either that file or a folder of its name"
                draft.fail(Failure(to_item(entry), "blocked", message))  # a retry may find the other one gone
            else:
                self._transfer(entry, decision.reason)
        for problem in segment.problems:
            self._note(problem)
        if self._task.after.exported_since is not None:
            self._sweep(unmatched)
        draft.extra += len(self._extras.gone(unmatched, segment.problems, segment.last))
        self._cursor = segment.last

    def _visible(self, entries: list[Entry]) -> list[Entry]:
        return outside(self._task.trash, self._filter.visible(entries))

    async def _decide(self, pairs: Sequence[Pair]) -> list[Decision]:
        options, route = self._options, self._task.route
        decisions = [decide(entry, other, options, route) for entry, other in pairs]
        open_ones = [index for index, decision in enumerate(decisions) if decision.verdict is Verdict.CHECK]
        if open_ones:
            seen = await self._look([pairs[index] for index in open_ones])
            for index, decision in zip(open_ones, seen, strict=True):
                decisions[index] = decision or Decision(Verdict.TRANSFER, decisions[index].reason)
        return decisions

    async def _look(self, pairs: Sequence[Pair]) -> list[Decision | None]:
        """Both ends of some objects, several at once. The first error of a whole side ends the others.

        None for what cannot be looked at. It is sent: the transfer then says of that object what is wrong with it.
        """
        slots = asyncio.Semaphore(self._limits.checks)

        async def look(pair: Pair) -> Decision | None:
            async with slots:
                try:
                    return await self._ports.look(*pair)
                except (RootLost, NoSuchBucket):
                    raise
                except _OF_ONE_OBJECT:
                    return None

        tasks = [asyncio.create_task(look(pair)) for pair in pairs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _was_missed(self, entry: Entry, other: Entry | None) -> bool:
        """Whether a task that did not move all of it missed this one, although the sizes agree: FSx named it, or it
        was written after its object."""
        after = self._task.after
        if not after.doubtful or other is None:
            return False
        older = after.exported_since is not None and other.mtime_ns < entry.mtime_ns // SECOND_NS * SECOND_NS
        return entry.key in after.named or older

    def _leave(self, entry: Entry, there: Entry | None, decision: Decision) -> None:
        """The destination has it: for long, by a task of this job, or but for its data."""
        since, hollow_since = self._task.after.exported_since, self._task.restores_since
        if there is not None and there.mtime_ns // SECOND_NS > entry.mtime_ns // SECOND_NS:
            self.newer += 1
        if there is not None and there.hollow and hollow_since is not None and there.hollow >= hollow_since:
            self._draft.plan(to_item(entry, Action.RESTORE))
        elif there is not None and since is not None and there.mtime_ns >= since:
            item = to_item(entry)
            self._draft.moved(item)
            self._ports.moved(item)
        else:
            self._draft.unchanged += 1
            self._draft.unchanged_bytes += entry.size
            if decision.proof:
                self._ports.kept(to_item(entry), decision)

    def _sweep(self, unmatched: Sequence[Entry]) -> None:
        """An export takes along what lies in the tree at that moment: also what a transfer had not finished."""
        for entry in unmatched:
            if is_temp_name(entry.key.rpartition("/")[2]):
                self._draft.remove(to_item(entry, Action.DELETE))

    def _transfer(self, entry: Entry, reason: str) -> None:
        item = to_item(entry)
        limit = self._task.route.destination.max_object
        if self._task.after.only:
            # attempts 0: a retry, which lists nothing, could only stream it
            self._draft.fail(Failure(item, "task_failed", self._task.after.only, attempts=0))
        elif limit is not None and entry.size > limit:
            message = f"{entry.size:,} bytes; the destination takes objects of up to {limit:,} bytes"
            self._draft.fail(Failure(item, "too_large", message, attempts=0))
        elif self._options.dry_run:
            self._draft.count(item)
            self._ports.tell(item, reason)
        else:
            self._draft.plan(item)

    def _note(self, problem: Problem) -> None:
        if not self._filter.decide(problem.key) or is_in_trash(self._task.trash, problem.key):
            return
        self._draft.listed += 1
        if problem.error in PASSED_OVER:
            self._draft.excluded += 1
            self._ports.passed(problem)
        else:
            self._draft.fail(Failure(Item(problem.key, 0, 0), problem.error, problem.message, attempts=0))

    def _due(self) -> bool:
        """Early once, so that transfers start; then by whole batches, and in any case before much is at stake."""
        draft = self._draft
        if draft.full() or draft.keys >= self._limits.commit_keys or (draft.items and not self._started):
            return True
        return self._ports.clock() - self._committed_at >= self._limits.commit_seconds

    def _step(self, *, finished: bool = False) -> PlanStep:
        limits = self._limits.batches
        if not self._started:
            limits = replace(limits, objects=min(limits.objects, self._limits.first_objects))
        step = self._draft.step(self._cursor, limits=limits, finished=finished)
        self._started = self._started or bool(step.batches)
        self._draft = Draft(self._limits.batches)
        self._committed_at = self._ports.clock()
        return step

    async def _commit(self) -> bool:
        """Makes the draft durable; False where the plan shall pause."""
        waiting = await self._ports.commit(self._step())
        return waiting < self._limits.max_waiting or await self._ports.room(waiting)
