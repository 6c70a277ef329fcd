"""What the stand-in for a Snowball device keeps of an object, and how it answers."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from aiohttp import web

from tests.support.sigv4 import Refused

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object on the device. etag: 32 hexadecimal digits that are no MD5."""

    body: bytes
    etag: str
    modified: datetime
    content_type: str


def read(request: web.BaseRequest, stored: Stored) -> web.Response:
    headers = {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": stored.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "Content-Type": stored.content_type,
        "Accept-Ranges": "bytes",
    }
    if request.headers.get("if-match", stored.etag).strip('"') not in (stored.etag, "*"):
        raise Refused(412, "PreconditionFailed", "If-Match")
    asked = request.http_range if "range" in request.headers else slice(None)
    start, stop, _ = asked.indices(len(stored.body))
    if "range" in request.headers:
        if start >= stop:
            raise Refused(416, "InvalidRange", request.headers["range"])
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(stored.body)}"
    status = 206 if "range" in request.headers else 200
    return web.Response(status=status, headers=headers, body=stored.body[start:stop])


def named_parts(document: bytes) -> list[tuple[int, str]]:
    try:
        root = ET.fromstring(document)
    except ET.ParseError:
        raise Refused(400, "MalformedXML") from None
    parts = [element for element in root if element.tag.rpartition("}")[2] == "Part"]
    fields = [{child.tag.rpartition("}")[2]: child.text or "" for child in part} for part in parts]
    return [(int(part["PartNumber"]), part["ETag"].strip('"')) for part in fields]


def xml(name: str, content: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{XMLNS}">{content}</{name}>'
    return web.Response(body=text.encode(), content_type="application/xml")


def error(refusal: Refused, method: str) -> web.Response:
    elements = {"Code": refusal.code, "Message": refusal.message, **refusal.elements}
    content = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    body = b"" if method == "HEAD" else f"<Error>{content}</Error>".encode()
    return web.Response(status=refusal.status, body=body, content_type="application/xml")
