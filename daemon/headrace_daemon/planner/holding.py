"""Holds back the steps of a plan until it is known whether there is enough to do for a data repository task.

A task of FSx takes minutes to begin: what is little is streamed sooner, and a sync that finds nothing to do needs none.
So the plan runs as ever, its steps are kept, and either they come to so much that a task is asked for, and they are
forgotten, or the listings end first, and they are carried out as they are.
"""

from dataclasses import dataclass, field, replace

from headrace_daemon.planner.task import PlanPorts
from headrace_queue.jobs import PlanStep


class Enough(Exception):
    """There is so much to do that a task is worth its start."""


@dataclass(slots=True)
class Holding:
    """objects, size (bytes): from so many on it is enough; at least one object. to_end: the plan goes on to its end
    all the same, for something it has yet to find may forbid the task."""

    objects: int
    size: int
    to_end: bool = False
    _steps: list[PlanStep] = field(default_factory=list)
    _planned: int = 0
    _bytes: int = 0

    def ports(self, real: PlanPorts) -> PlanPorts:
        """For the plan. As long as nothing is to be done its steps go through: nothing of them would be undone."""

        async def commit(step: PlanStep) -> int:
            if not self._planned and not step.batches and not step.failures and not step.finished:
                return await real.commit(step)
            self._hold(step)
            return 0

        return replace(real, commit=commit)

    async def carry_out(self, real: PlanPorts) -> None:
        """The plan, now that it is known to be little. What it told of single objects, it has told already."""
        for step in self._steps:
            await real.commit(step)

    def _hold(self, step: PlanStep) -> None:
        """Raises Enough."""
        self._planned += step.counters.planned
        self._bytes += step.counters.planned_bytes
        if self._planned >= self.objects or (self._planned and self._bytes >= self.size):
            self._steps.clear()
            if step.finished or not self.to_end:
                raise Enough
        else:
            self._steps.append(step)
