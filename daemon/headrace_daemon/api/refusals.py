"""How the API says no: in FirecREST's form on its routes, as problem+json (RFC 9457) on /v1."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headrace_daemon.api.asking import Asked
from headrace_daemon.api.errors import ApiError, conflict, missing, unusable
from headrace_daemon.api.file_refusals import refusal_of
from headrace_daemon.files.names import FileError
from headrace_queue.errors import (
    IllegalTransition,
    QueueError,
    TooManyTransfers,
    UnknownJob,
    UnknownTransfer,
    UsageError,
)

_QUEUE_SECONDS: Final = 5.0  # after which the queue may be asked again
_TRANSFER_SECONDS: Final = 30.0  # after which a transfer may have ended
_POLLS: Final = "/compute/"


def is_v1(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def api_error_of(error: Exception) -> ApiError | None:
    """What the person who asked is told of an error; None for one that nobody foresaw."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail))
    if isinstance(error, UnknownJob | UnknownTransfer):
        return missing(str(error))
    if isinstance(error, IllegalTransition):
        return conflict(str(error))
    if isinstance(error, TooManyTransfers):
        return ApiError(429, str(error) or "too many transfers are under way", retry_after=_TRANSFER_SECONDS)
    if isinstance(error, QueueError):
        return ApiError(503, "the queue cannot be used just now; try again", retry_after=_QUEUE_SECONDS)
    if isinstance(error, UsageError):
        return unusable(error)
    if isinstance(error, FileError):
        return refusal_of(error, error.key)
    return None


def fault(request_id: str) -> ApiError:
    """For an error that nobody foresaw: no word of it leaves the log."""
    return ApiError(500, f"something went wrong here; its administrator finds it in the log as {request_id}")


def refusal(error: ApiError, path: str, asked: Asked, headers: Mapping[str, str] | None = None) -> Response:
    """headers: further ones."""
    if path.startswith(_POLLS) and error.status >= 500:
        # clients of FirecREST take any other status of a poll for the end, or for their last answer once more
        error = ApiError(429, error.message, retry_after=error.retry_after or _QUEUE_SECONDS)
    asked.error = error.message
    body, kind = _problem(error, asked) if is_v1(path) else _firecrest(error, asked)
    # not ensure_ascii=False: what a person sent may hold half a surrogate pair
    answer = Response(json.dumps(body), error.status, media_type=kind)
    answer.headers.update(headers or {})
    if error.retry_after is not None:
        answer.headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if error.challenge or error.status == 401:
        answer.headers["www-authenticate"] = error.challenge or "Bearer"
    return answer


def _firecrest(error: ApiError, asked: Asked) -> tuple[dict[str, Any], str]:
    fields = [{"location": where, "name": name, "message": said} for where, name, said in error.fields]
    return {
        "errorType": "validation" if fields and error.status == 400 else "error",
        "message": error.message,
        "causedBy": None,
        "data": {"fields": fields} if fields else None,
        "user": asked.user.name if asked.user is not None else None,
    }, "application/json"


def _problem(error: ApiError, asked: Asked) -> tuple[dict[str, Any], str]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(error.status),
        "status": error.status,
        "detail": error.message,
        **error.more,
    }
    if error.fields:
        body["errors"] = [{"location": where, "name": name, "message": said} for where, name, said in error.fields]
    if asked.request_id:
        body["request_id"] = asked.request_id
    return body, "application/problem+json"


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def _invalid(error: RequestValidationError) -> ApiError:
    """Not the values that were sent: a secret may be among them."""
    fields = []
    for fault in error.errors():
        place = [str(part) for part in fault.get("loc", ())] or ["body"]
        fields.append((place[0], ".".join(place[1:]) or place[0], str(fault.get("msg", "it is not valid"))))
    said = "; ".join(f"{name}: {message}" for _, name, message in fields[:5])
    return ApiError(400, f"the request is not valid: {said}", fields=tuple(fields))
