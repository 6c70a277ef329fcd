"""How an object's attributes stand in headers, and how it is seen that some are missing."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.s3.describe import REDIRECT, placement_headers, write_headers
from headrace_daemon.s3.operations import copy_source
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.tags import as_header
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.attributes import without
from headrace_daemon.transfer.kept import missing_in, words_of

AWS = PROFILES["aws"]
EVERYTHING = WriteOptions(
    metadata={"a": "b"},
    headers={"content-type": "text/x-me", "expires": "0", REDIRECT: "/e"},
    storage_class="STANDARD_IA",
    sse="aws:kms:k",
    tags="k=v",
    acl="private",
)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=128), st.text(max_size=256)), max_size=10))
def test_tags_survive_their_header(tags: list[tuple[str, str]]) -> None:
    tags = [tag for tag in tags if not tag[0].startswith("aws:")]
    header = as_header(tags)
    assert header.isascii()
    assert header.isprintable()
    assert parse_qsl(header, keep_blank_values=True, strict_parsing=bool(tags)) == tags


def test_a_space_is_no_plus_in_a_header_of_tags() -> None:
    assert as_header([("a b", "c+d"), ("e", "")]) == "a%20b=c%2Bd&e="


def test_tags_of_the_services_own_stay_where_they_are() -> None:
    assert as_header([("aws:createdBy", "x"), ("aws", "y"), ("x-aws:z", "")]) == "aws=y&x-aws%3Az="


def test_a_write_says_everything() -> None:
    assert write_headers(EVERYTHING, AWS) == {
        "content-type": "text/x-me",
        "expires": "0",
        REDIRECT: "/e",
        "x-amz-meta-a": "b",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "k",
        "x-amz-tagging": "k=v",
        "x-amz-acl": "private",
    }


def test_a_copy_says_what_the_service_does_not_copy() -> None:
    """Tags and metadata are copied unless a request says otherwise."""
    left_out = {"content-type", "expires", "x-amz-meta-a", "x-amz-tagging"}
    every = write_headers(EVERYTHING, AWS)
    assert placement_headers(EVERYTHING, AWS) == {name: every[name] for name in every.keys() - left_out}


@pytest.mark.parametrize(
    ("key", "version", "source"),
    [
        ("a b/c", "", "/b/a%20b/c"),
        ("k?", "v+/=1", "/b/k%3F?versionId=v%2B%2F%3D1"),
        ("k", "null", "/b/k?versionId=null"),
    ],
)
def test_the_source_of_a_copy_names_its_version(key: str, version: str, source: str) -> None:
    headers = copy_source("b", key, "e", version)
    assert headers == {"x-amz-copy-source": source, "x-amz-copy-source-if-match": '"e"'}


def stored(**more: object) -> ObjectInfo:
    """EVERYTHING as a service shows it, but for `more`."""
    everything = {"headers": EVERYTHING.headers, "metadata": EVERYTHING.metadata, "tag_count": 1}
    return ObjectInfo(1, "e", 0, **{**everything, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("info", "missing"),
    [
        (stored(), set()),
        (stored(tag_count=0), {"tags"}),
        (stored(metadata={"c": "d"}), {"metadata"}),
        (stored(headers={"content-type": "TEXT/X-ME", "expires": "1", REDIRECT: "/f"}), set()),
        (stored(headers={"content-type": "text/plain", "expires": "0"}), {"content-type", "website_redirect"}),
        (stored(headers={REDIRECT: "/e"}), {"content-type", "expires"}),
    ],
)
def test_what_is_missing_is_seen(info: ObjectInfo, missing: set[str]) -> None:
    assert missing_in(info, EVERYTHING) == missing


def test_what_is_out_of_the_ordinary_is_named() -> None:
    assert words_of(EVERYTHING) == {"tags", "website_redirect", "metadata", "expires"}
    assert words_of(WriteOptions(headers={"content-type": "x"}, metadata={"headrace-write": "1"})) == set()
    assert words_of(without(without(EVERYTHING, "tags"), "website_redirect")) == {"metadata", "expires"}
