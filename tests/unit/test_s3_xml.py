"""S3's XML: every shape services were seen to send, and some that only an attacker sends."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from headrace_daemon.s3.listing_xml import ListingFeed, parse_listing
from headrace_daemon.s3.types import Listed
from headrace_daemon.s3.xml import (
    ErrorBody,
    MalformedXml,
    build_complete,
    build_delete,
    is_xml_text,
    parse,
    parse_deleted,
    parse_error,
    parse_http_date,
    parse_parts,
    parse_result,
    parse_time,
)
from headrace_queue.jobs import PartRecord

NAMESPACES = ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' xmlns="urn:other"']
WHEN = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def contents(key: str, size: int = 3, etag: str = "&quot;abc&quot;", when: str = "2026-01-01T00:00:00.000Z") -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified><ETag>{etag}</ETag><Size>{size}</Size>"
        "<Owner><ID>Key</ID><DisplayName>n</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>"
    )


def listing(*parts: str, namespace: str = "", truncated: bool = False, head: str = "") -> bytes:
    flag = "true" if truncated else "false"
    body = f"<ListBucketResult{namespace}><Name>b</Name>{head}<IsTruncated>{flag}</IsTruncated>{''.join(parts)}"
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{body}</ListBucketResult>".encode()


def fed(body: bytes, step: int) -> list[Listed]:
    feed = ListingFeed()
    for start in range(0, len(body), step):
        feed.feed(body[start : start + step])
    return feed.close()


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_listing_with_any_namespace_or_none(namespace: str) -> None:
    body = listing(contents("a/b & c"), contents("ü", 0, "plain"), namespace=namespace)
    expected = [Listed("a/b & c", 3, WHEN, "abc"), Listed("ü", 0, WHEN, "plain")]
    page = parse_listing(body, encoded=False)
    assert page.objects == expected
    assert (page.truncated, page.next) == (False, None)
    assert fed(body, 7) == expected


def test_an_empty_listing() -> None:
    assert parse_listing(listing(), encoded=True).objects == []
    assert fed(listing(), 5) == []


def test_fields_that_are_missing_do_not_shift_the_columns() -> None:
    no_etag = contents("b").replace("<ETag>&quot;abc&quot;</ETag>", "")
    empty_etag = contents("c").replace("&quot;abc&quot;", "")
    no_time = contents("d").replace("<LastModified>2026-01-01T00:00:00.000Z</LastModified>", "")
    body = listing(contents("a"), no_etag, empty_etag, no_time)
    expected = [
        Listed("a", 3, WHEN, "abc"),
        Listed("b", 3, WHEN, ""),
        Listed("c", 3, WHEN, ""),
        Listed("d", 3, 0, "abc"),
    ]
    assert parse_listing(body, encoded=False).objects == expected
    assert fed(body, 64) == expected


@pytest.mark.parametrize("quoting", [quote, quote_plus])
def test_both_ways_of_encoding_a_space_are_understood(quoting: object) -> None:
    key = "a b+c%&/é\x01\n"
    assert callable(quoting)
    encoded = contents(quoting(key))
    marked = listing(encoded, head="<EncodingType>url</EncodingType>")
    assert parse_listing(marked, encoded=True).objects[0].key == key
    assert parse_listing(listing(encoded), encoded=True).objects[0].key == quoting(key), "the service did not encode"


def test_how_the_next_page_is_named() -> None:
    token = "<NextContinuationToken>t+%2F=</NextContinuationToken>"
    page = parse_listing(listing(truncated=True, head=f"<EncodingType>url</EncodingType>{token}"), encoded=True)
    assert (page.truncated, page.next) == (True, "t+%2F="), "a token is opaque"
    marker = "<EncodingType>url</EncodingType><NextMarker>a%2Bb</NextMarker>"
    assert parse_listing(listing(truncated=True, head=marker), encoded=True).next == "a+b"


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # hypothesis wants naive bounds
def test_times_agree_with_datetime(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert parse_time(text) == expected
    assert parse_time(moment.isoformat()) == expected
    assert parse_time(moment.isoformat(timespec="seconds").replace("+00:00", "Z")) == expected // 10**9 * 10**9


def test_times_of_headers() -> None:
    assert parse_http_date("Thu, 01 Jan 2026 00:00:00 GMT") == WHEN
    with pytest.raises(ValueError, match="Invalid date"):
        parse_http_date("yesterday")


BROKEN = [
    listing(contents("a", when="yesterday")),
    listing(contents("a").replace("<Size>3</Size>", "<Size>many</Size>")),
    listing(contents("a").replace("<Key>a</Key>", "")),
    listing(contents("a"))[:-20],
    b"<html><body>502 Bad Gateway</body></html>",
    b"<Error><Code>SlowDown</Code></Error>",
    b"",
    b"\x00\x01",
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_whole_listing_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        parse_listing(body, encoded=False)
    with pytest.raises(MalformedXml):
        fed(body, 16)


PLAIN = listing(contents("a")).partition(b"\n")[2]
REFERRING = listing(head="<Prefix>&b;</Prefix>").partition(b"\n")[2]
HOSTILE = [
    b"<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>" + REFERRING,
    b"<!DOCTYPE x [<!ENTITY b SYSTEM 'file:///etc/hostname'>]>" + REFERRING,
    b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>" + PLAIN,
]


@pytest.mark.parametrize("body", HOSTILE)
def test_entities_and_document_types_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        parse(body)
    with pytest.raises(MalformedXml):
        fed(body, 1000)
    assert parse_error(body) is None


@given(st.binary(max_size=300))
def test_noise_is_malformed_and_nothing_worse(noise: bytes) -> None:
    for body in (noise, b"<ListBucketResult>" + noise + b"</ListBucketResult>"):
        for read in (lambda b: parse_listing(b, encoded=True), lambda b: fed(b, 11), parse_parts, parse_deleted):
            with suppress(MalformedXml):
                read(body)


def test_a_listing_in_one_piece_is_forgotten_as_it_is_read() -> None:
    body = listing(*(contents(f"k{n:06}") for n in range(5000)))
    feed = ListingFeed()
    feed.feed(body)
    assert len(feed.close()) == 5000
    assert feed._root is not None
    assert len(feed._root) < 10


def test_errors() -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region></Error>"
    assert parse_error(body) == ErrorBody("AuthorizationHeaderMalformed", "m", "eu-west-1")
    assert parse_error(b"   \n<Error/>") == ErrorBody("", "", None)
    assert parse_error(b"<DeleteResult><Error><Code>x</Code></Error></DeleteResult>") is None


def test_results_are_known_by_the_field_that_matters() -> None:
    for name in ("InitiateMultipartUploadResult", "InitiateMultipartUpload"):
        assert parse_result(f"<{name}><UploadId>u</UploadId></{name}>".encode(), "UploadId") == {"UploadId": "u"}
    assert parse_result(b"<Error><Code>c</Code><UploadId>u</UploadId></Error>", "UploadId") == ErrorBody("c", "", None)
    with pytest.raises(MalformedXml, match="without UploadId"):
        parse_result(b"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>", "UploadId")


def test_parts() -> None:
    part = "<Part><PartNumber>{}</PartNumber><Size>5</Size><ETag>&quot;e&quot;</ETag>{}</Part>"
    crc = "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>"
    more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
    page = parse_parts(f"<ListPartsResult>{more}{part.format(1, '')}{part.format(2, crc)}</ListPartsResult>".encode())
    assert page.parts == [PartRecord(1, 5, "e", ""), PartRecord(2, 5, "e", "AAAAAAAAAAA=")]
    assert page.next == "2"
    assert (
        parse_parts(b"<ListPartsResult><NextPartNumberMarker>2</NextPartNumberMarker></ListPartsResult>").next is None
    )
    with pytest.raises(MalformedXml, match="Size"):
        parse_parts(b"<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>")


def test_complete_names_the_parts_in_order() -> None:
    root = etree.fromstring(build_complete([PartRecord(2, 1, "b", ""), PartRecord(1, 5, "a", "")]))
    assert [[child.text for child in part] for part in root] == [["1", '"a"'], ["2", '"b"']]


@given(st.lists(st.text(min_size=1).filter(is_xml_text), max_size=5))
def test_delete_carries_keys_unchanged(keys: list[str]) -> None:
    try:
        body = build_delete(keys)
    except ValueError:
        assert any(ord(c) in range(0xD800, 0xE000) for key in keys for c in key), "only surrogates are no text"
        return
    root = etree.fromstring(body)
    assert [element.text for element in root.iter("{*}Key")] == keys


def test_keys_that_xml_cannot_carry_are_known() -> None:
    assert not any(map(is_xml_text, ("\x01", "a\rb", "\ufffe", "\x7f")))
    assert is_xml_text("ümlaut & <tag> 😀")


def test_what_could_not_be_deleted() -> None:
    body = b"<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    assert parse_deleted(body) == {"b": ErrorBody("AccessDenied", "", None)}
    with pytest.raises(MalformedXml):
        parse_deleted(b"<html/>")
