"""Headers of a tar, read back by Python's tarfile and by GNU tar, which know nothing of ours."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from headrace_daemon.files.tar import BLOCK, RECORD, Member, MemberKind, header, header_size, padding, tar_size
from tests.support.require import require

GIB = 2**30
NAMES = (
    "plain.txt",
    "with space",
    "tab\tand\nnewline",
    "grün/日本",
    "n" * 100,
    "d" * 90 + "/" + "n" * 200,
    "/".join(["d" * 200] * 5),
    "latin\udce9",
    "long\udcff" * 40,
    "equals=and 17 path=x\n",
)


def member(name: str = "a", **more: object) -> Member:
    values = {"kind": MemberKind.FILE, "size": 0, "mtime_ns": 0, "mode": 0o644, "uid": 0, "gid": 0}
    return Member(name, **(values | more))  # type: ignore[arg-type]


def read_back(top: str, one: Member) -> tarfile.TarInfo:
    """As Python reads it; of the content, only as much as the header asks to skip."""
    stream = io.BytesIO(header(top, one) + bytes(2 * BLOCK))
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        found = tar.next()
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_back(name: str) -> None:
    assert read_back("top", member(name)).name == f"top/{name}"
    link = read_back("top", member("l", kind=MemberKind.LINK, target=name))
    assert (link.issym(), link.linkname) == (True, name)


def test_a_name_and_a_target_are_each_what_they_are() -> None:
    found = read_back("grün", member("long\udcff" * 40, kind=MemberKind.LINK, target="日本" * 60))
    assert (found.name, found.linkname) == ("grün/" + "long\udcff" * 40, "日本" * 60)


def test_the_length_of_a_record_counts_its_own_digits() -> None:
    """Where it grows by one of them, another record behind it would not be found."""
    for length in (*range(70, 110), *range(960, 1010)):
        found = read_back("é", member("x" * length, mtime_ns=1))
        assert (len(found.name), found.pax_headers["mtime"]) == (length + 2, "0.000000001")


def test_a_long_name_that_is_no_utf_8_says_so_first() -> None:
    """IEEE 1003.1-2001, pax, "hdrcharset": else its record has to be UTF-8."""
    assert header("t", member("long\udcff" * 40))[BLOCK:].startswith(b"21 hdrcharset=BINARY\n")
    assert len(header("t", member("short\udcff"))) == BLOCK


@pytest.mark.parametrize("size", [0, 8 * GIB - 1, 8 * GIB, 9 * 10**15])
def test_sizes_beyond_what_the_block_holds(size: int) -> None:
    """8 GiB needs twelve octal digits."""
    assert read_back("t", member(size=size)).size == size
    assert header_size("t", member(size=size)) == (BLOCK if size < 8 * GIB else 3 * BLOCK)


@pytest.mark.parametrize(
    ("mtime_ns", "text"),
    [
        (1_700_000_000_123_456_789, "1700000000.123456789"),
        (1_700_000_000_500_000_000, "1700000000.5"),
        (-1_500_000_000, "-1.5"),
        (-3_000_000_000, "-3"),
        (8**11 * 10**9, str(8**11)),
    ],
)
def test_times_are_exact(mtime_ns: int, text: str) -> None:
    assert read_back("t", member(mtime_ns=mtime_ns)).pax_headers["mtime"] == text


def test_what_the_block_holds_needs_no_record() -> None:
    one = member("a/b", mtime_ns=(8**11 - 1) * 10**9, mode=0o7777, uid=8**7 - 1, gid=8**7 - 1)
    found = read_back("t", one)
    assert len(header("t", one)) == BLOCK
    assert (found.mtime, found.mode, found.uid, found.gid) == (8**11 - 1, 0o7777, 8**7 - 1, 8**7 - 1)
    assert (found.uname, found.gname) == ("", "")


def test_large_ids() -> None:
    found = read_back("t", member(uid=2**31, gid=8**7))
    assert (found.uid, found.gid) == (2**31, 8**7)


@given(
    some.text(some.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=300),
    some.integers(0, 2**50),
    some.integers(-(2**60), 2**63),
    some.integers(0, 2**32 - 2),
)
def test_the_size_of_a_header_is_that_of_its_bytes(name: str, size: int, mtime_ns: int, uid: int) -> None:
    one = member(name, size=size, mtime_ns=mtime_ns, uid=uid)
    assert header_size("grün", one) == len(header("grün", one))
    found = read_back("grün", one)
    assert (found.name, found.size, found.uid) == (f"grün/{name}".rstrip("/"), size, uid)


def test_padding_and_the_end() -> None:
    assert [padding(size) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]
    assert [tar_size(size) for size in (0, RECORD - 1024, RECORD - 512)] == [RECORD, RECORD, 2 * RECORD]


def test_gnu_tar_lists_a_file_of_more_than_8_gib(tmp_path: Path) -> None:
    """By its header and a hole in a file: no such bytes are written."""
    size = 9 * GIB + 1
    head = header("top", member("huge.bin", size=size, mtime_ns=1_600_000_000_250_000_000))
    path = tmp_path / "huge.tar"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(tar_size(len(head) + size + padding(size)))
    line = subprocess.run(
        [require("tar"), "--full-time", "-tvf", path],
        capture_output=True, text=True, check=True, env={"TZ": "UTC"},
    ).stdout  # fmt: skip
    assert str(size) in line
    assert "2020-09-13 12:26:40.25" in line
