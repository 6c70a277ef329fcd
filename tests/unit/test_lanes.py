"""Lanes: bounded, every piece once, and one error ends them all."""

import asyncio

import pytest

from headrace_daemon.transfer.judge import JobFailed, Pause
from headrace_daemon.transfer.lanes import in_lanes


async def test_every_piece_is_done_once_and_never_too_many_together() -> None:
    done: list[int] = []
    together = highest = 0

    async def do(piece: int) -> None:
        nonlocal together, highest
        together += 1
        highest = max(highest, together)
        await asyncio.sleep(0)
        together -= 1
        done.append(piece)

    await in_lanes(range(100), 7, do)
    assert sorted(done) == list(range(100))
    assert highest == 7


async def test_nothing_to_do_is_done() -> None:
    async def never(piece: int) -> None:
        raise AssertionError(piece)

    await in_lanes([], 3, never)


async def test_pieces_are_taken_as_lanes_become_free() -> None:
    """A batch may be cut lazily: nothing is taken that nobody works on."""
    taken: list[int] = []
    gate = asyncio.Event()

    def pieces() -> "list[int]":
        return [1, 2, 3, 4]

    async def do(piece: int) -> None:
        taken.append(piece)
        await gate.wait()

    task = asyncio.create_task(in_lanes(iter(pieces()), 2, do))
    for _ in range(5):
        await asyncio.sleep(0)
    assert taken == [1, 2]
    gate.set()
    await task
    assert taken == [1, 2, 3, 4]


async def test_the_first_error_cancels_the_others_and_comes_alone() -> None:
    cancelled: list[int] = []
    started: list[int] = []

    async def do(piece: int) -> None:
        started.append(piece)
        if piece == 3:
            raise ValueError("third")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(piece)
            raise

    with pytest.raises(ValueError, match="third") as caught:
        await in_lanes(range(1, 100), 4, do)
    assert isinstance(caught.value.__cause__, BaseExceptionGroup), "the others are there for whoever looks"
    assert sorted(cancelled) == [1, 2, 4]
    assert sorted(started) == [1, 2, 3, 4], "no further piece was taken up"


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
async def test_the_end_of_the_job_wins_over_a_pause_and_that_over_the_rest(order: list[int]) -> None:
    errors: list[Exception] = [JobFailed("ends"), Pause("pauses", 1.0), ValueError("other")]
    together = asyncio.Barrier(3)

    async def do(index: int) -> None:
        await together.wait()
        raise errors[index]

    with pytest.raises(JobFailed):
        await in_lanes(order, 3, do)


async def test_a_pause_wins_over_errors() -> None:
    together = asyncio.Barrier(2)

    async def do(error: Exception) -> None:
        await together.wait()
        raise error

    with pytest.raises(Pause):
        await in_lanes([ValueError("other"), Pause("pauses", 1.0)], 2, do)


async def test_whoever_is_cancelled_outside_leaves_nobody_behind() -> None:
    ended: list[int] = []

    async def do(piece: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(piece)

    task = asyncio.create_task(in_lanes(range(5), 3, do))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]
