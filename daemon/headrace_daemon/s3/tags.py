"""Tags and readers of objects, and whether a bucket is a website: what no answer to a GET or HEAD says in full."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import NotFound, NotSupported, Rejected, ServerFault, UploadLost
from headrace_daemon.s3.operations import Operations, version_query
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.xml import MalformedXml, local_name, parse, texts

_AWS: Final = "aws:"
"""How the names of tags begin that AWS alone may write (Amazon S3 user guide, "Categorizing your objects using
tags")."""


class Tagging(Operations):
    """GetObjectTagging, GetObjectAcl and GetBucketWebsite."""

    async def tags(self, bucket: str, key: str, *, version: str = "") -> str:
        """The tags of an object as x-amz-tagging carries them, see as_header(); '' where it has none.

        Raises AccessDenied without the right to read tags, NotFound, NotSupported, other S3Errors.
        """
        query = (("tagging", ""), *version_query(version))
        return await self._pipeline.small(Request("GetObjectTagging", "GET", bucket, key, query), _tags)

    async def reader_groups(self, bucket: str, key: str) -> set[str]:
        """The groups of S3's to which the ACL of an object gives something, such as AllUsers. Raises S3Error."""

        def read(response: Response, body: Buffer, endpoint: str) -> set[str]:
            try:
                root = parse(body)
            except MalformedXml as error:
                raise ServerFault("bad_answer", str(error), response.status) from error
            return {(found.text or "").rpartition("/")[2] for found in root.iter() if local_name(found) == "URI"}

        return await self._pipeline.small(Request("GetObjectAcl", "GET", bucket, key, (("acl", ""),)), read)

    async def is_website(self, bucket: str) -> bool:
        """Whether redirects of single objects do something in this bucket. Raises AccessDenied, other S3Errors."""

        def read(response: Response, body: Buffer, endpoint: str) -> bool:
            try:
                return local_name(parse(body)) == "WebsiteConfiguration"
            except MalformedXml:
                return False  # `rclone serve s3` takes it for a listing

        request = Request("GetBucketWebsite", "GET", bucket, query=(("website", ""),))
        try:
            return await self._pipeline.small(request, read)
        except (NotFound, NotSupported, Rejected, UploadLost):
            return False  # NoSuchWebsiteConfiguration, or a service that has no websites


def as_header(tags: Sequence[tuple[str, str]]) -> str:
    """Tags as x-amz-tagging carries them: like the query of a URL (API reference, PutObject), spaces as %20; without
    those that AWS alone may write."""
    return urlencode([tag for tag in tags if not tag[0].startswith(_AWS)], quote_via=quote, safe="")


def _tags(response: Response, body: Buffer, endpoint: str) -> str:
    try:
        root = parse(body)
    except MalformedXml as error:
        raise ServerFault("bad_answer", str(error), response.status) from error
    if local_name(root) != "Tagging":
        raise NotSupported("no_tags", f"<{local_name(root)}> in place of <Tagging>", response.status)
    found = [texts(tag) for tag in root.iter() if local_name(tag) == "Tag"]
    return as_header([(tag.get("Key", ""), tag.get("Value", "")) for tag in found])
