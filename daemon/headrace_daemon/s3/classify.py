"""An answer that is no success, as one of the typed errors: tables, no I/O.

The code in the body decides; where there is none (HEAD, a proxy's HTML) the status does. Sources: the S3 API
reference's list of error codes, and the throttling and clock codes that botocore's retry handlers know.
"""

import re
from collections.abc import Callable
from typing import Final

from headrace_daemon.s3.archived import archived_message
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    CredentialsExpired,
    CredentialsRefused,
    NoSuchBucket,
    NotFound,
    NotS3,
    NotSupported,
    ObjectArchived,
    ObjectLocked,
    PreconditionFailed,
    Rejected,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    UploadLost,
    WrongRegion,
)
from headrace_daemon.s3.xml import ErrorBody, parse_error

_LONGEST_MESSAGE: Final = 300
_OF_LOCKS: Final = frozenset({"AccessDenied", "InvalidRequest", "MethodNotAllowed"})
_says_locked: Final = re.compile(
    r"(protected|forbidden) by object.?lock|\bWORM\b|object is (under|locked)|legal hold|under retention", re.IGNORECASE
).search
_wants_tls: Final = re.compile(
    rb"HTTP request (was sent )?to (an )?HTTPS|plain HTTP to an SSL", re.IGNORECASE
).search  # Go's servers and nginx; Apache

BY_CODE: Final[dict[str, type[S3Error]]] = {
    # slow down
    "SlowDown": Throttled,
    "ServiceUnavailable": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
    "RequestLimitExceeded": Throttled,
    "RequestThrottled": Throttled,
    "BandwidthLimitExceeded": Throttled,
    "TooManyRequests": Throttled,
    "TooManyRequestsException": Throttled,
    # the service's fault
    "InternalError": ServerFault,
    "InternalServerError": ServerFault,
    "OperationAborted": ServerFault,
    "BadGateway": ServerFault,
    "GatewayTimeout": ServerFault,
    # our bytes did not arrive in time or in full
    "RequestTimeout": TransportError,
    "RequestTimeoutException": TransportError,
    "IncompleteBody": TransportError,
    # stale credentials or clock
    "ExpiredToken": CredentialsExpired,
    "ExpiredTokenException": CredentialsExpired,
    "TokenRefreshRequired": CredentialsExpired,
    "RequestExpired": CredentialsExpired,
    "RequestTimeTooSkewed": CredentialsExpired,
    # nobody's credentials, or those of a key that was rotated a moment ago
    "InvalidToken": CredentialsRefused,
    "InvalidAccessKeyId": CredentialsRefused,
    # refusals
    "AccessDenied": AccessDenied,
    "AllAccessDisabled": AccessDenied,
    "AccountProblem": AccessDenied,
    "SignatureDoesNotMatch": AccessDenied,
    # elsewhere
    "PermanentRedirect": WrongRegion,
    "TemporaryRedirect": WrongRegion,
    "AuthorizationHeaderMalformed": WrongRegion,
    "IllegalLocationConstraintException": WrongRegion,
    # not there
    "NoSuchBucket": NoSuchBucket,
    "NoSuchKey": NotFound,
    "NoSuchUpload": UploadLost,
    "NoSuchVersion": NotFound,
    "NotFound": NotFound,
    # conditions; a range beyond the end means that the object shrank since it was listed
    "PreconditionFailed": PreconditionFailed,
    "ConditionalRequestConflict": PreconditionFailed,
    "InvalidRange": PreconditionFailed,
    # damaged on the way
    "BadDigest": BadDigest,
    "InvalidDigest": BadDigest,
    "XAmzContentChecksumMismatch": BadDigest,
    "XAmzContentSHA256Mismatch": BadDigest,
    # no such operation here
    "MethodNotAllowed": NotSupported,
    "NotImplemented": NotSupported,
    "UnsupportedOperation": NotSupported,
    # conflicts that no second look resolves
    "BucketAlreadyExists": Rejected,
    "BucketAlreadyOwnedByYou": Rejected,
    "BucketNotEmpty": Rejected,
    "InvalidBucketState": Rejected,
    "RestoreAlreadyInProgress": Rejected,  # 409, and nothing was lost
    "GlacierExpeditedRetrievalNotAvailable": Rejected,  # 503, and no slowing down helps: see thawing/
    # archived: 403, but asking for permission would not help; the second one is that of a copy by the service
    "InvalidObjectState": ObjectArchived,
    "ObjectNotInActiveTierError": ObjectArchived,
}

BY_STATUS: Final[dict[int, type[S3Error]]] = {
    301: WrongRegion,
    307: WrongRegion,
    308: WrongRegion,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    405: NotSupported,
    408: TransportError,
    409: PreconditionFailed,
    412: PreconditionFailed,
    416: PreconditionFailed,
    429: Throttled,
    501: NotSupported,
}


def classify(
    status: int, header: Callable[[str], str | None], body: Buffer, *, head: bool = False, signed: bool = False
) -> S3Error:
    """The error of an answer of 300 and above. header: looks a name in lower case up. head: the request was a HEAD.
    signed: S3 would not say 404 here without its error document, so that one without comes from somebody else."""
    error = parse_error(body) if len(body) else None
    code = error.code if error is not None and error.code else str(status)
    region = header("x-amz-bucket-region") or (error.region if error is not None else None)
    if error is None and status == 400 and _wants_tls(bytes(body)):
        return Rejected("wants_tls", "what answers there speaks TLS only, and was asked without", status)
    if error is None and signed and status == 404:
        return NotS3("not_s3", "HTTP status 404, and the answer is no S3 error", status)
    if error is None and region is not None and status in (301, 307, 400):
        kind: type[S3Error] = WrongRegion  # a HEAD has no other way to say it
    elif error is None and status == 503:
        kind = _bare_503(header, head=head)
    else:
        kind = BY_CODE.get(code) or BY_STATUS.get(status) or (ServerFault if status >= 500 else Rejected)
    if error is not None and is_lock(code, error.message):
        kind = ObjectLocked
    if error is not None and kind is ObjectArchived:
        return _archived(error, status)
    return _made(kind, code, _message(error, status), status, region, _retry_after(header("retry-after")))


def _bare_503(header: Callable[[str], str | None], *, head: bool) -> type[S3Error]:
    """A 503 that S3 did not sign: HEAD carries no body; any other is a proxy whose backend is gone, which no slowing
    down brings back, unless it says when to come again."""
    return Throttled if head or header("retry-after") else ServerFault


def classify_embedded(error: ErrorBody, status: int) -> S3Error:
    """The error of an <Error> inside a 200, which S3 sends where copying or completing fails after the answer began.

    Whatever is not known to be final counts as the service's fault: the S3 API reference says to send it again.
    """
    kind = BY_CODE.get(error.code, ServerFault)
    return _made(kind, error.code or str(status), _message(error, status), status, error.region, None)


def embedded_error(error: ErrorBody) -> S3Error:
    """The error of one key in DeleteObjects' answer."""
    kind = ObjectLocked if is_lock(error.code, error.message) else BY_CODE.get(error.code, Rejected)
    return _made(kind, error.code, error.message[:_LONGEST_MESSAGE], 200, None, None)


def is_lock(code: str, message: str) -> bool:
    """Whether a refusal is that of an object lock. S3 has no code of its own for it, so that its words have to do
    ("Access Denied because object protected by object lock."); other services say WORM, or have a code. What is said
    of an upload that lacks a checksum is none."""
    if code.startswith("ObjectLock") and not code.startswith("ObjectLockConfiguration"):
        return True
    return code in _OF_LOCKS and _says_locked(message) is not None


def _made(
    kind: type[S3Error], code: str, message: str, status: int, region: str | None, retry_after: float | None
) -> S3Error:
    if kind is WrongRegion:
        return WrongRegion(code, message, status, region)
    if kind is Throttled:
        return Throttled(code, message, status, retry_after)
    return kind(code, message, status)


def _archived(error: ErrorBody, status: int) -> ObjectArchived:
    return ObjectArchived(error.code, archived_message(error.storage_class), status, error.storage_class)


def _message(error: ErrorBody | None, status: int) -> str:
    return error.message[:_LONGEST_MESSAGE] if error is not None else f"HTTP status {status} without an S3 error"


def _retry_after(text: str | None) -> float | None:
    """Seconds; the form with a date is not used by any S3 service and counts as not given."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
