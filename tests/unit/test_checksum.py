"""CRC64NVME: against a second implementation in plain Python, and the joining of parts in any order."""

import hashlib
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyreqwest.bytes import Bytes

from headrace_daemon.s3.checksum import EMPTY, PartSums, combine, crc64nvme, from_text, md5_hex, to_text
from headrace_daemon.s3.engine import Buffer

POLYNOMIAL = 0x9A6C9329AC4BC9B5  # of the NVM Express specification, bits reversed
ONES = 0xFFFF_FFFF_FFFF_FFFF


def plain_crc64nvme(data: bytes) -> int:
    crc = ONES
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ ONES


def test_check_value_of_the_specification() -> None:
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888 == plain_crc64nvme(b"123456789")


@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_agrees_with_plain_python(data: bytes, cut: int) -> None:
    first, second = data[:cut], data[cut:]
    assert crc64nvme(data) == plain_crc64nvme(data)
    assert crc64nvme(second, crc64nvme(first)) == plain_crc64nvme(data)
    assert combine(crc64nvme(first), crc64nvme(second), len(second)) == plain_crc64nvme(data)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 8192, 16 * 2**10, 64 * 2**10, 64 * 2**10 + 1])
def test_pieces_that_are_summed_one_by_one_give_the_sum_of_all(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc64nvme(data) == plain_crc64nvme(data)
    assert crc64nvme(data[100:], crc64nvme(data[:100])) == crc64nvme(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, Bytes])
def test_every_buffer_without_a_copy(kind: type[Buffer]) -> None:
    data = random.Random(1).randbytes(8 << 20)
    buffer = kind(data)
    tracemalloc.start()
    try:
        assert crc64nvme(buffer) == crc64nvme(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert md5_hex(buffer) == hashlib.md5(data).hexdigest()


@given(st.integers(0, ONES))
def test_text_form_both_ways(crc: int) -> None:
    assert from_text(to_text(crc)) == crc
    assert len(to_text(crc)) == 12


def test_text_form_is_big_endian() -> None:
    assert to_text(0xAE8B14860A799888) == "rosUhgp5mIg="
    assert to_text(EMPTY) == "AAAAAAAAAAA="


@pytest.mark.parametrize("text", ["", "AAAA", "rosUhgp5mIg", "rosUhgp5mI!=", "AAAAAAAAAAAAAAAA", "rosUhgp5mIg=-2"])
def test_text_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CRC64NVME"):
        from_text(text)


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=12), random=st.randoms(use_true_random=False))
def test_parts_in_any_order_make_the_whole(parts: list[bytes], random: random.Random) -> None:
    whole = b"".join(parts)
    numbered = list(enumerate(parts, start=1))
    random.shuffle(numbered)
    sums = PartSums()
    for number, part in numbered:
        assert number in sums.missing(len(parts))
        sums.add(number, crc64nvme(part), len(part))
    assert sums.missing(len(parts)) == []
    assert len(sums) == len(parts)
    assert sums.whole(len(parts), len(whole)) == crc64nvme(whole)


def test_a_part_sent_again_replaces_its_former_value() -> None:
    sums = PartSums()
    sums.add(1, crc64nvme(b"old"), 3)
    sums.add(1, crc64nvme(b"new!"), 4)
    assert sums.whole(1, 4) == crc64nvme(b"new!")


def test_gaps_and_wrong_sizes_are_refused() -> None:
    sums = PartSums()
    sums.add(1, crc64nvme(b"a"), 1)
    sums.add(3, crc64nvme(b"c"), 1)
    with pytest.raises(ValueError, match=r"parts missing: \[2\], 1 of 3"):
        sums.whole(3, 3)
    sums.add(2, crc64nvme(b"b"), 1)
    with pytest.raises(ValueError, match="3 parts are noted, the object has 2"):
        sums.whole(2, 3)
    with pytest.raises(ValueError, match="the parts hold 3 bytes, the object 4"):
        sums.whole(3, 4)
    assert sums.whole(3, 3) == crc64nvme(b"abc")


@pytest.mark.parametrize(("number", "size"), [(0, 1), (-1, 1), (1, -1)])
def test_impossible_parts_are_refused(number: int, size: int) -> None:
    with pytest.raises(ValueError, match="numbers count from 1"):
        PartSums().add(number, 0, size)
