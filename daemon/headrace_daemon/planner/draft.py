"""What a plan decided since its last commit. Everything in it becomes durable in one step, together with the cursor."""

from dataclasses import dataclass, field

from headrace_daemon.planner.batches import BatchLimits, cut
from headrace_queue.jobs import Counters, Failure, Item, PlanStep


@dataclass(slots=True)
class Draft:
    """Collects decisions. Sizes in bytes; keys counts what was looked at, of either side."""

    limits: BatchLimits
    items: list[Item] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    size: int = 0
    large: int = 0
    keys: int = 0
    listed: int = 0
    excluded: int = 0
    unchanged: int = 0
    unchanged_bytes: int = 0
    planned: int = 0
    planned_bytes: int = 0
    done: int = 0
    done_bytes: int = 0
    extra: int = 0

    def plan(self, item: Item) -> None:
        """An object to transfer."""
        self.count(item)
        self.items.append(item)
        weight = self.limits.weight(item)
        if weight >= self.limits.large:
            self.large += 1
        else:
            self.size += weight

    def count(self, item: Item) -> None:
        """An object that a dry run would transfer."""
        self.planned += 1
        self.planned_bytes += item.size

    def moved(self, item: Item) -> None:
        """An object that a data repository task has moved already."""
        self.count(item)
        self.done += 1
        self.done_bytes += item.size

    def remove(self, item: Item) -> None:
        """Something at the destination that was never meant to get there."""
        self.items.append(item)

    def fail(self, failure: Failure) -> None:
        """An object that cannot be transferred. It counts as planned too, so that planned ones add up at the end."""
        self.count(failure.item)
        self.failures.append(failure)

    def full(self) -> bool:
        """Whether it holds at least a whole batch."""
        return self.large > 0 or len(self.items) >= self.limits.objects or self.size >= self.limits.size

    def step(self, cursor: str, *, limits: BatchLimits, finished: bool = False) -> PlanStep:
        """All of it, up to and including the key `cursor`, as one commit."""
        counters = Counters(
            listed=self.listed,
            excluded=self.excluded,
            unchanged=self.unchanged,
            unchanged_bytes=self.unchanged_bytes,
            planned=self.planned,
            planned_bytes=self.planned_bytes,
            done=self.done,
            done_bytes=self.done_bytes,
            failed=len(self.failures),
            extra=self.extra,
        )
        batches = tuple(cut(self.items, limits))
        return PlanStep(batches, cursor, counters, tuple(self.failures), finished)
