"""Answers as typed errors: the table, the answers without a body, and the errors inside a 200."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.s3.classify import BY_CODE, classify, classify_embedded, embedded_error
from headrace_daemon.s3.describe import content_range, decode_metadata, encode_metadata, write_headers
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    CredentialsExpired,
    CredentialsRefused,
    NoSuchBucket,
    NotFound,
    NotS3,
    NotSupported,
    PreconditionFailed,
    Rejected,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    UploadLost,
    WrongRegion,
)
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.s3.xml import ErrorBody


def body(code: str, extra: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>why</Message>{extra}</Error>".encode()


def of(status: int, content: bytes = b"", *, head: bool = False, signed: bool = False, **headers: str) -> S3Error:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(status, names.get, content, head=head, signed=signed)


@pytest.mark.parametrize(
    "said",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",  # Go
        b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",  # nginx
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",  # Apache
    ],
)
def test_a_door_that_wants_tls_says_so_in_words_of_its_own(said: bytes) -> None:
    assert (type(of(400, said)), of(400, said).code) == (Rejected, "wants_tls")
    assert of(403, said).code == "403"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", Throttled),
        (503, "ServiceUnavailable", Throttled),
        (400, "RequestLimitExceeded", Throttled),
        (500, "InternalError", ServerFault),
        (409, "OperationAborted", ServerFault),
        (400, "RequestTimeout", TransportError),
        (400, "ExpiredToken", CredentialsExpired),
        (403, "InvalidAccessKeyId", CredentialsRefused),
        (400, "InvalidToken", CredentialsRefused),
        (403, "RequestTimeTooSkewed", CredentialsExpired),
        (403, "AccessDenied", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchBucket", NoSuchBucket),
        (404, "NoSuchUpload", UploadLost),
        (404, "SomethingNew", NotFound),
        (412, "PreconditionFailed", PreconditionFailed),
        (409, "ConditionalRequestConflict", PreconditionFailed),
        (409, "BucketAlreadyOwnedByYou", Rejected),
        (416, "InvalidRange", PreconditionFailed),
        (400, "BadDigest", BadDigest),
        (400, "XAmzContentChecksumMismatch", BadDigest),
        (405, "MethodNotAllowed", NotSupported),
        (501, "NotImplemented", NotSupported),
        (400, "EntityTooSmall", Rejected),
        (599, "NeverHeardOf", ServerFault),
        (418, "NeverHeardOf", Rejected),
    ],
)
def test_the_code_decides_and_the_status_where_it_is_unknown(status: int, code: str, kind: type[S3Error]) -> None:
    error = of(status, body(code))
    assert type(error) is kind
    assert (error.code, error.message, error.status) == (code, "why", status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (503, Throttled),
        (500, ServerFault),
        (404, NotFound),
        (403, AccessDenied),
        (400, Rejected),
        (412, PreconditionFailed),
        (429, Throttled),
        (501, NotSupported),
        (304, Rejected),
    ],
)
def test_a_head_has_no_body(status: int, kind: type[S3Error]) -> None:
    error = of(status, head=True)
    assert type(error) is kind
    assert error.code == str(status)


def test_a_503_that_s3_did_not_write_is_a_dead_backend_unless_it_says_when_to_come_again() -> None:
    html = b"<html><body><h1>503 Service Unavailable</h1>No server is available</body></html>"
    assert type(of(503, html)) is ServerFault
    assert type(of(503)) is ServerFault
    again = of(503, html, retry_after="3")
    assert isinstance(again, Throttled)
    assert again.retry_after == 3.0


HTML = b"<html><head><title>404 Not Found</title></head><body>default backend - 404</body></html>"


@pytest.mark.parametrize("content", [HTML, b"default backend - 404", b"", b'{"code": 404}', b"<Error><Code>NoSuchKey"])
def test_a_404_that_s3_did_not_write_says_nothing_of_the_object(content: bytes) -> None:
    error = of(404, content, signed=True)
    assert type(error) is NotS3
    assert isinstance(error, ServerFault), "which is tried again elsewhere"
    assert (error.code, error.status) == ("not_s3", 404)
    assert "404" in error.message
    assert "no S3 error" in error.message
    assert type(of(404, content)) is NotFound, "of operations that services answer so themselves"


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (404, body("NoSuchKey"), NotFound),
        (404, body("NoSuchBucket"), NoSuchBucket),
        (404, b"<Error/>", NotFound),
        (403, HTML, AccessDenied),
        (416, HTML, PreconditionFailed),
        (400, HTML, Rejected),
    ],
)
def test_only_a_404_without_an_error_document_is_somebody_elses(
    status: int, content: bytes, kind: type[S3Error]
) -> None:
    assert type(of(status, content, signed=True)) is kind


@pytest.mark.parametrize(("text", "seconds"), [("1.5", 1.5), ("-1", 0.0), ("nan", 0.0), ("Thu, 01 Jan 2026", None)])
def test_retry_after(text: str, seconds: float | None) -> None:
    error = of(503, body("SlowDown"), retry_after=text)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


def test_where_a_bucket_lives_is_said_in_three_ways() -> None:
    said = of(400, body("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"))
    assert isinstance(said, WrongRegion)
    assert said.region == "eu-west-1"
    for status in (301, 400):
        shown = of(status, head=True, x_amz_bucket_region="eu-west-2")
        assert isinstance(shown, WrongRegion)
        assert shown.region == "eu-west-2"
    silent = of(301, body("PermanentRedirect"))
    assert isinstance(silent, WrongRegion)
    assert silent.region is None
    assert type(of(403, head=True, x_amz_bucket_region="eu-west-2")) is AccessDenied


@given(st.sampled_from(sorted(BY_CODE)), st.integers(300, 599))
def test_every_code_makes_an_error_of_its_kind(code: str, status: int) -> None:
    assert type(of(status, body(code))) is BY_CODE[code]


def test_an_error_inside_a_200_is_the_services_fault_unless_it_is_known() -> None:
    assert type(classify_embedded(ErrorBody("InternalError", "", None), 200)) is ServerFault
    assert type(classify_embedded(ErrorBody("NeverHeardOf", "", None), 200)) is ServerFault
    assert type(classify_embedded(ErrorBody("", "", None), 200)) is ServerFault
    assert type(classify_embedded(ErrorBody("SlowDown", "", None), 200)) is Throttled
    assert type(classify_embedded(ErrorBody("PreconditionFailed", "", None), 200)) is PreconditionFailed
    assert type(embedded_error(ErrorBody("NeverHeardOf", "", None))) is Rejected


def test_a_message_is_cut_short() -> None:
    assert len(of(400, b"<Error><Code>x</Code><Message>" + b"y" * 9999 + b"</Message></Error>").message) == 300


@given(st.text())
def test_metadata_travels_as_ascii_and_comes_back(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    encoded = encode_metadata(value)
    assert encoded.isascii()
    if not value.startswith("=?"):
        assert decode_metadata(encoded) == value


@pytest.mark.parametrize("value", ["=?", "=??=", "=?UTF-8?B?!!!?=", "=?no-such-charset?B?YQ==?=", "=?UTF-8?B?/w==?="])
def test_metadata_that_is_no_encoded_word_stays_as_it_is(value: str) -> None:
    assert isinstance(decode_metadata(value), str)


def test_how_an_object_is_written_becomes_headers() -> None:
    options = WriteOptions(
        {"File-Mtime": "1ns"}, {"Content-Type": "a/b"}, "STANDARD_IA", "aws:kms:arn:aws:kms:x:1:key/2", True
    )
    assert write_headers(options, PROFILES["aws"]) == {
        "x-amz-meta-file-mtime": "1ns",
        "content-type": "a/b",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x:1:key/2",
        "if-none-match": "*",
    }
    assert "if-none-match" not in write_headers(options, PROFILES["snowball"])
    for sse in ("AES256", "aws:kms"):
        assert write_headers(WriteOptions(sse=sse), PROFILES["aws"]) == {"x-amz-server-side-encryption": sse}


@pytest.mark.parametrize(
    ("text", "value"),
    [("bytes 0-9/100", (0, 10, 100)), ("bytes 0-9/*", None), ("0-9/100", None), (None, None), ("bytes */100", None)],
)
def test_content_range(text: str | None, value: tuple[int, int, int] | None) -> None:
    assert content_range(text) == value
