"""POSIX metadata: FSx's own keys and forms, there and back, whatever somebody wrote into them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.files.posix import (
    LINK,
    NOTHING,
    Posix,
    folder_mode,
    from_metadata,
    give,
    give_folder,
    let_write,
    to_metadata,
)

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


@pytest.mark.parametrize(
    ("mode", "written"),
    [
        (stat.S_IFREG | 0o644, "0100644"),
        (stat.S_IFREG | 0, "0100000"),
        (stat.S_IFREG | 0o7777, "0107777"),
        (stat.S_IFDIR | 0o755, "0040755"),
        (stat.S_IFDIR | 0o1777, "0041777"),
        (stat.S_IFDIR | 0, "0040000"),
        (stat.S_IFLNK | 0o777, "0120777"),
    ],
)
def test_a_mode_is_written_with_its_type_in_seven_digits(mode: int, written: str) -> None:
    assert to_metadata(Posix(mode=mode)) == {"file-permissions": written}
    assert from_metadata({"file-permissions": written, "user-agent": "aws-fsx-lustre"}) == Posix(mode=mode)


@pytest.mark.parametrize(
    ("key", "text", "number"),
    [
        ("file-permissions", "644", 0o644),
        ("file-permissions", "0o644", 0o644),
        ("file-permissions", "100644 ", 0o100644),
        ("file-permissions", "0200000", None),
        ("file-permissions", "-1", None),
        ("file-permissions", "0100648", None),
        ("file-permissions", "rw-r--r--", None),
        ("file-permissions", "", None),
        ("file-owner", "0", 0),
        ("file-owner", "4294967294", 2**32 - 2),
        ("file-owner", "4294967295", None),
        ("file-owner", "-1", None),
        ("file-owner", "root", None),
        ("file-group", "65534", 65534),
        ("file-group", "1e3", None),
        ("file-mtime", "0ns", 0),
        ("file-mtime", "-1ns", -1),
        ("file-mtime", "1595002920000000001ns", 1595002920000000001),
        ("file-mtime", "1595002920", 1595002920 * 10**6),
        ("file-mtime", "1595002920.5ns", None),
        ("file-mtime", "ns", None),
        ("file-mtime", f"{2**63}ns", None),
        ("file-atime", f"{2**63 - 1}ns", 2**63 - 1),
        ("file-atime", f"{2**63}", None),
        ("file-atime", "yesterday", None),
    ],
)
def test_what_is_read_of_one_key(key: str, text: str, number: int | None) -> None:
    names = dict(zip(KEYS, ("mode", "uid", "gid", "mtime_ns", "atime_ns"), strict=True))
    assert from_metadata({key: text}) == Posix(**({} if number is None else {names[key]: number}))


@pytest.mark.parametrize(
    ("said", "given"),
    [
        (None, None),
        (LINK.mode, None),
        (0o040755, 0o755),
        (0o040750, 0o750),
        (0o040555, 0o555),
        (0o041777, 0o1777),
        (0o047777, 0o1777),  # neither setuid nor setgid
        (0o040000, 0o500),  # its owner can always list and enter it
        (0o040070, 0o570),
        (0o040311, 0o711),
        (0o100664, 0o775),  # as in the guide's example: meant for a file
        (0o100600, 0o700),
        (0o644, 0o755),
        (0o755, 0o755),
        (0, 0o500),
    ],
)
def test_the_mode_of_a_folder(said: int | None, given: int | None) -> None:
    assert folder_mode(Posix(mode=said)) == given


@pytest.mark.parametrize(
    ("before", "said", "whole", "last", "after"),
    [
        (0o755, 0o040700, True, True, 0o700),
        (0o755, 0o040555, True, True, 0o555),
        (0o700, 0o040555, True, False, 0o755),  # others still write there
        (0o755, 0o040555, False, True, 0o555),  # and this is the last of them
        (0o755, 0o040555, False, False, 0o755),
        (0o700, 0o040555, False, True, 0o700),  # somebody's own mode
        (0o755, 0o040777, False, True, 0o755),
        (0o2755, 0o040700, True, True, 0o2700),  # inherited
        (0o755, 0o046755, True, True, 0o755),
        (0o755, None, True, True, 0o755),
    ],
)
def test_a_folder_gets_mode_and_times(
    tmp_path: Path, before: int, said: int | None, whole: bool, last: bool, after: int
) -> None:
    tmp_path.chmod(before)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        posix = Posix(said, os.geteuid(), os.getegid(), 10**18 + 1, 10**18 + 2)
        give_folder(fd, posix, whole=whole, last=last)
        status = os.fstat(fd)
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_atime_ns) == (after, 10**18 + 1, 10**18 + 2)
        give_folder(fd, NOTHING, whole=whole, last=last)
        assert (stat.S_IMODE(os.fstat(fd).st_mode), os.fstat(fd).st_mtime_ns) == (after, 10**18 + 1)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("now", "said", "open_now", "after"),
    [
        (0o555, 0o040555, True, 0o755),
        (0o755, 0o040555, True, 0o755),  # somebody else opened it
        (0o511, 0o040555, False, 0o511),  # not as its marker says
        (0o755, 0o040755, False, 0o755),
        (0o555, None, False, 0o555),
    ],
)
def test_only_what_a_marker_closed_is_opened(
    tmp_path: Path, now: int, said: int | None, open_now: bool, after: int
) -> None:
    tmp_path.chmod(now)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert let_write(fd, Posix(mode=said)) is open_now
        assert stat.S_IMODE(os.fstat(fd).st_mode) == after
    finally:
        os.close(fd)
        tmp_path.chmod(0o700)


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
    folder = tmp_path_factory.getbasetemp() / "posix-any-folder"
    folder.mkdir(exist_ok=True)
    fd = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            give_folder(fd, posix, whole=True, last=True)
        assert os.fstat(fd).st_mode & 0o6500 == 0o500
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
