"""Which keys a tree can hold, and the names of temporary files."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.files import names
from headrace_daemon.files.names import (
    AccessRefused,
    Blocked,
    DestinationFull,
    DurabilityLost,
    FileFault,
    NameRefused,
    TooManyOpen,
    check_key,
    file_error,
    is_temp_name,
    shown,
    split_key,
    sync_error,
    temp_name,
)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "starts with"),
        ("../up", "component"),
        ("a/../../up", "component"),
        ("a/..", "component"),
        ("a/./b", "component"),
        (".", "component"),
        ("a//b", "component"),
        ("a//", "component"),
        ("/", "starts with"),
        ("a\0b", "NUL"),
        ("a/" + "x" * 256, "256 bytes"),
        ("a/" + "é" * 128, "256 bytes"),
        ("/".join(["x" * 250] * 17), "4266 bytes"),
        ("a\ud800", "UTF-8"),
        ("a/" + temp_name(3, "k"), "temporary"),
        (temp_name(3, "k") + "/b", "temporary"),
    ],
)
def test_refuses_what_no_tree_can_hold(key: str, reason: str) -> None:
    with pytest.raises(NameRefused, match=reason) as caught:
        check_key(key)
    assert caught.value.code == "bad_name"
    str(caught.value).encode()  # printable, whatever the key was


@pytest.mark.parametrize(
    "key",
    ["a", "a/b", "a/b/", "...", "..a/b..", "a b", "-rf", "a\nb", "é/ü\U0001f600", "x" * 255, ".headrace", "a\\b", "~"],
)
def test_accepts_every_other_name(key: str) -> None:
    check_key(key)


@given(st.text(max_size=40))
def test_an_accepted_key_names_something_below_its_root(key: str) -> None:
    try:
        check_key(key)
    except NameRefused:
        return
    path = os.path.normpath(os.path.join("/root/of/all", key))
    assert path == "/root/of/all/" + key.removesuffix("/")


def test_splits_into_folder_and_name() -> None:
    assert split_key("a/b/c") == ("a/b", "c")
    assert split_key("c") == ("", "c")
    assert split_key("a/b/") == ("a", "b")
    with pytest.raises(NameRefused):
        split_key("../c")


def test_temporary_names_are_the_same_every_time_and_differ_by_job_and_key() -> None:
    keys = ["a/b", "a/c", "b", "é", "x" * 1024]
    made = {temp_name(job, key, created) for job in (1, 12) for key in keys for created in (0.0, 1.5)}
    assert len(made) == 20
    assert temp_name(1, "a/b") == temp_name(1, "a/b")
    assert all(is_temp_name(name) and len(name.encode()) <= 255 for name in made)


@pytest.mark.parametrize(
    "name", [".headrace-1.part", "x" + temp_name(1, "a"), temp_name(1, "a") + "x", ".headrace-x-0.part"]
)
def test_other_names_are_not_temporary(name: str) -> None:
    assert not is_temp_name(name)


def test_shows_any_name_in_printable_form() -> None:
    assert shown("a\nb\udcff\x1b[0m é") == "a\\nb\\xff\\x1b[0m é"


@pytest.mark.parametrize(
    ("number", "leaf"),
    [
        (errno.ENOSPC, DestinationFull),
        (errno.EDQUOT, DestinationFull),
        (errno.EACCES, AccessRefused),
        (errno.EROFS, AccessRefused),
        (errno.ENAMETOOLONG, NameRefused),
        (errno.ELOOP, Blocked),
        (errno.EIO, FileFault),
        (errno.ESTALE, FileFault),
        (errno.ENOTCONN, FileFault),
        (errno.EMFILE, TooManyOpen),
        (errno.ENFILE, TooManyOpen),
    ],
)
def test_errors_of_the_kernel_become_what_to_do(number: int, leaf: type[names.FileError]) -> None:
    error = file_error(OSError(number, "x"), "a/b")
    assert type(error) is leaf
    assert "a/b" in str(error)
    assert errno.errorcode[number] in str(error)


def test_any_failed_sync_but_a_full_disk_has_lost_the_bytes() -> None:
    assert type(sync_error(OSError(errno.EIO, "x"), "a")) is DurabilityLost
    assert type(sync_error(OSError(errno.EACCES, "x"), "a")) is DurabilityLost
    assert type(sync_error(OSError(errno.EDQUOT, "x"), "a")) is DestinationFull
