"""Steps that many share: everybody gets what is theirs, whatever becomes of the others."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.gathered import Gathered


class Steps:
    """Steps that end when they are told to; each doubles its values."""

    def __init__(self, at_once: int = 1, most: int = 4) -> None:
        self.begun: list[tuple[list[int], asyncio.Future[Sequence[int]]]] = []
        self.gathered = Gathered(self._run, at_once, most)

    def _run(self, values: list[int]) -> "asyncio.Future[Sequence[int]]":
        step: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        self.begun.append((values, step))
        return step

    async def bring(self, *groups: Sequence[int]) -> list["asyncio.Task[Sequence[int]]"]:
        tasks = [asyncio.create_task(self.gathered.do(list(group))) for group in groups]
        await settled()
        return tasks

    async def end(self, number: int) -> None:
        values, step = self.begun[number]
        step.set_result([2 * value for value in values])
        await settled()


async def settled() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together() -> None:
    steps = Steps()
    tasks = await steps.bring([1], [2, 3], [4], [5, 6], [7])
    assert [values for values, _ in steps.begun] == [[1]]
    await steps.end(0)
    assert steps.begun[1][0] == [2, 3, 4], "never more than the most"
    await steps.end(1)
    await steps.end(2)
    assert [list(task.result()) for task in tasks] == [[2], [4, 6], [8], [10, 12], [14]]


async def test_one_caller_may_bring_more_than_the_most() -> None:
    steps = Steps(most=2)
    (task,) = await steps.bring([1, 2, 3, 4, 5])
    await steps.end(0)
    assert len(await task) == 5


async def test_several_steps_beside_each_other() -> None:
    steps = Steps(at_once=2)
    await steps.bring([1], [2], [3])
    assert [values for values, _ in steps.begun] == [[1], [2]]
    await steps.end(0)
    await steps.end(1)
    await steps.end(2)


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others() -> None:
    steps = Steps()
    early, same, waiting, last = await steps.bring([1], [2], [3], [4])
    early.cancel()  # its step runs already
    same.cancel()  # its step has not begun: it never does
    await settled()
    await steps.end(0)
    assert steps.begun[1][0] == [3, 4]
    resting = asyncio.create_task(steps.gathered.rest())
    await settled()
    assert not resting.done(), "a step is under way"
    await steps.end(1)
    await resting
    assert (list(await waiting), list(await last)) == ([6], [8])
    assert early.cancelled()
    assert same.cancelled()


async def test_everybody_hears_of_an_error_and_the_next_step_begins() -> None:
    steps = Steps()
    tasks = await steps.bring([1], [2])
    steps.begun[0][1].set_exception(OSError("no disk"))
    await settled()
    with pytest.raises(OSError, match="no disk"):
        await tasks[0]
    await steps.end(1)
    assert list(await tasks[1]) == [4]


async def test_a_step_that_cannot_begin_leaves_nobody_waiting() -> None:
    def closed(values: list[int]) -> "asyncio.Future[Sequence[int]]":
        raise RuntimeError("the file threads are closed")

    gathered = Gathered(closed, 1, 4)
    for result in await asyncio.gather(*(gathered.do([one]) for one in range(6)), return_exceptions=True):
        assert isinstance(result, RuntimeError)


async def test_an_error_that_was_told_is_not_told_again_when_memory_is_cleared() -> None:
    def closed(values: list[int]) -> "asyncio.Future[Sequence[int]]":
        raise RuntimeError("the file threads are closed")

    untold: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: untold.append(context))
    with pytest.raises(RuntimeError, match="closed"):
        await Gathered(closed, 1, 4).do([1])
    gc.collect()
    assert untold == []


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=5), max_size=30), st.integers(1, 3), st.integers(1, 8))
def test_each_gets_its_own(groups: list[list[int]], at_once: int, most: int) -> None:
    async def play() -> None:
        running = 0

        async def step(values: list[int]) -> Sequence[int]:
            nonlocal running
            running += 1
            assert running <= at_once
            await settled()
            running -= 1
            return [2 * value for value in values]

        gathered: Gathered[int, int] = Gathered(lambda values: asyncio.ensure_future(step(values)), at_once, most)
        results = await asyncio.gather(*(gathered.do(group) for group in groups))
        assert [list(result) for result in results] == [[2 * value for value in group] for group in groups]

    asyncio.run(play())
