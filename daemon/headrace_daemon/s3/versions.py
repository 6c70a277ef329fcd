"""ListObjectVersions and GetBucketVersioning: what a bucket keeps of its past."""

from headrace_daemon.s3.engine import Buffer, Response
from headrace_daemon.s3.errors import NotFound, NotSupported, Rejected, ServerFault
from headrace_daemon.s3.operations import Operations
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.versions_xml import ListedVersion, VersionsPage, parse_versions
from headrace_daemon.s3.xml import MalformedXml, parse, texts


class Versions(Operations):
    """The versions of the objects of a bucket."""

    async def list_versions(
        self, bucket: str, prefix: str, *, after: str = "", token: tuple[str, str] | None = None
    ) -> VersionsPage:
        """Up to 1,000 versions and delete markers below `prefix`: by key, of each the newest first.

        token: of the page before; without one the listing starts behind the key `after`, which some services send once
        more. Raises NotSupported where the service lists no versions, NoSuchBucket and other S3Errors.
        """
        if not self.profile.versions:
            raise NotSupported("no_versions", f"services of kind {self.profile.name} keep no versions")
        query = [("versions", ""), ("prefix", prefix), ("max-keys", "1000")]
        if self.profile.encodes_keys:
            query.append(("encoding-type", "url"))
        key, version = token or (after, "")
        query += [(name, value) for name, value in (("key-marker", key), ("version-id-marker", version)) if value]

        def read(response: Response, body: Buffer, _endpoint: str) -> VersionsPage:
            try:
                found = parse_versions(body, encoded=self.profile.encodes_keys)
            except MalformedXml as error:
                raise NotSupported("no_versions", str(error), response.status) from error
            if found.next == (key, version):
                raise ServerFault("bad_listing", "the list of versions does not go on", response.status)
            return found._replace(server=response.header("server") or "")

        try:
            return await self._pipeline.small(Request("ListObjectVersions", "GET", bucket, query=tuple(query)), read)
        except NotSupported as error:
            why = f"the service does not list the versions of {bucket} ({error.message})"
            raise NotSupported("no_versions", why, error.status) from error

    async def version_at(self, bucket: str, key: str, as_of_ns: int) -> ListedVersion | None:
        """Of one object, what was current at this instant; None where there was none. Raises as list_versions."""
        token: tuple[str, str] | None = None
        while True:
            page = await self.list_versions(bucket, key, token=token)
            for one in page.versions:
                if one.key != key:
                    return None  # they come by key, and this one is the first that the prefix has
                if one.mtime_ns <= as_of_ns:
                    return None if one.is_marker else one
            if page.next is None:
                return None
            token = page.next

    async def versioning(self, bucket: str) -> str:
        """`Enabled`, `Suspended`, or '' for a bucket that never kept versions, and for a service that knows nothing of
        it. Raises AccessDenied without the right to ask, other S3Errors."""

        def read(response: Response, body: Buffer, _endpoint: str) -> str:
            try:
                root = parse(body)
            except MalformedXml:
                return ""
            status = texts(root).get("Status", "")  # whatever the document calls itself
            return status if status in ("Enabled", "Suspended") else ""

        request = Request("GetBucketVersioning", "GET", bucket, query=(("versioning", ""),))
        try:
            return await self._pipeline.small(request, read)
        except (NotFound, NotSupported, Rejected) as error:
            if error.code == "NoSuchBucket":
                raise
            return ""
