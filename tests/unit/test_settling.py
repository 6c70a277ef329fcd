"""When a changed file counts as settled: events, looks and clocks in, names out."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.watching.settling import SECOND_NS, Seen, Settling

SETTLE = 10.0


def at(ctime: float, size: int = 1, mtime: float | None = None) -> Seen:
    return Seen(size, int((ctime if mtime is None else mtime) * SECOND_NS), int(ctime * SECOND_NS), 7)


def look_at_all(settling: Settling, files: dict[str, Seen], now: float) -> None:
    for name in settling.to_look_at(now):
        settling.looked(name, files.get(name), now, now)


def test_a_file_is_ready_once_it_was_left_alone_so_long() -> None:
    settling = Settling(SETTLE, own_clock=True)
    settling.touched("a", 100.0)
    assert settling.next_look() == 110.0
    assert settling.to_look_at(109.9) == []
    look_at_all(settling, {"a": at(100)}, 110.0)
    assert settling.ready() == ("a",)
    settling.taken(["a"])
    assert len(settling) == 0


def test_each_change_makes_it_wait_anew_also_once_it_is_ready() -> None:
    settling = Settling(SETTLE, own_clock=True)
    settling.touched("a", 100.0)
    settling.touched("a", 105.0)
    assert settling.to_look_at(114.0) == []
    look_at_all(settling, {"a": at(105)}, 115.0)
    settling.touched("a", 116.0)
    assert settling.ready() == ()
    assert settling.next_look() == 126.0


def test_what_changed_without_an_event_is_seen_by_its_ctime() -> None:
    settling = Settling(SETTLE, own_clock=True)
    settling.touched("a", 100.0)
    look_at_all(settling, {"a": at(107)}, 110.0)
    assert settling.ready() == ()
    assert settling.next_look() == 117.0
    look_at_all(settling, {"a": at(107)}, 117.0)
    assert settling.ready() == ("a",)


def test_a_time_of_modification_says_nothing() -> None:
    settling = Settling(SETTLE, own_clock=True)
    settling.touched("old", 100.0)
    settling.touched("future", 100.0)
    look_at_all(settling, {"old": at(109, mtime=1), "future": at(99, mtime=1e6)}, 110.0)
    assert settling.ready() == ("future",)


def test_by_the_clock_of_another_host_two_looks_have_to_agree() -> None:
    settling = Settling(SETTLE, own_clock=False)
    settling.seen("a", at(5), 100.0)
    look_at_all(settling, {"a": at(6, size=2)}, 110.0)
    assert settling.ready() == ()
    look_at_all(settling, {"a": at(6, size=2)}, 120.0)
    assert settling.ready() == ("a",)


def test_a_walk_that_finds_it_the_same_changes_nothing() -> None:
    settling = Settling(SETTLE, own_clock=False)
    settling.seen("a", at(100), 100.0)
    settling.seen("a", at(100), 109.0)
    look_at_all(settling, {"a": at(100)}, 110.0)
    settling.seen("a", at(100), 111.0)
    assert settling.ready() == ("a",)
    settling.taken(["a"])
    settling.seen("a", at(100), 112.0)
    assert len(settling) == 0
    settling.seen("a", at(113), 113.0)
    assert len(settling) == 1
    settling.gone("a")
    settling.forget_before(150 * SECOND_NS)
    settling.seen("a", at(100), 160.0)
    assert len(settling) == 1


def test_what_is_gone_is_forgotten() -> None:
    settling = Settling(SETTLE, own_clock=True)
    for name in ("gone", "vanished"):
        settling.touched(name, 100.0)
    settling.gone("gone")
    look_at_all(settling, {}, 110.0)
    assert (settling.ready(), len(settling), settling.next_look()) == ((), 0, None)


def test_too_many_are_told_and_not_kept() -> None:
    settling = Settling(SETTLE, own_clock=True, most=3)
    for number in range(5):
        settling.touched(str(number), 100.0)
    assert (settling.lost, len(settling)) == (True, 3)
    settling.touched("0", 101.0)
    assert len(settling) == 3
    settling.clear()
    assert (settling.lost, len(settling)) == (False, 0)


# -- any course of events ------------------------------------------------------------------------------------------


@dataclass
class World:
    """Files, and when each last changed; what was uploaded, as it was then."""

    now: float = 1000.0
    files: dict[str, Seen] = field(default_factory=dict)
    uploaded: dict[str, Seen] = field(default_factory=dict)


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "wait", "fire", "busy"]), st.sampled_from("abc"), st.floats(0, 15)),
    max_size=60,
)


@given(STEPS)
def test_every_file_is_taken_as_it_is_in_the_end_and_none_too_early(steps: list[tuple[str, str, float]]) -> None:
    settling, world = Settling(SETTLE, own_clock=True), World()

    def fire() -> None:
        look_at_all(settling, world.files, world.now)
        for name in settling.ready():
            age = world.now - world.files[name].ctime_ns / SECOND_NS
            assert age >= SETTLE - 1e-6
            world.uploaded[name] = world.files[name]
        settling.taken(settling.ready())

    for size, (what, name, seconds) in enumerate(steps):
        world.now += seconds
        if what == "write":
            world.files[name] = at(world.now, size)
            settling.touched(name, world.now)
        elif what == "remove":
            world.files.pop(name, None)
            settling.gone(name)
        elif what == "fire":
            fire()
        elif what == "busy":
            look_at_all(settling, world.files, world.now)
    for _ in range(3):
        world.now += SETTLE + 0.001
        fire()
    assert {name: world.uploaded.get(name) for name in world.files} == world.files
