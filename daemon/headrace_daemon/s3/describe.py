"""How an object's description travels in headers, both ways."""

import base64
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final

from headrace_daemon.s3.archived import HEADERS as ARCHIVE_HEADERS
from headrace_daemon.s3.archived import archive_state
from headrace_daemon.s3.engine import Response
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.s3.xml import bare_etag, parse_http_date

META: Final = "x-amz-meta-"
REDIRECT: Final = "x-amz-website-redirect-location"
_CHECKSUM: Final = "x-amz-checksum-"
_KEPT: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        REDIRECT,
    }
)
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def object_info(response: Response, size: int, endpoint: str, profile: Profile) -> ObjectInfo:
    """What the head of a HEAD or of a whole GET tells. size: bytes of the object."""
    metadata: dict[str, str] = {}
    kept: dict[str, str] = {}
    checksums: dict[str, str] = {}
    archive: dict[str, str] = {}
    parrots = composite = False
    tag_count = 0
    for name, value in response.headers():
        if name in _KEPT:
            kept[name] = value
        elif name.startswith("x-amz-"):
            if name.startswith(META):
                metadata[name[len(META) :]] = decode_metadata(value)
            elif name == "x-amz-checksum-type":
                composite = value == "COMPOSITE"
            elif name.startswith(_CHECKSUM):
                checksums[name[len(_CHECKSUM) :]] = value
            elif name == "x-amz-tagging-count":
                tag_count = int(value) if value.isdecimal() else 0
            elif name == "x-amz-content-sha256":
                parrots = True
            elif name in ARCHIVE_HEADERS:
                archive[name] = value
    if not profile.checksums or composite or parrots:
        # a composite value is no digest of the content; and a service that gives request headers back (rclone does)
        # parrots the checksum it was sent without ever having looked at the bytes
        checksums = {}
    return ObjectInfo(
        size=size,
        etag=bare_etag(response.header("etag")),
        mtime_ns=_modified(response.header("last-modified")),
        checksums=checksums,
        metadata=metadata,
        headers=kept,
        endpoint=endpoint,
        opaque_etag=is_opaque(response),
        tag_count=tag_count,
        archived=_archived(archive) if archive and profile.archives else "",
    )


def _archived(headers: dict[str, str]) -> str:
    state = archive_state(headers)
    return "" if state.readable else state.place


def is_opaque(response: Response) -> bool:
    """Whether the object is encrypted so that its ETag is no MD5: by KMS or with the customer's own key."""
    return response.header("x-amz-server-side-encryption") not in (None, "AES256") or (
        response.header("x-amz-server-side-encryption-customer-algorithm") is not None
    )


def _modified(text: str | None) -> int:
    """Nanoseconds since the epoch; 0 where the service sends no usable date."""
    if not text:
        return 0
    try:
        return parse_http_date(text)
    except ValueError:
        return 0


def content_range(text: str | None) -> tuple[int, int, int] | None:
    """First byte, end (exclusive) and total of a Content-Range; None for any other form, such as an unknown total."""
    match = _RANGE.fullmatch(text or "")
    return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else None


def write_headers(options: WriteOptions, profile: Profile) -> dict[str, str]:
    """The request headers that write an object as `options` say, names in lower case."""
    headers = {name.lower(): value for name, value in options.headers.items()}
    for name, value in options.metadata.items():
        headers[META + name.lower()] = encode_metadata(value)
    headers.update(placement_headers(options, profile))
    if options.tags:
        headers["x-amz-tagging"] = options.tags
    return headers


def placement_headers(options: WriteOptions, profile: Profile) -> dict[str, str]:
    """The part of write_headers() that a server-side copy needs even where it keeps the source's metadata and tags: S3
    copies neither the ACL nor the website redirect (API reference, CopyObject)."""
    headers: dict[str, str] = {}
    if options.acl:
        headers["x-amz-acl"] = options.acl
    if REDIRECT in options.headers:
        headers[REDIRECT] = options.headers[REDIRECT]
    if options.storage_class:
        headers["x-amz-storage-class"] = options.storage_class
    if options.sse:
        service, names_key, key = options.sse.partition(":kms:")
        headers["x-amz-server-side-encryption"] = f"{service}:kms" if names_key else options.sse
        if names_key:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = key
    if options.if_none_match and profile.conditional_writes:
        headers["if-none-match"] = "*"
    return headers


def encode_metadata(value: str) -> str:
    """A metadata value as ASCII: an RFC 2047 encoded word where it is none, which is how S3 itself shows such values.

    Sent raw, the signature would depend on how each side decodes the bytes.
    """
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    return f"=?UTF-8?B?{base64.b64encode(raw).decode('ascii')}?="


def decode_metadata(value: str) -> str:
    """The reverse of encode_metadata; anything that is no whole encoded word stays as it is."""
    if not (value.startswith("=?") and value.endswith("?=")):
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeDecodeError, ValueError):
        return value
