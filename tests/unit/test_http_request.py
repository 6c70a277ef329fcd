"""The bytes of a request's head, and what is never put on the wire."""

import pytest

from headrace_daemon.s3.errors import Rejected
from headrace_daemon.s3.http_request import origin_of, request_head, split_url


@pytest.mark.parametrize(
    ("url", "base", "target"),
    [
        ("http://h/b/k?a=b", "http://h", "/b/k?a=b"),
        ("https://h:9/b//k/../x%2F", "https://h:9", "/b//k/../x%2F"),
        ("http://[::1]:9000/", "http://[::1]:9000", "/"),
        ("http://h", "http://h", "/"),
    ],
)
def test_a_url_is_split_and_nothing_else(url: str, base: str, target: str) -> None:
    assert split_url(url) == (base, target)


@pytest.mark.parametrize(
    ("base", "host", "name", "port", "tls"),
    [
        ("http://Host", "host", "host", 80, False),
        ("https://host", "host", "host", 443, True),
        ("https://host:443", "host", "host", 443, True),
        ("https://host:80", "host:80", "host", 80, True),
        ("http://[::1]:9000", "[::1]:9000", "::1", 9000, False),
    ],
)
def test_an_origin(base: str, host: str, name: str, port: int, tls: bool) -> None:
    origin = origin_of(base)
    assert (origin.host, origin.name, origin.port, origin.tls) == (host, name, port, tls)


@pytest.mark.parametrize("base", ["ftp://h", "http://", "http://h:port", "http://h:99999"])
def test_what_is_no_origin_is_rejected(base: str) -> None:
    with pytest.raises(Rejected):
        origin_of(base)


def test_a_head_is_these_bytes() -> None:
    head = request_head("PUT", "/b/k?a=b", "h:9", {"x-amz-meta-a": "\u00fc b", "content-length": "3"})
    assert head == (
        b"PUT /b/k?a=b HTTP/1.1\r\nhost: h:9\r\nuser-agent: headrace\r\naccept: */*\r\n"
        b"x-amz-meta-a: \xc3\xbc b\r\ncontent-length: 3\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/", {"a": "b\r\nc: d"}),
        ("/", {"a": "b\nc: d"}),
        ("/", {"a": "b\rc: d"}),
        ("/", {"a": "b\0"}),
        ("/", {"a": "\udcff"}),
        ("/", {"a b": "c"}),
        ("/", {"a:": "c"}),
        ("/", {"": "c"}),
        ("/", {"a\r\nb": "c"}),
        ("/ HTTP/1.1\r\nx: y", {}),
        ("/a b", {}),
    ],
)
def test_what_would_be_more_than_one_request_is_rejected(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(Rejected) as caught:
        request_head("GET", target, "h", headers)
    assert caught.value.code == "bad_request"
