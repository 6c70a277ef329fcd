"""The checksums of S3 over bytes that come in pieces, against known values."""

import base64
import hashlib
import zlib

import pytest

from headrace_daemon.s3.digests import KINDS, digest_of

DATA = b"123456789"
KNOWN = {
    # the check values of the catalogue of CRC algorithms (https://reveng.sourceforge.io/crc-catalogue/)
    "crc64nvme": base64.b64encode((0xAE8B14860A799888).to_bytes(8, "big")).decode(),
    "crc32c": base64.b64encode((0xE3069283).to_bytes(4, "big")).decode(),
    "crc32": base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode(),
    "md5": hashlib.md5(DATA, usedforsecurity=False).hexdigest(),
    "sha1": base64.b64encode(hashlib.sha1(DATA, usedforsecurity=False).digest()).decode(),
    "sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [0, 4, 9])
def test_known_values_in_pieces(kind: str, cut: int) -> None:
    digest = digest_of(kind)
    digest.update(DATA[:cut])
    digest.update(memoryview(DATA)[cut:])
    assert digest.text() == KNOWN[kind]


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="crc16"):
        digest_of("crc16")
