"""An OpenID provider on loopback: a discovery document, keys that change, and tokens signed with them."""

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "headrace"


@dataclass(frozen=True)
class SigningKey:
    """A key pair of the provider. private: as PyJWT signs with it."""

    kid: str
    algorithm: str
    private: Any

    @property
    def public_pem(self) -> bytes:
        pem: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem

    def jwk(self, **members: Any) -> dict[str, Any]:
        """As it stands in a JWK Set; a member None is left out."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        listed: dict[str, Any] = dict(json.loads(type(kind).to_jwk(self.private.public_key())))
        listed.pop("key_ops", None)
        listed.update({"kid": self.kid, "alg": self.algorithm, "use": "sig", **members})
        return {name: value for name, value in listed.items() if value is not None}


@cache
def signing_key(kid: str, algorithm: str = "RS256", bits: int = 2048) -> SigningKey:
    """Made once for each test process: an RSA key takes its time."""
    if algorithm.startswith("ES"):
        curve: ec.EllipticCurve = ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1()
        return SigningKey(kid, algorithm, ec.generate_private_key(curve))
    if algorithm == "EdDSA":
        return SigningKey(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
    return SigningKey(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=bits))


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token of any header and any signature, as who forges one writes it."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class IdentityProvider:
    """issuer: its address. keys: what it publishes, JWKs. discovery: members that its document says otherwise.

    status, body: what it answers in place of its keys. fetched: how often somebody took them.
    """

    issuer: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    discovery: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    fetched: int = 0

    def claims(self, name: str = "alice", **others: Any) -> dict[str, Any]:
        """Those of a token that is good for an hour; one given as None is left out."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": AUDIENCE, "sub": "1234", "iat": now, "nbf": now, "exp": now + 3600}
        claims = {**usual, "preferred_username": name, **others}
        return {key: value for key, value in claims.items() if value is not None}

    def token(self, key: SigningKey, name: str = "alice", *, kid: str | None = "", **others: Any) -> str:
        """Signed with this key. kid: another than its own; None: none at all."""
        header = {} if kid is None else {"kid": kid or key.kid}
        return jwt.encode(self.claims(name, **others), key.private, algorithm=key.algorithm, headers=header)

    async def _discovery(self, request: web.Request) -> web.Response:
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **self.discovery})

    async def _jwks(self, request: web.Request) -> web.Response:
        self.fetched += 1
        body = self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()
        return web.Response(status=self.status, body=body, headers=self.headers, content_type="application/json")


@asynccontextmanager
async def identity_provider(*keys: SigningKey) -> AsyncIterator[IdentityProvider]:
    """One that runs, and publishes these keys."""
    provider = IdentityProvider(keys=[key.jwk() for key in keys])
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider._discovery)
    app.router.add_get("/jwks", provider._jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
