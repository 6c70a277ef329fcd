"""POSIX metadata: FSx's own keys and forms, there and back, whatever somebody wrote into them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.files.posix import NOTHING, Posix, from_metadata, give, to_metadata

KEYS = ["file-permissions", "file-owner", "file-group", "file-mtime", "file-atime"]
MODES = st.integers(0, 0o177777)
IDS = st.integers(0, 2**32 - 2)
TIMES = st.integers(-(2**63), 2**63 - 1)
POSIX = st.builds(Posix, *(st.none() | numbers for numbers in (MODES, IDS, IDS, TIMES, TIMES)))


@given(POSIX)
def test_what_is_written_is_read(posix: Posix) -> None:
    assert from_metadata(to_metadata(posix)) == posix


def test_the_form_is_the_one_that_fsx_writes() -> None:
    """As in the example of the Lustre guide's page on POSIX metadata."""
    metadata = {
        "file-permissions": "0100664",
        "file-owner": "500",
        "file-group": "500",
        "file-mtime": "1595002920000000000ns",
        "file-atime": "1595002921000000001ns",
    }
    posix = Posix(0o100664, 500, 500, 1595002920 * 10**9, 1595002921 * 10**9 + 1)
    assert to_metadata(posix) == metadata
    assert from_metadata(metadata) == posix


def test_a_time_without_a_unit_is_in_milliseconds() -> None:
    assert from_metadata({"file-mtime": "1595002920123"}).mtime_ns == 1595002920123 * 10**6


def test_what_is_not_said_stays_unsaid() -> None:
    assert to_metadata(NOTHING) == {}
    assert from_metadata({}) == NOTHING
    assert from_metadata({"something-else": "1"}) == NOTHING


NUMBERS = st.integers(-(2**70), 2**70)
WRITTEN = st.one_of(st.text(max_size=12), NUMBERS.map(str), NUMBERS.map("{}ns".format), NUMBERS.map("{:o}".format))


@given(metadata=st.dictionaries(st.sampled_from(KEYS), WRITTEN))
def test_nothing_that_an_object_may_say_fails_more_than_the_object(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, str]
) -> None:
    """An OverflowError would be taken for a fault of ours, and fail the whole batch."""
    posix = from_metadata(metadata)
    path = tmp_path_factory.getbasetemp() / "posix-any"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # a kernel may refuse a number: that is the object's failure alone
            give(fd, posix)
            if posix.mtime_ns is not None:
                os.utime(fd, ns=(posix.mtime_ns, posix.mtime_ns))
    finally:
        os.close(fd)


def test_a_file_gets_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    fd = os.open(path, os.O_RDWR)
    try:
        give(fd, Posix(mode=0o100640, uid=os.geteuid(), gid=os.getegid()))
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
        if os.geteuid() == 0:
            give(fd, Posix(uid=12345))
            give(fd, Posix(gid=23456))
            status = os.fstat(fd)
            assert (status.st_uid, status.st_gid) == (12345, 23456)
        give(fd, NOTHING)
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
    finally:
        os.close(fd)


def test_nobody_gets_another_users_rights_by_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    fd = os.open(path, os.O_RDWR)
    try:
        give(fd, Posix(mode=0o106755))
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o755
    finally:
        os.close(fd)
