"""The one file of a multipart/form-data request (RFC 7578), as it comes: never more than a chunk of it in memory."""

import re
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headrace_daemon.api.errors import ApiError, invalid

_MAX_HEADERS: Final = 16 * 1024
_ESCAPED: Final = re.compile("%(22|0[AD])")
_MEANT: Final = {"22": '"', "0A": "\n", "0D": "\r"}


class FormFile:
    """await name() first, then take chunks() to the end. Both raise ApiError 400 for what is no such form."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes], field: str = "file") -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise ApiError(400, "the file has to come as multipart/form-data", fields=((*_WHERE, "it is missing"),))
        self._body = body
        self._field = field
        self._name: str | None = None
        self._inside = False  # the part that is read now is the file
        self._finished = False
        self._headers: dict[bytes, bytes] = {}
        self._header = b""
        self._value = b""
        self._data: deque[bytes] = deque()
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_part_data": self._take,
                "on_part_end": self._part_end,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_end": self._end,
            },
        )

    async def name(self) -> str:
        """The file's name, as the client said it."""
        while self._name is None:
            if not await self._more():
                raise ApiError(400, f"the form has no file in its field {self._field!r}", fields=(_MISSING,))
        return self._name

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes. Ends only where the form ended as it should: nothing that was cut off counts as whole."""
        while True:
            while self._data:
                yield self._data.popleft()
            if not await self._more():
                break
        if not self._finished:
            raise invalid("the form was cut off before its end", "file")

    async def _more(self) -> bool:
        """Feeds one chunk to the parser; False at the end."""
        chunk = await anext(self._body, None)
        if chunk is None:
            return False
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise invalid("this is no valid multipart/form-data", "file") from error
        return True

    def _begin(self) -> None:
        self._headers = {}
        self._inside = False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound()

    def _bound(self) -> None:
        if len(self._header) + len(self._value) > _MAX_HEADERS:
            raise invalid("the headers of a part of the form are too long", "file")

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if options.get(b"name") != self._field.encode():
            return
        if self._name is not None:
            raise invalid("send one file in a request", "file")
        if b"filename" not in options:
            raise ApiError(400, f"the field {self._field!r} has no filename", fields=(_MISSING,))
        self._name = _plain(options[b"filename"])
        self._inside = True

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._data.append(bytes(data[start:end]))

    def _part_end(self) -> None:
        self._inside = False

    def _end(self) -> None:
        self._finished = True


_WHERE: Final = ("body", "file")
_MISSING: Final = (*_WHERE, "a file is required here")


def _plain(raw: bytes) -> str:
    """Browsers and httpx write a quote and the ends of lines of a name as %22, %0D and %0A, and nothing else (WHATWG
    HTML, multipart/form-data encoding algorithm)."""
    text = raw.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: _MEANT[found[1].upper()], text)
