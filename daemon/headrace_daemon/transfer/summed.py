"""Small files that go up: read whole, with the CRC64NVME of their bytes; encoded names as what they stand for."""

import resource
from collections.abc import Sequence
from typing import TypeAlias

from headrace_daemon.files.encoding import decode, encode_folder
from headrace_daemon.files.names import FileError, SourceVanished
from headrace_daemon.files.reading import ReadFile, read_many
from headrace_daemon.files.root import Root
from headrace_daemon.s3.checksum import crc64nvme, to_text

Summed: TypeAlias = tuple[ReadFile, str]
"""A small file and the CRC64NVME of its bytes, base64."""


def read_and_sum(root: Root, keys: Sequence[str], limit: int, *, not_hollow: bool = False) -> list[Summed | FileError]:
    """Off the loop: there, each sum would let go of Python's lock, and wait to get it back. limit, not_hollow: as
    read_many has them. What goes wrong with a file stands in its place. Raises RootLost."""
    wanted = [(key, None) for key in keys]
    found = [
        _or_folder(root, one) for one in zip(keys, read_many(root, wanted, limit, not_hollow=not_hollow), strict=True)
    ]
    return [one if isinstance(one, FileError) else (one, to_text(crc64nvme(one.data))) for one in found]


def read_group(
    root: Root, keys: Sequence[str], limit: int, *, not_hollow: bool = False
) -> tuple[list[Summed | FileError], bool]:
    """And whether a disk had to be waited for; one that is across a network says nothing of it."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
    found = read_and_sum(root, keys, limit, not_hollow=not_hollow)
    return found, resource.getrusage(resource.RUSAGE_THREAD).ru_inblock > before


def _or_folder(root: Root, read: tuple[str, ReadFile | FileError]) -> ReadFile | FileError:
    """With encoded names, the key `dir/` may be a file of its own or an empty folder: what is no file is the folder."""
    path, found = read
    if isinstance(found, SourceVanished) and path.endswith("%x2F"):
        (found,) = read_many(root, [(encode_folder(decode(path)), None)], 0)
    return found
