"""ListObjects as people look at buckets: with folders, storage classes and all that a HEAD tells."""

from typing import NamedTuple
from urllib.parse import unquote_plus

from lxml import etree

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import ServerFault
from headrace_daemon.s3.operations import Operations, version_query
from headrace_daemon.s3.reading import check_version
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.xml import MalformedXml, bare_etag, local_name, parse, parse_time, texts


class Found(NamedTuple):
    """One object, or what a delimiter makes of all keys that go on with it (is_folder; its key ends in the delimiter).
    key is the full key; etag without quotes, storage_class '' where the service does not say."""

    key: str
    is_folder: bool = False
    size: int = 0
    mtime_ns: int = 0
    etag: str = ""
    storage_class: str = ""


class FoundPage(NamedTuple):
    """One page in key order where the service lists so. token: how to ask for the next page; None at the end. server:
    what the service calls itself."""

    found: list[Found]
    token: str | None
    server: str = ""


class Looking(Operations):
    """What is at a place of a bucket."""

    async def look_page(
        self, bucket: str, prefix: str, *, delimiter: str = "", token: str | None = None, limit: int = 1000
    ) -> FoundPage:
        """Up to `limit` objects and folders below `prefix`. token: of the page before.

        For services that paginate. Raises NoSuchBucket and other S3Errors.
        """
        version_2 = self.profile.list_version == 2
        query = [("prefix", prefix), ("max-keys", str(limit))]
        query += [("delimiter", delimiter)] if delimiter else []
        query += [("encoding-type", "url")] if self.profile.encodes_keys else []
        query += [("list-type", "2")] if version_2 else []
        query += [("continuation-token" if version_2 else "marker", token)] if token is not None else []

        def read(response: Response, body: Buffer, _endpoint: str) -> FoundPage:
            try:
                page = parse_found(body, encoded=self.profile.encodes_keys, limit=limit)
            except MalformedXml as error:
                raise ServerFault("bad_listing", str(error), response.status) from error
            return page._replace(server=response.header("server") or "")

        return await self._pipeline.small(Request("ListObjects", "GET", bucket, query=tuple(query)), read)

    async def all_headers(self, bucket: str, key: str, *, version: str = "") -> dict[str, str]:
        """Every header with which the service answers a HEAD of an object, names in lower case.

        version: a version id, '' for the current one. Raises NotFound, AccessDenied, NotSupported
        where another version came, and other S3Errors.
        """
        asking = {"x-amz-checksum-mode": "ENABLED"} if self.profile.checksums else {}
        request = Request("HeadObject", "HEAD", bucket, key, version_query(version), asking)

        def read(response: Response, _body: Buffer, _endpoint: str) -> dict[str, str]:
            check_version(response, version)
            return dict(response.headers())

        return await self._head(request, read)


def parse_found(body: Buffer, *, encoded: bool, limit: int = 1000) -> FoundPage:
    """One answer of ListObjects, V1 or V2. encoded: encoding-type=url was asked for; it holds where the answer says so.

    limit: how many were asked for; so many without a word whether there are more means that there may be. Raises
    MalformedXml.
    """
    root = parse(body)
    if local_name(root) not in ("ListBucketResult", "ListBucketV2Result"):
        raise MalformedXml(f"<{local_name(root)}> in place of a listing")
    head = {local_name(child): child.text or "" for child in root.iterchildren() if not len(child)}
    decode = encoded and head.get("EncodingType", "").lower() == "url"
    try:
        found = [one for child in root if (one := _found(child, decode=decode)) is not None]
    except ValueError as error:
        raise MalformedXml(str(error)) from error
    # each kind comes in order by itself
    found.sort(key=lambda one: one.key)
    return FoundPage(found, _following(head, found, decode=decode, limit=limit))


def _found(element: etree._Element, *, decode: bool) -> Found | None:
    kind = local_name(element)
    if kind not in ("Contents", "CommonPrefixes"):
        return None
    fields = texts(element)
    key = fields.get("Key" if kind == "Contents" else "Prefix", "")
    if not key:
        raise ValueError(f"<{kind}> without a key")
    key = unquote_plus(key) if decode else key
    if kind == "CommonPrefixes":
        return Found(key, is_folder=True)
    modified = fields.get("LastModified")
    return Found(
        key,
        size=int(fields.get("Size", "")),
        mtime_ns=parse_time(modified) if modified else 0,
        etag=bare_etag(fields.get("ETag")),
        storage_class=fields.get("StorageClass", ""),
    )


def _following(head: dict[str, str], found: list[Found], *, decode: bool, limit: int) -> str | None:
    """How to go on; None at the end. A listing that says nothing of its end is asked once more where it is full."""
    token, marker = head.get("NextContinuationToken"), head.get("NextMarker")
    if marker and decode:
        marker = unquote_plus(marker)
    said = head.get("IsTruncated", "").lower()
    truncated = said == "true" if said else bool(token or marker) or len(found) >= limit
    if not truncated:
        return None
    if following := token or marker:
        return following
    if "KeyCount" in head or not found:
        raise MalformedXml("the listing is cut off, and does not say how to go on")
    return found[-1].key
