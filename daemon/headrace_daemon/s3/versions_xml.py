"""ListObjectVersions' answers read, and put into the order that S3 promises: by key, the newest version first."""

from itertools import groupby, pairwise
from typing import NamedTuple
from urllib.parse import unquote_plus

from lxml import etree

from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.xml import MalformedXml, bare_etag, local_name, parse, parse_time, texts

_VERSION = "Version"
_MARKER = "DeleteMarker"


class ListedVersion(NamedTuple):
    """One version of an object, or a delete marker (size 0, no ETag). mtime_ns: of a whole second."""

    key: str
    version: str
    mtime_ns: int
    is_latest: bool
    is_marker: bool
    size: int = 0
    etag: str = ""


class VersionsPage(NamedTuple):
    """One answer. next: key and version id with which the next one begins, None at the end. server: what the service
    calls itself."""

    versions: list[ListedVersion]
    next: tuple[str, str] | None
    server: str = ""


def parse_versions(body: Buffer, *, encoded: bool) -> VersionsPage:
    """One answer of ListObjectVersions. encoded: encoding-type=url was asked for; it holds where the answer says so.

    Raises MalformedXml, also for the answer of a service that took it for another listing.
    """
    root = parse(body)
    if local_name(root) != "ListVersionsResult":
        raise MalformedXml(f"<{local_name(root)}> in place of a list of versions")
    head = {local_name(child): child.text or "" for child in root.iterchildren() if not len(child)}
    decode = encoded and head.get("EncodingType", "").lower() == "url"
    try:
        found = [_version(child, decode=decode) for child in root if local_name(child) in (_VERSION, _MARKER)]
    except ValueError as error:
        raise MalformedXml(str(error)) from error
    if head.get("IsTruncated", "").lower() != "true":
        return VersionsPage(in_order(found), None)
    key, version = head.get("NextKeyMarker", ""), head.get("NextVersionIdMarker", "")
    if not key:
        raise MalformedXml("the list of versions is cut off, and does not say how to go on")
    return VersionsPage(in_order(found), (unquote_plus(key) if decode else key, version))


def in_order(found: list[ListedVersion]) -> list[ListedVersion]:
    """By key, of each the newest first. Pure.

    S3 sends them so (user guide, "Listing objects in a versioning-enabled bucket"): the latest stored first, which is
    not always the one with the latest time, for an upload in parts is as old as its beginning. Such a page is left as
    it is. Other services (moto, SeaweedFS) send all versions and then all delete markers; those are sorted by time,
    behind the latest one, which they name.
    """
    if _is_in_order(found):
        return found
    return sorted(found, key=lambda one: (one.key, not one.is_latest, -one.mtime_ns))


def _is_in_order(found: list[ListedVersion]) -> bool:
    keys = [one.key for one in found]
    if any(one > other for one, other in pairwise(keys)):
        return False
    pairs = [(one, other) for one, other in pairwise(found) if one.key == other.key]
    if any(other.is_latest for _, other in pairs):
        return False
    apart = sum(1 for _ in groupby(found, key=lambda one: one.is_marker)) == 2
    return not (apart and any(one.mtime_ns < other.mtime_ns for one, other in pairs))


def _version(element: etree._Element, *, decode: bool) -> ListedVersion:
    fields = texts(element)
    key, is_marker = fields.get("Key", ""), local_name(element) == _MARKER
    if not key:
        raise ValueError("a version without a key")
    return ListedVersion(
        unquote_plus(key) if decode else key,
        fields.get("VersionId", "") or "null",
        parse_time(fields.get("LastModified", "")),
        fields.get("IsLatest", "").lower() == "true",
        is_marker,
        0 if is_marker else int(fields.get("Size", "")),
        "" if is_marker else bare_etag(fields.get("ETag")),
    )
