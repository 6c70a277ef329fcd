"""Sizes, rates and durations, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_queue.units import (
    format_bytes,
    format_duration,
    format_rate,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (123, 123),
        ("0", 0),
        ("123", 123),
        ("123B", 123),
        ("16MiB", 16 * 2**20),
        ("16 mib", 16 * 2**20),
        (" 1GiB ", 2**30),
        ("5GB", 5 * 10**9),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1.5KiB", 1536),
        ("9007199254740993B", 9007199254740993),
        ("2PiB", 2 * 2**50),
    ],
)
def test_sizes_are_read_in_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "16M", "16Mb", "-1", -1, True, None, 1.5, "1e3", "1 2", "٣MiB", "16MiB/s"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"no size|unknown unit|negative"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100MiB/s", 100 * 2**20), ("1kB", 1000), (1000, 1000), ("800Mbit/s", 10**8), ("1gbit", 125 * 10**6)],
)
def test_rates_are_read_in_bytes_a_second(text: object, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["1B/s", 999, "7kbit/s", "1.1EiB/s", "10000000Tbit/s"])
def test_absurd_rates_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"nothing arrives; write 1kB/s|more than 1\.0 EiB; write a smaller"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["10EiB", 2**60 + 1, "2EB", "1025PiB"])
def test_absurd_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"more than 1\.0 EiB; write a smaller number"):
        parse_size(text)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="would stop everything"):
        parse_rate("0MiB/s")
    with pytest.raises(ValueError, match="no rate; write 100MiB/s"):
        parse_rate("fast")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(45, 45), (0.5, 0.5), ("45", 45), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("30d", 2592000), ("250ms", 0.25)],
)
def test_durations_are_read_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5y", "-5s", "5 30", "1h30", None, True, "5M"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"no duration|unknown unit|without a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (3 * 2**40, "3.0 TiB"),
        (2**60, "1.0 EiB"),
    ],
)
def test_bytes_are_written_in_powers_of_1024(count: int, text: str) -> None:
    assert format_bytes(count) == text
    assert format_rate(count) == f"{text}/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (-3, "0.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (360000, "4 d 4 h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=2**60))
def test_what_is_written_is_read_again_within_its_precision(count: int) -> None:
    assert abs(parse_size(format_bytes(count)) - count) <= max(count * 0.05, 1)
