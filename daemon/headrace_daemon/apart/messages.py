"""What the daemon asks of the process that handles its small files, and what it hears back. All of it is pickled.

A request is one packet: its number and the request. An answer is its length and the number of its request, a value, and
an error or None.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from headrace_daemon.files.landing import Fsync
from headrace_daemon.files.making import Making
from headrace_daemon.files.names import FileError
from headrace_daemon.files.posix import Posix
from headrace_daemon.files.reading import ReadFile
from headrace_daemon.files.root import LinkPolicy

PACKET: Final = 128 << 10
"""Bytes of the largest request: what a socket of a host with usual settings takes at once."""

LENGTH: Final = struct.Struct("=I")
"""Before each answer."""


class Landing(NamedTuple):
    """What is written beneath a root, as files/landing has it."""

    job_id: int
    created: float
    fsync: Fsync
    making: Making


class Open(NamedTuple):
    """A root, whose descriptor comes along with this message; landing None where it is only read. Has no answer."""

    tree: int
    path: str
    links: LinkPolicy
    follow_links: bool
    openat2: bool
    landing: Landing | None


class Close(NamedTuple):
    """Nothing of this tree is under way, and nothing more is asked of it. Has no answer."""

    tree: int


class Read(NamedTuple):
    """Whole files, their bytes one after the other into this part of the arena. Answer: Got.

    limit: bytes of the largest file that is taken.
    """

    tree: int
    keys: Sequence[str]
    limit: int
    start: int
    size: int


class Found(NamedTuple):
    """A file: its bytes in the arena, what was read of it without them, and their CRC64NVME in base64."""

    start: int
    size: int
    read: ReadFile
    crc: str


class Got(NamedTuple):
    """found: in the order of the keys; None where it found no room: read it in another way. waited: for a device."""

    found: list[Found | FileError | None]
    waited: bool


class NewFile(NamedTuple):
    """start, size: its bytes in the arena. posix None says nothing."""

    key: str
    start: int
    size: int
    mtime_ns: int | None
    posix: Posix | None


class Write(NamedTuple):
    """Files under their temporary names. Answer: for each a number for Settle and Discard, or what went wrong."""

    tree: int
    files: Sequence[NewFile]
    no_clobber: bool


class Settle(NamedTuple):
    """These written files are to be durable under their own names. Answer: for each None, or what went wrong."""

    tree: int
    numbers: Sequence[int]


class Discard(NamedTuple):
    """These written files are not wanted any more. Answer: None."""

    tree: int
    numbers: Sequence[int]


Request: TypeAlias = Open | Close | Read | Write | Settle | Discard
