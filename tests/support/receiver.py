"""A receiver of webhooks that looks at the signature itself, and answers as a test says."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

HANG = 0
"""In place of a status: the request is read and never answered, until the receiver closes."""


@dataclass
class Received:
    """One request. signed: whether its signature fits the receiver's secret."""

    path: str
    headers: dict[str, str]
    body: bytes
    signed: bool

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """answers: statuses of the next requests; 204 after the last. port 0: any that is free."""

    secret: bytes = b""
    port: int = 0
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count: int, seconds: float = 120.0) -> Sequence[Received]:
        """The first so many requests."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.requests) >= count, seconds)
        assert came, f"{len(self.requests)} of {count} requests came: {self.requests}"
        return self.requests[:count]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status to answer with."""
        with self._changed:
            self.requests.append(Received(path, headers, body, signature_fits(self.secret, headers, body)))
            status = self.answers.pop(0) if self.answers else 204
            self._changed.notify_all()
        if status == HANG:
            self._ended.wait()
        return status

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _Handler)
        server.daemon_threads = True
        server.receiver = self  # type: ignore[attr-defined]  # a handler knows only its server
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            server.shutdown()
            server.server_close()
            thread.join()
            self._ended.clear()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = cast(Receiver, self.server.receiver)  # type: ignore[attr-defined]  # as above
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        status = receiver.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        if status == HANG:
            return
        self.send_response(status)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def signature_fits(secret: bytes, headers: dict[str, str], body: bytes) -> bool:
    """As https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md has it."""
    try:
        name, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        given = [one.split(",", 1) for one in headers["webhook-signature"].split(" ")]
    except KeyError:
        return False
    content = b".".join((name.encode(), timestamp.encode(), body))
    expected = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return any(version == "v1" and signature == expected for version, signature in given)
