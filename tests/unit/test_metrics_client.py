"""What the command reads at /metrics, and whose it is."""

from pathlib import Path

import pytest

from headrace_queue.jobs import Worker
from headrace_queue.metrics_client import DEFAULT_LISTEN, Endpoint, is_of, listen_of, parse_metrics, scrape, with_rates

PAGE = """
# HELP headrace_endpoint_healthy 1: in use; 0: set aside.
# TYPE headrace_endpoint_healthy gauge
headrace_endpoint_healthy{endpoint="https://b",remote="lake"} 0.0
headrace_endpoint_healthy{endpoint="https://a",remote="lake"} 1.0
headrace_endpoint_inflight{endpoint="https://a",remote="lake"} 12.0
headrace_endpoint_limit{endpoint="https://a",remote="lake"} 64.0
headrace_endpoint_heard_timestamp_seconds{endpoint="https://a",remote="lake"} 1.75e+09
headrace_requests_total{endpoint="https://a",remote="lake",status="200"} 100.0
headrace_requests_total{endpoint="https://a",remote="lake",status="404"} 10.0
headrace_requests_total{endpoint="https://a",remote="lake",status="503"} 2.0
headrace_requests_total{endpoint="https://a",remote="lake",status="429"} 3.0
headrace_requests_total{endpoint="https://b",remote="lake",status="0"} 7.0
headrace_up 1.0
process_start_time_seconds 1.5e+09
python_info{version="3"} 1.0
headrace_broken{a="b" 1
headrace_odd NaNaN
"""


def test_endpoints_are_read_with_their_load_and_errors() -> None:
    found = parse_metrics(PAGE)
    assert found.endpoints() == [
        Endpoint("lake", "https://a", True, 12, 64, 115, 5, heard=1.75e9),
        Endpoint("lake", "https://b", False, 0, 0, 7, 7),
    ]
    assert found.process_started == 1.5e9


def test_a_label_may_hold_quotes() -> None:
    (one,) = parse_metrics(r'headrace_endpoint_healthy{endpoint="a\"b\\c\nd",remote="r"} 1').endpoints()
    assert one.url == 'a"b\\c\nd'


def test_requests_a_second_take_two_looks() -> None:
    first = parse_metrics(PAGE).endpoints()
    second = parse_metrics(PAGE.replace("100.0", "150.0")).endpoints()
    assert [one.request_rate for one in with_rates(second, first, 10.0)] == [5.0, 0.0]
    assert [one.request_rate for one in with_rates(second, [], 10.0)] == [None, None]
    assert with_rates(first, second, 10.0)[0].request_rate == 0.0, "a daemon that began anew"


@pytest.mark.parametrize(("started", "ours"), [(1000, True), (1900, True), (2500, False), (-500, False)])
def test_a_scrape_is_of_a_worker_that_began_at_the_same_moment(started: int, ours: bool) -> None:
    found = parse_metrics("process_start_time_seconds 1010.0")
    assert is_of(found, [Worker("w", "h", 1, started)], boot_time=1000.0, ticks_per_second=100) is ours
    assert not is_of(parse_metrics(""), [Worker("w", "h", 1, started)], 1000.0, 100)


@pytest.mark.parametrize(
    ("section", "environ", "listen"),
    [
        ("", {}, DEFAULT_LISTEN),
        ('listen = "0.0.0.0:9"', {}, "127.0.0.1:9"),
        ('listen = "[::]:9"', {}, "::1:9"),
        ('listen = "10.0.0.1:9"', {}, "10.0.0.1:9"),
        ("listen = 5", {}, DEFAULT_LISTEN),
        ('listen = "10.0.0.1:9"', {"HEADRACE_DAEMON__LISTEN": "127.0.0.1:8"}, "127.0.0.1:8"),
        ("listen = ", {}, DEFAULT_LISTEN),  # what is wrong is told by others
    ],
)
def test_where_the_daemon_listens_is_read_as_it_reads_it(
    section: str, environ: dict[str, str], listen: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[daemon]\n{section}\n", encoding="utf-8")
    assert listen_of(file, environ) == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:9", "127.0.0.1:99999", "nothing", "127.0.0.1:0"])
def test_nobody_there_is_no_error(listen: str) -> None:
    assert scrape(listen) is None
