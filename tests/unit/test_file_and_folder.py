"""Keys of which a tree can hold only one, found in one pass."""

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.file_and_folder import FileAndFolder

_KEYS = st.sets(st.lists(st.sampled_from("ab/-0"), min_size=1, max_size=6).map("".join), max_size=40)


@given(_KEYS)
def test_finds_what_a_tree_that_is_filled_in_order_would_refuse(keys: set[str]) -> None:
    found = FileAndFolder()
    files: set[str] = set()
    for key in sorted(keys):
        above = {key[:end] for end, character in enumerate(key) if character == "/"} & files
        other = found.file_above(Entry(key, 1, 0))
        assert (other is not None) == bool(above)
        assert other is None or other in above
        if not above and not key.endswith("/"):
            files.add(key)


def test_keys_between_a_file_and_its_folder_do_not_hide_the_collision() -> None:
    found = FileAndFolder()
    answers = {key: found.file_above(Entry(key, 1, 0)) for key in ["a", "a!", "a!/x", "a-b", "a/", "a/b", "a0", "b/c"]}
    assert {key: other for key, other in answers.items() if other} == {"a!/x": "a!", "a/": "a", "a/b": "a"}
