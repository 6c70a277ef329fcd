"""Bytes to and from presigned URLs of S3, from any host: parts that are sent again, ranges that go on where they were.

A presigned URL is a secret: no message here holds one, nor the body of an answer, which may quote it.
"""

import hashlib
import os
import re
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from threading import Event, Lock
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from headrace_queue.errors import HeadraceError, QueueError
from headrace_queue.over_http import Unreachable, dial, trouble

ATTEMPTS: Final = 6
BLOCK: Final = 2**20
_FIRST_PAUSE: Final = 0.25
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_BROKEN_ON_THE_WAY: Final = "BadDigest"
_GONE: Final = 404


class StorageError(QueueError):
    """The service would not, and asking again does not help."""


class Expired(StorageError):
    """The URL works no more: have it signed anew."""


class Stopped(HeadraceError):
    """The person left."""


class Leaving:
    """Whether the person has left. Shared by threads: whoever waits for the network is woken then."""

    def __init__(self) -> None:
        self._left = Event()
        self._lock = Lock()
        self._open: set[HTTPConnection] = set()

    def leave(self) -> None:
        self._left.set()
        with self._lock:
            for connection in self._open:
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises Stopped."""
        if self._left.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Raises Stopped."""
        if self._left.wait(seconds):
            raise Stopped

    @contextmanager
    def woken(self, connection: HTTPConnection) -> Iterator[None]:
        """What blocks on this connection inside it fails at once when they leave."""
        self.check()
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


class Urls:
    """Presigned URLs by number, from 1, that are signed anew when they have expired. Shared by threads."""

    def __init__(self, urls: Sequence[str], again: Callable[[], Sequence[str]]) -> None:
        self._urls = urls
        self._again = again
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._urls)

    def of(self, number: int) -> str:
        with self._lock:
            return self._urls[number - 1]

    def renew(self, number: int, expired: str) -> None:
        """Once for all threads that found the same set expired."""
        with self._lock:
            if self._urls[number - 1] == expired:
                self._urls = self._again()


class Slice:
    """Bytes of an open file, as http.client reads a body. told: how many went out. Raises Stopped."""

    def __init__(self, fd: int, offset: int, size: int, told: Callable[[int], None], leaving: Leaving) -> None:
        self._fd = fd
        self._at = offset
        self._end = offset + size
        self._told = told
        self._leaving = leaving
        self.sent = 0

    def read(self, count: int = -1) -> bytes:
        self._leaving.check()
        left = self._end - self._at
        data = os.pread(self._fd, left if count < 0 else min(count, left), self._at)
        self._at += len(data)
        self.sent += len(data)
        self._told(len(data))
        return data


def patiently(work: Callable[[], object], leaving: Leaving) -> None:
    """Runs it until it succeeds, at most ATTEMPTS times, with pauses that grow. Raises what the last one raised."""
    for attempt in range(ATTEMPTS):
        try:
            work()
        except Unreachable:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return
        leaving.pause(_FIRST_PAUSE * 2**attempt)


def send_part(
    urls: Urls,
    number: int,
    piece: Callable[[], Slice],
    fd: int,
    span: tuple[int, int],
    ca: Path | None,
    leaving: Leaving,
) -> tuple[str, str]:
    """Sends one part until it has arrived; its ETag and the MD5 of what was read, in hex.

    span: where it begins and how long it is. The service compares the MD5 (RFC 1864), so that a part that was broken on
    the way is refused and sent again. Raises StorageError, Unreachable, Stopped.
    """
    md5 = _md5(fd, *span, leaving)
    etag = ""

    def once() -> None:
        nonlocal etag
        url = urls.of(number)
        body = piece()
        try:
            etag = put(url, body, span[1], md5, ca, leaving)
        except Expired:
            urls.renew(number, url)
            raise Unreachable(f"{_host(url)}: a URL expired. Try again.") from None

    patiently(once, leaving)
    return etag, md5.hex()


def _md5(fd: int, offset: int, size: int, leaving: Leaving) -> bytes:
    seen = hashlib.md5(usedforsecurity=False)
    source = Slice(fd, offset, size, lambda count: None, leaving)
    while block := source.read(BLOCK):
        seen.update(block)
    return seen.digest()


def put(url: str, body: Slice, size: int, md5: bytes, ca: Path | None, leaving: Leaving) -> str:
    """The ETag. Raises Unreachable for what may pass, Expired, StorageError."""
    headers = {"Content-Length": str(size), "Content-MD5": b64encode(md5).decode()}
    with closing(dial(url, ca)) as connection, leaving.woken(connection):
        connection.blocksize = BLOCK
        try:
            connection.request("PUT", _target(url), body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read(BLOCK)
        except (OSError, HTTPException) as error:
            raise trouble(_host(url), error) from None
        if response.status != 200:
            raise _refusal(url, response.status, answer)
        if body.sent != size:
            raise StorageError(f"{_host(url)}: the file became shorter while it was sent. Upload it again.")
        etag = response.getheader("ETag")
    if not etag:
        raise StorageError(f"{_host(url)}: it took a part and named no ETag. Is it an S3 service?")
    return etag


def complete(url: str, etags: Sequence[str], ca: Path | None) -> bool:
    """Says that every part has arrived. False where the service knows of no such upload: it may be complete already.

    A 200 may hold an error all the same (Amazon S3 API reference, CompleteMultipartUpload). Raises Unreachable,
    Expired, StorageError.
    """
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{parts}</CompleteMultipartUpload>'
    with closing(dial(url, ca)) as connection:
        try:
            connection.request("POST", _target(url), body=body.encode(), headers={"Content-Type": "application/xml"})
            response = connection.getresponse()
            answer = response.read(BLOCK)
        except (OSError, HTTPException) as error:
            raise trouble(_host(url), error) from None
    if response.status == _GONE:
        return False
    if response.status != 200 or b"<Error>" in answer:
        raise _refusal(url, 500 if response.status == 200 else response.status, answer)
    return True


class Source:
    """An object behind a presigned URL, read from where the last reading broke off. Raises as `put` does."""

    def __init__(self, url: str, ca: Path | None) -> None:
        self.url = url
        self.size: int | None = None
        self._ca = ca
        self._etag: str | None = None

    def blocks(self, start: int) -> Iterator[bytes]:
        """From there to the end; of the same object as before. The first answer tells the size."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        if self._etag is not None:
            headers["If-Match"] = self._etag
        with closing(dial(self.url, self._ca)) as connection:
            try:
                connection.request("GET", _target(self.url), headers=headers)
                response = connection.getresponse()
                if response.status == 416 and start:
                    self.size = start  # nothing was left to read
                    return
                if response.status != (206 if start else 200):
                    raise _refusal(self.url, response.status, response.read(BLOCK))
                self._take_note(response, start)
                while block := response.read(BLOCK):
                    yield block
            except (OSError, HTTPException) as error:
                raise trouble(_host(self.url), error) from None

    def _take_note(self, response: HTTPResponse, start: int) -> None:
        etag, length = response.getheader("ETag"), response.getheader("Content-Length") or ""
        if self._etag is not None and etag != self._etag:
            raise StorageError(f"{_host(self.url)}: another object stands there now. Download it again.")
        self._etag = etag
        if start and not (response.getheader("Content-Range") or "").startswith(f"bytes {start}-"):
            raise StorageError(f"{_host(self.url)}: it sent another range than it was asked for. Download it again.")
        if length.isascii() and length.isdecimal():
            self.size = start + int(length)


def _refusal(url: str, status: int, answer: bytes) -> HeadraceError:
    found = _CODE.search(answer)
    code = found[1].decode() if found else ""
    said = f"{_host(url)}: it answered {status}{f' ({code})' if code else ''}"
    if status in _PASSING or code == _BROKEN_ON_THE_WAY:
        return Unreachable(f"{said}. Try again in a while.")
    if status == 403:
        return Expired(f"{said}. The URL may have expired: try again.")
    return StorageError(f"{said}. Ask whoever runs the service.")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def pauses() -> Iterator[None]:
    """Pauses between two looks at a transfer: short at first, at most two seconds."""
    seconds = 0.15
    while True:
        time.sleep(seconds)
        yield
        seconds = min(seconds * 1.5, 2.0)
