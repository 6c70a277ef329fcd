"""PUT, copy and delete of whole objects."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from headrace_daemon.s3.classify import classify_embedded, embedded_error
from headrace_daemon.s3.describe import placement_headers, write_headers
from headrace_daemon.s3.engine import Body, Buffer, Response
from headrace_daemon.s3.errors import AccessDenied, NotFound, ObjectLocked, Rejected, S3Error, ServerFault
from headrace_daemon.s3.locks import Locks
from headrace_daemon.s3.operations import asks_for_md5, copy_source, written
from headrace_daemon.s3.request import Request
from headrace_daemon.s3.types import PutResult, WriteOptions
from headrace_daemon.s3.xml import MalformedXml, build_delete, is_xml_text, parse_deleted, parse_error

DELETE_AT_ONCE: Final = 1000
LOCKS_TOLD: Final = 10
"""Of so many locked objects of one deletion it is asked until when they are: a request each."""


class Writing(Locks):
    """PUT, copy and delete of whole objects."""

    async def put(
        self, bucket: str, key: str, body: Body, *, size: int, crc64nvme: str, options: WriteOptions
    ) -> PutResult:
        """An object in one request. crc64nvme: base64 of the body's, '' where it is not known.

        Raises PreconditionFailed with options.if_none_match where the key exists, BadDigest and other S3Errors.
        """
        headers = write_headers(options, self.profile)
        headers.update(self._body_headers(body, size, crc64nvme))
        if bucket in self._wants_md5:
            headers |= await _md5_header(body)
        request = Request("PutObject", "PUT", bucket, key, headers=headers, body=body, size=size)
        try:
            return await self._pipeline.small(request, written)
        except ObjectLocked as error:
            await self._tell_lock(error, bucket, key)
            raise
        except Rejected as error:
            if "content-md5" in headers or not asks_for_md5(error):
                raise
        self._wants_md5.add(bucket)
        again = request._replace(headers={**headers, **await _md5_header(body)})
        return await self._pipeline.small(again, written)

    async def copy(
        self,
        bucket: str,
        key: str,
        source_bucket: str,
        source_key: str,
        *,
        source_etag: str,
        options: WriteOptions,
        keep_metadata: bool = True,
        source_version: str = "",
    ) -> PutResult:
        """CopyObject within the service, of exactly the source with this ETag. keep_metadata: options' own metadata and
        headers are left out. Tags of options take the place of the source's; without any, these are kept.

        Raises NotSupported where the service will not copy, PreconditionFailed, S3Error.
        """
        headers = copy_source(source_bucket, source_key, source_etag, source_version)
        headers |= placement_headers(options, self.profile) if keep_metadata else write_headers(options, self.profile)
        headers["x-amz-metadata-directive"] = "COPY" if keep_metadata else "REPLACE"
        if options.tags:
            headers |= {"x-amz-tagging": options.tags, "x-amz-tagging-directive": "REPLACE"}
        try:
            return await self._copied(Request("CopyObject", "PUT", bucket, key, headers=headers))
        except ObjectLocked as error:
            await self._tell_lock(error, bucket, key)
            raise

    async def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, S3Error]:
        """Deletes; the keys that could not be, each with its error. What is not there counts as deleted.

        Raises S3Error where the service did not take the request at all.
        """
        together = [key for key in keys if is_xml_text(key)] if self.profile.delete_many else []
        alone = [key for key in keys if not is_xml_text(key)] if self.profile.delete_many else keys
        failed: dict[str, S3Error] = {}
        for start in range(0, len(together), DELETE_AT_ONCE):
            failed |= await self._delete_many(bucket, together[start : start + DELETE_AT_ONCE])
        for key in alone:
            try:
                await self._delete_one(bucket, key)
            except (AccessDenied, Rejected) as error:
                failed[key] = error
        locked = [(key, refusal) for key, refusal in failed.items() if isinstance(refusal, ObjectLocked)]
        for key, refusal in locked[:LOCKS_TOLD]:
            await self._tell_lock(refusal, bucket, key)
        return failed

    async def _delete_many(self, bucket: str, keys: Sequence[str]) -> dict[str, S3Error]:
        body = build_delete(keys)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")

        def read(response: Response, answer: Buffer, _endpoint: str) -> dict[str, S3Error]:
            error = parse_error(answer)
            if error is not None:
                raise classify_embedded(error, response.status)
            try:
                failed = {key: embedded_error(found) for key, found in parse_deleted(answer).items()}
            except MalformedXml as malformed:
                raise ServerFault("bad_answer", str(malformed), response.status) from malformed
            return {key: error for key, error in failed.items() if not isinstance(error, NotFound)}

        return await self._pipeline.small(
            Request(
                "DeleteObjects",
                "POST",
                bucket,
                query=(("delete", ""),),
                headers={"content-md5": digest, "content-type": "application/xml"},
                body=body,
                size=len(body),
            ),
            read,
        )

    async def _delete_one(self, bucket: str, key: str) -> None:
        try:
            await self._pipeline.small(Request("DeleteObject", "DELETE", bucket, key), lambda *_: None)
        except NotFound as error:
            if error.code == "NoSuchBucket":
                raise


async def _md5_header(body: Body) -> dict[str, str]:
    """Off the loop, for MD5 of 8 MiB takes 11 ms. A body that is made while it is sent has none."""
    if body is None or callable(body):
        return {}
    digest = await asyncio.to_thread(lambda: hashlib.md5(body, usedforsecurity=False).digest())
    return {"content-md5": base64.b64encode(digest).decode("ascii")}
