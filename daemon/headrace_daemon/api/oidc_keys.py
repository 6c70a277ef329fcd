"""The keys of an OpenID provider: fetched, kept, and fetched again when it has new ones.

https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7517 (JWK), RFC 7518 (which key fits which algorithm)
"""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from headrace_daemon.api.errors import ApiError
from headrace_daemon.facts import Facts
from headrace_queue.config_api import OidcConfig, trustworthy_url

CACHE_SECONDS: Final = 3600.0
"""Keys older than this are fetched again; until that succeeds they stay in use."""
OLDEST_SECONDS: Final = 86_400.0
"""Keys that could not be fetched again for so long prove nothing any more: one may have been withdrawn."""
AGAIN_SECONDS: Final = 60.0
"""Between two fetches while there are keys: anybody may send tokens with keys that nobody has."""
FIRST_AGAIN_SECONDS: Final = 5.0
"""Between two fetches while there are none."""
FETCH_SECONDS: Final = 10.0
MOST_BYTES: Final = 2**20
MOST_KEYS: Final = 200
LEAST_RSA_BITS: Final = 2048
"""RFC 7518, 3.3."""

_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y")
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_FITTING: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}


class KeysUnavailable(Exception):
    """The provider did not give its keys: the message says what happened."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key. algorithms: for which it may be used; material: as PyJWT takes it."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any


Fetch = Callable[[], Awaitable[tuple[Key, ...]]]
"""Raises KeysUnavailable."""


def parse_keys(document: object) -> tuple[Key, ...]:
    """What a JWK Set holds that can verify signatures; the rest is passed over (RFC 7517, 5). Raises KeysUnavailable
    where nothing is left."""
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeysUnavailable("this is no JWK Set")
    keys = [key for key in map(_parsed, members[:MOST_KEYS]) if key is not None]
    if not keys:
        raise KeysUnavailable("the JWK Set has no key that verifies signatures")
    return tuple(keys)


def _parsed(member: object) -> Key | None:
    if not isinstance(member, dict):
        return None
    algorithms = _algorithms(member)
    if not algorithms:
        return None
    # never the private half, whatever the provider publishes
    public = {name: member[name] for name in _PUBLIC if name in member}
    try:
        material = jwt.PyJWK(public, algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(material, RSAPublicKey) and material.key_size < LEAST_RSA_BITS:
        return None
    kid = member.get("kid")
    return Key(kid if isinstance(kid, str) else None, algorithms, material)


def _algorithms(member: dict[Any, Any]) -> frozenset[str]:
    """What this key is for, by its type and by what it says of itself."""
    operations = member.get("key_ops")
    if member.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return frozenset()
    kind = (str(member.get("kty")), str(member.get("crv", "")))
    fitting = _FITTING.get(kind, frozenset())
    return fitting if "alg" not in member else fitting & {str(member["alg"])}


def choose(keys: Sequence[Key], kid: str | None, algorithm: str) -> Key | None:
    """The key of this id. A token without an id is of the only key there is for its algorithm, or of none."""
    fitting = [key for key in keys if algorithm in key.algorithms]
    if kid is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == kid), None)


class ProviderKeys:
    """The keys in use, of one provider. clock: seconds, monotonic. `close` ends a fetch that is under way."""

    def __init__(self, fetch: Fetch, facts: Facts, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._facts = facts
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched = 0.0
        self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names; None where the provider has none such. Raises ApiError 503 while there are none
        to rely on."""
        age = self._clock() - self._fetched
        if not self._keys or age > OLDEST_SECONDS:
            return await self._first(kid, algorithm)
        if age > CACHE_SECONDS and self._may_fetch(AGAIN_SECONDS):
            self._start()  # nobody waits for it: the keys from before hold meanwhile
        found = choose(self._keys, kid, algorithm)
        if found is None and (self._fetching is not None or self._may_fetch(AGAIN_SECONDS)):
            await self._renewed()
            found = choose(self._keys, kid, algorithm)
        return found

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _first(self, kid: str | None, algorithm: str) -> Key | None:
        if self._fetching is not None or self._may_fetch(FIRST_AGAIN_SECONDS):
            await self._renewed()
        if not self._keys or self._clock() - self._fetched > OLDEST_SECONDS:
            said = "the keys of the identity provider cannot be fetched just now; try again"
            raise ApiError(503, said, retry_after=FIRST_AGAIN_SECONDS)
        return choose(self._keys, kid, algorithm)

    def _may_fetch(self, seconds: float) -> bool:
        return self._clock() - self._tried >= seconds

    def _start(self) -> "asyncio.Task[None]":
        if self._fetching is None:
            self._tried = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._renew(), name="keys of the OpenID provider")
        return self._fetching

    async def _renewed(self) -> None:
        # shielded: a client that goes away must not take the keys away from the others
        await asyncio.shield(self._start())

    async def _renew(self) -> None:
        try:
            self._keys = await self._fetch()
            self._fetched = self._clock()
        except KeysUnavailable as error:
            kept = "; the keys from before stay in use" if self._keys else ""
            self._facts.api_problem("oidc", f"{error}{kept}")
        finally:
            self._fetching = None


async def fetch_keys(config: OidcConfig) -> tuple[Key, ...]:
    """From jwks_url, or from where the discovery document says. Raises KeysUnavailable."""
    url = config.issuer
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            trust = await asyncio.to_thread(_trust, config)
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            connector = aiohttp.TCPConnector(ssl=trust)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
                url = config.jwks_url or await _discovered(session, config)
                return parse_keys(await _document(session, url))
    except TimeoutError:
        raise KeysUnavailable(f"{url}: no answer within {FETCH_SECONDS:.0f} s") from None
    except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
        raise KeysUnavailable(f"{url}: {error or type(error).__name__}") from None
    except KeysUnavailable as error:
        raise KeysUnavailable(f"{url}: {error}") from None


def _trust(config: OidcConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if config.ca_file is None else config.ca_file.expanduser())


async def _discovered(session: aiohttp.ClientSession, config: OidcConfig) -> str:
    """OpenID Connect Discovery 1.0, 4.3: the document must be of exactly our issuer."""
    document = await _document(session, config.issuer.rstrip("/") + "/.well-known/openid-configuration")
    if not isinstance(document, dict) or document.get("issuer") != config.issuer:
        raise KeysUnavailable("its discovery document is of another issuer; correct `issuer` in [api.oidc]")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not trustworthy_url(url):
        raise KeysUnavailable("its discovery document names no jwks_uri that begins with https://")
    return url


async def _document(session: aiohttp.ClientSession, url: str) -> object:
    """Raises KeysUnavailable, and what aiohttp raises. Redirects are not followed: they may lead to anybody."""
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        if answer.status != 200:
            raise KeysUnavailable(f"status {answer.status}")
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            if len(content) > MOST_BYTES:
                raise KeysUnavailable(f"more than {MOST_BYTES} bytes")
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        raise KeysUnavailable("this is no JSON") from None
    except json.JSONDecodeError:
        raise KeysUnavailable("this is no JSON") from None
