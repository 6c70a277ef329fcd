"""Sorting on disk."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace_daemon.planner.disksort import PAGE_ENTRIES, DiskSorter
from headrace_daemon.planner.entries import Entry

ENTRIES = st.builds(
    Entry, st.text(max_size=4), st.integers(0, 2**50), st.integers(-(2**62), 2**62), st.text(max_size=3)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.lists(st.lists(ENTRIES, max_size=12), max_size=8), run=st.integers(1, 20), after=st.text(max_size=2))
def test_comes_out_as_one_sorted_list(tmp_path: Path, pages: list[list[Entry]], run: int, after: str) -> None:
    with DiskSorter(tmp_path, run_entries=run) as sorter:
        for page in pages:
            sorter.add(page)
        found = [entry for page in sorter.pages(after) for entry in page]
    everything = sorted(entry for page in pages for entry in page)
    keys = sorted({entry.key for entry in everything if entry.key > after})
    assert sorter.count == len(everything)
    assert [entry.key for entry in found] == keys
    assert found == [next(entry for entry in everything if entry.key == key) for key in keys]
    assert all(type(entry) is Entry for entry in found)


def test_pages_are_bounded_and_the_file_has_no_name(tmp_path: Path) -> None:
    with DiskSorter(tmp_path, run_entries=700) as sorter:
        sorter.add(Entry(f"{(index * 7919) % 5003:05d}", index, 0) for index in range(5003))
        assert os.listdir(tmp_path) == []
        sizes = [len(page) for page in sorter.pages()]
    assert max(sizes) == PAGE_ENTRIES
    assert sum(sizes) == 5003


def test_after_closing_nothing_is_written(tmp_path: Path) -> None:
    sorter = DiskSorter(tmp_path, run_entries=1)
    sorter.add([Entry("a", 1, 1)])
    sorter.close()
    with pytest.raises(ValueError, match="closed"):
        sorter.add([Entry("b", 1, 1)])
