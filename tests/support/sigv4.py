"""AWS Signature Version 4 from the server's side, written from its public description, apart from any client's code.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=15)


class Refused(Exception):
    """The service refuses the request: HTTP status, S3 code, message, and further elements of the error document."""

    def __init__(self, status: int, code: str, message: str = "", **elements: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.elements = elements


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says about its own signature."""

    access_key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, authorization: str | None) -> "Signed":
        """Raises Refused."""
        if not authorization:
            raise Refused(403, "AccessDenied", "unsigned")
        algorithm, _, rest = authorization.partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        scope = fields.get("Credential", "").split("/")
        if algorithm != ALGORITHM or len(scope) != 5 or scope[4] != "aws4_request":
            raise Refused(400, "AuthorizationHeaderMalformed", "not a Signature Version 4")
        signed = tuple(fields.get("SignedHeaders", "").split(";"))
        return cls(scope[0], scope[1], scope[2], scope[3], signed, fields.get("Signature", ""))


def verify(
    method: str,
    raw_path: str,
    headers: Mapping[str, str],
    *,
    access_key: str,
    secret_key: str,
    region: str,
    now: datetime,
) -> str:
    """The x-amz-content-sha256 that was signed. headers by lower-case name. Raises Refused."""
    signed = Signed.parse(headers.get("authorization"))
    if signed.access_key != access_key:
        raise Refused(403, "InvalidAccessKeyId", "no such access key")
    if (signed.region, signed.service) != (region, "s3"):
        raise Refused(400, "AuthorizationHeaderMalformed", f"the region must be {region!r}", Region=region)
    stamp = _timestamp(headers, signed, now)
    payload = headers.get("x-amz-content-sha256")
    if payload is None:
        raise Refused(400, "InvalidRequest", "x-amz-content-sha256 is missing")
    unsigned = {name for name in headers if name.startswith("x-amz-")} - set(signed.headers)
    if unsigned or "host" not in signed.headers:
        raise Refused(403, "AccessDenied", f"headers that were not signed: {sorted(unsigned) or 'host'}")
    request = _canonical_request(method, raw_path, headers, signed.headers, payload)
    if not hmac.compare_digest(_signature(request, stamp, signed, secret_key), signed.signature):
        raise Refused(403, "SignatureDoesNotMatch", "the signature is wrong", CanonicalRequest=request)
    return payload


def _timestamp(headers: Mapping[str, str], signed: Signed, now: datetime) -> str:
    stamp = headers.get("x-amz-date", "")
    try:
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(403, "AccessDenied", "x-amz-date is missing or malformed") from None
    if not stamp.startswith(signed.date):
        raise Refused(400, "AuthorizationHeaderMalformed", "the date of the scope is not that of the request")
    if abs(now - sent) > MAX_SKEW:
        raise Refused(403, "RequestTimeTooSkewed", "clock", ServerTime=now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return stamp


def _canonical_request(
    method: str, raw_path: str, headers: Mapping[str, str], signed: tuple[str, ...], payload: str
) -> str:
    path, _, query = raw_path.partition("?")
    pairs = sorted(tuple(_encode(unquote(part), "") for part in pair.partition("=")[::2]) for pair in query.split("&"))
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed]
    canonical_query = "&".join(f"{name}={value}" for name, value in pairs) if query else ""
    return "\n".join([method, _encode(unquote(path), "/"), canonical_query, "".join(lines), ";".join(signed), payload])


def _encode(text: str, safe: str) -> str:
    return quote(text, safe=f"{safe}-_.~")


def _signature(request: str, stamp: str, signed: Signed, secret_key: str) -> str:
    scope = f"{signed.date}/{signed.region}/{signed.service}/aws4_request"
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in (signed.date, signed.region, signed.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
