"""HEAD and GET: what is read is believed only where it is exactly what was asked for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from headrace_daemon.s3.describe import content_range, object_info
from headrace_daemon.s3.engine import Arriving, Buffer, Response, Seen, unseen
from headrace_daemon.s3.errors import (
    NotSupported,
    PreconditionFailed,
    S3Error,
    ServerFault,
    TransportError,
)
from headrace_daemon.s3.operations import Operations, quoted_etag, version_query
from headrace_daemon.s3.request import Request, Trace
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.s3.xml import bare_etag

T = TypeVar("T")


class _CallerFailed(Exception):
    """Carries an error of the consumer through the pipeline, which must not take it for the endpoint's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class RangeBody:
    """The bytes of a range, counted against what was asked for: taken in chunks by iterating, or by into().

    failure: why the service broke them off.
    """

    def __init__(self, response: Arriving, size: int, chunk: int, trace: Trace) -> None:
        self._response = response
        self._chunks = response.chunks(chunk)
        self._left = size
        self._trace = trace
        self.failure: S3Error | None = None

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self

    async def __anext__(self) -> Buffer:
        try:
            chunk = await anext(self._chunks)
            self._count(len(chunk))
        except StopAsyncIteration:
            self.check()
            raise
        except S3Error as error:
            self.failure = error
            raise
        return chunk

    async def into(self, buffer: memoryview, seen: Seen = unseen) -> int:
        """The next bytes, as many as the buffer holds, fewer only at the range's end; how many. seen: as Arriving.into
        has it."""
        try:
            count = await self._response.into(buffer, seen)
            self._count(count)
        except S3Error as error:
            self.failure = error
            raise
        if count < len(buffer):
            self.check()
        return count

    async def check_end(self) -> None:
        """Raises TransportError where more or fewer bytes came than were asked for."""
        self.check()
        await self.into(memoryview(bytearray(1)))

    def check(self) -> None:
        """Raises TransportError unless every byte came by."""
        if self._left:
            self.failure = TransportError("truncated", f"{self._left} bytes of the range did not come")
            raise self.failure

    def _count(self, received: int) -> None:
        self._left -= received
        self._trace.received += received
        self._trace.place.pool.arriving(self._trace.endpoint)
        if self._left < 0:
            raise TransportError("too_long", f"{-self._left} bytes more than the range holds")


class Reading(Operations):
    """HEAD and GET. version: a version id, '' for the current one.

    All raise NotSupported where the service does not answer with the version that was asked for.
    """

    async def head(self, bucket: str, key: str, *, version: str = "") -> ObjectInfo:
        """Raises NotFound, AccessDenied and other S3Errors."""
        request = Request("HeadObject", "HEAD", bucket, key, version_query(version), self._asking({}))

        def described(response: Response, body: Buffer, endpoint: str) -> ObjectInfo:
            check_version(response, version)
            return self._described(response, body, endpoint)

        return await self._head(request, described)

    async def get(
        self, bucket: str, key: str, *, size: int = 0, if_match: str | None = None, version: str = ""
    ) -> tuple[ObjectInfo, Buffer]:
        """A small object whole, in one request, its length checked. size: in bytes, as far as it is known; another one
        is no error. if_match: an ETag without quotes.

        Raises NotFound, PreconditionFailed where the ETag is another by now, and other S3Errors.
        """
        headers = self._asking({"if-match": quoted_etag(if_match)} if if_match else {})

        def checked(response: Response, body: Buffer, endpoint: str) -> tuple[ObjectInfo, Buffer]:
            if response.status != 200:
                raise ServerFault("unexpected_status", f"GET was answered with {response.status}", response.status)
            check_version(response, version)
            _check_length(response, len(body))
            info = object_info(response, len(body), endpoint, self.profile)
            if if_match and info.etag != if_match:
                raise PreconditionFailed("etag_changed", f"ETag {info.etag} in place of {if_match}", response.status)
            return info, body

        return await self._pipeline.small(
            Request("GetObject", "GET", bucket, key, version_query(version), headers, expected=size), checked
        )

    async def get_range(
        self,
        bucket: str,
        key: str,
        start: int,
        end: int,
        *,
        if_match: str,
        total: int,
        consume: Callable[[RangeBody, str], Awaitable[T]],
        chunk: int = 1 << 20,
        version: str = "",
    ) -> T:
        """Bytes `start` to `end` (exclusive) of an object of `total` bytes, handed to `consume` with the endpoint's
        URL, in chunks of `chunk` bytes where it iterates, and again from the first one after a failure on the wire.

        Believed only with exactly this Content-Range, this ETag (if_match, without quotes) and this many bytes; a
        status 200 counts as check_range says. Raises PreconditionFailed where the object is another by now,
        other S3Errors, ValueError for an empty range, and what `consume` raises.
        """
        if not 0 <= start < end <= total:
            raise ValueError(f"no range: {start} to {end} of {total}")
        headers = {"range": f"bytes={start}-{end - 1}", "if-match": quoted_etag(if_match)}

        async def receive(response: Arriving, trace: Trace) -> T:
            check_range(response, start, end, total, if_match)
            check_version(response, version)
            body = RangeBody(response, end - start, chunk, trace)
            try:
                result = await consume(body, trace.endpoint.url)
            except Exception as error:
                if body.failure is not None:
                    raise body.failure from error
                raise _CallerFailed(error) from error
            await body.check_end()
            return result

        try:
            request = Request("GetObject", "GET", bucket, key, version_query(version), headers)
            return await self._pipeline.stream(request, receive)
        except _CallerFailed as failed:
            error = failed.error
        raise error

    def _asking(self, headers: dict[str, str]) -> dict[str, str]:
        if self.profile.checksums:
            headers["x-amz-checksum-mode"] = "ENABLED"
        return headers

    def _described(self, response: Response, _body: Buffer, endpoint: str) -> ObjectInfo:
        length = response.header("content-length")
        if length is None or not length.isdecimal():
            raise ServerFault("no_length", "the answer to HEAD names no content-length", response.status)
        return object_info(response, int(length), endpoint, self.profile)


def check_version(response: Response, version: str) -> None:
    """Raises NotSupported where another version came than was asked for: `rclone serve s3` gives the current one.

    A bucket that never had versions calls what it holds `null` and does not always say so.
    """
    given = response.header("x-amz-version-id")
    if version and given != version and (version, given) != ("null", None):
        raise NotSupported("no_versions", f"version {version} was asked for, {given or 'none'} was given", 200)


def _check_length(response: Response, received: int) -> None:
    length = response.header("content-length")
    if length is not None and length != str(received):
        raise TransportError("truncated", f"{received} bytes came, {length} were announced", response.status)
    if length is None and response.header("transfer-encoding") is None:
        # such a body ends where the connection does: nothing tells a whole one from the beginning of one
        raise TransportError("no_length", "the answer does not say how long it is", response.status)


def check_range(response: Response, start: int, end: int, total: int, etag: str) -> None:
    """Whether the answer's head is exactly what was asked for. Raises PreconditionFailed for another object,
    ServerFault for another range.

    A 200 counts where it says by Content-Range that it is this very range (rclone does), or the range is the object.
    """
    found = bare_etag(response.header("etag"))
    if found != etag:
        raise PreconditionFailed("etag_changed", f"ETag {found} in place of {etag}", response.status)
    given = content_range(response.header("content-range")) if response.status in (200, 206) else None
    if given is None and response.status == 200 and (start, end) == (0, total):
        given = (0, total, total)
    if given is not None and given[2] != total:
        raise PreconditionFailed("size_changed", f"{given[2]} bytes in place of {total}", response.status)
    if given != (start, end, total):
        raise ServerFault(
            "wrong_range",
            f"status {response.status}, {response.header('content-range')} for bytes {start}-{end - 1}/{total}",
            response.status,
        )
