"""Presigned URLs: who has one may send exactly this request, until it ends, and needs no credentials.

The rules are those of AWS's "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)": of the
headers only `host` is signed, and nothing of the body, so that any HTTP client can use them. Everything here is pure;
the time is an argument. What is made here is a secret.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from headrace_daemon.s3.signing import UNSIGNED_PAYLOAD, Credentials, host_header, quote_key

Query: TypeAlias = Sequence[tuple[str, str]]

LONGEST: Final = 7 * 86_400
"""Seconds: no presigned URL lives longer. AWS: "Authenticating Requests: Using Query Parameters", X-Amz-Expires."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_is_host_label: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch


def seconds_left(wanted: float, credentials: Credentials, now: float) -> int:
    """For how many seconds a URL can be signed of those that are wanted: never longer than LONGEST, nor than its
    credentials live, for it ends with them. 0 where they have ended."""
    left = min(wanted, LONGEST)
    if credentials.expires is not None:
        left = min(left, credentials.expires - now)
    return max(0, int(left))


class Presigner:
    """Signs for one object and one moment, so that the URLs of ten thousand parts cost one derived key."""

    __slots__ = ("_always", "_base", "_host", "_key", "_path", "_scope", "_stamp")

    def __init__(
        self,
        base_url: str,
        bucket: str,
        key: str,
        *,
        credentials: Credentials,
        region: str,
        expires: int,
        now: float,
        addressing: Literal["path", "virtual"],
    ) -> None:
        """base_url: what clients dial, without a path. expires: seconds, at most LONGEST. now: seconds since the epoch.

        Raises ValueError for a life that no URL may have, UnicodeEncodeError for a key that is no Unicode text.
        """
        if not 1 <= expires <= LONGEST:
            raise ValueError(f"a presigned URL lives 1 to {LONGEST} seconds, not {expires}")
        self._host = host_header(base_url)
        self._path = f"/{quote_key(key)}"
        # a bucket that no host name carries stays in the path, as the daemon's own requests do it
        if addressing == "virtual" and _is_host_label(bucket):
            self._host = f"{bucket}.{self._host}"
        else:
            self._path = f"/{quote_key(bucket)}{self._path}"
        self._base = f"{urlsplit(base_url).scheme}://{self._host}{self._path}"
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        date = self._stamp[:8]
        self._scope = f"{date}/{region}/s3/aws4_request"
        always = [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{credentials.access_key}/{self._scope}"),
            ("X-Amz-Date", self._stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if credentials.token is not None:
            always.append(("X-Amz-Security-Token", credentials.token))
        self._always = _encoded(always)
        signing_key = f"AWS4{credentials.secret_key}".encode()
        for step in (date, region, "s3", "aws4_request"):
            signing_key = hmac.digest(signing_key, step.encode(), "sha256")
        self._key = signing_key

    def __repr__(self) -> str:
        return "Presigner(…)"

    def url(self, method: str, query: Query = ()) -> str:
        """A secret. query: parameters of the operation, not yet encoded."""
        text = "&".join(f"{name}={value}" for name, value in sorted([*self._always, *_encoded(query)]))
        request = f"{method}\n{self._path}\n{text}\nhost:{self._host}\n\nhost\n{UNSIGNED_PAYLOAD}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{self._stamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return f"{self._base}?{text}&X-Amz-Signature={signature}"


def _encoded(query: Query) -> list[tuple[str, str]]:
    return [(quote(name, safe="~"), quote(value, safe="~")) for name, value in query]


def presigned(
    method: str,
    base_url: str,
    bucket: str,
    key: str,
    query: Query,
    *,
    credentials: Credentials,
    region: str,
    expires: float,
    now: float,
    addressing: Literal["path", "virtual"] = "path",
) -> str:
    """One URL; see Presigner. expires: seconds, cut to what seconds_left() allows.

    Raises ValueError where nothing is left of the credentials' life.
    """
    signer = Presigner(
        base_url,
        bucket,
        key,
        credentials=credentials,
        region=region,
        expires=seconds_left(expires, credentials, now),
        now=now,
        addressing=addressing,
    )
    return signer.url(method, query)
