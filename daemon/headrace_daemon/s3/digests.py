"""The checksums that S3 stores beside an object, and the MD5 of its ETag, computed over bytes that pass.

Full-object values as the headers show them: base64 of the digest, CRCs most significant byte first
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html); MD5 in hexadecimal, as ETags.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from awscrt import checksums  # type: ignore[import-untyped]  # ships no types

from headrace_daemon.s3.engine import Buffer

KINDS: Final = ("crc64nvme", "md5", "sha256", "sha1", "crc32c", "crc32")
"""In the order of preference: the first is the cheapest of those that tell any two contents apart in practice."""


class Digest(Protocol):
    """A sum over bytes that come in order."""

    def update(self, data: Buffer, /) -> None: ...

    def text(self) -> str: ...


class _Crc:
    def __init__(self, step: Callable[[Buffer, int], int], width: int) -> None:
        self._step = step
        self._width = width
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._step(data, self._value)

    def text(self) -> str:
        return base64.b64encode(self._value.to_bytes(self._width, "big")).decode("ascii")


class _Hash:
    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)
        self._hex = name == "md5"

    def update(self, data: Buffer, /) -> None:
        self._hash.update(data)

    def text(self) -> str:
        return self._hash.hexdigest() if self._hex else base64.b64encode(self._hash.digest()).decode("ascii")


def digest_of(kind: str) -> Digest:
    """A new sum of one of KINDS. Raises ValueError for any other."""
    if kind == "crc64nvme":
        return _Crc(checksums.crc64nvme, 8)
    if kind == "crc32c":
        return _Crc(checksums.crc32c, 4)
    if kind == "crc32":
        return _Crc(zlib.crc32, 4)
    if kind in KINDS:
        return _Hash(kind)
    raise ValueError(f"no checksum of S3: {kind}")
