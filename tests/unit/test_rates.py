"""How often somebody may ask, and how often an address may fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.rates import FAILURES_A_SECOND, FAILURES_AT_ONCE, Buckets, Rates
from headrace_daemon.api.who import Limits, Permission, User


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def user(name: str = "alice", rate: float = 2.0, burst: int = 3) -> User:
    limits = Limits(None, 1, rate, burst)
    return User(name, None, {}, frozenset({Permission.READ}), frozenset(), limits, "token t")


def waits(rates: Rates, asking: User) -> float:
    """0.0 for a request that is let through, else the seconds it is told to wait."""
    try:
        rates.check(asking)
    except ApiError as error:
        refusal = error
    else:
        return 0.0
    assert refusal.status == 429
    assert refusal.retry_after is not None
    assert refusal.retry_after > 0
    return refusal.retry_after


def test_a_burst_passes_and_the_rest_comes_at_the_rate() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert [waits(rates, user()) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.5)]
    clock.now += 0.25
    assert waits(rates, user()) == pytest.approx(0.25)
    clock.now += 0.25
    assert [waits(rates, user()), waits(rates, user())] == [0.0, pytest.approx(0.5)]


def test_a_long_pause_saves_up_no_more_than_a_burst() -> None:
    clock = Clock()
    rates = Rates(clock)
    waits(rates, user())
    clock.now += 86_400
    assert [waits(rates, user()) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.5)]


def test_one_user_takes_nothing_from_another() -> None:
    rates = Rates(Clock())
    for _ in range(9):
        waits(rates, user("alice"))
    assert waits(rates, user("bob")) == 0.0


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=80),
)
def test_never_more_than_the_burst_and_the_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    rates, asking = Rates(clock), user(rate=rate, burst=burst)
    begin, passed = clock.now, 0
    for pause in pauses:
        clock.now += pause
        passed += waits(rates, asking) == 0.0
        assert passed <= burst + (clock.now - begin) * rate + 1e-3


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 20), max_size=80),
)
def test_who_waits_as_long_as_told_gets_through(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    rates, asking = Rates(clock), user(rate=rate, burst=burst)
    for pause in pauses:
        clock.now += pause
        waits(rates, asking)
    while (wait := waits(rates, asking)) == 0.0:
        pass
    assert wait <= 1 / rate + 1e-6
    clock.now += wait
    assert waits(rates, asking) == 0.0


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(3):
        waits(rates, user())
    clock.now -= 100
    assert waits(rates, user()) == pytest.approx(0.5)


def test_a_bounded_number_is_remembered_and_the_last_used_stay() -> None:
    buckets = Buckets(2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 1.0, 1, 0.0)
    assert len(buckets) == 2
    assert buckets.wait("a", 1.0, 1, 0.0) > 0
    assert buckets.wait("b", 1.0, 1, 0.0) == 0.0


def test_failures_of_an_address_are_let_through_slowly() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(FAILURES_AT_ONCE):
        rates.check_address("192.0.2.7")
        rates.failed("192.0.2.7")
    with pytest.raises(ApiError) as caught:
        rates.check_address("192.0.2.7")
    assert caught.value.status == 429
    assert caught.value.retry_after == pytest.approx(1 / FAILURES_A_SECOND)
    rates.check_address("192.0.2.8")
    clock.now += 1 / FAILURES_A_SECOND
    rates.check_address("192.0.2.7")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
def test_a_host_has_one_bucket_whatever_address_it_takes(first: str, second: str, same: bool) -> None:
    rates = Rates(Clock())
    for _ in range(FAILURES_AT_ONCE):
        rates.failed(first)
    if same:
        with pytest.raises(ApiError):
            rates.check_address(second)
    else:
        rates.check_address(second)
