"""Endpoints: choice, setting aside, probing, with a clock that is a number."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.facts import Facts
from headrace_daemon.s3.endpoints import FAILURES, FAULTS, FIRST_PROBE, LAST_PROBE, Ending, Endpoint, Endpoints


class Heard(Facts):
    """Remembers what endpoints told."""

    def __init__(self) -> None:
        self.health: list[tuple[str, bool]] = []
        self.load: dict[str, tuple[int, int]] = {}
        self.arrived: list[str] = []

    def heard(self, remote: str, endpoint: str) -> None:
        self.arrived.append(endpoint)

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        self.health.append((endpoint, healthy))

    def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
        self.load[endpoint] = (requests, limit)


def three(facts: Facts | None = None, limit: int = 4) -> Endpoints:
    return Endpoints("r", ["http://a/", "http://b", "http://c"], limit, facts or Facts(), lambda: 0.5)


def taken(endpoints: Endpoints, avoid: Endpoint | None = None) -> Endpoint:
    endpoint = endpoints.take(avoid)
    assert endpoint is not None
    return endpoint


def healthy(endpoint: Endpoint) -> bool:
    return endpoint.healthy


def down_since(endpoints: Endpoints) -> float | None:
    return endpoints.down_since


def test_ties_rotate_and_load_evens_out() -> None:
    endpoints = three()
    assert [taken(endpoints).url for _ in range(6)] == ["http://a", "http://b", "http://c"] * 2
    endpoints.ended(endpoints.all[1], Ending.ANSWERED, "", 0.0)
    assert taken(endpoints).url == "http://b"


def test_the_share_of_the_limit_counts_not_the_number() -> None:
    endpoints = three()
    a = taken(endpoints)
    endpoints.ended(a, Ending.THROTTLED, "SlowDown", 0.0)
    load = Counter(taken(endpoints).url for _ in range(10))
    assert load == {"http://a": 2, "http://b": 4, "http://c": 4}
    assert endpoints.take() is None, "all are full"


def test_where_a_request_failed_it_goes_again_only_if_nobody_else_has_room() -> None:
    endpoints = three(limit=1)
    a = endpoints.all[0]
    assert {taken(endpoints, avoid=a).url for _ in range(2)} == {"http://b", "http://c"}
    assert taken(endpoints, avoid=a) is a


def test_a_refused_connection_sets_aside_at_once_others_after_three_in_a_row() -> None:
    heard = Heard()
    endpoints = three(heard)
    a, b, _ = endpoints.all
    for endpoint in endpoints.all * FAILURES:
        endpoint.inflight += 1
    endpoints.ended(a, Ending.REFUSED, "connect_failed", 0.0)
    assert not healthy(a)
    for _ in range(FAILURES - 1):
        endpoints.ended(b, Ending.FAILED, "reset", 0.0)
    assert healthy(b)
    b.inflight += 2
    endpoints.ended(b, Ending.ANSWERED, "", 0.0)
    endpoints.ended(b, Ending.FAILED, "reset", 0.0)
    assert healthy(b), "an answer in between starts the count anew"
    assert heard.health == [("http://a", False)]


def test_what_arrives_is_told_about_once_a_second() -> None:
    heard = Heard()
    endpoints = three(heard)
    a, b, _ = endpoints.all
    for now in (0.0, 0.5, 0.9, 1.0, 1.9):
        endpoints.arriving(a, now)
    endpoints.arriving(b, 1.9)
    assert heard.arrived == ["http://a", "http://a", "http://b"]


def faulty(endpoints: Endpoints, endpoint: Endpoint, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        endpoint.inflight += 1
        endpoints.ended(endpoint, Ending.FAULT, "InternalError", now)


def test_faults_in_a_row_make_an_endpoint_suspected_and_only_a_probe_sets_it_aside() -> None:
    heard = Heard()
    endpoints = three(heard)
    a = endpoints.all[0]
    faulty(endpoints, a, FAULTS - 1)
    assert not endpoints.suspected(a, 0.0), "one broken object may cause some"
    assert endpoints.suspected(a, 0.0, faults=1)
    faulty(endpoints, a, 1)
    assert endpoints.suspected(a, 0.0)
    assert healthy(a), "the requests may be to blame: others still go there"
    endpoints.probed(a, False, 1.0)
    assert not healthy(a)
    assert heard.health == [("http://a", False)]
    assert endpoints.last_reason == "InternalError"
    assert not endpoints.suspected(a, 9.0, faults=1)


def test_a_404_to_a_head_does_not_make_up_for_faults() -> None:
    endpoints = three()
    a = endpoints.all[0]
    for _ in range(FAULTS):
        faulty(endpoints, a, 1)
        a.inflight += 1
        endpoints.ended(a, Ending.BARE, "", 0.0)
    assert endpoints.suspected(a, 0.0)
    assert (a.inflight, endpoints.answers) == (0, 2 * FAULTS)


def test_the_last_endpoint_in_use_is_known() -> None:
    endpoints = three()
    a, b, c = endpoints.all
    for other in (b, c):
        assert not endpoints.is_last(a)
        other.inflight += 1
        endpoints.ended(other, Ending.REFUSED, "connect_failed", 0.0)
    assert endpoints.is_last(a)
    assert not endpoints.is_last(b)


def test_a_suspect_that_answers_its_probe_is_trusted_for_a_moment() -> None:
    heard = Heard()
    endpoints = three(heard)
    a = endpoints.all[0]
    faulty(endpoints, a, FAULTS)
    endpoints.probed(a, True, 1.0)
    faulty(endpoints, a, FAULTS, 1.0)
    assert not endpoints.suspected(a, 1.0)
    assert endpoints.suspected(a, 1.0 + FIRST_PROBE)
    endpoints.ended(taken(endpoints, avoid=None), Ending.UNKNOWN, "", 2.0)
    a.inflight += 1
    endpoints.ended(a, Ending.ANSWERED, "", 2.0)
    assert not endpoints.suspected(a, 2.0, faults=1), "another request was answered"
    endpoints.probed(a, False, 2.0)
    assert healthy(a), "the probe was slower than that answer"
    assert heard.health == []


def test_cancelled_requests_tell_nothing() -> None:
    endpoints = three()
    a = taken(endpoints)
    for _ in range(10):
        a.inflight += 1
        endpoints.ended(a, Ending.UNKNOWN, "", 0.0)
    assert healthy(a)
    assert a.inflight == 1


def test_probes_come_less_and_less_often_until_one_is_answered() -> None:
    heard = Heard()
    endpoints = Endpoints("r", ["http://a"], 4, heard, lambda: 0.5)
    a = taken(endpoints)
    endpoints.ended(a, Ending.REFUSED, "connect_failed", 100.0)
    assert down_since(endpoints) == 100.0
    assert endpoints.take() is None
    assert endpoints.due(100.0) == []
    pauses = []
    now = 100.0
    for _ in range(9):
        due = endpoints.next_probe()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert endpoints.due(now) == [a]
        endpoints.probed(a, False, now)
    assert pauses == [0.375, 0.75, 1.5, 3.0, 6.0, 12.0, 0.75 * LAST_PROBE, 0.75 * LAST_PROBE, 0.75 * LAST_PROBE]
    endpoints.probed(a, True, now)
    assert healthy(a)
    assert down_since(endpoints) is None
    assert endpoints.next_probe() is None
    assert heard.health == [("http://a", False), ("http://a", True)]


def test_the_remote_is_down_only_while_no_endpoint_is_healthy() -> None:
    endpoints = three()
    for number, endpoint in enumerate(endpoints.all):
        assert down_since(endpoints) is None
        endpoint.inflight += 1
        endpoints.ended(endpoint, Ending.REFUSED, "connect_failed", float(number))
    assert down_since(endpoints) == 2.0
    endpoints.probed(endpoints.all[1], True, 3.0)
    assert down_since(endpoints) is None
    assert taken(endpoints) is endpoints.all[1]


@pytest.mark.parametrize("url", ["https://Host.Example:443/", "http://host.example:80", "http://10.0.0.1:8080"])
def test_the_host_is_as_an_engine_sends_it(url: str) -> None:
    assert Endpoint(url, 1).host in ("host.example", "10.0.0.1:8080")


@given(st.lists(st.sampled_from(["take", *Ending]), max_size=200), st.integers(0, 2**32))
def test_what_is_in_flight_never_exceeds_the_limit_and_never_falls_below_nothing(
    steps: list[str | Ending], seed: int
) -> None:
    choice = random.Random(seed)
    heard = Heard()
    endpoints = Endpoints("r", ["http://a", "http://b"], 3, heard, choice.random)
    under_way: list[Endpoint] = []
    for now, step in enumerate(steps):
        if isinstance(step, Ending):
            if under_way:
                endpoints.ended(under_way.pop(choice.randrange(len(under_way))), step, "x", float(now))
        elif (endpoint := endpoints.take()) is not None:
            assert endpoint.healthy
            assert endpoint.inflight <= endpoint.limiter.limit
            under_way.append(endpoint)
        suspects = [endpoint for endpoint in endpoints.all if endpoints.suspected(endpoint, float(now))]
        for endpoint in endpoints.due(float(now)) + suspects:
            endpoints.probed(endpoint, choice.random() < 0.5, float(now))
        assert sum(endpoint.inflight for endpoint in endpoints.all) == len(under_way)
        assert (endpoints.down_since is None) == any(endpoint.healthy for endpoint in endpoints.all)
