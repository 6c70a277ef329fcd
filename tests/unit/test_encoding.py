"""Keys as names that a tree can hold, and back (--encode-names)."""

import os
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from headrace_daemon.files.encoding import decode_path, encode_folder, encode_path, is_folder_marker
from headrace_daemon.files.names import NameRefused, check_key, raw_name, temp_name

_PIECES = ["%x2F", "%x25", "%x2E", "%x00", "%x++", "%xE9", "%xC3", "%xA9", "%x", "%", "x", "25", "2F", "\0", "\u00e9"]
_LONG = ["a" * 252, "b" * 260, "\u6f22" * 90, "%x" * 70]
_TEMP = temp_name(3, "k")
KEYS = st.lists(
    st.sampled_from([*"/////..ab", *_PIECES, *_LONG, _TEMP]) | st.text(max_size=3), min_size=1, max_size=12
).map("".join)
FILE_NAMES = st.lists(st.sampled_from([*_PIECES, "a", ".", "/", "\udcff", "\udcc3", "\udca9"]), min_size=1).map("".join)


def on_disk(path: str) -> str:
    """The path as a directory gives it back."""
    return raw_name(path).decode("utf-8", "surrogateescape")


@settings(max_examples=600)
@given(KEYS)
@example("/")
@example("a//")
@example("%xC3%xA9")
@example("%xE9%xC3%xA9")
@example("a%x25xE9")
def test_every_key_has_a_path_that_leads_back_to_it(key: str) -> None:
    assume(key and not any("\ud800" <= character <= "\udfff" for character in key))
    path = encode_path(key)
    assert on_disk(path) == path
    assert decode_path(path) == key
    if len(raw_name(path)) <= 4095:
        check_key(path)  # what it says a tree can hold
        assert not path.endswith("/")


@settings(max_examples=600)
@given(FILE_NAMES)
def test_a_path_is_the_one_of_its_key_or_refused(path: str) -> None:
    assume(on_disk(path) == path)
    try:
        key = decode_path(path)
    except NameRefused:
        return
    key.encode()
    assert encode_path(key) == path


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("plain/name.txt", "plain/name.txt"),
        ("caf\u00e9/100%/a%2Fb%20c", "caf\u00e9/100%/a%2Fb%20c"),  # as ordinary as any
        ("a//b", "a/%x2Fb"),
        ("/absolute", "%x2Fabsolute"),
        ("//", "%x2F%x2F"),
        ("a//", "a/%x2F"),
        ("dir/", "dir%x2F"),
        ("../up", "%x2E%x2E/up"),
        ("a/./b", "a/%x2E/b"),
        ("..two/...", "..two/..."),
        ("a\0b", "a%x00b"),
        ("%x2F", "%x25x2F"),
        ("50%xy", "50%x25xy"),
        ("latin%xE9", "latin\udce9"),
        ("%xC3%xA9", "%x25xC3%x25xA9"),  # the bytes of a valid character: no file name is written so
        (_TEMP, "%x2E" + _TEMP[1:]),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 251 + "%x++/" + "x" * 5),
        ("\u00e9" * 130, "\u00e9" * 125 + "%x++/" + "\u00e9" * 5),
    ],
)
def test_the_rule_by_examples(key: str, path: str) -> None:
    assert encode_path(key) == path
    assert decode_path(path) == key


@pytest.mark.parametrize("path", ["%x2e", "a%x2Fb", "x%x2E", "%x25", "short%x++/more", "%x25xE9%x25", "%x00x%xE9"])
def test_a_name_that_only_looks_encoded_is_refused(path: str) -> None:
    with pytest.raises(NameRefused, match="looks like an encoded name"):
        decode_path(path)


def test_the_kernel_takes_what_is_made(tmp_path: Path) -> None:
    keys = ["..", "a//b", "a//", "z" * 1000, "\0", "latin%xE9", "\u6f22" * 341, "a/" * 100 + "/"]
    for key in keys:
        target = os.path.join(os.fsencode(tmp_path), raw_name(encode_path(key)))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(os.fsdecode(target)).write_bytes(key.encode())
    found = {}
    for folder, _, names in os.walk(os.fsencode(tmp_path)):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), os.fsencode(tmp_path))
            found[decode_path(path.decode("utf-8", "surrogateescape"))] = name
    assert set(found) == set(keys)


def test_markers_are_folders_of_a_name() -> None:
    assert is_folder_marker("a/", 0)
    assert is_folder_marker("a//b/", 0)
    assert not any(is_folder_marker(key, size) for key, size in [("a/", 1), ("a", 0), ("/", 0), ("a//", 0)])
    assert encode_folder("a/../b/") == "a/%x2E%x2E/b/"
