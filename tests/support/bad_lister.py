"""An S3 service on a thread of its own that stores nothing and lists as badly as a test wants it to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from headrace_daemon.demo.servers import Keys
from tests.support.site import RemoteTable


class Answer(NamedTuple):
    """One page. truncated: the text of IsTruncated, None where the answer has none. token: of the next page."""

    keys: Sequence[str]
    truncated: str | None = "false"
    token: str = ""


Manner = Callable[[str, str], Answer]
"""How it lists: from the prefix and the token that were asked for ('' where none was) to a page."""


@dataclass
class BadLister:
    """A running one. Every object has three bytes. changed: 'METHOD path?query' of all that would change something."""

    manner: Manner
    url: str = ""
    changed: list[str] = field(default_factory=list)

    def table(self, *lines: str) -> RemoteTable:
        return RemoteTable([self.url], Keys("BADKEY0000000001", "bad+secret/0001"), "us-east-1", lines)

    def listing(self, prefix: str, token: str) -> bytes:
        page = self.manner(prefix, token)
        flag = "" if page.truncated is None else f"<IsTruncated>{page.truncated}</IsTruncated>"
        following = f"<NextContinuationToken>{page.token}</NextContinuationToken>" if page.token else ""
        objects = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag><Size>3</Size></Contents>"
            for key in page.keys
        )
        return f"<ListBucketResult>{flag}{following}{objects}</ListBucketResult>".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lister: BadLister

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.strip("/").count("/"):
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        asked = parse_qs(query)
        self._answer(200, self.lister.listing(asked.get("prefix", [""])[0], asked.get("continuation-token", [""])[0]))

    def do_HEAD(self) -> None:
        self._answer(404 if self.path.partition("?")[0].strip("/").count("/") else 200, b"")

    def do_PUT(self) -> None:
        self._change()

    def do_POST(self) -> None:
        self._change()

    def do_DELETE(self) -> None:
        self._change()

    def _change(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.lister.changed.append(f"{self.command} {unquote(self.path)} {body.decode(errors='replace')}")
        self._answer(501, b"<Error><Code>NotImplemented</Code></Error>")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@contextmanager
def bad_lister(manner: Manner) -> Iterator[BadLister]:
    """A running service that ends with the block."""
    lister = BadLister(manner)
    handler = type("Handler", (_Handler,), {"lister": lister})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="bad-lister")
        thread.start()
        lister.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield lister
        finally:
            server.shutdown()
            thread.join()
