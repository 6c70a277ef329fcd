"""A file as an answer, whole or a part of it, streamed."""

from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from headrace_daemon.api.ranges import Span, Unsatisfiable, span_of
from headrace_daemon.api.user_files import OpenFile

BYTES: Final = "application/octet-stream"


class FileAnswer(StreamingResponse):
    """Closes the file, however it ends."""

    def __init__(self, file: OpenFile, span: Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(_blocks(file, span), status_code=status, headers=headers, media_type=BYTES)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._file.close()


async def file_answer(file: OpenFile, name: str, request: Request) -> Response:
    """200, 206 or 416. Takes the file over. name: under which a browser keeps it."""
    headers = {
        "accept-ranges": "bytes",
        "etag": file.etag,
        "last-modified": formatdate(file.mtime_ns // 10**9, usegmt=True),
        # RFC 6266: a name of any letters
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='', errors='surrogateescape')}",
    }
    wanted = request.headers.get("range") if request.method == "GET" else None
    try:
        span = span_of(wanted, file.size, file.etag, request.headers.get("if-range"))
    except Unsatisfiable:
        await file.close()
        return Response(status_code=416, headers={"content-range": f"bytes */{file.size}", "accept-ranges": "bytes"})
    whole = span is None
    span = span or Span(0, file.size)
    headers["content-length"] = str(span.end - span.start)
    if not whole:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{file.size}"
    return FileAnswer(file, span, 200 if whole else 206, headers)


async def _blocks(file: OpenFile, span: Span) -> AsyncIterator[bytes]:
    async for block in file.blocks(span.start, span.end):
        yield block
