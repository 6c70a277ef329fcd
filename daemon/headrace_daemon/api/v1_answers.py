"""How /v1 answers: its JSON, and what the OpenAPI document says of refusals."""

from typing import Any, Final

from fastapi.responses import Response

from headrace_daemon.api.v1_models import Problem
from headrace_queue.job_json import to_text

_MEANING: Final = {
    400: "The request cannot be meant",
    401: "Nobody known asks",
    403: "Not permitted",
    404: "Not there, or not yours",
    408: "It came too slowly",
    409: "Not in the state that it is in, or in the way of another",
    413: "Larger than it may be",
    416: "No byte of the range is there",
    429: "Too many requests, or too much under way; see Retry-After",
    503: "The queue or the file system cannot be used just now; see Retry-After",
    507: "No room, or over quota",
}
_ALWAYS: Final = frozenset({400, 401, 403, 404, 408, 429, 503})

NOTHING_MORE: Final[dict[int | str, dict[str, Any]]] = {204: {"description": "The end was told before"}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route for the OpenAPI document: those that every route has, and these."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": _MEANING[status], "content": content} for status in sorted(_ALWAYS | {*statuses})}


class Json(Response):
    """Names of files that are no UTF-8 have no other form in JSON than escapes: to_text() writes all of it so."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_text(content).encode("ascii")
