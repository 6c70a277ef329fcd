"""Memory that two processes share, given out in regions by the one that asks the other for work."""

import mmap
from bisect import insort
from typing import NamedTuple


class Region(NamedTuple):
    """Bytes of the arena: where they start, and how many."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


class Arena:
    """Make it before the fork: both see the same bytes in `view`. Only one of them gives regions out."""

    def __init__(self, size: int) -> None:
        self.view = memoryview(mmap.mmap(-1, size))  # anonymous and shared
        self._free = [Region(0, size)]  # by place, no two of them neighbours

    def take(self, size: int) -> Region | None:
        """The lowest place that holds it, so that few pages are ever touched; None where there is none."""
        for index, free in enumerate(self._free):
            if free.size >= size:
                self._free[index : index + 1] = (
                    [Region(free.start + size, free.size - size)] if free.size > size else []
                )
                return Region(free.start, size)
        return None

    def give_back(self, region: Region) -> None:
        """Of what was taken, once."""
        insort(self._free, region)
        index = self._free.index(region)
        self._join(index)
        if index:
            self._join(index - 1)

    def _join(self, index: int) -> None:
        """This one and the next, where nothing lies between them."""
        first, *rest = self._free[index : index + 2]
        if rest and first.end == rest[0].start:
            self._free[index : index + 2] = [Region(first.start, first.size + rest[0].size)]
