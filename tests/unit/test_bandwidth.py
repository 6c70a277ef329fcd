"""Bandwidth limits, with a clock that only moves when somebody sleeps."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.flow.bandwidth import Bandwidth, take_all

BURST = 0.25


class Time:
    """Seconds, and a sleep that is the only way they pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds


def run(coroutine: object) -> None:
    """Steps a coroutine that never really waits."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise AssertionError("it waited for something else than the clock")


def limit(rate: int, time: Time) -> Bandwidth:
    return Bandwidth(rate, time.clock, time.sleep)


def test_the_first_burst_is_free_and_the_rest_is_paid_for() -> None:
    time = Time()
    bandwidth = limit(100, time)
    for _ in range(6):
        run(bandwidth.take(10))
    # 25 bytes of credit, then a tenth of a second for each 10 bytes
    assert time.now == pytest.approx(1000.0 + 0.25)
    run(bandwidth.take(1000))
    run(bandwidth.take(1))
    assert time.now >= 1000.0 + 10.0 - BURST, "whoever comes after a large piece waits for its debt"


def test_idle_time_is_no_credit_beyond_the_burst() -> None:
    time = Time()
    bandwidth = limit(100, time)
    time.now += 3600
    for _ in range(10):
        run(bandwidth.take(100))
    assert time.now >= 1000.0 + 3600 + 9 - BURST


# how many seconds a piece takes at the rate: a debt is slept off second by second, and no example is to owe years
LENGTHS = st.floats(0, 20)


@given(st.integers(1, 10**9), st.lists(st.tuples(LENGTHS, st.floats(0, 5)), max_size=60))
def test_never_more_than_the_rate_on_average(rate: int, pieces: list[tuple[float, float]]) -> None:
    """What was let through before the latest piece fits into the time that passed and one burst."""
    time = Time()
    bandwidth = limit(rate, time)
    started, total = time.now, 0
    for length, idle in pieces:
        size = int(rate * length)
        time.now += idle
        run(bandwidth.take(size))
        assert total <= rate * (time.now - started + BURST) * (1 + 1e-9) + 1
        total += size


@given(st.integers(1, 10**9), st.lists(LENGTHS, min_size=1, max_size=60))
def test_nobody_waits_longer_than_the_rate_asks(rate: int, lengths: list[float]) -> None:
    time = Time()
    bandwidth = limit(rate, time)
    started, sizes = time.now, [int(rate * length) for length in lengths]
    for size in sizes:
        run(bandwidth.take(size))
    assert time.now - started <= max(0.0, sum(sizes[:-1]) / rate - BURST) * (1 + 1e-9) + 1e-6


def test_every_limit_that_applies_is_passed() -> None:
    time = Time()
    wide, narrow = limit(1000, time), limit(10, time)
    run(take_all([wide, narrow], 100))
    run(take_all([wide, narrow], 1))
    assert time.now == pytest.approx(1000.0 + 100 / 10 - BURST)
    run(take_all([], 10**12))


async def test_jobs_that_share_a_limit_pass_by_turns() -> None:
    """One that has a hundred pieces in line holds up none that has one; who leaves the line holds up nobody."""
    time, all_here = Time(), asyncio.Event()
    order: list[str] = []

    async def sleep(seconds: float) -> None:
        await all_here.wait()
        await time.sleep(seconds)

    bandwidth = Bandwidth(10**6, time.clock, sleep)

    async def piece(name: str, job: int) -> None:
        await bandwidth.take(20_000, job)
        order.append(name)

    bandwidth.charge(250_000)  # the burst is used up
    many = [asyncio.create_task(piece(f"many {number}", 1)) for number in range(10)]
    await asyncio.sleep(0)
    few = [asyncio.create_task(piece(f"few {number}", 2)) for number in range(2)]
    await asyncio.sleep(0)
    many[1].cancel()
    all_here.set()
    await asyncio.gather(*many, *few, return_exceptions=True)
    # the first one pays already when the others come
    assert order[:5] == ["many 0", "many 2", "few 0", "many 3", "few 1"]
    assert len(order) == 11
    await bandwidth.take(1, 3)


async def test_a_turn_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    paid, slept = asyncio.Event(), 0

    async def sleep(_: float) -> None:
        nonlocal slept
        slept += 1
        await paid.wait()

    bandwidth = Bandwidth(1, lambda: 0.0, sleep)
    bandwidth.charge(1)
    first, second, third = (asyncio.create_task(bandwidth.take(1)) for _ in range(3))
    await asyncio.sleep(0)
    assert slept == 1, "one pays for all"
    first.cancel()  # its turn goes to the second, which is cancelled before it learns of it
    await asyncio.sleep(0)
    second.cancel()
    paid.set()
    await third
    assert slept == 2
