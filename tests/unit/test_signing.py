"""Signature Version 4: against AWS's published examples, and against botocore for everything else."""

import datetime
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from headrace_daemon.s3.signing import (
    EMPTY_PAYLOAD,
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    canonical_query,
    host_header,
    payload_hash,
    quote_key,
)

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_HOST = "examplebucket.s3.amazonaws.com"
EXAMPLE_TIME = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()

PUBLISHED = {
    "GET object with a range": (
        ("GET", "/test.txt", [], {"range": "bytes=0-9"}, EMPTY_PAYLOAD),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        (
            "PUT",
            "/" + quote_key("test$file.text"),
            [],
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            payload_hash(b"Welcome to Amazon S3."),
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": (
        ("GET", "/", [("lifecycle", "")], {}, EMPTY_PAYLOAD),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        ("GET", "/", [("prefix", "J"), ("max-keys", "2")], {}, EMPTY_PAYLOAD),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_examples_published_by_aws(name: str) -> None:
    (method, path, query, headers, payload), signature = PUBLISHED[name]
    signed = Signer("us-east-1").sign(method, EXAMPLE_HOST, path, query, headers, payload, EXAMPLE, EXAMPLE_TIME)
    assert signed["authorization"].endswith(f"Signature={signature}")


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = st.lists(text | st.sampled_from(["..", ".", "", "a b", "a+b", "%2e", "ü", "~", "'()*!"]), min_size=1).map(
    "/".join
)
tokens = st.text("abcXYZ012/+= ", min_size=1, max_size=60)
header_names = st.from_regex(r"\A(x-amz-meta-|content-|x-amz-)[a-z0-9%]{1,8}\Z")
header_values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    host=st.sampled_from(["s3.eu-west-1.amazonaws.com", "10.0.0.1:8080", "b.example:443", "[::1]:9000"]),
    key=keys,
    query=st.lists(st.tuples(text, text), max_size=4, unique_by=lambda pair: pair[0]),
    headers=st.dictionaries(header_names, header_values, max_size=4),
    token=st.none() | tokens,
    region=st.sampled_from(["us-east-1", "snow", "eu-central-1"]),
    second=st.integers(0, 4_000_000_000),
)
@example("PUT", "h", "a b", [("uploadId", "a/b+c=="), ("partNumber", "1")], {"x-amz-a": "  a   b "}, "t", "snow", 7)
def test_agrees_with_botocore(
    method: str,
    host: str,
    key: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    token: str | None,
    region: str,
    second: int,
) -> None:
    path = "/bucket/" + quote_key(key)
    ours = Signer(region).sign(
        method, host, path, query, headers, UNSIGNED_PAYLOAD, Credentials("AK", "secret", token), second + 0.9
    )
    expected = botocore_signature(method, host, path, query, headers, token, region, second)
    assert ours["authorization"] == expected["Authorization"]
    assert ours["x-amz-date"] == expected["X-Amz-Date"]
    assert ours["x-amz-content-sha256"] == expected["X-Amz-Content-SHA256"]
    assert ours.get("x-amz-security-token") == expected.get("X-Amz-Security-Token")
    assert headers.items() <= ours.items()


def botocore_signature(
    method: str,
    host: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    token: str | None,
    region: str,
    second: int,
) -> HTTPHeaders:
    request = AWSRequest(method, f"https://{host}{path}", headers={**headers, "host": host}, params=dict(query))
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
    with patch.object(botocore.auth, "get_current_datetime", lambda **_: moment):
        botocore.auth.S3SigV4Auth(ReadOnlyCredentials("AK", "secret", token), "s3", region).add_auth(request)
    return request.headers


def test_the_same_signer_over_midnight_and_new_credentials() -> None:
    """A kept key or date of yesterday, or of the former credentials, would end in 403 for every request."""
    signer = Signer("us-east-1")
    midnight = EXAMPLE_TIME + 86400
    other = Credentials("AK2", "secret2", "token2")
    for credentials, now in [(EXAMPLE, midnight - 1), (EXAMPLE, midnight), (other, midnight), (EXAMPLE, midnight - 1)]:
        fresh = Signer("us-east-1").sign("GET", "h", "/b/k", [], {}, UNSIGNED_PAYLOAD, credentials, now)
        assert signer.sign("GET", "h", "/b/k", [], {}, UNSIGNED_PAYLOAD, credentials, now) == fresh


def test_query_text_signs_like_its_parameters() -> None:
    query = [("uploadId", "a/b+c=="), ("partNumber", "12")]
    signer = Signer("us-east-1")
    one = signer.sign("PUT", "h", "/b/k", query, {}, UNSIGNED_PAYLOAD, EXAMPLE, EXAMPLE_TIME)
    two = signer.sign("PUT", "h", "/b/k", canonical_query(query), {}, UNSIGNED_PAYLOAD, EXAMPLE, EXAMPLE_TIME)
    assert one == two


def test_headers_that_change_on_the_way_are_not_signed() -> None:
    headers = {"user-agent": "x", "expect": "100-continue", "accept": "*/*", "connection": "close"}
    signed = Signer("us-east-1").sign("GET", "h", "/", [], headers, UNSIGNED_PAYLOAD, EXAMPLE, EXAMPLE_TIME)
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in signed["authorization"]
    assert signed["user-agent"] == "x"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b-c_d.e~f", "a/b-c_d.e~f"),
        ("../a//./b", "../a//./b"),
        ("a b+c", "a%20b%2Bc"),
        ("%2e%2E", "%252e%252E"),
        ("é\u2603\U0001f600", "%C3%A9%E2%98%83%F0%9F%98%80"),
        ("a?b#c&d=e;f:g@h", "a%3Fb%23c%26d%3De%3Bf%3Ag%40h"),
        ("'()*!\n\t\x00", "%27%28%29%2A%21%0A%09%00"),
    ],
)
def test_quote_key(key: str, path: str) -> None:
    assert quote_key(key) == path


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        quote_key("a\udc80b")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://S3.Example.com/b/k", "s3.example.com"),
        ("https://h:443", "h"),
        ("http://h:80/x", "h"),
        ("http://h:443", "h:443"),
        ("https://10.0.0.1:8443", "10.0.0.1:8443"),
        ("http://[::1]:9000/", "[::1]:9000"),
    ],
)
def test_host_header(url: str, host: str) -> None:
    assert host_header(url) == host


def test_no_secret_in_the_repr() -> None:
    shown = repr(Credentials("AK", "the-secret", "the-token", 12.0))
    assert "the-secret" not in shown
    assert "the-token" not in shown
    assert "AK" in shown
