"""The API as one ASGI application: FirecREST's routes, those of /v1, and what holds for all of them.

/openapi.json describes every route; /docs shows it with scripts that the browser fetches from a CDN, so a host without
a way out gets an empty page there and the document all the same.
"""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from headrace_daemon.api import firecrest, firecrest_transfers, v1_files, v1_jobs, v1_transfers
from headrace_daemon.api.asking import asked
from headrace_daemon.api.firecrest_models import ErrorAnswer
from headrace_daemon.api.front import Front
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.refusals import api_error_of, fault, is_v1, refusal
from headrace_daemon.api.v1_models import Problem
from headrace_queue.errors import HeadraceError

_ABOUT: Final = (
    "Files, transfers and jobs of Headrace. The routes of FirecREST serve its clients; everything else is below /v1. "
    "An error is JSON in FirecREST's form on its routes, and application/problem+json (RFC 9457) below /v1."
)
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH")


def build_app(parts: Parts) -> FastAPI:
    """app.state.stopping: to be set when no request is taken any more."""
    app = FastAPI(
        title="Headrace",
        version=version("headrace"),
        description=_ABOUT,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: _refused,
            RequestValidationError: _refused,
            HeadraceError: _refused,
        },
    )
    app.state.parts = parts
    app.state.stopping = asyncio.Event()
    for router in (firecrest.router(parts), firecrest_transfers.router(parts)):
        app.include_router(router)
    for make in (v1_jobs.router, v1_transfers.router, v1_files.router):
        app.include_router(make(parts), prefix="/v1")
    app.add_middleware(Front, parts=parts, stopping=app.state.stopping)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


async def _refused(request: Request, error: Exception) -> Response:
    known = asked(request)
    path: str = request.scope["path"]
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers = {"allow": ", ".join(sorted(_allowed(request)))}
    return refusal(api_error_of(error) or fault(known.request_id), path, known, headers)


def _allowed(request: Request) -> set[str]:
    """Of all routes with this path: the framework tells those of the first only."""
    routes = request.app.routes
    found = {method for method in _METHODS if _takes(routes, {**request.scope, "method": method})}
    return found | ({"HEAD"} if "GET" in found else set())


def _takes(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


# -- the document ------------------------------------------------------------------------------------------------------


def _openapi(app: FastAPI) -> dict[str, Any]:
    """What the framework does not know: a request that is not valid is answered with 400, in two forms."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for name, model in (("ErrorAnswer", ErrorAnswer), ("Problem", Problem)):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[name] = schema
        for path, operations in document["paths"].items():
            for method in _METHODS:
                if method.lower() in operations:
                    _describe_refusals(operations[method.lower()].setdefault("responses", {}), path)
        app.openapi_schema = document
    return app.openapi_schema


def _describe_refusals(answers: dict[str, Any], path: str) -> None:
    answers.pop("422", None)
    kind, schema = ("application/problem+json", "Problem") if is_v1(path) else ("application/json", "ErrorAnswer")
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    answers.setdefault("400", {"description": "The request is not valid", "content": content})
    answers.setdefault("default", {"description": "Refused", "content": content})
