"""The head of an HTTP/1.1 request as it goes on the wire (RFC 9112). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from headrace_daemon.s3.errors import Rejected
from headrace_daemon.s3.signing import host_header

_PORTS: Final = {"http": 80, "https": 443}
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, 5.6.2
_KNOWN: Final[set[str]] = set()
_MOST_KNOWN: Final = 1000
_LINES: Final = 5
"""Line breaks of a head beside those of the given headers: of the request line, three headers of ours, and its end."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where a connection leads. host: the Host header. name: without the brackets of an IPv6 address."""

    host: str
    name: str
    port: int
    tls: bool


def split_url(url: str) -> tuple[str, str]:
    """Scheme with authority, and what stands in the request line: never decoded, folded or completed."""
    slash = url.find("/", url.index("://") + 3)
    return (url, "/") if slash < 0 else (url[:slash], url[slash:])


def origin_of(base: str) -> Origin:
    """base: as split_url() tells. Raises Rejected for what is no http(s) URL."""
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        raise Rejected("bad_request", f"no URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Rejected("bad_request", "a URL begins with http:// or https:// and a host")
    return Origin(host_header(base), parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https")


def request_head(method: str, target: str, host: str, headers: Mapping[str, str]) -> bytes:
    """Everything up to the body. Raises Rejected for what would not be one request any more."""
    if not _KNOWN.issuperset(headers):
        for name in headers:
            _check_name(name)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: headrace\r\naccept: */*\r\n{lines}\r\n"
    breaks = len(headers) + _LINES
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head or " " in target:
        raise Rejected("bad_request", "a line break or a NUL in a header, or a blank in the path")
    try:
        return head.encode()
    except UnicodeEncodeError as error:
        raise Rejected("bad_request", "a header is no Unicode text") from error


def _check_name(name: str) -> None:
    """Names are few, and each is looked at once."""
    if not _is_token(name):
        raise Rejected("bad_request", f"invalid header name {name!r}")
    if len(_KNOWN) < _MOST_KNOWN:
        _KNOWN.add(name)
