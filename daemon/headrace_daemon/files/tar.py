"""The headers of a tar: POSIX pax interchange format (IEEE 1003.1-2001, utility `pax`). Pure.

A member is one ustar block, before it an extended header where something does not fit into that block: a name that is
long or not ASCII, a time with a fraction of a second, a size from 8 GiB on. What a header holds follows from the member
alone, so that the same tree gives the same bytes, and a size that was computed is the size that is written.
"""

import stat
from enum import StrEnum
from typing import Final, NamedTuple

from headrace_daemon.files.names import raw_name

BLOCK: Final = 512
RECORD: Final = 20 * BLOCK
"""A tar ends with two blocks of zeros and is filled up to a whole record, as every tar does it."""

_NAME: Final = 100  # bytes that the block has for a name, and for a link's target
_MAX_ID: Final = 8**7 - 1
_MAX_SIZE: Final = 8**11 - 1
_MAX_SECONDS: Final = 8**11 - 1
_SECOND_NS: Final = 10**9


class MemberKind(StrEnum):
    """The type flag of a member."""

    FILE = "0"
    LINK = "2"
    FOLDER = "5"


class Member(NamedTuple):
    """One file, folder or symbolic link of a tree. size: bytes of content, 0 for folders and links.

    name: relative to the folder that is archived, a `/` behind a folder's, '' that folder itself; bytes that are no
    UTF-8 as os.fsdecode gives them. target: where a link leads. version: of a file, `files.reading.fingerprint`.
    """

    name: str
    kind: MemberKind
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    target: str = ""
    version: str = ""


def header(top: str, member: Member) -> bytes:
    """Everything before the content, in whole blocks. top: the name of the folder that is archived.

    Owner and group are numbers alone: their names mean nothing on another host.
    """
    records = _records(top, member)
    extended = b""
    if records:
        # the block of the extended header describes no file: nothing in it may differ from run to run
        described = _block(b"././@PaxHeader", b"x", len(records), 0, 0o644, 0, 0, b"")
        extended = described + records + bytes(padding(len(records)))
    return extended + _block(
        raw_name(f"{top}/{member.name}"),
        member.kind.encode(),
        member.size,
        member.mtime_ns // _SECOND_NS,
        stat.S_IMODE(member.mode),
        member.uid,
        member.gid,
        raw_name(member.target),
    )


def header_size(top: str, member: Member) -> int:
    """The length of `header`."""
    records = len(_records(top, member))
    return 2 * BLOCK + records + padding(records) if records else BLOCK


def padding(size: int) -> int:
    """The zeros behind so many bytes, up to the next block."""
    return -size % BLOCK


def tar_size(members: int) -> int:
    """The size of a tar whose members have so many bytes, headers and padding included."""
    return -(-(members + 2 * BLOCK) // RECORD) * RECORD


def _records(top: str, member: Member) -> bytes:
    """What the block cannot hold. `hdrcharset` has to come first, for it says how the names behind it are read."""
    path, target = raw_name(f"{top}/{member.name}"), raw_name(member.target)
    records = _named(path, target)
    for key, number, limit in (
        (b"size", member.size, _MAX_SIZE),
        (b"uid", member.uid, _MAX_ID),
        (b"gid", member.gid, _MAX_ID),
    ):
        if number > limit:
            records += _record(key, b"%d" % number)
    seconds, fraction = divmod(member.mtime_ns, _SECOND_NS)
    if fraction or not 0 <= seconds <= _MAX_SECONDS:
        records += _record(b"mtime", _decimal(member.mtime_ns))
    return records


def _named(path: bytes, target: bytes) -> bytes:
    """Bytes that are no UTF-8 stand in the block where they fit; a record has to say that it holds such."""
    names = [(key, raw) for key, raw in ((b"path", path), (b"linkpath", target)) if _needs_record(raw)]
    if not names:
        return b""
    binary = b"" if all(_is_utf8(raw) for _, raw in names) else _record(b"hdrcharset", b"BINARY")
    return binary + b"".join(_record(key, raw) for key, raw in names)


def _needs_record(raw: bytes) -> bool:
    return len(raw) > _NAME or (not raw.isascii() and _is_utf8(raw))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decimal(ns: int) -> bytes:
    """Seconds with the fraction that they have, exactly."""
    seconds, fraction = divmod(abs(ns), _SECOND_NS)
    text = f"{seconds}.{fraction:09}".rstrip("0").rstrip(".") if fraction else str(seconds)
    return f"{'-' if ns < 0 else ''}{text}".encode()


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE` and a newline; the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _block(name: bytes, kind: bytes, size: int, seconds: int, mode: int, uid: int, gid: int, target: bytes) -> bytes:
    """A number that does not fit stands as 0: its record counts."""
    block = b"".join(
        (
            name[:_NAME].ljust(_NAME, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % (uid if uid <= _MAX_ID else 0),
            b"%07o\0" % (gid if gid <= _MAX_ID else 0),
            b"%011o\0" % (size if size <= _MAX_SIZE else 0),
            b"%011o\0" % (seconds if 0 <= seconds <= _MAX_SECONDS else 0),
            b" " * 8,
            kind,
            target[:_NAME].ljust(_NAME, b"\0"),
            b"ustar\00000",
            bytes(64),
            b"%07o\0%07o\0" % (0, 0),
        )
    ).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
