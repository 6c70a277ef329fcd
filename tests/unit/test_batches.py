"""Cutting items into batches."""

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.batches import BatchLimits, cut
from headrace_queue.jobs import Action, Item

LIMITS = BatchLimits(objects=10, size=1000, large=300)


def items_of(sizes: list[int], action: Action = Action.COPY) -> list[Item]:
    return [Item(f"{index:06d}", size, 0, "", action) for index, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 400), max_size=80))
def test_every_item_is_in_one_batch_within_the_limits(sizes: list[int]) -> None:
    items = items_of(sizes)
    batches = cut(items, LIMITS)
    assert sorted(item for batch in batches for item in batch) == items
    for batch in batches:
        assert list(batch) == sorted(batch)
        if batch[0].size >= LIMITS.large:
            assert len(batch) == 1
        else:
            assert len(batch) <= LIMITS.objects
            assert all(item.size < LIMITS.large for item in batch)
            assert sum(item.size for item in batch) <= LIMITS.size


def test_small_objects_are_spread_evenly() -> None:
    assert [len(batch) for batch in cut(items_of([1] * 12), LIMITS)] == [6, 6]
    assert [len(batch) for batch in cut(items_of([1] * 30), LIMITS)] == [10, 10, 10]


def test_the_size_bounds_a_batch() -> None:
    assert [len(batch) for batch in cut(items_of([290] * 6), LIMITS)] == [3, 3]


def test_deletions_weigh_nothing() -> None:
    assert [len(batch) for batch in cut(items_of([5000] * 20, Action.DELETE), LIMITS)] == [10, 10]


def test_what_is_restored_has_batches_of_its_own() -> None:
    """They sleep until Lustre has brought the data back, and nothing else shall wait with them."""
    copies, restores = items_of([5000, 10, 20]), items_of([5000] * 12, Action.RESTORE)
    batches = cut([*copies, *restores], LIMITS)
    assert sorted(item for batch in batches for item in batch) == sorted([*copies, *restores])
    assert all(len({item.action for item in batch}) == 1 for batch in batches)
    assert [len(batch) for batch in batches] == [1, 2, 6, 6], "bytes that do not pass this host do not count"


def test_nothing_makes_no_batch() -> None:
    assert cut([], LIMITS) == []
