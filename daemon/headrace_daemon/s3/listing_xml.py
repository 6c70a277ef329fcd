"""Listings read: by columns where they come in pages, as a stream where a service sends everything in one answer."""

import functools
from itertools import starmap
from typing import Final, NamedTuple, cast
from urllib.parse import unquote_plus

from lxml import etree

from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.types import Listed
from headrace_daemon.s3.xml import (
    HARDENED,
    MalformedXml,
    bare_etag,
    local_name,
    parse,
    parse_time,
    refuse_doctype,
    texts,
)

WHOLE_PAGE: Final = 1_000
"""Objects: what is asked for at once, and what S3 gives at most (API reference, ListObjectsV2, MaxKeys)."""


class ListingPage(NamedTuple):
    """What one listing answer says. next: the continuation token or next marker, None where it does not name one."""

    objects: list[Listed]
    truncated: bool
    next: str | None


class _Columns:
    """Compiled paths to the columns of a listing in one namespace: four calls into C read a whole page."""

    def __init__(self, namespace: str) -> None:
        step, names = ("n:", {"n": namespace}) if namespace else ("", None)

        def column(name: str) -> etree.XPath:
            path = f"{step}Contents/{step}{name}/text()"
            return etree.XPath(path, namespaces=names, smart_strings=False)

        self.count = etree.XPath(f"count({step}Contents)", namespaces=names)
        self.fields = tuple(column(name) for name in ("Key", "Size", "LastModified", "ETag"))


@functools.lru_cache(maxsize=16)
def _columns(namespace: str) -> _Columns:
    return _Columns(namespace)


def parse_listing(body: Buffer, *, encoded: bool) -> ListingPage:
    """One answer of ListObjects, V1 or V2. encoded: encoding-type=url was asked for; it holds where the answer says so.

    Raises MalformedXml. About 2 us a key.
    """
    root = parse(body)
    if local_name(root) not in ("ListBucketResult", "ListBucketV2Result"):
        raise MalformedXml(f"<{local_name(root)}> in place of a listing")
    # Contents are skipped here: their children are read by column
    head = {local_name(child): child.text or "" for child in root.iterchildren() if not len(child)}
    decode = encoded and head.get("EncodingType", "").lower() == "url"
    try:
        objects = _listed(root, decode=decode)
    except ValueError as error:
        raise MalformedXml(str(error)) from error
    # continuation tokens are opaque and never encoded; markers are keys
    token = head.get("NextContinuationToken")
    marker = head.get("NextMarker")
    if marker and decode:
        marker = unquote_plus(marker)
    following = token or marker or None
    return ListingPage(objects, _truncated(head.get("IsTruncated"), len(objects), following), following)


def _truncated(said: str | None, objects: int, following: str | None) -> bool:
    """Where an answer does not say it, a full page or the name of a next one counts: to stop there could lose the rest,
    which would then look deleted; to ask once more costs one request."""
    if said:
        return said.lower() == "true"
    return following is not None or objects >= WHOLE_PAGE


def _listed(root: etree._Element, *, decode: bool) -> list[Listed]:
    tag = root.tag
    columns = _columns(tag[1:].partition("}")[0] if tag.startswith("{") else "")
    keys, sizes, times, etags = (cast("list[str]", path(root)) for path in columns.fields)
    if not len(keys) == len(sizes) == len(times) == len(etags) == int(cast(float, columns.count(root))):
        # a field is missing or empty somewhere (some services send no ETag): columns would shift against each other
        return [_listed_one(texts(child), decode=decode) for child in root if local_name(child) == "Contents"]
    if decode:
        keys = [unquote_plus(key) if "%" in key or "+" in key else key for key in keys]
    rows = zip(keys, map(int, sizes), map(parse_time, times), [etag.strip('"') for etag in etags], strict=True)
    return list(starmap(Listed, rows))


def _listed_one(fields: dict[str, str], *, decode: bool) -> Listed:
    key = fields.get("Key", "")
    if not key:
        raise ValueError("an object without a key")
    modified = fields.get("LastModified")
    return Listed(
        unquote_plus(key) if decode else key,
        int(fields.get("Size", "")),
        parse_time(modified) if modified else 0,
        bare_etag(fields.get("ETag")),
    )


class ListingFeed:
    """A listing of any length, parsed as its bytes arrive, for services that send everything in one answer."""

    def __init__(self) -> None:
        self._parser = etree.XMLPullParser(events=("start", "end"), **HARDENED)
        self._root: etree._Element | None = None
        self._truncated = False
        self.objects: list[Listed] = []

    def feed(self, chunk: Buffer) -> None:
        """The next bytes. Raises MalformedXml."""
        try:
            self._parser.feed(bytes(chunk))
            self._take()
        except (etree.XMLSyntaxError, ValueError) as error:
            raise MalformedXml(str(error)) from error

    def take(self) -> list[Listed]:
        """What was read since the last call, so that nobody has to hold a whole listing."""
        taken, self.objects = self.objects, []
        return taken

    def close(self) -> list[Listed]:
        """Everything that was not taken before.

        Raises MalformedXml where the document, or by its own word the listing, is not whole.
        """
        try:
            self._parser.close()
            self._take()
        except (etree.XMLSyntaxError, ValueError) as error:
            raise MalformedXml(str(error)) from error
        if self._truncated:
            raise MalformedXml("the listing is cut off, and this service does not say how to go on")
        return self.objects

    def _take(self) -> None:
        for event, found in self._parser.read_events():
            element = cast(etree._Element, found)
            if self._root is None:
                self._root = self._checked_root(element)
            if event != "end" or element.getparent() is not self._root:
                continue
            name = local_name(element)
            if name == "IsTruncated":
                self._truncated = (element.text or "").strip().lower() == "true"
            elif name == "Contents":
                self.objects.append(_listed_one(texts(element), decode=False))
                # what was read is dropped from the tree, or it would hold the whole listing; not the element itself,
                # to which the parser may still attach the white space behind it
                element.clear()
                while element.getprevious() is not None:
                    del self._root[0]

    @staticmethod
    def _checked_root(element: etree._Element) -> etree._Element:
        refuse_doctype(element)
        if local_name(element) != "ListBucketResult":
            raise MalformedXml(f"<{local_name(element)}> in place of a listing")
        return element
