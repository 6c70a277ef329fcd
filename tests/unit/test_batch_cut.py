"""How a batch is cut into what lanes do at a time: every object once, groups within their limits."""

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.transfer.batch import DELETE_GROUP, GROUP_BYTES, GROUP_OBJECTS, Piece, cut
from headrace_daemon.transfer.mover import Numbered
from headrace_queue.jobs import Action, Item

THRESHOLD = 4 * GROUP_BYTES
SIZES = st.one_of(st.integers(0, 64 << 10), st.integers(0, 2 * THRESHOLD))
OBJECTS = st.lists(
    st.tuples(SIZES, st.sampled_from([Action.COPY, Action.COPY, Action.COPY, Action.DELETE])), max_size=300
)
LANES = st.integers(1, 128)


def numbered(objects: list[tuple[int, Action]]) -> list[Numbered]:
    """Indexes with gaps, as when some of a batch is finished already."""
    return [(3 * n + 1, Item(f"k{n}", size, 0, action=action)) for n, (size, action) in enumerate(objects)]


@given(OBJECTS, LANES)
def test_every_object_is_in_exactly_one_piece(objects: list[tuple[int, Action]], lanes: int) -> None:
    items = numbered(objects)
    pieces = list(cut(items, THRESHOLD, lanes))
    assert sorted(one for piece in pieces for one in piece.group) == sorted(items)
    assert all(piece.group for piece in pieces)


@given(OBJECTS, LANES)
def test_pieces_hold_one_kind_each_and_keep_their_limits(objects: list[tuple[int, Action]], lanes: int) -> None:
    for piece in cut(numbered(objects), THRESHOLD, lanes):
        sizes = [item.size for _, item in piece.group]
        assert {item.action is Action.DELETE for _, item in piece.group} == {piece.delete}
        if piece.delete:
            assert len(sizes) <= DELETE_GROUP
        elif piece.large:
            assert len(sizes) == 1
            assert sizes[0] >= THRESHOLD
        else:
            assert all(size < THRESHOLD for size in sizes)
            assert len(sizes) <= GROUP_OBJECTS
            assert piece.size <= GROUP_BYTES or len(sizes) == 1


@given(OBJECTS, LANES)
def test_large_objects_go_first(objects: list[tuple[int, Action]], lanes: int) -> None:
    """The longest work must not start last."""
    kinds = [(not piece.large, piece.delete) for piece in cut(numbered(objects), THRESHOLD, lanes)]
    assert kinds == sorted(kinds)


@given(st.integers(1, 200), LANES)
def test_groups_leave_no_lane_idle(count: int, lanes: int) -> None:
    pieces = list(cut(numbered([(100, Action.COPY)] * count), THRESHOLD, lanes))
    assert len(pieces) >= min(count, lanes)


def test_many_tiny_objects_travel_in_full_groups() -> None:
    pieces = list(cut(numbered([(100, Action.COPY)] * 100 * GROUP_OBJECTS), THRESHOLD, 8))
    assert {len(piece.group) for piece in pieces} == {GROUP_OBJECTS}


def test_a_group_ends_before_it_grows_too_large() -> None:
    """Its bytes are borrowed from the memory budget at once."""
    pieces = list(cut(numbered([(GROUP_BYTES * 2 // 5, Action.COPY)] * 5), THRESHOLD, 1))
    assert [len(piece.group) for piece in pieces] == [2, 2, 1]


def test_many_deletions_are_cut_as_the_service_takes_them() -> None:
    pieces = list(cut(numbered([(0, Action.DELETE)] * (DELETE_GROUP + 1)), THRESHOLD, 8))
    assert [(len(piece.group), piece.delete) for piece in pieces] == [(DELETE_GROUP, True), (1, True)]


def test_nothing_is_cut_into_nothing() -> None:
    assert list(cut([], THRESHOLD, 8)) == []
    assert Piece(()).size == 0
