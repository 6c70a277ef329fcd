"""How many turns there are at once, and that none is ever lost."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.turns import Turns


class Hall:
    """Steps that stand in their turns until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.inside = 0
        self.gates: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    def step(self, waited: bool) -> None:
        gate = asyncio.Event()
        self.gates.append(gate)
        self.tasks.append(asyncio.create_task(self._one(gate, waited)))

    async def _one(self, gate: asyncio.Event, waited: bool) -> None:
        async with self.turns:
            self.inside += 1
            try:
                await gate.wait()
                self.turns.told(waited=waited)
            finally:
                self.inside -= 1

    async def rest(self) -> None:
        """Everybody goes as far as they can."""
        for _ in range(3 * len(self.tasks) + 3):
            await asyncio.sleep(0)


async def test_one_at_a_time_where_nothing_waits_for_a_device() -> None:
    hall = Hall(Turns(1, 3))
    for _ in range(6):
        hall.step(waited=False)
    await hall.rest()
    assert hall.inside == 3, "nothing is known yet"
    for left in (2, 1, 1):
        hall.gates.pop(0).set()
        await hall.rest()
        assert hall.inside == left
    for gate in hall.gates:
        gate.set()
    await asyncio.gather(*hall.tasks)


async def test_many_again_once_one_had_to_wait() -> None:
    hall = Hall(Turns(1, 3))
    hall.turns.told(waited=False)
    hall.step(waited=True)
    for _ in range(5):
        hall.step(waited=True)
    await hall.rest()
    assert hall.inside == 1
    hall.gates[0].set()
    await hall.rest()
    assert hall.inside == 3
    for gate in hall.gates:
        gate.set()
    await asyncio.gather(*hall.tasks)


@given(st.lists(st.tuples(st.sampled_from(["step", "go", "cancel"]), st.booleans()), max_size=60))
def test_no_turn_is_ever_lost(script: Sequence[tuple[str, bool]]) -> None:
    async def play() -> None:
        hall = Hall(Turns(1, 3))
        for number, (what, waited) in enumerate(script):
            if what == "step":
                hall.step(waited)
            elif hall.tasks and what == "go":
                hall.gates[number % len(hall.gates)].set()
            elif hall.tasks:
                hall.tasks[number % len(hall.tasks)].cancel()
            if waited:
                await asyncio.sleep(0)
            assert hall.inside <= 3
        for gate in hall.gates:
            gate.set()
        await asyncio.gather(*hall.tasks, return_exceptions=True)
        hall.turns.told(waited=True)
        async with hall.turns, hall.turns, hall.turns:
            pass

    asyncio.run(asyncio.wait_for(play(), 30))
