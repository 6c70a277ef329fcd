"""Cutting what is to be done into batches, the unit of work that one worker leases."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace_queue.jobs import Action, Item


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """objects and size (bytes) bound a batch of small objects; an object of at least `large` bytes is a batch alone."""

    objects: int = 1000
    size: int = 2**30
    large: int = 16 * 2**20

    def weight(self, item: Item) -> int:
        """The bytes that an item brings to its batch; what is deleted or restored does not pass this host."""
        return item.size if item.action is Action.COPY else 0


def cut(items: Sequence[Item], limits: BatchLimits) -> list[tuple[Item, ...]]:
    """The items in batches, each item in exactly one, keys in order within a batch.

    Small ones are spread evenly over as few batches as the limits allow, so that no worker gets a tiny remainder. What
    is restored has batches of its own: they sleep until the data is back, and nothing else shall wait with them.
    """
    batches: list[tuple[Item, ...]] = []
    small: list[Item] = []
    restores: list[Item] = []
    for item in items:
        if item.action is Action.RESTORE:
            restores.append(item)
        elif limits.weight(item) >= limits.large:
            batches.append((item,))
        else:
            small.append(item)
    batches.extend(_cut_small(small, limits))
    batches.extend(_cut_small(restores, limits))
    return batches


def _cut_small(items: list[Item], limits: BatchLimits) -> list[tuple[Item, ...]]:
    if not items:
        return []
    total = sum(map(limits.weight, items))
    count = max(-(-len(items) // limits.objects), -(-total // limits.size))
    share = -(-len(items) // count)
    batches: list[tuple[Item, ...]] = []
    batch: list[Item] = []
    size = 0
    for item in items:
        weight = limits.weight(item)
        if batch and (len(batch) >= share or size + weight > limits.size):
            batches.append(tuple(batch))
            batch, size = [], 0
        batch.append(item)
        size += weight
    batches.append(tuple(batch))
    return batches
