"""Requester pays: says with every request that takes it that this account pays for it, where the owner does not.

Amazon S3 user guide, "Downloading objects from Requester Pays buckets". Which operations take the header is what the
S3 API reference says of each (`x-amz-request-payer`).
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from headrace_daemon.s3.engine import Arriving, Buffer, Response
from headrace_daemon.s3.request import Request, Sending, Signatory, Trace

T = TypeVar("T")

HEADER: Final = "x-amz-request-payer"
REQUESTER: Final = "requester"
TAKES_IT: Final = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutObject",
        "RestoreObject",
        "UploadPart",
        "UploadPartCopy",
    }
)
"""Of those that read and write objects. A copy pays for its source and its destination by the same header."""


class Paying:
    """The way to a remote whose account pays."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    def small(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> Awaitable[T]:
        return self._sending.small(_paid(request), interpret)

    def stream(self, request: Request, consume: Callable[[Arriving, Trace], Awaitable[T]]) -> Awaitable[T]:
        return self._sending.stream(_paid(request), consume)

    async def signatory(self, bucket: str) -> Signatory:
        return await self._sending.signatory(bucket)

    async def prepare(self) -> None:
        await self._sending.prepare()

    async def close(self) -> None:
        await self._sending.close()


def _paid(request: Request) -> Request:
    if request.operation not in TAKES_IT:
        return request
    return request._replace(headers={**(request.headers or {}), HEADER: REQUESTER})
