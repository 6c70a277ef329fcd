"""Trees with everything in them that an archive has to keep, and what of two trees has to be the same."""

import os
import stat
from pathlib import Path
from typing import Any

LONG = "n" * 150
_DEEP = "/".join(["d" * 120] * 3)
_CONTENTS: dict[bytes, bytes] = {
    b"plain.txt": b"plain",
    b"with space": b"x" * 511,
    b"tab\tnew\nline": b"x" * 512,
    "grün/日本.txt".encode(): b"x" * 513,
    b"latin1-\xe9": b"not UTF-8",
    f"{_DEEP}/{LONG}".encode(): b"a path of more than 255 bytes",
    f"{LONG}\udcff".encode("utf-8", "surrogateescape"): b"long and not UTF-8",
    b"empty": b"",
    b"large.bin": bytes(range(256)) * 300,
    b"d/file": b"in a folder",
    b"d.txt": b"beside it",
}


def make_odd_tree(path: Path) -> Path:
    """Names, links, modes and times of all kinds. Needs no privilege."""
    for name, content in _CONTENTS.items():
        file = os.path.join(os.fsencode(path), name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as stream:
            stream.write(content)
    (path / "nothing/in it").mkdir(parents=True)
    (path / "link").symlink_to("plain.txt")
    (path / "link-out").symlink_to("/nowhere/" + "x" * 200)
    (path / "link-dir").symlink_to("d")
    os.symlink(b"\xff\xfe", os.path.join(os.fsencode(path), b"link-\xff"))
    (path / "plain.txt").chmod(0o4751)
    (path / "empty").chmod(0o600)
    (path / "nothing/in it").chmod(0o1770)
    os.utime(path / "plain.txt", ns=(0, 1_234_567_890_123_456_789))
    os.utime(path / "empty", ns=(0, 1_000_000_000 * 10**9))
    os.utime(path / "nothing/in it", ns=(0, 987_654_321_000_000_001))
    return path


def describe(path: Path) -> dict[bytes, tuple[Any, ...]]:
    """Name -> kind, mode, owner, time, and content or target of everything there, the folder itself as b''."""
    top = os.fsencode(path)
    found: dict[bytes, tuple[Any, ...]] = {b"": _seen(top)}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            one = os.path.join(folder, name)
            found[os.path.relpath(one, top)] = _seen(one)
    return found


def _seen(path: bytes) -> tuple[Any, ...]:
    status = os.lstat(path)
    content = b""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = file.read()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content
