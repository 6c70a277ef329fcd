"""What counts as a proof that both ends hold the same bytes, and that nothing passes without one."""

import hashlib

import pytest

from headrace_daemon.s3.checksum import crc64nvme, to_text
from headrace_daemon.s3.errors import IntegrityError
from headrace_daemon.transfer.proof import agree, is_md5, prove

DATA = b"the bytes as they passed"
CRC = to_text(crc64nvme(DATA))
MD5 = hashlib.md5(DATA).hexdigest()
OTHER_CRC = to_text(crc64nvme(b"other bytes"))
OTHER_MD5 = hashlib.md5(b"other bytes").hexdigest()


def proven(theirs_crc: str = "", theirs_etag: str = "", *, etag_is_md5: bool = True) -> str:
    return prove("k", DATA, CRC, theirs_crc=theirs_crc, theirs_etag=theirs_etag, etag_is_md5=etag_is_md5)


def test_the_strongest_proof_that_can_be_had_is_named() -> None:
    assert proven(CRC, MD5) == "crc64nvme"
    assert proven("", MD5) == "md5"
    assert proven("", "") == "size"


def test_an_etag_that_is_no_md5_proves_nothing() -> None:
    assert proven("", MD5 + "-3") == "size"
    assert proven("", OTHER_MD5, etag_is_md5=False) == "size", "encrypted with KMS: the ETag is something else"
    assert proven("", "not-an-md5") == "size"


def test_other_bytes_are_found_out_by_either() -> None:
    with pytest.raises(IntegrityError, match=OTHER_CRC[:4]):
        proven(OTHER_CRC, MD5)
    with pytest.raises(IntegrityError, match=OTHER_MD5):
        proven("", OTHER_MD5)


def test_both_ends_have_to_agree() -> None:
    assert agree("k", CRC, CRC) == "crc64nvme"
    with pytest.raises(IntegrityError, match="k: the CRC64NVME here"):
        agree("k", CRC, OTHER_CRC)


def test_the_form_of_an_md5() -> None:
    assert is_md5("0" * 32)
    others = ["", "0" * 31, "0" * 33, "0" * 32 + "-1", "0" * 32 + "\n", "G" * 32, "A" * 32]
    assert not any(map(is_md5, others))
