"""Gives a customer's key (SSE-C) to every request that S3 asks it of, and to no other, and sees that it was used."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from headrace_daemon.s3.customer_key import CustomerKey
from headrace_daemon.s3.engine import Arriving, Buffer, Response
from headrace_daemon.s3.errors import AccessDenied, NotEncrypted, NotSupported, Rejected, S3Error
from headrace_daemon.s3.request import Request, Sending, Signatory, Trace

T = TypeVar("T")

_OF_OBJECT: Final = frozenset(
    {
        "HeadObject",
        "GetObject",
        "PutObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        # S3 asks for it there because a checksum algorithm is named (API reference)
        "ListParts",
        "CompleteMultipartUpload",
    }
)
_OF_SOURCE: Final = frozenset({"CopyObject", "UploadPartCopy"})
_SENDS_BYTES: Final = frozenset({"PutObject", "UploadPart"})
_USED: Final = "x-amz-server-side-encryption-customer-algorithm"
"""In an answer: the key was used. A service that knows no SSE-C passes over its headers, and stores plain bytes."""


class _Trust:
    """Whether a service uses the key. Until one request has shown it, the others of its kind wait."""

    def __init__(self) -> None:
        self.first = asyncio.Lock()
        self.refusal: S3Error | None = None
        self._earned = False

    def earn(self) -> None:
        self._earned = True

    def is_earned(self) -> bool:
        return self._earned


class Sealed:
    """The way to a remote whose objects have this key. source_key: of the objects that it copies from."""

    def __init__(self, sending: Sending, key: CustomerKey | None, source_key: CustomerKey | None) -> None:
        self._sending = sending
        self._key = key
        self._source_key = source_key
        self._trusts = {_SENDS_BYTES: _Trust(), _OF_SOURCE: _Trust()} if key is not None else {}

    async def small(self, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> T:
        """Raises NotEncrypted where bytes went to a service that does not say that it used the key, NotSupported for
        such a copy; else as Pipeline does."""
        trust = next((trust for kind, trust in self._trusts.items() if request.operation in kind), None)
        if trust is None or trust.is_earned():
            return await self._sending.small(self._with_keys(request), interpret)
        async with trust.first:
            if trust.refusal is not None:
                raise trust.refusal
            if not trust.is_earned():
                return await self._earn(trust, request, interpret)
        return await self._sending.small(self._with_keys(request), interpret)

    async def _earn(self, trust: _Trust, request: Request, interpret: Callable[[Response, Buffer, str], T]) -> T:
        said = False

        def read(response: Response, body: Buffer, endpoint: str) -> T:
            nonlocal said
            said = response.header(_USED) is not None
            return interpret(response, body, endpoint)

        result = await self._sending.small(self._with_keys(request), read)
        if not said and not await self._is_sealed_copy(request):
            kind = NotEncrypted if request.operation in _SENDS_BYTES else NotSupported
            trust.refusal = kind("not_encrypted", f"{request.key} was sent with a key, which was not used")
            raise trust.refusal
        trust.earn()
        return result

    async def _is_sealed_copy(self, request: Request) -> bool:
        """SeaweedFS encrypts a copy and does not say so: a request without the key shows it."""
        if request.operation != "CopyObject":
            return False
        try:
            await self._sending.small(Request("HeadObject", "HEAD", request.bucket, request.key), lambda *_: None)
        except Rejected:
            return True
        except AccessDenied:
            pass  # which says nothing of keys
        return False

    async def stream(self, request: Request, consume: Callable[[Arriving, Trace], Awaitable[T]]) -> T:
        return await self._sending.stream(self._with_keys(request), consume)

    async def signatory(self, bucket: str) -> Signatory:
        return await self._sending.signatory(bucket)

    async def prepare(self) -> None:
        await self._sending.prepare()

    async def close(self) -> None:
        await self._sending.close()

    def _with_keys(self, request: Request) -> Request:
        keys: dict[str, str] = {}
        for key, operations in ((self._key, _OF_OBJECT), (self._source_key, _OF_SOURCE)):
            if key is not None and request.operation in operations:
                headers: Mapping[str, str] = key.of_object if operations is _OF_OBJECT else key.of_source
                keys.update(headers)
        return request._replace(headers={**(request.headers or {}), **keys}) if keys else request
