"""The memory budget: never over its limit, no job holds all of it, and every byte comes back."""

import asyncio
import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_daemon.flow.memory import MemoryBudget, MemoryShare

LIMIT = 100

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 150)),
        st.tuples(st.just("give back"), st.integers(0, 30)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=40,
)


class Borrower:
    """One task that holds its bytes until it is told to give them back."""

    def __init__(self, share: MemoryShare, size: int, arrivals: list["Borrower"]) -> None:
        self.share = share
        self.size = min(size, LIMIT)
        self.holds = False
        self.enough = asyncio.Event()
        self.task = asyncio.create_task(self._borrow(size, arrivals))

    async def _borrow(self, size: int, arrivals: list["Borrower"]) -> None:
        async with self.share.lend(size):
            self.holds = True
            arrivals.append(self)
            try:
                await self.enough.wait()
            finally:
                self.holds = False


async def play(steps: list[Step], jobs: int) -> list[list[int]]:
    """Runs the steps without letting the loop turn in between, except where they say so: the tightest races.

    For each job the order in which its borrowers, by number, came to their bytes.
    """
    budget = MemoryBudget(LIMIT)
    shares = [budget.share() for _ in range(jobs)]
    everyone: list[Borrower] = []
    arrivals: list[Borrower] = []
    for kind, number in steps:
        if kind == "ask":
            everyone.append(Borrower(shares[number % jobs], number, arrivals))
        elif kind == "turn":
            await settle()
        elif everyone and kind == "give back":
            everyone[number % len(everyone)].enough.set()
        elif everyone and kind == "cancel":
            everyone[number % len(everyone)].task.cancel()
        assert 0 <= budget.used <= LIMIT
    await settle()
    assert budget.used == sum(borrower.size for borrower in everyone if borrower.holds)
    for share in shares:
        assert share.held == sum(one.size for one in everyone if one.holds and one.share is share)
    waiting = [one for one in everyone if not one.task.done() and not one.holds]
    first = [next(one for one in waiting if one.share is share) for share in {one.share for one in waiting}]
    able = [one for one in first if one.share.may_hold(one.size)]
    assert not able or any(budget.used + one.size > LIMIT for one in able), "it waits beside free bytes"
    for borrower in everyone:
        borrower.enough.set()
    ends = await asyncio.gather(*(borrower.task for borrower in everyone), return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}, ends
    assert budget.used == 0
    return [[everyone.index(one) for one in arrivals if one.share is share] for share in shares]


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


@given(STEPS, st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_never_over_the_limit_and_everything_comes_back(steps: list[Step], jobs: int) -> None:
    asyncio.run(play(steps, jobs))


@given(STEPS, st.integers(1, 4))
@settings(deadline=None)
def test_first_come_first_served_within_a_job(steps: list[Step], jobs: int) -> None:
    """Nobody is overtaken, however small: else a large part would wait for ever beside small objects."""
    calmly = [each for step in steps for each in (step, ("turn", 0))]
    for order in asyncio.run(play(calmly, jobs)):
        assert order == sorted(order)


async def test_a_job_that_gives_nothing_back_leaves_a_quarter_to_the_next_and_so_on() -> None:
    budget = MemoryBudget(LIMIT)
    shares = [budget.share() for _ in range(4)]
    everyone: list[Borrower] = []
    for share in shares:
        everyone += [Borrower(share, 1, []) for _ in range(LIMIT)]
        await settle()
    assert [share.held for share in shares] == [75, 18, 5, 1]
    assert shares[0].limit == 75
    for one in everyone:
        one.task.cancel()
    await asyncio.gather(*(one.task for one in everyone), return_exceptions=True)
    assert budget.used == 0


async def test_who_waits_for_its_own_job_holds_up_no_other() -> None:
    budget = MemoryBudget(LIMIT)
    hung, other = budget.share(), budget.share()
    held = [Borrower(hung, 25, []) for _ in range(4)]
    await settle()
    assert [one.holds for one in held] == [True, True, True, False]
    late = Borrower(other, 20, [])
    await settle()
    assert late.holds
    for one in (*held, late):
        one.enough.set()
    await asyncio.gather(*(one.task for one in (*held, late)))
    assert budget.used == 0


async def test_a_waiter_cancelled_in_the_turn_of_its_grant_gives_the_bytes_back() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().lend(LIMIT):
        waiter, behind = Borrower(budget.share(), 60, []), Borrower(budget.share(), 80, [])
        await settle()
    assert budget.used == 60, "granted, and it has not run since"
    waiter.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter.task
    await settle()
    assert behind.holds
    behind.enough.set()
    await behind.task
    assert budget.used == 0


async def test_a_waiter_that_gives_up_lets_those_behind_it_pass() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().lend(60):
        large, small = Borrower(budget.share(), 80, []), Borrower(budget.share(), 20, [])
        await settle()
        before = small.holds
        large.task.cancel()
        await settle()
        after = small.holds
        small.enough.set()
        await small.task
    assert (before, after) == (False, True), "it came later"
    assert budget.used == 0


async def test_a_waiter_cancelled_just_before_room_appears_leaves_quietly() -> None:
    """The grant comes upon a waiter that is cancelled, and has not run since."""
    budget = MemoryBudget(LIMIT)
    async with budget.share().lend(LIMIT):
        waiter = Borrower(budget.share(), 50, [])
        await settle()
        waiter.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter.task
    assert budget.used == 0


async def test_more_than_everything_is_lent_alone() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().lend(10 * LIMIT):
        assert budget.used == LIMIT
        waiter = Borrower(budget.share(), 1, [])
        await settle()
        while_full = waiter.holds
    await settle()
    assert (while_full, waiter.holds) == (False, True)
    waiter.enough.set()
    await waiter.task


async def test_a_buffer_is_used_again_unless_its_block_failed() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().buffer(40, overhead=20) as first:
        assert (len(first), budget.used) == (40, 60)
        first[:4] = b"mark"
    async with budget.share().buffer(30) as second:
        assert bytes(second[:4]) == b"mark", "fresh pages cost more than the copy into them"
        assert len(second) == 30
    with pytest.raises(ConnectionError):
        await give_up(budget)
    async with budget.share().buffer(40) as third:
        assert bytes(third[:4]) == b"\0\0\0\0", "the request that was given up may still read from its buffer"
    assert budget.used == 0


async def give_up(budget: MemoryBudget) -> None:
    async with budget.share().buffer(40) as buffer:
        buffer[:4] = b"sent"
        raise ConnectionError


async def test_two_holders_never_share_a_buffer() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().buffer(10):
        pass
    async with budget.share().buffer(10) as first, budget.share().buffer(10) as second:
        first[:] = b"a" * 10
        second[:] = b"b" * 10
        assert bytes(first) == b"a" * 10


async def test_buffers_that_are_too_small_are_let_go() -> None:
    budget = MemoryBudget(LIMIT)
    async with budget.share().buffer(10), budget.share().buffer(10):
        pass
    async with budget.share().buffer(50) as grown:
        assert len(grown) == 50
    async with budget.share().buffer(10) as small:
        assert len(small) == 10
        assert isinstance(small.obj, mmap.mmap)
        assert len(small.obj) == 50, "the two of 10 bytes are gone"


async def test_idle_buffers_make_room_for_what_is_lent() -> None:
    budget = MemoryBudget(100)
    async with budget.share().buffer(60) as first:
        kept = first.obj
    async with budget.share().buffer(60) as again:
        assert again.obj is kept, "it is used again where nothing else needs the room"
    async with budget.share().lend(50), budget.share().buffer(50) as other:
        assert other.obj is not kept, "60 idle and 50 lent would have been over the budget"


async def test_a_buffer_that_a_waiter_was_granted_is_not_let_go_before_it_takes_it() -> None:
    """Counted from the grant on, its bytes drove idle buffers out, and fresh pages came in their place."""
    budget = MemoryBudget(100)
    kept: list[object] = []  # what is let go would give its id to the next one

    async def use_often() -> None:
        for _ in range(20):
            async with budget.share().buffer(50) as buffer:
                kept.append(buffer.obj)
                await asyncio.sleep(0)

    await asyncio.gather(*(use_often() for _ in range(6)))
    assert len({id(each) for each in kept}) == 2
