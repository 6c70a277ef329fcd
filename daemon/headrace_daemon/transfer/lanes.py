"""Lanes: a bounded number of tasks that share one stream of work, with an owner that outlives none of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from headrace_daemon.transfer.judge import first_cause

T = TypeVar("T")


async def in_lanes(work: Iterable[T], lanes: int, do: Callable[[T], Awaitable[None]]) -> None:
    """`do` every piece of `work`, at most `lanes` at once. The first error cancels the rest and is raised alone."""
    todo = iter(work)

    async def lane() -> None:
        for piece in todo:
            await do(piece)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane())
    except BaseExceptionGroup as failures:
        raise first_cause(failures) from failures
