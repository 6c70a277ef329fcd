"""What shows that both ends hold the same bytes (invariant 4). The report names it.

crc64nvme: the other end's CRC64NVME equals ours. md5: its ETag is the MD5 of our bytes. parts: every part's MD5 was
confirmed as it was sent. size: the other end says no more than a length, which is all that can be had there.
"""

import re

from headrace_daemon.s3.checksum import md5_hex
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import IntegrityError

_MD5 = re.compile(r"[0-9a-f]{32}\Z")


def is_md5(etag: str) -> bool:
    """An ETag that has the form of an MD5: a single part, in hexadecimal."""
    return _MD5.match(etag) is not None


def prove(what: str, data: Buffer, crc64nvme: str, *, theirs_crc: str, theirs_etag: str, etag_is_md5: bool) -> str:
    """The proof for bytes that stand in memory. Raises IntegrityError where the other end has other bytes.

    etag_is_md5: the service's profile and encryption make a single-part ETag an MD5.
    """
    if theirs_crc:
        return agree(what, crc64nvme, theirs_crc)
    if etag_is_md5 and is_md5(theirs_etag):
        ours = md5_hex(data)
        if ours != theirs_etag:
            raise IntegrityError("integrity", f"{what}: the MD5 here is {ours}, the service's ETag {theirs_etag}")
        return "md5"
    return "size"


def agree(what: str, ours: str, theirs: str) -> str:
    """The proof by CRC64NVME, both as base64. Raises IntegrityError."""
    if ours != theirs:
        raise IntegrityError("integrity", f"{what}: the CRC64NVME here is {ours}, at the other end {theirs}")
    return "crc64nvme"
