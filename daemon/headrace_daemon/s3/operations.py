"""What all operations on a remote stand on, and what their answers have in common."""

from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import quote

from headrace_daemon.s3.classify import classify_embedded
from headrace_daemon.s3.describe import is_opaque
from headrace_daemon.s3.engine import Body, Buffer, Response
from headrace_daemon.s3.errors import (
    AccessDenied,
    NotFound,
    NotS3,
    NotSupported,
    ObjectArchived,
    PreconditionFailed,
    Rejected,
    ServerFault,
)
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.request import Request, Sending, Trace
from headrace_daemon.s3.signing import canonical_query, quote_key
from headrace_daemon.s3.types import PutResult
from headrace_daemon.s3.xml import ErrorBody, MalformedXml, bare_etag, parse_result
from headrace_queue.access_points import ARN

T = TypeVar("T")

CRC: Final = "x-amz-checksum-crc64nvme"
_WANTS_MD5: Final = frozenset({"MissingContentMD5", "MissingUploadObjectWithObjectLockHeaders"})


class Operations:
    """The base of every group of operations."""

    def __init__(self, pipeline: Sending, profile: Profile, region: str) -> None:
        self.profile = profile
        self._pipeline = pipeline
        self._region = region
        self._wants_md5: set[str] = set()  # buckets that take nothing without Content-MD5

    async def _head(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> T:
        """Sends a HEAD of an object.

        It has no body: 400 and 403 do not say whether the credentials ended or the key is refused, and 404 not whether
        S3 said it, or a load balancer without a backend. A GET of one byte does, and mends what can be mended on its
        way.
        """
        try:
            return await self._pipeline.small(request, interpret)
        except (Rejected, AccessDenied, NotFound) as error:
            if error.status not in (400, 403, 404):
                raise
        await self._get_one_byte(request)
        try:
            return await self._pipeline.small(request._replace(there=True), interpret)
        except NotS3:
            await self._get_one_byte(request)  # raises NotFound where it was removed meanwhile
            raise

    async def _get_one_byte(self, of: Request) -> None:
        """Returns where the object is there, and raises what S3 says where not."""
        one_byte = {"range": "bytes=0-0"}
        try:
            await self._pipeline.stream(Request("GetObject", "GET", of.bucket, of.key, of.query, one_byte), _unread)
        except ObjectArchived:
            pass  # it is there, only not to be read
        except PreconditionFailed as error:
            if error.status != 416:  # of an empty object: there is no first byte
                raise

    def _body_headers(self, body: Body, size: int, crc64nvme: str) -> dict[str, str]:
        """The headers that go with a body of this size and CRC64NVME ('' where it is not known)."""
        headers: dict[str, str] = {}
        if crc64nvme and self.profile.checksums:
            headers[CRC] = crc64nvme
        if callable(body):
            headers["content-length"] = str(size)
        return headers

    async def _copied(self, request: Request) -> PutResult:
        """Sends a copy and reads its result. Raises NotSupported where the service refuses, or answers without one."""

        def read(response: Response, body: Buffer, endpoint: str) -> PutResult:
            try:
                fields = result_of(body, "ETag", response.status)
            except MalformedXml as error:
                # a service that does not know the header takes it for the upload of nothing (rclone does)
                raise NotSupported("not_copied", f"no copy's result: {error}", response.status) from error
            return PutResult(
                bare_etag(fields["ETag"]), fields.get("ChecksumCRC64NVME", ""), endpoint, is_opaque(response)
            )

        try:
            return await self._pipeline.small(request, read)
        except (AccessDenied, Rejected) as error:
            if isinstance(error, Rejected) and not asks_for_md5(error):
                raise
            raise NotSupported(error.code, error.message, error.status) from error


async def _unread(_response: Response, _trace: Trace) -> None:
    """Its status was all that mattered."""


def written(response: Response, _body: Buffer, endpoint: str) -> PutResult:
    """What the answer to a PUT says. Raises ServerFault where it names no ETag, for nothing could be proved then."""
    etag = bare_etag(response.header("etag"))
    if not etag:
        raise ServerFault("no_etag", "the answer to the upload names no ETag", response.status)
    return PutResult(etag, response.header(CRC) or "", endpoint, is_opaque(response))


def asks_for_md5(error: Rejected) -> bool:
    """Whether a write was refused for want of a digest: a bucket with a default retention asks for one (API reference,
    PutObject), and some services do not count the CRC64NVME that was sent."""
    return error.code in _WANTS_MD5 or (error.code == "InvalidRequest" and "Content-MD5" in error.message)


def result_of(body: Buffer, field: str, status: int) -> dict[str, str]:
    """The result in a 200, with `field`. Raises its typed error where an <Error> came instead, else MalformedXml."""
    found = parse_result(body, field)
    if isinstance(found, ErrorBody):
        raise classify_embedded(found, status)
    return found


def quoted_etag(etag: str) -> str:
    """An ETag as it stands in a condition."""
    return f'"{etag}"'


def copy_source(bucket: str, key: str, etag: str, version: str = "") -> dict[str, str]:
    """The headers that name the source of a copy, exactly what has this ETag. version: '' for the current one."""
    of_version = f"?{canonical_query(version_query(version))}" if version else ""
    # of an access point (API reference, CopyObject): ARN/object/KEY, encoded as a whole
    where = f"{quote(bucket, safe='/~')}/object" if bucket.startswith(ARN) else f"/{bucket}"
    return {
        "x-amz-copy-source": f"{where}/{quote_key(key)}{of_version}",
        "x-amz-copy-source-if-match": quoted_etag(etag),
    }


def version_query(version: str) -> tuple[tuple[str, str], ...]:
    """What names a version of an object in a request; '' is the current one."""
    return (("versionId", version),) if version else ()
