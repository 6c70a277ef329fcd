"""A plan that is held back until it is known whether there is enough to do for a data repository task."""

from dataclasses import replace

import pytest

from headrace_daemon.planner.holding import Enough, Holding
from headrace_daemon.planner.task import PlanPorts
from headrace_queue.jobs import Counters, Failure, Item, PlanStep


class Real:
    """Ports that remember what was committed."""

    def __init__(self) -> None:
        self.steps: list[PlanStep] = []

    def ports(self) -> PlanPorts:
        async def commit(step: PlanStep) -> int:
            self.steps.append(step)
            return len(self.steps)

        async def room(waiting: int) -> bool:
            return True

        async def never(*_: object) -> None:
            raise AssertionError

        def nothing(*_: object) -> None:
            return None

        return PlanPorts(commit, room, never, nothing, nothing, nothing, lambda: 0.0, nothing, nothing)  # type: ignore[arg-type]


def step(objects: int, size: int = 1, *, finished: bool = False) -> PlanStep:
    items = tuple(Item(f"k{number}", size, 0) for number in range(objects))
    counters = Counters(listed=objects, planned=objects, planned_bytes=objects * size)
    return PlanStep((items,) if items else (), f"cursor-{objects}", counters, finished=finished)


async def test_what_has_nothing_to_do_goes_through_at_once() -> None:
    real, holding = Real(), Holding(10, 100)
    commit = holding.ports(real.ports()).commit
    await commit(step(0))
    assert real.steps == [step(0)]
    await commit(step(1))
    await commit(step(0))  # behind what is held its turn has not come
    assert real.steps == [step(0)]
    await holding.carry_out(real.ports())
    assert real.steps == [step(0), step(1), step(0)]


@pytest.mark.parametrize(("objects", "size"), [(3, 10**9), (10**9, 3)])
async def test_so_many_objects_or_bytes_are_enough(objects: int, size: int) -> None:
    real, holding = Real(), Holding(objects, size)
    commit = holding.ports(real.ports()).commit
    await commit(step(2))
    with pytest.raises(Enough):
        await commit(step(1))
    assert real.steps == []


async def test_the_end_is_held_too_for_it_would_end_the_job() -> None:
    real, holding = Real(), Holding(10, 100)
    await holding.ports(real.ports()).commit(step(0, finished=True))
    assert real.steps == []
    await holding.carry_out(real.ports())
    assert real.steps == [step(0, finished=True)]


async def test_what_fails_counts_as_something_to_do() -> None:
    real, holding = Real(), Holding(1, 100)
    failed = replace(step(0), failures=(Failure(Item("k", 5, 0), "blocked", "why"),), counters=Counters(planned=1))
    with pytest.raises(Enough):
        await holding.ports(real.ports()).commit(failed)


async def test_empty_objects_are_enough_by_their_number_alone() -> None:
    real, holding = Real(), Holding(5, 1)
    commit = holding.ports(real.ports()).commit
    await commit(step(4, size=0))
    with pytest.raises(Enough):
        await commit(step(1, size=0))


async def test_a_plan_that_something_may_forbid_goes_on_to_its_end_in_constant_memory() -> None:
    real, holding = Real(), Holding(2, 10**9, to_end=True)
    commit = holding.ports(real.ports()).commit
    for _ in range(3):
        await commit(step(5))
    await commit(step(0))
    with pytest.raises(Enough):
        await commit(step(0, finished=True))
    await holding.carry_out(real.ports())
    assert real.steps == []
