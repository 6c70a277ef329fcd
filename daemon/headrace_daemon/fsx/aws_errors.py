"""What went wrong between us and FSx, as the errors of `api`: a table, no I/O.

Sources: the errors of each operation in botocore's service model fsx-2018-03-01, the common errors of the API reference
(https://docs.aws.amazon.com/fsx/latest/APIReference/CommonErrors.html), and the throttling codes that botocore's
standard retries know.
"""

from collections.abc import Mapping
from typing import Any, Final

from headrace_daemon.fsx.api import (
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxTaskEnded,
    FsxUnreachable,
)

STALE: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"}
)
"""The credentials are not, or no longer, known: others may be there by now."""

BY_CODE: Final[dict[str, type[FsxError]]] = {
    # not now
    "DataRepositoryTaskExecuting": FsxBusy,
    "ServiceLimitExceeded": FsxBusy,
    "Throttling": FsxBusy,
    "ThrottlingException": FsxBusy,
    "ThrottledException": FsxBusy,
    "RequestThrottled": FsxBusy,
    "RequestThrottledException": FsxBusy,
    "RequestLimitExceeded": FsxBusy,
    "LimitExceededException": FsxBusy,
    "TooManyRequestsException": FsxBusy,
    "SlowDown": FsxBusy,
    # not there
    "FileSystemNotFound": FsxNotFound,
    "DataRepositoryAssociationNotFound": FsxNotFound,
    "DataRepositoryTaskNotFound": FsxNotFound,
    "ResourceNotFound": FsxNotFound,
    "DataRepositoryTaskEnded": FsxTaskEnded,
    # not like this
    "BadRequest": FsxRefused,
    "UnsupportedOperation": FsxRefused,
    "IncompatibleParameterError": FsxRefused,
    "MissingFileSystemConfiguration": FsxRefused,
    # not with these credentials
    **dict.fromkeys(STALE, FsxDenied),
    "AccessDenied": FsxDenied,
    "AccessDeniedException": FsxDenied,
    "NotAuthorized": FsxDenied,
    "OptInRequired": FsxDenied,
    "IncompleteSignature": FsxDenied,
    "InvalidSignatureException": FsxDenied,
    "SignatureDoesNotMatch": FsxDenied,
    "MissingAuthenticationToken": FsxDenied,
    "MissingAuthenticationTokenException": FsxDenied,
    "RequestExpired": FsxDenied,
    # no fault of ours
    "InternalServerError": FsxUnreachable,
    "InternalFailure": FsxUnreachable,
    "ServiceUnavailable": FsxUnreachable,
    "ServiceUnavailableException": FsxUnreachable,
    "RequestTimeout": FsxUnreachable,
    "RequestTimeoutException": FsxUnreachable,
}
_DENIED_STATUS: Final = frozenset({401, 403})
_LONGEST: Final = 400


def answered(response: Mapping[str, Any], operation: str) -> FsxError:
    """An error that FSx answered; response: as botocore's ClientError carries it."""
    error = response.get("Error") or {}
    status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode", 0)
    # behind a proxy the "code" may be a number or a namespace and the name
    code = str(error.get("Code") or f"HTTP {status}").rpartition("#")[2]
    return _kind(code, status)(code, _message(operation, str(error.get("Message") or ""), response))


def not_answered(error: Exception, operation: str) -> FsxUnreachable:
    """Whatever kept an answer away: no connection, a stall, something that is no answer of FSx's."""
    return FsxUnreachable(type(error).__name__, f"{operation}: {_first_line(str(error)) or 'no answer'}")


def _kind(code: str, status: int) -> type[FsxError]:
    if code in BY_CODE:
        return BY_CODE[code]
    if code.endswith("NotFound"):
        return FsxNotFound
    if status >= 500:
        return FsxUnreachable
    if status == 429:
        return FsxBusy
    return FsxDenied if status in _DENIED_STATUS else FsxRefused


def _message(operation: str, message: str, response: Mapping[str, Any]) -> str:
    """The service's own words. Members of the error shapes name what it is about: Parameter, Limit."""
    about = response.get("Parameter") or response.get("Limit")
    said = _first_line(message)
    if about and str(about) not in said:
        said = f"{about}: {said}" if said else str(about)
    return f"{operation}: {said}" if said else operation


def _first_line(text: str) -> str:
    """Only that: below it a refused signature quotes the request's headers, the session token among them."""
    line = (text.strip().splitlines() or [""])[0].strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
