"""Tokens of an OpenID provider: JWTs that prove who somebody is by the provider's signature.

RFC 7519 (JWT), RFC 8725 (how not to be fooled by one), RFC 6750 (how they travel).
"""

from typing import Any, Final

import jwt

from headrace_daemon.api.errors import ApiError, unauthorized
from headrace_daemon.api.oidc_keys import ProviderKeys
from headrace_daemon.api.who import USER_NAME
from headrace_queue.config_api import OidcConfig

MOST_CHARACTERS: Final = 16_384
"""Of a token. Headers of servers and proxies end earlier."""

_TOLD: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "the token has expired; get a new one"),
    (jwt.ImmatureSignatureError, "the token is not valid yet; look at the clock of the host that made it"),
    (jwt.InvalidAudienceError, "the token is for somebody else; get one for the audience of this service"),
    (jwt.InvalidIssuerError, "the token is of another provider than the one of this service"),
    (jwt.MissingRequiredClaimError, "the token lacks exp, iss or aud"),
)
"""What may be said: all of it is found only once the signature is right."""


def looks_like_jwt(token: str) -> bool:
    return token.count(".") == 2


class Oidc:
    """Checks tokens against config and the keys of the provider."""

    def __init__(self, config: OidcConfig, keys: ProviderKeys) -> None:
        self._config = config
        self._keys = keys

    async def user_of(self, token: str) -> str:
        """The name in the claim that config names. Raises ApiError: 401; 503 while there are no keys."""
        algorithm, kid = self._header(token)
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise _refused("the token is signed with a key that the provider does not have")
        name = self._claims(token, algorithm, key.material).get(self._config.username_claim)
        if not isinstance(name, str) or not USER_NAME.fullmatch(name):
            said = "letters, digits, '.', '_', '@' and '-', at most 64"
            raise _refused(f"the claim {self._config.username_claim!r} of the token is no plain name: {said}")
        return name

    def _header(self, token: str) -> tuple[str, str | None]:
        """Its algorithm, one of ours, and the id of its key. What it says of keys otherwise (jku, jwk, x5c) is not
        read: the sender wrote it (RFC 8725, 3.10). Raises ApiError."""
        if len(token) > MOST_CHARACTERS:
            raise _refused("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _refused("the token is malformed") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._config.algorithms:
            raise _refused("the token is signed in a way that is not accepted here")
        return str(algorithm), kid if isinstance(kid, str) else None

    def _claims(self, token: str, algorithm: str, material: Any) -> dict[str, Any]:
        """Raises ApiError. The algorithm is one of ours, and the key was found to be for it."""
        try:
            return jwt.decode(
                token,
                material,
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=self._config.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            said = next((said for kind, said in _TOLD if isinstance(error, kind)), "the token is not valid")
            raise _refused(said) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise _refused("the token is malformed") from None


def _refused(message: str) -> ApiError:
    return unauthorized(message, error="invalid_token")
