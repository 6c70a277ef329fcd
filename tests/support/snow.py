"""A stand-in for the S3 adapter of an AWS Snowball device, which nobody can buy any more.

From the AWS Snowball Edge developer guide ("Using the S3 adapter", supported API actions): listings are version 1 only,
unsorted, whole, without markers and delimiters; there is no CopyObject, UploadPartCopy, ListParts,
ListMultipartUploads, DeleteObjects, tagging or ACL; no aws-chunked; path style; region `snow`; CreateMultipartUpload
deletes the object that is there; an ETag need not be an MD5; parts are at most 512 MB; user metadata is not kept.
Where the guide is silent: unknown queries are refused, conditions on writes and checksum headers ignored.
"""

import asyncio
import hashlib
import itertools
import secrets
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Keys, S3Server, Tls
from tests.support.acceptor import Listener
from tests.support.sigv4 import Refused, verify
from tests.support.snow_answers import Stored, error, named_parts, read, xml

REGION = "snow"
MAX_PART = 512 * 1000 * 1000
_Query = dict[str, str]


@dataclass(slots=True)
class Upload:
    """A multipart upload that is under way."""

    bucket: str
    key: str
    content_type: str
    parts: dict[int, Stored] = field(default_factory=dict)


class _Server(web.Server):
    """aiohttp's side of connections that somebody else accepts."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None):
        super().__init__(handle)
        self._tls = tls
        self._over: dict[web.RequestHandler, asyncio.Future[None]] = {}

    async def serve(self, connection: socket.socket) -> None:
        """One connection, to its end; cancelled, it is reset."""
        loop = asyncio.get_running_loop()
        handler = self()
        over = self._over[handler] = loop.create_future()
        transport: asyncio.BaseTransport | None = None
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: handler, connection, ssl=self._tls)
            await over
        except OSError:  # the client left, or would not have the certificate
            return
        finally:
            del self._over[handler]
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        over = self._over.get(handler)
        if over is not None and not over.done():
            over.set_result(None)


class FakeSnow(S3Server):
    """The device on a thread of its own: `with FakeSnow(keys) as snow`. Buckets are made with make_bucket.

    endpoints: how many URLs. min_part: the least size of all parts but the last, in bytes. requests: 'METHOD
    /path?query' of all that came, those refused included.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        endpoints: int = 1,
        tls: Tls | None = None,
        min_part: int = 5 * 2**20,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(keys, tls)
        self.region = REGION
        self._endpoints = endpoints
        self._min_part = min_part
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-snow")
        self._server: _Server | None = None
        self._listeners: list[Listener] = []
        self._claim: PortClaim | None = None
        self._serial = itertools.count(1)
        self.buckets: dict[str, dict[str, Stored]] = {}
        self.uploads: dict[str, Upload] = {}
        self.requests: list[str] = []

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
        if self._claim is not None:
            self._claim.release()

    async def _listen(self) -> None:
        context = None
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls.cert_file, self.tls.key_file)
        self._claim = PortClaim(self._endpoints)
        self._server = _Server(self._handle, context)
        for port in self._claim.ports:
            self._listeners.append(Listener(self._server.serve))
            self._listeners[-1].start(port)
        self.endpoint_urls = tuple(self._url(port) for port in self._claim.ports)

    async def _close(self) -> None:
        """The end of the device, without goodbye: an orderly end of TLS would wait for clients that left."""
        for listener in self._listeners:
            await listener.stop()
        if self._server is not None:
            await self._server.shutdown(30)

    def make_bucket(self, name: str) -> None:
        """On the device itself: the adapter has no CreateBucket."""
        self.buckets[name] = {}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        try:
            body = await self._authentic_body(request)
            response = self._route(request, body)
        except Refused as refusal:
            response = error(refusal, request.method)
        response.headers["Server"] = "AWSSnowball"
        return response

    async def _authentic_body(self, request: web.BaseRequest) -> bytes:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()  # read in any case: an answer before the end of a request often never reaches the client
        async for chunk in request.content.iter_any():
            body += chunk
        payload = verify(
            request.method,
            request.raw_path,
            headers,
            access_key=self.keys.access_key,
            secret_key=self.keys.secret_key,
            region=REGION,
            now=self._clock(),
        )
        chunked = "aws-chunked" in headers.get("content-encoding", "") or payload.startswith("STREAMING-")
        if chunked or "transfer-encoding" in headers or "x-amz-decoded-content-length" in headers:
            raise Refused(501, "NotImplemented", "chunked uploads")
        if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            raise Refused(400, "XAmzContentSHA256Mismatch", "the body is not what was signed")
        return bytes(body)

    def _route(self, request: web.BaseRequest, body: bytes) -> web.Response:
        path, _, raw_query = request.raw_path.partition("?")
        bucket, _, raw_key = path.removeprefix("/").partition("/")
        query = {unquote(name): unquote(value) for name, _, value in (p.partition("=") for p in raw_query.split("&"))}
        query.pop("", None)
        query.pop("x-id", None)  # some clients name the operation; services ignore it
        if not bucket:
            return self._list_buckets(request.method)
        if bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket", bucket)
        if not raw_key:
            return self._bucket(request.method, bucket, query)
        for absent in ("x-amz-copy-source", "x-amz-tagging", "x-amz-acl"):
            if absent in request.headers:
                raise Refused(501, "NotImplemented", absent)
        return self._object(request, bucket, unquote(raw_key), query, body)

    def _list_buckets(self, method: str) -> web.Response:
        if method != "GET":
            raise Refused(501, "NotImplemented", method)
        names = "".join(f"<Bucket><Name>{escape(name)}</Name></Bucket>" for name in self.buckets)
        return xml("ListAllMyBucketsResult", f"<Buckets>{names}</Buckets>")

    def _bucket(self, method: str, bucket: str, query: _Query) -> web.Response:
        if method == "HEAD" and not query:
            return web.Response()
        if method != "GET" or set(query) - {"prefix", "max-keys", "encoding-type"}:
            raise Refused(501, "NotImplemented", f"{method} of a bucket with {sorted(query)}")
        prefix = query.get("prefix", "")
        found = [(key, stored) for key, stored in self.buckets[bucket].items() if key.startswith(prefix)]
        found.sort(key=lambda pair: hashlib.sha256(pair[0].encode()).digest())  # any order but that of the keys
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{stored.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{len(stored.body)}</Size></Contents>"
            for key, stored in found
        )
        head = f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
        return xml("ListBucketResult", head + contents)

    def _object(self, request: web.BaseRequest, bucket: str, key: str, query: _Query, body: bytes) -> web.Response:
        match (request.method, sorted(query)):
            case ("PUT", []):
                stored = self._stored(request, body)
                self.buckets[bucket][key] = stored
                return web.Response(headers={"ETag": f'"{stored.etag}"'})
            case ("GET" | "HEAD", []):
                return read(request, self._lookup(bucket, key))
            case ("DELETE", []):
                self.buckets[bucket].pop(key, None)
                return web.Response(status=204)
            case ("POST", ["uploads"]):
                return self._create_upload(request, bucket, key)
            case ("PUT", ["partNumber", "uploadId"]):
                return self._upload_part(request, self._upload(bucket, key, query), int(query["partNumber"]), body)
            case ("POST", ["uploadId"]):
                return self._complete(request, query["uploadId"], self._upload(bucket, key, query), body)
            case ("DELETE", ["uploadId"]):
                self._upload(bucket, key, query)
                del self.uploads[query["uploadId"]]
                return web.Response(status=204)
        raise Refused(501, "NotImplemented", f"{request.method} of an object with {sorted(query)}")

    def _stored(self, request: web.BaseRequest, body: bytes) -> Stored:
        etag = hashlib.sha256(f"{next(self._serial)}".encode() + body).hexdigest()[:32]
        content_type = request.headers.get("content-type", "binary/octet-stream")
        return Stored(body, etag, self._clock().replace(microsecond=0), content_type)

    def _lookup(self, bucket: str, key: str) -> Stored:
        try:
            return self.buckets[bucket][key]
        except KeyError:
            raise Refused(404, "NoSuchKey", key) from None

    def _upload(self, bucket: str, key: str, query: _Query) -> Upload:
        upload = self.uploads.get(query["uploadId"])
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload", query["uploadId"])
        return upload

    def _create_upload(self, request: web.BaseRequest, bucket: str, key: str) -> web.Response:
        self.buckets[bucket].pop(key, None)  # the guide: an object of that name is deleted at once
        upload_id = secrets.token_urlsafe(16)
        self.uploads[upload_id] = Upload(bucket, key, request.headers.get("content-type", "binary/octet-stream"))
        names = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
        return xml("InitiateMultipartUploadResult", names)

    def _upload_part(self, request: web.BaseRequest, upload: Upload, number: int, body: bytes) -> web.Response:
        if not 1 <= number <= 10_000:
            raise Refused(400, "InvalidArgument", "part numbers go from 1 to 10000")
        if len(body) > MAX_PART:
            raise Refused(400, "EntityTooLarge", "a part is at most 512 MB")
        stored = self._stored(request, body)
        upload.parts[number] = stored
        return web.Response(headers={"ETag": f'"{stored.etag}"'})

    def _complete(self, request: web.BaseRequest, upload_id: str, upload: Upload, body: bytes) -> web.Response:
        named = named_parts(body)
        if not named or [number for number, _ in named] != sorted({number for number, _ in named}):
            raise Refused(400, "InvalidPartOrder", "ascending part numbers, please")
        for number, etag in named:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise Refused(400, "InvalidPart", f"part {number}")
        bodies = [upload.parts[number].body for number, _ in named]
        if any(len(part) < self._min_part for part in bodies[:-1]):
            raise Refused(400, "EntityTooSmall", f"parts have at least {self._min_part} bytes")
        whole = self._stored(request, b"".join(bodies))
        stored = Stored(whole.body, f"{whole.etag}-{len(bodies)}", whole.modified, upload.content_type)
        self.buckets[upload.bucket][upload.key] = stored
        del self.uploads[upload_id]
        names = f"<Bucket>{upload.bucket}</Bucket><Key>{escape(upload.key)}</Key>"
        return xml("CompleteMultipartUploadResult", f"{names}<ETag>&quot;{stored.etag}&quot;</ETag>")
