"""A fake FSx API on loopback: HTTP as botocore's clients speak it (AWS JSON 1.1), with data repository tasks that move
real data through a FakeMount where there is one.

Every request is checked against botocore's service model. Lifecycles move by being looked at, never by waiting: see
`FsxModel`, `looks`, `hold` and `advance`. moto plays CreateFileSystem and its like without any of the rules, and knows
no associations and no tasks.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.fsx_fake import Cut, FakeFsx
from tests.support.fsx_records import ApiError, Wire

__all__ = ["FakeFsx", "fsx_server"]

TARGET = "AWSSimbaAPIService_v20180301."


class _Server(ThreadingHTTPServer):
    """Ends with all its connections, whatever their clients mean to do with them."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, fsx: FakeFsx) -> None:
        self.fsx = fsx
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client left
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        for connection in list(self._open):
            with suppress(OSError):  # it ends by itself at this moment
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece: two would wait for each other's acknowledgement
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """The test has `requests`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/_lfs/"):
            self._send(200, self.server.fsx.lfs(self.path.removeprefix("/_lfs/"), json.loads(body)))
            return
        try:
            if self.headers.get("Content-Type") != "application/x-amz-json-1.1":
                raise ApiError("UnknownOperationException", "this is not the JSON 1.1 protocol")
            operation = self.headers.get("X-Amz-Target", "").removeprefix(TARGET)
            authorization = self.headers.get("Authorization", "")
            self._send(200, self.server.fsx.answer(operation, json.loads(body), authorization))
        except ApiError as error:
            text = {"__type": error.code, "Message": error.message, **error.members}
            self._send(error.status, text)
        except Cut:
            self.close_connection = True

    def _send(self, status: int, answer: Wire) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amzn-RequestId", "01234567-89ab-cdef-0123-456789abcdef")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fsx_server(*, clock: Callable[[], float] = time.time, region: str = "us-east-1") -> Iterator[FakeFsx]:
    """One that runs, without any file system. clock: seconds since the epoch, for the times it tells."""
    fsx = FakeFsx(clock, region)
    server = _Server(fsx)
    fsx.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-fsx")
    thread.start()
    try:
        yield fsx
    finally:
        server.stop()
        thread.join(60)
