"""Presigned URLs: AWS's published example, and botocore for everything else."""

import datetime
from typing import Any, Literal
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import botocore.crt.auth
import botocore.session
import pytest
from botocore.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

from headrace_daemon.s3.signing import Credentials
from headrace_daemon.staging.presign import LONGEST, Presigner, presigned, seconds_left

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()

Addressing = Literal["path", "virtual"]


def test_the_example_published_by_aws() -> None:
    url = presigned(
        "GET",
        "https://s3.amazonaws.com",
        "examplebucket",
        "test.txt",
        (),
        credentials=EXAMPLE,
        region="us-east-1",
        expires=86400,
        now=EXAMPLE_TIME,
        addressing="virtual",
    )
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?")
    assert url.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def _by_botocore(operation: str, params: dict[str, Any], method: str, token: str | None, addressing: Addressing) -> str:
    client = _client(token, addressing)
    with patch.object(
        botocore.crt.auth, "get_current_datetime", lambda **_: datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
    ):
        return str(client.generate_presigned_url(operation, Params=params, ExpiresIn=900, HttpMethod=method))


_clients: dict[tuple[str | None, Addressing], Any] = {}


def _client(token: str | None, addressing: Addressing) -> Any:
    """Made once each: a client costs a tenth of a second."""
    if (token, addressing) not in _clients:
        _clients[token, addressing] = botocore.session.get_session().create_client(
            "s3",
            region_name="eu-central-1",
            endpoint_url="http://storage.example:9000",
            aws_access_key_id=EXAMPLE.access_key,
            aws_secret_access_key=EXAMPLE.secret_key,
            aws_session_token=token,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": addressing},
                request_checksum_calculation="when_required",
            ),
        )
    return _clients[token, addressing]


def _parts(url: str) -> tuple[str, str, dict[str, str]]:
    """Host, path and query: botocore orders its query in another way."""
    split = urlsplit(url)
    return split.netloc, split.path, dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=True))


_keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda key: key[0] != "/")


@given(_keys, st.sampled_from([None, "token/with+odd=signs"]), st.sampled_from(["path", "virtual"]))
@example("a b/ü'\"<>&?#%41+~*().txt", None, "path")
@example("a//b/../c/./d", None, "path")
def test_agrees_with_botocore(key: str, token: str | None, addressing: Addressing) -> None:
    signer = Presigner(
        "http://storage.example:9000",
        "staging-bucket",
        key,
        credentials=Credentials(EXAMPLE.access_key, EXAMPLE.secret_key, token),
        region="eu-central-1",
        expires=900,
        now=EXAMPLE_TIME,
        addressing=addressing,
    )
    of_object = {"Bucket": "staging-bucket", "Key": key}
    of_upload = {**of_object, "UploadId": "an+id/of=it"}
    part = _by_botocore("upload_part", {**of_upload, "PartNumber": 7}, "PUT", token, addressing)
    assert _parts(signer.url("PUT", (("uploadId", "an+id/of=it"), ("partNumber", "7")))) == _parts(part)
    complete = _by_botocore("complete_multipart_upload", of_upload, "POST", token, addressing)
    assert _parts(signer.url("POST", (("uploadId", "an+id/of=it"),))) == _parts(complete)
    named = {**of_object, "ResponseContentDisposition": 'attachment; filename="x"'}
    get = _by_botocore("get_object", named, "GET", token, addressing)
    ours = signer.url("GET", (("response-content-disposition", 'attachment; filename="x"'),))
    assert _parts(ours) == _parts(get)


def test_a_bucket_with_dots_stays_in_the_path() -> None:
    url = presigned(
        "GET",
        "https://s3.example",
        "a.bucket",
        "k",
        (),
        credentials=EXAMPLE,
        region="r",
        expires=60,
        now=0.0,
        addressing="virtual",
    )
    assert url.startswith("https://s3.example/a.bucket/k?")


def test_lives_no_longer_than_allowed_nor_than_its_credentials() -> None:
    hour = Credentials("a", "s", "t", expires=4600.0)
    assert seconds_left(10 * 86400.0, EXAMPLE, 1000.0) == LONGEST
    assert seconds_left(60.0, hour, 1000.0) == 60
    assert seconds_left(86400.0, hour, 1000.0) == 3600
    assert seconds_left(86400.0, hour, 9000.0) == 0


def test_refuses_to_sign_what_has_ended() -> None:
    ended = Credentials("a", "s", "t", expires=10.0)
    with pytest.raises(ValueError, match="lives 1 to"):
        presigned("GET", "https://s3.example", "b", "k", (), credentials=ended, region="r", expires=60, now=20.0)


def test_shows_no_secret_when_it_is_printed() -> None:
    signer = Presigner(
        "https://s3.example", "b", "k", credentials=EXAMPLE, region="r", expires=60, now=0.0, addressing="path"
    )
    assert EXAMPLE.secret_key not in repr(signer)
    assert repr(signer) == "Presigner(…)"
