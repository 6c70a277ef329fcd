"""What stands in front of every route: ids, bounds, headers, log, audit, and an answer whatever happens.

Plain ASGI: what wraps the application in a task of its own would break streams and their cancellation.
"""

import asyncio
import re
import time
import uuid
from typing import Any, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_daemon.api.asking import ASKED, Asked
from headrace_daemon.api.body import Body, most_of
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.refusals import fault, is_v1, refusal
from headrace_queue.errors import HeadraceError

SPOKEN_VERSION: Final = "2.6.0"
"""Of FirecREST's API: clients choose the forms of requests by it."""

MOST_AT_ONCE: Final = 1000
"""Requests under way; further ones are told to come again."""

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}", re.ASCII)
_FOLDED: Final = re.compile(r"/(?:status|filesystem|compute)/", re.IGNORECASE)
_GONE: Final = 499
"""What log and audit say of a client that went before its answer."""


class Front:
    """A middleware. stopping: set when the server ends."""

    def __init__(self, app: ASGIApp, parts: Parts, stopping: asyncio.Event) -> None:
        self.app = app
        self.parts = parts
        self.stopping = stopping
        self.under_way = 0
        self.log = structlog.get_logger("headraced")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.under_way += 1
        try:
            await _Exchange(self, scope, receive, send).run()
        finally:
            self.under_way -= 1


class _Exchange:
    """One request and its answer."""

    def __init__(self, front: Front, scope: Scope, receive: Receive, send: Send) -> None:
        api = front.parts.config.api
        headers = Headers(scope=scope)
        self._front = front
        self._started = time.monotonic()
        self._asked = Asked(_sane(headers.get("x-request-id")) or uuid.uuid4().hex)
        self._asked.correlation_id = _sane(headers.get("x-correlation-id"))
        self._outer = scope
        self._scope = _inner(scope, self._asked)
        self._path: str = self._scope["path"]
        self._body = Body(scope, receive, most_of(self._path, api.max_small if api is not None else 0), front.stopping)
        self._send = send
        self._receive = receive
        self._status = 0
        self._over = False

    async def run(self) -> None:
        try:
            if self._front.under_way > MOST_AT_ONCE:
                await self._refuse(ApiError(429, "too many requests are under way here; try again", retry_after=5.0))
            else:
                await self._front.app(self._scope, self._body.receive, self.send)
        except ClientDisconnect:
            self._status = self._status or _GONE
        except asyncio.CancelledError:
            # only the server cancels, when its time to end is over; this task has nothing left to do but to say so
            await self._refuse(ApiError(503, "the service is stopping; try again", retry_after=10.0))
        except Exception as error:
            if self._status and isinstance(error.__cause__, HeadraceError):
                # foreseen, and too late to be told: a file that was written while it was sent
                self._front.log.warning("answer_broken_off", **self._told(), reason=str(error.__cause__))
            else:
                self._front.log.exception("request_fault", **self._told())
            await self._refuse(fault(self._asked.request_id))
        finally:
            self._note()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._outer["method"] != "HEAD":
            await self._send(message)
        elif not self._over:
            # the answer to HEAD is over at once, however long its body would be
            self._over = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, message: Message) -> None:
        self._status = message["status"]
        message.setdefault("headers", [])
        headers = MutableHeaders(raw=message["headers"])
        headers["x-request-id"] = self._asked.request_id
        if self._asked.correlation_id:
            headers["x-correlation-id"] = self._asked.correlation_id
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("cache-control", "no-store")
        if not is_v1(self._path):
            headers["f7t-appversion"] = SPOKEN_VERSION
        self._body.endless = headers.get("content-type", "").startswith("text/event-stream")
        if self._status >= 400:
            await self._body.drain()
        if not self._body.complete and self._status >= 400:
            headers["connection"] = "close"
        message["headers"] = headers.raw
        await self._send(message)

    async def _refuse(self, error: ApiError) -> None:
        """Where the answer has begun already nothing can be said any more: the connection ends, which shows it."""
        if not self._status:
            await refusal(error, self._path, self._asked)(self._scope, self._receive, self.send)

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"method": self._outer["method"], "path": self._path, "request": self._asked.request_id}
        if self._asked.correlation_id:
            told["correlation"] = self._asked.correlation_id
        if self._asked.user is not None:
            told["user"] = self._asked.user.name
        return told

    def _note(self) -> None:
        seconds = round(time.monotonic() - self._started, 4)
        quiet = self._status < 400 and self._outer["method"] in ("GET", "HEAD")
        emit = self._front.log.debug if quiet else self._front.log.info
        emit("request", **self._told(), status=self._status, seconds=seconds)
        asked = self._asked
        if asked.user is None and self._status not in (401, 403, 429):
            return
        client = self._outer.get("client")
        self._front.parts.audit.note(
            asked.action or f"{self._outer['method']} {self._path}",
            self._status,
            request=asked.request_id,
            user=asked.user.name if asked.user is not None else "",
            by=asked.user.by if asked.user is not None else "",
            address=client[0] if client else "",
            system=asked.system,
            path=asked.about,
            size=asked.size,
            transfer=asked.transfer,
            job=asked.job,
            error=asked.error,
        )


def _inner(scope: Scope, asked: Asked) -> Scope:
    """The request as the routes see it. HEAD is answered as GET is, without the body."""
    inner = dict(scope)
    inner[ASKED] = asked
    if scope["method"] == "HEAD" and not _answers_head(scope):
        inner["method"] = "GET"
    if _FOLDED.match(scope["path"]):
        inner["path"] = scope["path"].lower()  # names of systems are the same in any case, and FirecREST folds all
    return inner


def _answers_head(scope: Scope) -> bool:
    """A route that is for HEAD itself may know more than what GET tells."""
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)


def _sane(value: str | None) -> str:
    """What goes into logs and headers as it came."""
    return value if value is not None and _SANE_ID.fullmatch(value) else ""
