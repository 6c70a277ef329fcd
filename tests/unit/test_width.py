"""How many parts move at once: more only while there is something left to move them with."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.load import Load, LoadMeter
from headrace_daemon.flow.width import FIRST, MOST, PartTurns, Width, next_width

IDLE = Load(machine=0.05, own=0.02, loop=0.05)
SATURATED = Load(machine=0.95, own=0.6, loop=0.2)


@pytest.mark.parametrize(
    ("load", "width"),
    [
        (IDLE, 16),
        (Load(machine=0.64, own=0.5, loop=0.2), 12),  # a little is left
        (Load(machine=0.7, own=0.5, loop=0.2), 8),
        (SATURATED, 8),
        (Load(machine=0.4, own=0.3, loop=0.9), 8),  # on many processors one loop is what limits
        (Load(machine=1.0, own=0.05, loop=0.1), 16),  # somebody else computes
    ],
)
def test_twice_as_many_while_the_processors_have_time(load: Load, width: int) -> None:
    assert next_width(8, load) == width


shares = st.floats(0, 1)


@given(st.integers(1, MOST), st.builds(Load, shares, shares, shares))
def test_never_fewer_and_never_more_than_twice_as_many(width: int, load: Load) -> None:
    assert width <= next_width(width, load) <= min(MOST, 2 * width)


class Parts:
    """Parts of a job that stay under way until they are let go."""

    def __init__(self, width: Width) -> None:
        self.turns = PartTurns(width)
        self.inside = 0
        self.end = asyncio.Event()

    async def one(self) -> None:
        async with self.turns:
            self.inside += 1
            try:
                await self.end.wait()
            finally:
                self.inside -= 1

    def begin(self, count: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.one()) for _ in range(count)]

    async def until(self, inside: int) -> None:
        async with asyncio.timeout(60):
            while self.inside != inside:  # noqa: ASYNC110 - the turns tell nobody else
                await asyncio.sleep(0.001)


async def test_an_idle_machine_is_filled() -> None:
    width = Width(lambda: IDLE)
    parts = Parts(width)
    tasks = parts.begin(50)
    await parts.until(50)
    assert width.limit == 64
    assert not parts.turns.few
    parts.end.set()
    await asyncio.gather(*tasks)
    assert width.limit == FIRST, "it is found anew"
    assert parts.turns.few


async def test_a_busy_one_is_not() -> None:
    looks = 0

    def look() -> Load:
        nonlocal looks
        looks += 1
        return SATURATED

    width = Width(look)
    first, second = Parts(width), Parts(width)
    tasks = [*first.begin(10), *second.begin(10)]
    async with asyncio.timeout(60):
        while looks < 5:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.001)
    assert (first.inside, second.inside) == (FIRST, FIRST), "each job has as many"
    first.end.set()
    second.end.set()
    await asyncio.gather(*tasks)


async def test_whoever_is_cancelled_takes_no_turn_away() -> None:
    parts = Parts(Width(lambda: SATURATED))
    tasks = parts.begin(FIRST + 2)
    await parts.until(FIRST)
    for task in (tasks[0], tasks[FIRST]):  # one inside, one that waits
        task.cancel()
    await asyncio.gather(tasks[0], tasks[FIRST], return_exceptions=True)
    await parts.until(FIRST)
    parts.end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert parts.inside == 0
    async with asyncio.timeout(60):
        await asyncio.gather(*parts.begin(FIRST))


async def test_cancelled_in_the_moment_of_its_turn() -> None:
    width = Width(lambda: SATURATED)
    turns = PartTurns(width)
    for _ in range(FIRST):
        await turns.__aenter__()
    late = asyncio.create_task(turns.__aenter__())
    await asyncio.sleep(0)
    await turns.__aexit__()  # which hands the turn over
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    async with asyncio.timeout(60):
        await turns.__aenter__()


def test_the_load_is_what_has_passed_since_the_last_look(tmp_path: Path) -> None:
    stat, now = tmp_path / "stat", 100.0
    tick, processors = os.sysconf("SC_CLK_TCK"), os.cpu_count() or 1

    def idle(seconds: float, waiting: float) -> None:
        stat.write_text(f"cpu  1 2 3 {int(seconds * tick)} {int(waiting * tick)} 0 0 0 0 0\ncpu0 0 0 0 0\n")

    idle(1000.0, 10.0)
    meter = LoadMeter(stat, lambda: now)
    now = 102.0
    idle(1000.0 + 0.5 * processors, 10.0 + 0.5 * processors)
    load = meter.look()
    assert load.machine == pytest.approx(0.5, abs=0.02)
    assert 0 <= load.own <= load.machine
    now = 104.0
    idle(1000.0 + 2.5 * processors, 10.0 + 0.5 * processors)
    assert meter.look().machine == pytest.approx(0.0, abs=0.02)
    assert meter.look() == Load(0.0, 0.0, 0.0), "no time has passed"


def test_a_machine_that_tells_nothing_counts_as_idle(tmp_path: Path) -> None:
    for content in (None, "", "cpu  1 2\n", "cpu a b c d e f\n"):
        if content is not None:
            (tmp_path / "stat").write_text(content)
        meter = LoadMeter(tmp_path / "stat")
        assert meter.look().machine == pytest.approx(0.0, abs=0.01)


def test_what_this_process_does_is_seen() -> None:
    meter = LoadMeter()
    begun = time.thread_time()
    while time.thread_time() - begun < 0.2:
        pass
    load = meter.look()
    assert load.loop > 0
    assert load.own > 0
