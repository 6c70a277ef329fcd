"""The memory that the daemon and its process for small files share is given out once, and all of it comes back."""

import os

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.apart.arena import Arena, Region

SIZE = 4096

steps = st.lists(st.one_of(st.integers(1, 1500), st.tuples(st.integers(0, 50))), max_size=60)
"""A number asks for so many bytes; a tuple gives back the region at this place, if there are as many."""


def overlap(first: Region, second: Region) -> bool:
    return first.start < second.end and second.start < first.end


@given(steps)
def test_no_byte_is_lent_twice_and_none_is_lost(taken: list[int | tuple[int]]) -> None:
    arena = Arena(SIZE)
    lent: list[Region] = []
    for step in taken:
        if isinstance(step, tuple):
            if step[0] < len(lent):
                arena.give_back(lent.pop(step[0]))
            continue
        region = arena.take(step)
        if region is None:
            # refused only where no gap holds it
            assert all(step > gap for gap in gaps(sorted(lent)))
            continue
        assert region.size == step
        assert 0 <= region.start <= region.end <= SIZE
        assert not any(overlap(region, other) for other in lent)
        lent.append(region)
    for region in lent:
        arena.give_back(region)
    assert arena.take(SIZE) == Region(0, SIZE)


def gaps(lent: list[Region]) -> list[int]:
    starts = [*(one.start for one in lent), SIZE]
    ends = [0, *(one.end for one in lent)]
    return [start - end for start, end in zip(starts, ends, strict=True)]


def test_what_is_written_here_is_read_there() -> None:
    arena = Arena(SIZE)
    pid = os.fork()
    if pid == 0:
        arena.view[10:14] = b"told"
        os._exit(0)
    os.waitpid(pid, 0)
    assert bytes(arena.view[10:14]) == b"told"
