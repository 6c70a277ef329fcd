"""Who asks: what every route wants to know before it does anything."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from headrace_daemon.api.errors import ApiError, forbidden
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.places import Place, place_of
from headrace_daemon.api.who import Permission, User

ASKED: Final = "headrace.asked"
"""The key in the scope of a request under which its `Asked` stands."""

_BEARER: Final = HTTPBearer(auto_error=False, description="A token of `headraced token`, or of the OpenID provider.")
_API_KEY: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="A key of `headraced token`.")


@dataclass(slots=True)
class Asked:
    """One request, as log and audit tell of it. user: once it is known. about: what it was for, a path mostly; size,
    transfer, job: where there are such; error: why it was refused. Never a secret."""

    request_id: str
    correlation_id: str = ""
    user: User | None = None
    action: str = ""
    system: str = ""
    about: str = ""
    size: int | None = None
    transfer: int | None = None
    job: int | None = None
    error: str = ""


def asked(request: Request) -> Asked:
    """What is known of this request. Shared by everything that handles it, for it is written to."""
    known = request.scope.get(ASKED)
    if not isinstance(known, Asked):  # nothing is in front of the route, in a test of it alone
        known = request.scope[ASKED] = Asked("")
    return known


def stopping(request: Request) -> asyncio.Event:
    """Set once the daemon stops taking requests: answers without an end have to come to one."""
    event: asyncio.Event = request.app.state.stopping
    return event


async def current_user(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    _api_key: Annotated[str | None, Security(_API_KEY)] = None,
) -> User:
    """The user who asks, within their rate. The last two parameters only stand in the OpenAPI document.

    Raises ApiError: 400, 401, 403, 429, 503.
    """
    parts: Parts = request.app.state.parts
    known = asked(request)
    known.action = getattr(request.scope.get("route"), "name", "")
    address = request.client.host if request.client is not None else ""
    try:
        user = await parts.authenticator.user(request.headers)
    except ApiError as error:
        if error.status == 401:
            # only now: behind one address there may be many, and whoever has a token is let in
            parts.rates.check_address(address)
            parts.rates.failed(address)
        raise
    known.user = user
    parts.rates.check(user)
    return user


CurrentUser = Annotated[User, Depends(current_user)]


def require(user: User, permission: Permission) -> None:
    """Raises ApiError 403."""
    if not user.may(permission):
        raise forbidden(f"this needs the permission '{permission}', which {user.name} does not have")


def place_asked(request: Request, user: User, system: str, path: str, permission: Permission | None) -> Place:
    """The place, where this user may do that; noted for the audit. permission: None where the route asks by itself.

    Raises ApiError 400, 403, 404.
    """
    known = asked(request)
    known.system, known.about = system.lower(), path
    if permission is not None:
        require(user, permission)
    return place_of(user, system, path)
