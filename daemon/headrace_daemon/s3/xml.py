"""S3's XML documents, read and written. Whatever a server sends is hostile: no entities, no DTD, no network.

Services answer with Amazon's namespace, with another, or with none; names are compared without it.
"""

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from lxml import etree

from headrace_daemon.s3.engine import Buffer
from headrace_queue.jobs import PartRecord

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
HARDENED: Final[dict[str, Any]] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


class MalformedXml(Exception):
    """The body is not one of S3's documents."""


class ErrorBody(NamedTuple):
    """An <Error>; texts are '' and region None where it does not say. storage_class: of an object that is archived, or
    its access tier."""

    code: str
    message: str
    region: str | None
    storage_class: str = ""


class PartsPage(NamedTuple):
    """One answer of ListParts. next: the part number marker to go on from, None at the end."""

    parts: list[PartRecord]
    next: str | None


def parse(body: Buffer) -> etree._Element:
    """The root element. Raises MalformedXml, also for a document with a DOCTYPE, which S3 never sends."""
    # a new parser each time: a shared one keeps the names of all documents ever seen in its dictionary
    parser = etree.XMLParser(**HARDENED)
    try:
        root = etree.fromstring(bytes(body), parser)
    except etree.XMLSyntaxError as error:
        raise MalformedXml(str(error)) from error
    refuse_doctype(root)
    return root


def refuse_doctype(element: etree._Element) -> None:
    """Raises MalformedXml where the element's document has a DOCTYPE, the door to entities."""
    doctype: str = getattr(element.getroottree().docinfo, "doctype", "")  # the library's stubs do not know it
    if doctype:
        raise MalformedXml("a document type definition")


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace; '' for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def texts(element: etree._Element) -> dict[str, str]:
    """The texts of the direct children by name; the last one where a name occurs twice."""
    return {local_name(child): child.text or "" for child in element}


def bare_etag(text: str | None) -> str:
    """An ETag without quotes and without the mark of a weak one."""
    return text.removeprefix("W/").strip('"') if text else ""


# -- times ----------------------------------------------------------------------------------------------------------


_MILLISECOND = 1_000_000


@functools.lru_cache(maxsize=8192)
def _minute(text: str) -> int:
    """`2026-01-01T12:34:` as nanoseconds since the epoch."""
    return _nanoseconds(datetime.fromisoformat(f"{text}00+00:00"))


# neighbours in a listing were often written together, and S3 tells whole seconds
@functools.lru_cache(maxsize=8192)
def parse_time(text: str) -> int:
    """LastModified of a listing, `2026-01-01T12:34:56.789Z`, as nanoseconds since the epoch. Raises ValueError."""
    if len(text) == 24 and text[16] == ":" and text[19] == "." and text[23] == "Z":
        return _minute(text[:17]) + int(text[17:19] + text[20:23]) * _MILLISECOND
    moment = datetime.fromisoformat(text)
    return _nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@functools.lru_cache(maxsize=4096)
def parse_http_date(text: str) -> int:
    """Last-Modified or Date of a header as nanoseconds since the epoch. Raises ValueError."""
    moment = parsedate_to_datetime(text)
    return _nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _nanoseconds(moment: datetime) -> int:
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


# -- the other answers ----------------------------------------------------------------------------------------------


def parse_error(body: Buffer) -> ErrorBody | None:
    """The <Error> in a body, None where it is anything else: HTML of a proxy, nothing at all."""
    try:
        root = parse(body)
    except MalformedXml:
        return None
    return _error_in(root)


def _error_in(root: etree._Element) -> ErrorBody | None:
    if local_name(root) != "Error":
        return None
    fields = texts(root)
    place = fields.get("AccessTier") or fields.get("StorageClass", "")
    return ErrorBody(fields.get("Code", ""), fields.get("Message", ""), fields.get("Region") or None, place)


def parse_result(body: Buffer, field: str) -> dict[str, str] | ErrorBody:
    """The fields of a result, `field` among them: services do not agree on what the document itself is called. Or the
    <Error> that came in its place.

    Raises MalformedXml where the field is missing or empty.
    """
    root = parse(body)
    error = _error_in(root)
    if error is not None:
        return error
    fields = texts(root)
    if not fields.get(field):
        raise MalformedXml(f"<{local_name(root)}> without {field}")
    return fields


def parse_parts(body: Buffer) -> PartsPage:
    """One answer of ListParts. Raises MalformedXml."""
    root = parse(body)
    if local_name(root) not in ("ListPartsResult", "ListPartsResponse"):
        raise MalformedXml(f"<{local_name(root)}> in place of <ListPartsResult>")
    try:
        parts = [_part(texts(child)) for child in root if local_name(child) == "Part"]
    except (KeyError, ValueError) as error:
        raise MalformedXml(f"a part without {error}") from error
    head = texts(root)
    more = head.get("IsTruncated", "").lower() == "true"
    return PartsPage(parts, head.get("NextPartNumberMarker") or None if more else None)


def _part(fields: dict[str, str]) -> PartRecord:
    return PartRecord(
        int(fields["PartNumber"]), int(fields["Size"]), bare_etag(fields["ETag"]), fields.get("ChecksumCRC64NVME", "")
    )


def parse_deleted(body: Buffer) -> dict[str, ErrorBody]:
    """The keys that DeleteObjects could not delete, each with its error. Raises MalformedXml."""
    root = parse(body)
    if local_name(root) != "DeleteResult":
        raise MalformedXml(f"<{local_name(root)}> in place of <DeleteResult>")
    failed: dict[str, ErrorBody] = {}
    for child in root:
        if local_name(child) == "Error":
            fields = texts(child)
            failed[fields.get("Key", "")] = ErrorBody(fields.get("Code", ""), fields.get("Message", ""), None)
    return failed


# -- requests -------------------------------------------------------------------------------------------------------


def build_complete(parts: Iterable[PartRecord]) -> bytes:
    """CompleteMultipartUpload, parts in ascending order as S3 demands."""
    root = etree.Element("CompleteMultipartUpload", xmlns=NAMESPACE)
    for part in sorted(parts):
        element = etree.SubElement(root, "Part")
        etree.SubElement(element, "PartNumber").text = str(part.number)
        etree.SubElement(element, "ETag").text = f'"{part.etag}"'
    return etree.tostring(root)


def build_delete(keys: Iterable[str]) -> bytes:
    """Delete, quiet: only failures are answered. Raises ValueError for a key that XML cannot carry, see is_xml_text."""
    root = etree.Element("Delete", xmlns=NAMESPACE)
    etree.SubElement(root, "Quiet").text = "true"
    for key in keys:
        etree.SubElement(etree.SubElement(root, "Object"), "Key").text = key
    return etree.tostring(root, encoding="utf-8")


def is_xml_text(text: str) -> bool:
    """Whether XML 1.0 carries this text unchanged: no control characters (a carriage return becomes a line feed)."""
    return not any(c < " " or c in "\x7f\ufffe\uffff" for c in text)


def build_location(region: str) -> bytes:
    """CreateBucketConfiguration."""
    root = etree.Element("CreateBucketConfiguration", xmlns=NAMESPACE)
    etree.SubElement(root, "LocationConstraint").text = region
    return etree.tostring(root)
