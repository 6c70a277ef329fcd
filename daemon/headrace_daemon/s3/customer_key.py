"""Keys of the customer's (SSE-C): S3 encrypts with one, and forgets it. Amazon S3 user guide, "Using server-side
encryption with customer-provided keys"."""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from typing import Final

from headrace_queue.errors import UsageError
from headrace_queue.key_files import refuse_key_file

KEY_BYTES: Final = 32
_LONGEST: Final = 64  # base64 of a key has 44 characters, and a line may end

_OF_OBJECT: Final = "x-amz-server-side-encryption-customer-"
_OF_SOURCE: Final = "x-amz-copy-source-server-side-encryption-customer-"


class CustomerKey:
    """One key. Nothing of it shows but in the headers that a request needs."""

    __slots__ = ("of_object", "of_source")

    def __init__(self, key: bytes) -> None:
        """key: 32 bytes."""
        self.of_object: Mapping[str, str] = _headers(_OF_OBJECT, key)
        self.of_source: Mapping[str, str] = _headers(_OF_SOURCE, key)

    def __repr__(self) -> str:
        return "CustomerKey()"


def _headers(prefix: str, key: bytes) -> dict[str, str]:
    return {
        f"{prefix}algorithm": "AES256",
        f"{prefix}key": base64.b64encode(key).decode(),
        # the service proves by it that the key arrived as it was sent
        f"{prefix}key-md5": base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode(),
    }


def read_key_file(path: str) -> CustomerKey:
    """The key in a file: 32 bytes, or base64 of them. Blocking.

    Raises UsageError, which never shows what the file holds: for one that others can read, or that holds no key.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            refuse_key_file(path, os.fstat(fd))
            content = os.read(fd, _LONGEST + 1)
        finally:
            os.close(fd)
    except OSError as error:
        why = f"the worker cannot read it: {error.strerror}"
        raise UsageError(path, why, "Put the key there for the user that the worker runs as.") from error
    return CustomerKey(_key_in(path, content))


def _key_in(path: str, content: bytes) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES or len(content) > _LONGEST:
        raise UsageError(path, f"it holds neither {KEY_BYTES} bytes nor base64 of them", "`openssl rand -out FILE 32`.")
    return key
