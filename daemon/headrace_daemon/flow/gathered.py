"""Steps that are shared: what many bring while one runs goes into the next together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class _Brought(NamedTuple, Generic[A, R]):
    """What one caller wants done. results: of as many values, in their order."""

    values: Sequence[A]
    results: "asyncio.Future[Sequence[R]]"


class Gathered(Generic[A, R]):
    """Runs a step over values of many callers, as a group commit does: the busier, the larger the groups.

    run: begins the step off the loop; its future gives one result for each value, in order. at_once: steps that run
    beside each other. most: values of one step, unless a single caller brings more.
    """

    def __init__(self, run: Callable[[list[A]], "asyncio.Future[Sequence[R]]"], at_once: int, most: int) -> None:
        self._run = run
        self._at_once = at_once
        self._most = most
        self._steps: set[asyncio.Future[Sequence[R]]] = set()
        self._waiting: deque[_Brought[A, R]] = deque()

    async def do(self, values: Sequence[A]) -> Sequence[R]:
        """The results, in order. Raises what the step raises, to everybody whose values were in it.

        Cancelled before its step began, nothing is done; after it, the step runs to its end all the same.
        """
        results: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Brought(values, results))
        self._begin()
        return await results

    async def rest(self) -> None:
        """Returns when the steps that run now have ended, as those do whose callers were cancelled."""
        if self._steps:
            await asyncio.wait(list(self._steps))

    def _begin(self) -> None:
        while len(self._steps) < self._at_once and (group := self._next_group()):
            try:
                step = self._run([value for brought in group for value in brought.values])
            except Exception as error:  # noqa: BLE001  # goes to those whose values these are, who all wait for it
                _fail(group, error)
                continue
            self._steps.add(step)
            step.add_done_callback(partial(self._ended, group))

    def _next_group(self) -> list[_Brought[A, R]]:
        group: list[_Brought[A, R]] = []
        room = self._most
        while self._waiting and (not group or len(self._waiting[0].values) <= room):
            brought = self._waiting.popleft()
            if not brought.results.done():  # else its caller was cancelled
                group.append(brought)
                room -= len(brought.values)
        return group

    def _ended(self, group: list[_Brought[A, R]], step: "asyncio.Future[Sequence[R]]") -> None:
        self._steps.discard(step)
        error = asyncio.CancelledError() if step.cancelled() else step.exception()
        if error is not None:
            _fail(group, error)
        else:
            results, start = step.result(), 0
            for brought in group:
                end = start + len(brought.values)
                if not brought.results.done():
                    brought.results.set_result(results[start:end])
                start = end
        self._begin()


def _fail(group: list[_Brought[A, R]], error: BaseException) -> None:
    for brought in group:
        if not brought.results.done():
            brought.results.set_exception(error)
