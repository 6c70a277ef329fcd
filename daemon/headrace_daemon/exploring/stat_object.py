"""What the service tells of one object: the headers of a HEAD, and its tags.

The headers are those of HeadObject in the Amazon S3 API reference.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from headrace_daemon.exploring.finds import USUAL_CLASS
from headrace_daemon.exploring.told import Told
from headrace_daemon.s3.describe import META, decode_metadata
from headrace_daemon.s3.errors import AccessDenied, NotFound, NotSupported, Rejected, S3Error, UploadLost
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.xml import bare_etag, parse_http_date, parse_time
from headrace_queue.locations import Location

_CHECKSUM: Final = "x-amz-checksum-"
_PARTS: Final = re.compile(r"[0-9a-f]{32}-(\d+)")
_ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes that nobody reads from before a restore (user guide, "Storage classes for rarely accessed objects")."""
_EXPIRY: Final = re.compile(r'expiry-date="([^"]+)"')
_SAID: Final = (
    ("content_type", "content-type"),
    ("content_encoding", "content-encoding"),
    ("content_language", "content-language"),
    ("content_disposition", "content-disposition"),
    ("cache_control", "cache-control"),
    ("expires", "expires"),
    ("redirect", "x-amz-website-redirect-location"),
    ("version", "x-amz-version-id"),
    ("replication", "x-amz-replication-status"),
    ("expiration", "x-amz-expiration"),
)
_ENCRYPTION: Final = "x-amz-server-side-encryption"


async def tell_object(remote: Remote, place: Location, version: str) -> Told:
    """Raises NotFound where there is none, AccessDenied and other S3Errors."""
    headers = await remote.all_headers(place.bucket, place.key, version=version)
    told = Told("object", str(place))
    told.add_size("size", int(headers.get("content-length", "0")))
    told.add_time("modified", _moment(headers.get("last-modified")))
    _add_etag(told, headers)
    told.add("storage_class", headers.get("x-amz-storage-class", USUAL_CLASS))
    told.add("restore", restore_text(headers))
    told.add("encryption", encryption_text(headers))
    _add_lock(told, headers)
    for name, header in _SAID:
        told.add(name, headers.get(header))
    found = {name: decode_metadata(text) for name, text in headers.items() if name.startswith(META)}
    told.add("metadata", {name[len(META) :]: text for name, text in found.items()})
    await _add_tags(told, remote, place, version)
    return told


def _add_etag(told: Told, headers: Mapping[str, str]) -> None:
    etag = bare_etag(headers.get("etag"))
    parts = _PARTS.fullmatch(etag)
    told.add("etag", etag, f"{etag} (sent in {parts[1]} parts)" if parts else etag)
    if "x-amz-content-sha256" in headers:
        return  # a service that gives request headers back (rclone does) never looked at the checksum that it was sent
    kind = headers.get(f"{_CHECKSUM}type", "").lower().replace("_", " ")
    for header, value in headers.items():
        if header.startswith(_CHECKSUM) and header != f"{_CHECKSUM}type":
            told.add(f"checksum_{header[len(_CHECKSUM) :]}", value, f"{value} ({kind})" if kind else value)


def restore_text(headers: Mapping[str, str]) -> str:
    """Where an object of an archive class is on its way back; '' for every other object."""
    said = headers.get("x-amz-restore", "")
    if 'ongoing-request="true"' in said:
        return "under way; nobody can read it yet"
    if said:
        until = _EXPIRY.search(said)
        return f"restored until {until[1]}" if until else "restored"
    archived = headers.get("x-amz-storage-class") in _ARCHIVED or "x-amz-archive-status" in headers
    return "archived; nobody can read it before it is restored (`--archived restore`)" if archived else ""


def encryption_text(headers: Mapping[str, str]) -> str:
    """How it is encrypted where it lies; '' where the service does not say."""
    customer = headers.get(f"{_ENCRYPTION}-customer-algorithm")
    if customer is not None:
        return f"{customer}, with a key of the customer's (SSE-C)"
    how = headers.get(_ENCRYPTION, "")
    key = headers.get(f"{_ENCRYPTION}-aws-kms-key-id", "")
    return f"{how} {key}".rstrip()


def _add_lock(told: Told, headers: Mapping[str, str]) -> None:
    mode = headers.get("x-amz-object-lock-mode")
    until = headers.get("x-amz-object-lock-retain-until-date")
    told.add("object_lock", mode)
    if until:
        try:
            told.add_time("retained_until", parse_time(until))
        except ValueError:
            told.add("retained_until", until)
    told.add("legal_hold", headers.get("x-amz-object-lock-legal-hold"))


async def _add_tags(told: Told, remote: Remote, place: Location, version: str) -> None:
    try:
        tags = await remote.tags(place.bucket, place.key, version=version)
    except AccessDenied:
        told.refuse("tags", "not permitted (s3:GetObjectTagging)")
    except (NotSupported, NotFound, Rejected, UploadLost):
        told.refuse("tags", "this service does not tell")
    except S3Error as error:
        told.refuse("tags", "this service does not tell" if error.code == "bad_answer" else str(error))
    else:
        told.add("tags", dict(parse_qsl(tags, keep_blank_values=True)))


def _moment(text: str | None) -> int | None:
    try:
        return parse_http_date(text) if text else None
    except ValueError:
        return None
