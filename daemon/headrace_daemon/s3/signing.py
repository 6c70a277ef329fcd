"""AWS Signature Version 4 for S3: keys into paths, and headers that prove who asks.

The rules are those of AWS's "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)": S3
encodes a path once, keeps `/`, and never normalises it. Everything here is pure; the time is an argument.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from headrace_daemon.s3.engine import Buffer

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""The payload hash that leaves the body to TLS and to the checksum header."""
EMPTY_PAYLOAD = hashlib.sha256(b"").hexdigest()
"""The payload hash of no body."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Proxies and HTTP libraries may change these on the way; a signature over them would fail for no fault of ours.
_NEVER_SIGNED = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "expect", "transfer-encoding", "user-agent"}
)
_is_plain_key = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


@dataclass(frozen=True, slots=True)
class Credentials:
    """One set of credentials. expires: seconds since the epoch, None where they do not. The repr shows no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires: float | None = None


def quote_key(key: str) -> str:
    """A key as it stands in a path: UTF-8, all but unreserved characters and `/` percent-encoded, nothing normalised.

    Raises UnicodeEncodeError (a ValueError) for a key that is not Unicode text, such as one with a lone surrogate.
    """
    if _is_plain_key(key):
        return key
    return quote(key, safe="/~")


def canonical_query(query: Sequence[tuple[str, str]]) -> str:
    """Parameters as they stand in the signature, sorted and percent-encoded; a URL may carry exactly this text."""
    if not query:
        return ""
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in encoded)


def host_header(url: str) -> str:
    """What an engine sends as Host for `url`: the name in lower case, with the port unless it is the scheme's own."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    if ":" in name:
        name = f"[{name}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return name
    return f"{name}:{parts.port}"


def payload_hash(body: Buffer) -> str:
    """SHA-256 of a body in hexadecimal. Costs 0.6 s a GB: UNSIGNED_PAYLOAD is for the hot path over TLS."""
    return hashlib.sha256(body).hexdigest()


class Signer:
    """Signs for one region and service; keeps the day's key and the second's time stamps, so reuse it."""

    __slots__ = ("_credentials", "_date", "_keyed", "_prefix", "_region", "_scope", "_second", "_service", "_stamp")

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region = region
        self._service = service
        self._second = -1
        self._stamp = ""
        self._date = ""
        self._scope = ""
        self._prefix = ""  # of the header's value: what follows changes with every request
        self._credentials: Credentials | None = None
        self._keyed = _Keyed(b"")

    def sign(
        self,
        method: str,
        host: str,
        raw_path: str,
        query: Sequence[tuple[str, str]] | str,
        headers: Mapping[str, str],
        payload_hash: str,
        credentials: Credentials,
        now: float,
    ) -> dict[str, str]:
        """`headers` with those that sign the request; host is signed but left to the engine.

        headers: names in lower case. host: as host_header() tells. raw_path: as it goes on the wire, see quote_key().
        query: parameters not yet encoded, or the text that canonical_query() made of them. now: seconds since the
        epoch.
        """
        if int(now) != self._second:
            self._set_time(int(now))
        if credentials is not self._credentials:
            self._set_key(credentials)
        query_text = query if isinstance(query, str) else canonical_query(query)
        result = {**headers, "x-amz-content-sha256": payload_hash, "x-amz-date": self._stamp}
        if credentials.token is not None:
            result["x-amz-security-token"] = credentials.token
        names, lines = _canonical_headers(host, result)
        request = f"{method}\n{raw_path or '/'}\n{query_text}\n{lines}\n{names}\n{payload_hash}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{self._stamp}\n{self._scope}\n{digest}"
        signature = self._keyed.hexdigest(to_sign.encode())
        result["authorization"] = f"{self._prefix}{names}, Signature={signature}"
        return result

    def _set_time(self, second: int) -> None:
        self._second = second
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        date = self._stamp[:8]
        if date != self._date:
            self._date = date
            self._scope = f"{date}/{self._region}/{self._service}/aws4_request"
            self._credentials = None  # the key below belongs to the former day

    def _set_key(self, credentials: Credentials) -> None:
        key = f"AWS4{credentials.secret_key}".encode()
        for step in (self._date, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
        self._keyed = _Keyed(key)
        self._prefix = f"{_ALGORITHM} Credential={credentials.access_key}/{self._scope}, SignedHeaders="
        self._credentials = credentials


class _Keyed:
    """HMAC-SHA256 (RFC 2104) under one key, its two padded blocks hashed once.

    hmac.digest lets go of Python's lock even for a line of text, and a busy loop waits long to get it back.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def hexdigest(self, message: bytes) -> str:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


class _Layout(NamedTuple):
    """How headers of certain names are signed. names: the list of those that are, and host. lines: that of host, and
    the others with %s for each value, in the order in which `values` picks them."""

    names: str
    lines: str
    values: Callable[[Mapping[str, str]], tuple[str, ...]]


@lru_cache(maxsize=256)
def _layout(host: str, names: tuple[str, ...]) -> _Layout:
    """Requests of a kind have the same headers: which are signed, and in which order, is found out once."""
    values = sorted(set(names) - _NEVER_SIGNED - {"host"})
    signed = sorted([*values, "host"])
    given = dict.fromkeys(values, "%s") | {"host": host.replace("%", "%%")}
    lines = "".join(f"{name.replace('%', '%%')}:{given[name]}\n" for name in signed)
    return _Layout(";".join(signed), lines, itemgetter(*values))


def _canonical_headers(host: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """The list of signed names, and a line for each of them with blanks trimmed and folded."""
    layout = _layout(host, tuple(headers))
    values = layout.values(headers)
    text = "".join(values)
    if text.split(None, 1) != [text]:  # a blank somewhere, which few values have
        values = tuple([" ".join(value.split()) for value in values])
    return layout.names, layout.lines % values
