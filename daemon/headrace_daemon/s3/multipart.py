"""Multipart uploads: an object sent or copied in parts, which S3 then joins."""

from collections.abc import Sequence
from typing import Final

from headrace_daemon.s3.describe import is_opaque, write_headers
from headrace_daemon.s3.engine import Body, Buffer, Response
from headrace_daemon.s3.errors import NotFound, NotSupported, ObjectLocked, Rejected, ServerFault, UploadLost
from headrace_daemon.s3.locks import Locks
from headrace_daemon.s3.operations import CRC, copy_source, result_of, written
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.types import PutResult, WriteOptions
from headrace_daemon.s3.xml import (
    MalformedXml,
    PartsPage,
    bare_etag,
    build_complete,
    local_name,
    parse,
    parse_parts,
    texts,
)
from headrace_queue.jobs import PartRecord

_FULL_OBJECT: Final = {"x-amz-checksum-type": "FULL_OBJECT"}
_ALGORITHM: Final = {"x-amz-checksum-algorithm": "CRC64NVME", **_FULL_OBJECT}


class Multipart(Locks):
    """Upload ids hold on every endpoint of the remote."""

    async def create_multipart(self, bucket: str, key: str, options: WriteOptions, *, checksums: bool = True) -> str:
        """The id of a new upload. checksums: parts will bring theirs, where the service has that. Raises S3Error."""
        headers = write_headers(options, self.profile)
        headers.pop("if-none-match", None)  # the condition is Complete's
        if not (checksums and self.profile.checksums):
            return await self._create(bucket, key, headers)
        try:
            return await self._create(bucket, key, headers | _ALGORITHM)
        except (Rejected, NotSupported):
            # a service that does not know the algorithm: parts still carry their checksum as a plain header
            return await self._create(bucket, key, headers)

    async def _create(self, bucket: str, key: str, headers: dict[str, str]) -> str:
        request = Request("CreateMultipartUpload", "POST", bucket, key, (("uploads", ""),), headers)
        return await self._pipeline.small(request, _upload_id)

    async def upload_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: Body, *, size: int, crc64nvme: str
    ) -> PutResult:
        """One part; number counts from 1. crc64nvme: base64 of its bytes'. Raises UploadLost, BadDigest, S3Error."""
        request = Request(
            "UploadPart",
            "PUT",
            bucket,
            key,
            _part_query(upload_id, number),
            self._body_headers(body, size, crc64nvme),
            body,
            size,
        )
        return await self._pipeline.small(request, written)

    async def copy_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        source_bucket: str,
        source_key: str,
        start: int,
        end: int,
        *,
        source_etag: str,
        source_version: str = "",
    ) -> PutResult:
        """Bytes `start` to `end` (exclusive) of another object of the service as one part. Raises NotSupported where
        the service will not copy, PreconditionFailed where the source is another by now, other S3Errors."""
        headers = copy_source(source_bucket, source_key, source_etag, source_version)
        headers["x-amz-copy-source-range"] = f"bytes={start}-{end - 1}"
        request = Request("UploadPartCopy", "PUT", bucket, key, _part_query(upload_id, number), headers)
        return await self._copied(request)

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartRecord]:
        """What the service holds of an upload. Raises UploadLost, NotSupported, other S3Errors."""
        if not self.profile.list_parts:
            raise NotSupported("no_list_parts", f"services of kind {self.profile.name} do not list parts")
        parts: list[PartRecord] = []
        marker: str | None = "0"
        while marker is not None:
            query = (("max-parts", "1000"), ("part-number-marker", marker), ("uploadId", upload_id))
            page = await self._pipeline.small(Request("ListParts", "GET", bucket, key, query), _parts)
            parts += page.parts
            if page.next is not None and int(page.next) <= int(marker):
                raise ServerFault("bad_answer", "the list of parts does not go on", 200)
            marker = page.next
        return parts

    async def uploads_of(self, bucket: str, key: str) -> list[str]:
        """The ids of the uploads of exactly this key that are neither complete nor given up, up to 1,000; none where
        the service does not list them. Raises S3Error where it refuses otherwise."""

        def read(response: Response, body: Buffer, endpoint: str) -> list[str]:
            try:
                root = parse(body)
            except MalformedXml:
                return []
            found = [texts(upload) for upload in root if local_name(upload) == "Upload"]
            return [upload["UploadId"] for upload in found if upload.get("Key") == key and upload.get("UploadId")]

        query = (("max-uploads", "1000"), ("prefix", key), ("uploads", ""))
        try:
            return await self._pipeline.small(Request("ListMultipartUploads", "GET", bucket, query=query), read)
        except (NotFound, NotSupported, Rejected, UploadLost):
            return []  # as of Remote.unfinished_uploads

    async def complete_multipart(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[PartRecord],
        *,
        size: int,
        crc64nvme: str,
        if_none_match: bool = False,
    ) -> PutResult:
        """Joins the parts. size and crc64nvme (base64, '' where unknown): of the whole object, which the service checks
        where its profile has that.

        Raises UploadLost, also where an earlier Complete worked and only its answer was lost; PreconditionFailed,
        BadDigest, ServerFault for an error inside a 200, other S3Errors.
        """
        headers = {"content-type": "application/xml"}
        if self.profile.checksums and crc64nvme:
            headers |= {CRC: crc64nvme, **_FULL_OBJECT}
        if self.profile.mpu_object_size:
            headers["x-amz-mp-object-size"] = str(size)
        if if_none_match and self.profile.conditional_writes:
            headers["if-none-match"] = "*"
        body = build_complete(parts)
        query = (("uploadId", upload_id),)
        request = Request("CompleteMultipartUpload", "POST", bucket, key, query, headers, body, len(body))
        try:
            return await self._pipeline.small(request, _completed)
        except ObjectLocked as error:
            await self._tell_lock(error, bucket, key)
            raise

    async def abort_multipart(self, bucket: str, key: str, upload_id: str) -> None:
        """Gives an upload up; one that is gone already is fine. Raises S3Error."""
        request = Request("AbortMultipartUpload", "DELETE", bucket, key, (("uploadId", upload_id),))
        try:
            await self._pipeline.small(request, lambda *_: None)
        except (UploadLost, NotFound):
            return


def _part_query(upload_id: str, number: int) -> tuple[tuple[str, str], ...]:
    return ("partNumber", str(number)), ("uploadId", upload_id)


def _upload_id(response: Response, body: Buffer, _endpoint: str) -> str:
    try:
        return result_of(body, "UploadId", response.status)["UploadId"]
    except MalformedXml as error:
        raise ServerFault("bad_answer", str(error), response.status) from error


def _parts(response: Response, body: Buffer, _endpoint: str) -> PartsPage:
    try:
        return parse_parts(body)
    except MalformedXml as error:
        raise ServerFault("bad_answer", str(error), response.status) from error


def _completed(response: Response, body: Buffer, endpoint: str) -> PutResult:
    try:
        fields = result_of(body, "ETag", response.status)
    except MalformedXml as error:
        raise ServerFault("bad_answer", str(error), response.status) from error
    crc = fields.get("ChecksumCRC64NVME") or response.header(CRC) or ""
    return PutResult(bare_etag(fields.get("ETag")), crc, endpoint, is_opaque(response))
