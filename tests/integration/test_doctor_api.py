"""The doctor looks at the HTTP API: tokens, provider, certificate, accounts."""

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from headrace_daemon.api.token_editing import add_token
from headrace_daemon.api.tokens import Token, TokenKind, sha256_of
from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import S3Server, Tls
from headrace_daemon.doctor.api import account_checks, api_checks, certificate_checks, token_checks
from headrace_daemon.doctor.check import Check, Status
from headrace_daemon.doctor.staging import staging_checks
from headrace_queue.config import Config
from headrace_queue.config_api import ApiConfig
from tests.support.identity_provider import AUDIENCE, identity_provider, signing_key

NOW = 1_800_000_000.0
DAY = 86_400.0


def api(**settings: Any) -> ApiConfig:
    return ApiConfig.model_validate(settings)


def token(name: str, expires: float | None = None) -> Token:
    return Token(name, "alice", TokenKind.BEARER, expires, sha256_of(name))


def only(checks: list[Check]) -> Check:
    (check,) = checks
    assert bool(check.remedy) == (check.status is not Status.OK)
    return check


async def test_without_an_api_nothing_is_looked_at(tmp_path: Path) -> None:
    assert await api_checks(Config(state_dir=tmp_path)) == []


async def test_where_all_is_well(tmp_path: Path, tls: Tls) -> None:
    path = tmp_path / "tokens.toml"
    add_token(path, token("a"))
    async with identity_provider(signing_key("rsa-1"), signing_key("ec-1", "ES256")) as provider:
        values = {
            "state_dir": str(tmp_path),
            "api": {
                "tokens": str(path),
                "tls_cert": str(tls.cert_file),
                "tls_key": str(tls.key_file),
                "oidc": {"issuer": provider.issuer, "audience": AUDIENCE, "algorithms": ["RS256", "PS256"]},
            },
            "systems": {"daint": {"roots": ["/scratch"]}},
            "users": {"root": {}, "*": {}, "shared": {"account": ""}},
        }
        checks = await api_checks(Config.model_validate(values))
        values["api"]["oidc"]["algorithms"] = ["ES384"]  # type: ignore[index]
        wrong = await api_checks(Config.model_validate(values))
    assert {check.name: check.status for check in checks} == {
        "tokens": "ok",
        "API certificate": "ok",
        f"OpenID provider {provider.issuer}": "ok",
        "account of user root": "ok",
    }
    assert checks[2].detail == "2 keys, for ES256, RS256"
    assert wrong[2].status is Status.FAIL
    assert wrong[2].remedy == "Correct `algorithms` in [api.oidc]."


async def test_a_provider_that_is_away(tmp_path: Path) -> None:
    values = {
        "state_dir": str(tmp_path),
        "api": {"oidc": {"issuer": "http://127.0.0.1:1", "audience": AUDIENCE}},
        "systems": {"daint": {"roots": ["/scratch"]}},
    }
    check = only(await api_checks(Config.model_validate(values)))
    assert check.status is Status.FAIL
    assert "127.0.0.1:1" in check.detail


def test_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    config = api(tokens=str(path))
    missing = only(token_checks(config, {}, NOW))
    assert (missing.status, "No such file" in missing.detail) == (Status.FAIL, True)
    path.touch(mode=0o600)
    assert only(token_checks(config, {}, NOW)).status is Status.WARN
    add_token(path, token("forever"))
    add_token(path, token("long", NOW + 20 * DAY))
    assert only(token_checks(config, {}, NOW)).status is Status.OK
    add_token(path, token("soon", NOW + 10 * DAY))
    add_token(path, token("ended", NOW - DAY))
    soon = only(token_checks(config, {}, NOW))
    assert (soon.status, soon.detail.endswith(": ended, soon")) == (Status.WARN, True)
    path.chmod(0o644)
    assert only(token_checks(config, {}, NOW)).remedy == f"Run: chmod 600 {path}"
    assert token_checks(api(oidc={"issuer": "https://idp", "audience": "h"}), {}, NOW) == []


def test_tokens_of_the_unit_are_seen_only_there(tmp_path: Path) -> None:
    config = api(tokens_credential="tokens.toml")
    assert only(token_checks(config, {}, NOW)).status is Status.WARN
    add_token(tmp_path / "tokens.toml", token("a"))
    assert only(token_checks(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, NOW)).status is Status.OK


def test_the_certificate(tls: Tls, device_tls: Tls, tmp_path: Path) -> None:
    def look(certificate: Path, key: Path, now: float | None = None) -> Check:
        return only(certificate_checks(api(tokens="/t", tls_cert=str(certificate), tls_key=str(key)), now))

    ends = x509.load_pem_x509_certificate(tls.cert_file.read_bytes()).not_valid_after_utc
    end, day = ends.timestamp(), ends.strftime("%Y-%m-%d")
    assert look(tls.cert_file, tls.key_file, end - 15 * DAY).status is Status.OK
    soon = look(tls.cert_file, tls.key_file, end - 13 * DAY)
    assert (soon.status, soon.detail) == (Status.WARN, f"{tls.cert_file}: it ends on {day}")
    ended = look(tls.cert_file, tls.key_file, end + 1)
    assert (ended.status, ended.detail) == (Status.FAIL, f"{tls.cert_file}: it ended on {day}")
    assert look(tls.cert_file, device_tls.key_file).status is Status.FAIL
    assert look(tls.cert_file, tmp_path / "missing").status is Status.FAIL
    (tmp_path / "no.pem").write_text("no certificate")
    assert look(tmp_path / "no.pem", tls.key_file).status is Status.FAIL
    assert certificate_checks(api(tokens="/t")) == []
    assert datetime.datetime.now(datetime.UTC) < ends


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tls: Tls, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(tls.key_file.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    check = only(certificate_checks(api(tokens="/t", tls_cert=str(tls.cert_file), tls_key=str(locked))))
    assert check.status is Status.FAIL
    assert "needs a password" in check.detail


@pytest.mark.parametrize(("account", "there"), [("root", True), ("no-such-account", False)])
def test_accounts(tmp_path: Path, account: str, there: bool) -> None:
    values = {
        "state_dir": str(tmp_path),
        "systems": {"daint": {"roots": ["/scratch"]}},
        "users": {"alice": {"account": account}},
    }
    check = only(account_checks(Config.model_validate(values)))
    assert check.name == "account of user alice"
    assert check.status is (Status.OK if there else Status.FAIL)
    assert os.linesep not in check.detail


async def test_what_transfers_need(tmp_path: Path, rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket need not be there; the public address may be out of reach from here; the API's own port is free."""
    monkeypatch.setenv("S_ACCESS_KEY_ID", rclone_s3.keys.access_key)
    monkeypatch.setenv("S_SECRET_ACCESS_KEY", rclone_s3.keys.secret_key)
    ports = PortClaim(2)
    try:
        port, nobody = ports.ports
        values = {
            "state_dir": str(tmp_path),
            "api": {"tokens": str(tmp_path / "t.toml"), "listen": f"127.0.0.1:{port}"},
            "systems": {"daint": {"roots": ["/scratch"]}},
            "remotes": {"s3": {"endpoint_urls": list(rclone_s3.endpoint_urls), "credentials": {"env": "S"}}},
            "staging": {"remote": "s3", "bucket": "not-there-yet", "public_url": f"http://127.0.0.1:{nobody}"},
        }
        checks = await staging_checks(Config.model_validate(values))
    finally:
        ports.release()
    assert [(check.name.split(" ")[0], check.status) for check in checks] == [
        ("API", Status.OK),
        ("staging", Status.OK),
        ("staging.public_url", Status.WARN),
    ]
    assert "not there yet" in checks[1].detail
    values["staging"]["public_url"] = rclone_s3.endpoint_urls[0]  # type: ignore[index]
    values["api"]["listen"] = rclone_s3.endpoint_urls[0].partition("//")[2]  # type: ignore[index]
    taken, _, address = await staging_checks(Config.model_validate(values))
    assert (taken.status, "is not the API" in taken.detail) == (Status.FAIL, True)
    assert address.status is Status.OK
