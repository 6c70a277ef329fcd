"""Who gets a slot when, and that none is ever lost."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.slots import Slots


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def test_the_lowest_rank_comes_first_and_then_who_came_first() -> None:
    slots, order = Slots(1), []

    async def piece(rank: int, name: str) -> None:
        async with slots.one(rank):
            order.append(name)
            await asyncio.sleep(0)

    names = [(5, "first"), (7, "young"), (5, "old"), (7, "younger"), (2, "oldest"), (5, "old too")]
    await asyncio.gather(*(piece(rank, name) for rank, name in names))
    assert order == ["first", "oldest", "old", "old too", "young", "younger"]


@given(st.lists(st.tuples(st.sampled_from(["take", "end", "cancel"]), st.integers(0, 3), st.booleans()), max_size=60))
def test_no_slot_is_ever_lost(script: Sequence[tuple[str, int, bool]]) -> None:
    async def play() -> None:
        slots, inside = Slots(2), 0
        gates: list[asyncio.Event] = []
        tasks: list[asyncio.Task[None]] = []

        async def piece(rank: int, gate: asyncio.Event) -> None:
            nonlocal inside
            async with slots.one(rank):
                inside += 1
                assert inside <= 2
                try:
                    await gate.wait()
                finally:
                    inside -= 1

        for what, number, rest in script:
            if what == "take":
                gates.append(asyncio.Event())
                tasks.append(asyncio.create_task(piece(number, gates[-1])))
            elif tasks and what == "end":
                gates[number % len(gates)].set()
            elif tasks:
                tasks[number % len(tasks)].cancel()
            if rest:
                await settled()
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with slots.one(9), slots.one(9):
            pass

    asyncio.run(asyncio.wait_for(play(), 30))
