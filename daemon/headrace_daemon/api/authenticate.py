"""From the headers of a request to the user who asks, and what they may."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from headrace_daemon.api import rights
from headrace_daemon.api.accounts import Accounts
from headrace_daemon.api.errors import forbidden, invalid, unauthorized
from headrace_daemon.api.oidc import Oidc, looks_like_jwt
from headrace_daemon.api.oidc_keys import ProviderKeys, fetch_keys
from headrace_daemon.api.tokens import TokenFile, TokenKind, find, token_source
from headrace_daemon.api.who import User
from headrace_daemon.facts import Facts
from headrace_daemon.files.account import Account, account_of
from headrace_queue.config import Config
from headrace_queue.config_api import ApiConfig

LOOK_SECONDS: Final = 1.0
"""Between two looks whether the file of tokens changed: as long as a revoked token may still be good for something."""

Proof = tuple[str, str]
"""The name of a user, and `by` of User."""

_HEADER: Final = {TokenKind.BEARER: "Authorization: Bearer TOKEN", TokenKind.API_KEY: "X-API-Key: TOKEN"}


class Authenticator:
    """Reads the tokens at once. Raises UsageError where their file cannot be used.

    now: seconds since the epoch; clock: seconds, monotonic. account_of: see files/account.py. config.api must be there.
    Used on one event loop; `close` ends it.
    """

    def __init__(
        self,
        config: Config,
        facts: Facts | None = None,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        environ: Mapping[str, str] = os.environ,
        account_of: Callable[[str], Account] = account_of,
    ) -> None:
        if config.api is None:
            raise ValueError("there is no [api] whose users could be known")
        told = facts or Facts()
        self._config = config
        self._static = StaticTokens(config.api, told, now, clock, environ)
        self._accounts = Accounts(account_of, told, clock)
        oidc = config.api.oidc
        self._keys = None if oidc is None else ProviderKeys(partial(fetch_keys, oidc), told, clock)
        self._oidc = None if oidc is None or self._keys is None else Oidc(oidc, self._keys)

    async def user(self, headers: Mapping[str, str]) -> User:
        """Who asks. Raises ApiError: 400 for two different users, 401 for none, 403 for one who may nothing here, 503
        where that cannot be found out just now."""
        bearer, api_key = credentials(headers)
        proofs: list[Proof] = []
        if bearer is not None:
            proofs.append(await self._proved(bearer, TokenKind.BEARER))
        if api_key is not None:
            proofs.append(await self._proved(api_key, TokenKind.API_KEY))
        if not proofs:
            raise unauthorized("nobody asks; send a token: `Authorization: Bearer TOKEN` or `X-API-Key: KEY`")
        if len({name for name, _ in proofs}) > 1:
            raise invalid("the token and the API key are of different users; send one of them", location="header")
        name, by = proofs[0]
        return await self._known(name, by)

    async def close(self) -> None:
        """Ends what runs beside."""
        if self._keys is not None:
            await self._keys.close()
        self._accounts.close()

    async def _proved(self, token: str, kind: TokenKind) -> Proof:
        """Raises ApiError 401, 503."""
        proof = await self._static.proved(token, kind)
        if proof is not None:
            return proof
        if self._oidc is not None and kind is TokenKind.BEARER and looks_like_jwt(token):
            return await self._oidc.user_of(token), "oidc"
        raise unauthorized("the token is not known here, or was revoked", error="invalid_token")

    async def _known(self, name: str, by: str) -> User:
        """Raises ApiError 403, 503."""
        section = rights.section_of(self._config, name, invited=by != "oidc")
        account: Account | None = None
        if wanted := rights.account_name(section, name):
            account = await self._accounts.get(wanted)
            if account is None:
                raise forbidden(f"this host has no account {wanted!r}, whose rights {name} would have")
            rights.refuse_account(self._config, section, name, account)
        return rights.user_of(self._config, section, name, account, by)


class StaticTokens:
    """The tokens of the file, looked at again when it changed. Raises UsageError where it cannot be used at first."""

    def __init__(
        self,
        api: ApiConfig,
        facts: Facts,
        now: Callable[[], float],
        clock: Callable[[], float],
        environ: Mapping[str, str],
    ) -> None:
        source = token_source(api, environ)
        self._file = None if source is None else TokenFile(source, partial(facts.api_problem, "tokens"))
        self._now = now
        self._clock = clock
        self._looked = clock()
        self._looking = asyncio.Lock()

    async def proved(self, token: str, kind: TokenKind) -> Proof | None:
        """None for a token that is not known. Raises ApiError 401 for one that expired or came in the wrong header."""
        if self._file is None:
            return None
        await self._look(LOOK_SECONDS)
        found = find(self._file.tokens, token)
        if found is None:
            await self._look(0.0)  # perhaps it was made just now
            found = find(self._file.tokens, token)
        if found is None:
            return None
        if found.expired(self._now()):
            raise unauthorized(f"the token {found.name} has expired; ask for a new one", error="invalid_token")
        if found.kind is not kind:
            raise unauthorized(f"{found.name} comes in another header: {_HEADER[found.kind]}", error="invalid_token")
        return found.user, f"token {found.name}"

    async def _look(self, after: float) -> None:
        if self._file is None or self._clock() - self._looked < after:
            return
        async with self._looking:
            if self._clock() - self._looked >= after:
                self._looked = self._clock()
                await asyncio.to_thread(self._file.look)


def credentials(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The bearer token and the API key. Raises ApiError: 400 for a header that stands there twice, 401 for another way
    to prove oneself."""
    authorization, api_key = _single(headers, "authorization"), _single(headers, "x-api-key")
    if authorization is None:
        return None, api_key
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Authorization is not understood; send `Authorization: Bearer TOKEN`")
    return token.strip(), api_key


def _single(headers: Mapping[str, str], name: str) -> str | None:
    values = [value for key, value in headers.items() if key.lower() == name]
    if len(values) > 1:
        raise invalid(f"the header {name} stands there twice; send it once", location="header")
    return values[0] if values and values[0] else None
