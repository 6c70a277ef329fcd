"""Tokens of an OpenID provider that runs: which are believed, which are not, and how its keys are fetched and kept."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest

from headrace_daemon.api import oidc_keys
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.oidc import MOST_CHARACTERS, Oidc
from headrace_daemon.api.oidc_keys import (
    AGAIN_SECONDS,
    CACHE_SECONDS,
    FIRST_AGAIN_SECONDS,
    OLDEST_SECONDS,
    KeysUnavailable,
    ProviderKeys,
    fetch_keys,
    parse_keys,
)
from headrace_daemon.facts import Facts
from headrace_queue.config_api import OidcConfig
from tests.support.identity_provider import (
    AUDIENCE,
    IdentityProvider,
    SigningKey,
    identity_provider,
    signing_key,
    unsigned,
)

RSA = signing_key("rsa-1")
OTHER_RSA = signing_key("rsa-2")
EC = signing_key("ec-1", "ES256")
ALGORITHMS = ("RS256", "ES256", "EdDSA")


class Told(Facts):
    def __init__(self) -> None:
        self.problems: list[str] = []

    def api_problem(self, reason: str, detail: str) -> None:
        assert reason == "oidc"
        self.problems.append(detail)


@dataclass
class Desk:
    """A service that believes one provider, with a clock that is moved by hand."""

    provider: IdentityProvider
    now: float = 1_000.0
    told: Told = field(default_factory=Told)
    keys: ProviderKeys = field(init=False)
    oidc: Oidc = field(init=False)

    def __post_init__(self) -> None:
        self.believes()

    def believes(self, **settings: Any) -> None:
        usual = {"issuer": self.provider.issuer, "audience": AUDIENCE, "algorithms": ALGORITHMS}
        config = OidcConfig.model_validate({**usual, **settings})
        self.keys = ProviderKeys(partial(fetch_keys, config), self.told, lambda: self.now)
        self.oidc = Oidc(config, self.keys)

    async def refusal(self, token: str, status: int = 401) -> str:
        """Why the token is not believed; the token itself is in nothing that is said."""
        with pytest.raises(ApiError) as caught:
            await self.oidc.user_of(token)
        error = caught.value
        assert error.status == status
        if status == 401:
            assert error.challenge == 'Bearer error="invalid_token"'
        for part in token.split("."):
            assert len(part) < 8 or part not in str(error) + repr(error) + repr(error.__cause__)
        assert error.__cause__ is None
        return error.message


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with identity_provider(RSA, EC) as provider:
        made = Desk(provider)
        yield made
        await made.keys.close()


@pytest.mark.parametrize("key", [RSA, EC, signing_key("ed", "EdDSA")], ids=["RS256", "ES256", "EdDSA"])
async def test_a_good_token_says_who_it_is(desk: Desk, key: SigningKey) -> None:
    desk.provider.keys.append(signing_key("ed", "EdDSA").jwk())
    assert await desk.oidc.user_of(desk.provider.token(key, "alice.b@site-2_x")) == "alice.b@site-2_x"
    assert await desk.oidc.user_of(desk.provider.token(key, "bob", aud=["other", AUDIENCE])) == "bob"
    assert desk.provider.fetched == 1
    assert desk.told.problems == []


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": int(time.time()) - 3600}, "has expired"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"iat": int(time.time()) + 3600}, "not valid yet"),
        ({"iss": "https://elsewhere.example.org"}, "another provider"),
        ({"aud": "another-service"}, "for somebody else"),
        ({"aud": ["another-service"]}, "for somebody else"),
        ({"aud": None}, "lacks exp, iss or aud"),
        ({"exp": None}, "lacks exp, iss or aud"),
        ({"iss": None}, "lacks exp, iss or aud"),
        ({"exp": "tomorrow"}, "not valid"),
        ({"preferred_username": None}, "no plain name"),
        ({"preferred_username": ["alice"]}, "no plain name"),
        ({"preferred_username": ".."}, "no plain name"),
        ({"preferred_username": "a/b"}, "no plain name"),
        ({"preferred_username": "alice\n"}, "no plain name"),
        ({"preferred_username": "аlice"}, "no plain name"),  # noqa: RUF001 - a Cyrillic letter
        ({"preferred_username": "a" * 65}, "no plain name"),
        ({"preferred_username": ""}, "no plain name"),
    ],
)
async def test_a_claim_that_is_wrong(desk: Desk, claims: dict[str, Any], said: str) -> None:
    assert said in await desk.refusal(desk.provider.token(RSA, **claims))


async def test_clocks_may_differ_by_the_leeway(desk: Desk) -> None:
    now = int(time.time())
    assert await desk.oidc.user_of(desk.provider.token(RSA, exp=now - 10)) == "alice"
    assert await desk.oidc.user_of(desk.provider.token(RSA, nbf=now + 10, iat=now + 10)) == "alice"
    desk.believes(leeway=0)
    assert "expired" in await desk.refusal(desk.provider.token(RSA, exp=now - 10))


async def test_forged_signatures(desk: Desk) -> None:
    """RFC 8725, 2.1 and 3.1: the algorithm is ours to choose, and the key is good for one only."""
    claims = desk.provider.claims("root")
    good = desk.provider.token(RSA)
    header, body, signature = good.split(".")
    changed = unsigned({}, claims).split(".")[1]
    for algorithm in ("none", "None", "NONE", "", None, 7, ["RS256"]):
        assert "not accepted" in await desk.refusal(unsigned({"alg": algorithm, "kid": RSA.kid}, claims))
    assert "not accepted" in await desk.refusal(unsigned({"kid": RSA.kid}, claims))
    assert "not valid" in await desk.refusal(f"{header}.{changed}.{signature}")
    assert "not valid" in await desk.refusal(f"{header}.{body}.")
    assert "not valid" in await desk.refusal(desk.provider.token(OTHER_RSA, "root", kid=RSA.kid))
    assert desk.provider.fetched == 1


async def test_the_public_key_is_no_secret_to_sign_with(desk: Desk) -> None:
    head = {"alg": "HS256", "kid": RSA.kid, "typ": "JWT"}
    plain = unsigned(head, desk.provider.claims("root")).rpartition(".")[0]
    for secret in (RSA.public_pem, RSA.public_pem.strip(), json.dumps(RSA.jwk()).encode()):
        signature = base64.urlsafe_b64encode(hmac.digest(secret, plain.encode(), hashlib.sha256)).rstrip(b"=")
        assert "not accepted" in await desk.refusal(f"{plain}.{signature.decode()}")
    # nor where the provider itself lists a symmetric key
    shared = base64.urlsafe_b64encode(b"k" * 32).rstrip(b"=").decode()
    desk.provider.keys.append({"kty": "oct", "kid": "shared", "k": shared, "alg": "HS256"})
    token = jwt.encode(desk.provider.claims("root"), b"k" * 32, algorithm="HS256", headers={"kid": "shared"})
    assert "not accepted" in await desk.refusal(token)


async def test_an_algorithm_that_config_does_not_name(desk: Desk) -> None:
    desk.believes(algorithms=("RS256",))
    assert "not accepted" in await desk.refusal(desk.provider.token(EC))
    token = jwt.encode(desk.provider.claims(), RSA.private, algorithm="RS512", headers={"kid": RSA.kid})
    assert "not accepted" in await desk.refusal(token)


async def test_a_key_is_good_only_for_what_it_says(desk: Desk) -> None:
    desk.believes(algorithms=("RS256", "PS256", "ES256", "ES384"))
    pss = jwt.encode(desk.provider.claims(), RSA.private, algorithm="PS256", headers={"kid": RSA.kid})
    assert "key that the provider does not have" in await desk.refusal(pss), "its JWK says RS256"
    crossed = jwt.encode(desk.provider.claims(), EC.private, algorithm="ES256", headers={"kid": RSA.kid})
    assert "key that the provider does not have" in await desk.refusal(crossed)
    desk.provider.keys[0] = RSA.jwk(alg=None)
    desk.now += AGAIN_SECONDS
    assert await desk.oidc.user_of(pss) == "alice"


@pytest.mark.parametrize("members", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP"}, {"kty": "EC"}])
async def test_a_key_for_something_else_is_no_key(desk: Desk, members: dict[str, Any]) -> None:
    desk.provider.keys[0] = RSA.jwk(**members)
    assert "key that the provider does not have" in await desk.refusal(desk.provider.token(RSA))


async def test_a_weak_key_is_no_key(desk: Desk) -> None:
    weak = signing_key("weak", bits=1024)
    desk.provider.keys.append(weak.jwk())
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = desk.provider.token(weak)
    assert "key that the provider does not have" in await desk.refusal(token)


async def test_a_token_without_a_key_id_is_of_the_only_key(desk: Desk) -> None:
    assert await desk.oidc.user_of(desk.provider.token(RSA, kid=None)) == "alice"
    desk.provider.keys.append(OTHER_RSA.jwk())
    desk.believes()
    assert "key that the provider does not have" in await desk.refusal(desk.provider.token(RSA, kid=None))


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "é.é.é",
        "x" * (MOST_CHARACTERS + 1) + ".b.c",
        unsigned({"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": False}, {}),
        base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.",
        base64.urlsafe_b64encode(b"\xff\xfe").rstrip(b"=").decode() + ".e30.",
        "e30.e30.e30",
        "W10.e30.e30",
    ],
    ids=["empty", "letters", "no ascii", "long", "detached", "deep", "no utf-8", "no algorithm", "list"],
)
async def test_what_is_no_token_at_all(desk: Desk, token: str) -> None:
    await desk.refusal(token)


async def test_a_token_without_end_is_not_looked_at(desk: Desk) -> None:
    token = desk.provider.token(RSA, more="x" * MOST_CHARACTERS)
    assert "too long" in await desk.refusal(token)
    assert desk.provider.fetched == 0


async def test_a_signed_token_that_holds_no_claims(desk: Desk) -> None:
    for payload in (b"[]", b"7", b"\xff", b"[" * 6000, b'{"exp": 1e400, "iss": "x", "aud": "y"}'):
        token = jwt.PyJWS().encode(payload, RSA.private, algorithm="RS256", headers={"kid": RSA.kid})
        await desk.refusal(token)


async def test_keys_that_the_sender_names_are_not_fetched(desk: Desk) -> None:
    """RFC 8725, 3.10."""
    async with identity_provider(OTHER_RSA) as stranger:
        headers = {"kid": OTHER_RSA.kid, "jku": f"{stranger.issuer}/jwks", "jwk": OTHER_RSA.jwk()}
        token = jwt.encode(desk.provider.claims("root"), OTHER_RSA.private, algorithm="RS256", headers=headers)
        assert "key that the provider does not have" in await desk.refusal(token)
        assert stranger.fetched == 0


async def test_rotation_is_noticed_at_the_first_token_of_a_new_key(desk: Desk) -> None:
    await desk.oidc.user_of(desk.provider.token(RSA))
    desk.provider.keys = [OTHER_RSA.jwk(), EC.jwk()]
    desk.now += AGAIN_SECONDS
    assert await desk.oidc.user_of(desk.provider.token(OTHER_RSA)) == "alice"
    assert desk.provider.fetched == 2
    assert "key that the provider does not have" in await desk.refusal(desk.provider.token(RSA))


async def test_forged_key_ids_do_not_hammer_the_provider(desk: Desk) -> None:
    await desk.oidc.user_of(desk.provider.token(RSA))
    desk.now += AGAIN_SECONDS
    for number in range(40):
        forged = unsigned({"alg": "RS256", "kid": f"forged-{number}"}, desk.provider.claims("root"), b"x" * 256)
        assert "key that the provider does not have" in await desk.refusal(forged)
        desk.now += 1.0
    assert desk.provider.fetched == 2
    assert await desk.oidc.user_of(desk.provider.token(RSA)) == "alice"


async def test_many_at_once_fetch_once(desk: Desk) -> None:
    names = await asyncio.gather(*(desk.oidc.user_of(desk.provider.token(RSA, f"u{n}")) for n in range(20)))
    assert names == [f"u{n}" for n in range(20)]
    assert desk.provider.fetched == 1


async def test_a_client_that_leaves_takes_the_keys_from_nobody(desk: Desk) -> None:
    first = asyncio.ensure_future(desk.oidc.user_of(desk.provider.token(RSA)))
    second = asyncio.ensure_future(desk.oidc.user_of(desk.provider.token(RSA)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "alice"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_old_keys_are_fetched_again_and_hold_meanwhile(desk: Desk) -> None:
    token = desk.provider.token(RSA)
    await desk.oidc.user_of(token)
    desk.now += CACHE_SECONDS
    await desk.oidc.user_of(token)
    assert desk.provider.fetched == 1
    desk.now += 1
    assert await desk.oidc.user_of(token) == "alice"
    async with asyncio.timeout(60):
        while desk.provider.fetched == 1 or desk.keys._fetching is not None:  # noqa: ASYNC110 - another task fetches
            await asyncio.sleep(0.005)
    await desk.oidc.user_of(token)
    assert desk.provider.fetched == 2


async def test_while_the_provider_is_down_its_keys_stay_in_use_for_a_day(desk: Desk) -> None:
    token = desk.provider.token(RSA)
    await desk.oidc.user_of(token)
    desk.provider.status = 500
    fetched = desk.now
    for _ in range(3):
        desk.now += CACHE_SECONDS + 1
        assert await desk.oidc.user_of(token) == "alice"
        assert "key that the provider does not have" in await desk.refusal(desk.provider.token(OTHER_RSA))
    assert len(desk.told.problems) == desk.provider.fetched - 1 == 3
    assert desk.told.problems[0].endswith("/jwks: status 500; the keys from before stay in use")
    desk.now = fetched + OLDEST_SECONDS + 1
    assert "cannot be fetched just now" in await desk.refusal(token, 503)
    desk.provider.status = 200
    desk.now += FIRST_AGAIN_SECONDS
    assert await desk.oidc.user_of(token) == "alice"


async def test_without_keys_nobody_is_believed_and_the_provider_is_not_hammered(desk: Desk) -> None:
    desk.provider.status = 503
    for _ in range(10):
        assert "try again" in await desk.refusal(desk.provider.token(RSA), 503)
    assert desk.provider.fetched == 1
    desk.provider.status = 200
    desk.now += FIRST_AGAIN_SECONDS
    assert await desk.oidc.user_of(desk.provider.token(RSA)) == "alice"


async def test_nobody_listens(desk: Desk) -> None:
    desk.believes(jwks_url="http://127.0.0.1:1/jwks")
    assert "try again" in await desk.refusal(desk.provider.token(RSA), 503)
    assert "127.0.0.1:1" in desk.told.problems[0]


async def test_the_address_of_the_keys_may_be_given(desk: Desk) -> None:
    desk.provider.discovery = {"issuer": "https://broken.example.org"}
    desk.believes(jwks_url=f"{desk.provider.issuer}/jwks")
    assert await desk.oidc.user_of(desk.provider.token(RSA)) == "alice"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"issuer": "https://elsewhere.example.org"}, "of another issuer"),
        ({"jwks_uri": None}, "names no jwks_uri"),
        ({"jwks_uri": "http://keys.example.org/jwks"}, "names no jwks_uri that begins with https"),
        ({"jwks_uri": "http://localhost.example.org/jwks"}, "names no jwks_uri that begins with https"),
        ({"jwks_uri": "file:///etc/passwd"}, "names no jwks_uri that begins with https"),
    ],
)
async def test_a_discovery_document_that_leads_elsewhere(desk: Desk, members: dict[str, Any], said: str) -> None:
    desk.provider.discovery = members
    await desk.refusal(desk.provider.token(RSA), 503)
    assert said in desk.told.problems[0]
    assert desk.provider.fetched == 0


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (200, b"{" + b" " * oidc_keys.MOST_BYTES + b"}", {}, "more than 1048576 bytes"),
        (200, gzip.compress(b'{"keys": []}', mtime=0), {"content-encoding": "gzip"}, "no JSON"),
        (200, b"<html>", {}, "no JSON"),
        (200, b"\xff\xff", {}, "no JSON"),
        (200, b"[" * 200_000, {}, "recursion"),
        (200, b"[]", {}, "no JWK Set"),
        (200, b'{"keys": {}}', {}, "no JWK Set"),
        (200, b'{"keys": [7, {}, {"kty": "RSA"}, {"kty": ["RSA"], "n": 7}]}', {}, "has no key that verifies"),
        (302, b"", {"location": "http://127.0.0.1:1/"}, "status 302"),
        (404, b"", {}, "status 404"),
    ],
)
async def test_keys_that_are_none(desk: Desk, status: int, body: bytes, headers: dict[str, str], said: str) -> None:
    desk.provider.status, desk.provider.body, desk.provider.headers = status, body, headers
    await desk.refusal(desk.provider.token(RSA), 503)
    assert said in desk.told.problems[0]


async def test_a_provider_that_never_answers_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc_keys, "FETCH_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        desk.believes(jwks_url=f"http://127.0.0.1:{port}/")
        await desk.refusal(desk.provider.token(RSA), 503)
    assert "no answer" in desk.told.problems[0]


async def test_only_the_given_authority_is_believed(tmp_path: Path, desk: Desk) -> None:
    missing = tmp_path / "ca.pem"
    desk.believes(ca_file=missing)
    await desk.refusal(desk.provider.token(RSA), 503)
    assert "No such file" in desk.told.problems[0]


async def test_closing_ends_a_fetch(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.oidc.user_of(desk.provider.token(RSA)))
    await asyncio.sleep(0)
    await desk.keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_the_private_half_of_a_key_is_never_taken_over() -> None:
    both = dict(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.private)))
    assert "d" in both
    both.pop("key_ops")
    (key,) = parse_keys({"keys": [{**both, "kid": "x"}]})
    assert not hasattr(key.material, "private_numbers")


def test_a_set_without_a_usable_key_is_refused() -> None:
    with pytest.raises(KeysUnavailable):
        parse_keys({"keys": [EC.jwk(crv="P-521")]})


async def test_no_library_logs_a_token(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = desk.provider.token(RSA, exp=1)
    await desk.refusal(token)
    assert not [record for record in caplog.records if token.split(".")[2] in record.getMessage()]
