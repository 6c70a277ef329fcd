"""How objects are cut: never into more parts than the service takes, and without a gap or an overlap."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.s3.profiles import PROFILES, Profile
from headrace_daemon.transfer.parts import MIB, choose_part_size, choose_range_size, part_count, part_range

TB = 10**12
WANTED = st.integers(4096, 5 * 2**30)  # as config.toml allows
PROFILE = st.sampled_from(list(PROFILES.values()))


@given(PROFILE, WANTED, st.integers(0, 50 * TB))
def test_no_object_needs_more_parts_than_the_service_takes(profile: Profile, wanted: int, size: int) -> None:
    size = min(size, profile.max_object)
    part = choose_part_size(size, wanted, profile)
    assert part_count(size, part) <= profile.max_parts
    assert profile.min_part <= part <= profile.max_part


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_the_largest_object_of_every_service_fits(profile: Profile) -> None:
    part = choose_part_size(profile.max_object, 8 * MIB, profile)
    assert part_count(profile.max_object, part) <= profile.max_parts
    assert part <= profile.max_part
    assert part % MIB == 0


@given(WANTED, st.integers(0, 50 * TB))
def test_the_wanted_size_is_taken_where_it_does(wanted: int, size: int) -> None:
    profile = PROFILES["aws"]
    asked = max(wanted, profile.min_part)
    part = choose_part_size(size, wanted, profile)
    assert part == asked if part_count(size, asked) <= profile.max_parts else part > asked


@pytest.mark.parametrize(
    ("size", "ranges"),
    [(511 * MIB, 8 * MIB), (512 * MIB, 16 * MIB), (768 * MIB, 24 * MIB), (1024 * MIB, 32 * MIB), (TB, 96 * MIB)],
)
def test_large_objects_are_read_in_longer_ranges(size: int, ranges: int) -> None:
    assert choose_range_size(size, 8 * MIB, PROFILES["aws"]) == ranges


@given(PROFILE, WANTED, st.integers(0, 50 * TB))
def test_ranges_are_no_shorter_than_parts_and_no_more(profile: Profile, wanted: int, size: int) -> None:
    size = min(size, profile.max_object)
    part, ranges = choose_part_size(size, wanted, profile), choose_range_size(size, wanted, profile)
    assert part <= ranges <= max(part, 4 * wanted)
    assert ranges == part or part_count(size, ranges) >= 32
    assert part_count(size, ranges) <= profile.max_parts


@given(st.integers(0, 100_000), st.integers(1, 2_000))
def test_parts_tile_the_object_exactly(size: int, part_size: int) -> None:
    ranges = [part_range(number, size, part_size) for number in range(1, part_count(size, part_size) + 1)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == size
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    lengths = [end - start for start, end in ranges]
    assert all(length == part_size for length in lengths[:-1])
    assert 0 < lengths[-1] <= part_size or size == 0


def test_an_empty_object_is_one_empty_part() -> None:
    assert part_count(0, 5 * MIB) == 1
    assert part_range(1, 0, 5 * MIB) == (0, 0)
