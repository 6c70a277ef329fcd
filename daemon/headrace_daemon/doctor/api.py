"""The HTTP API: its tokens, its OpenID provider, its certificate, and the accounts of those who may use it.

Everything here is looked at as the daemon's user: `headraced doctor` is to be run as that one.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_queue.config import Config
from headrace_queue.config_api import ANYONE, ApiConfig, OidcConfig, UserConfig
from headrace_queue.errors import UsageError

SOON: Final = 14 * 86_400.0
"""Seconds before the end of a certificate or a token from which that is a warning."""


async def api_checks(config: Config, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Nothing where there is no [api]."""
    if config.api is None:
        return []
    checks = [*token_checks(config.api, environ), *certificate_checks(config.api)]
    if config.api.oidc is not None:
        checks.append(await provider(config.api.oidc))
    return [*checks, *await asyncio.to_thread(account_checks, config)]


def token_checks(api: ApiConfig, environ: Mapping[str, str], now: float | None = None) -> list[Check]:
    """The file of tokens can be read, and nobody is about to lose theirs."""
    from headrace_daemon.api.tokens import read_tokens, token_source

    if api.tokens_credential is not None and not environ.get("CREDENTIALS_DIRECTORY"):
        said = f"the credential {api.tokens_credential!r} can be read only inside the unit"
        return [Check("tokens", Status.WARN, said, "Look at the log of headraced.service.")]
    try:
        source = token_source(api, environ)
        if source is None:
            return []
        tokens, _ = read_tokens(source)
    except UsageError as error:
        return [refused("tokens", error)]
    moment = time.time() if now is None else now
    ends = sorted(
        token.name for token in tokens.values() if token.expires is not None and token.expires < moment + SOON
    )
    if not tokens:
        remedy = "headraced token create NAME --user USER"
        return [Check("tokens", Status.WARN, f"{source.path}: it has none, nobody gets in by one", remedy)]
    if ends:
        remedy = "`headraced token list` shows when; make new ones, and revoke those that have expired."
        said = f"{source.path}: {len(tokens)}, of which some expire soon or have expired: {', '.join(ends)}"
        return [Check("tokens", Status.WARN, said, remedy)]
    return [ok("tokens", f"{source.path}: {len(tokens)}")]


def certificate_checks(api: ApiConfig, now: float | None = None) -> list[Check]:
    """tls_cert and tls_key belong together, and hold for some time to come."""
    if api.tls_cert is None or api.tls_key is None:
        return []
    name, certificate, key = "API certificate", api.tls_cert.expanduser(), api.tls_key.expanduser()
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password=_no_password)
        ends = _end_of(certificate)
    except ssl.SSLError as error:
        said = f"{certificate} and {key}: {error.reason or error}"
        return [
            Check(name, Status.FAIL, said, "Name a PEM certificate with its chain, and its own key without a password.")
        ]
    except (OSError, ValueError) as error:
        said = f"{certificate} and {key}: {error}"
        return [
            Check(name, Status.FAIL, said, "Correct tls_cert and tls_key in [api]; let the daemon's user read both.")
        ]
    moment = time.time() if now is None else now
    day = time.strftime("%Y-%m-%d", time.gmtime(ends))
    if ends < moment:
        return [Check(name, Status.FAIL, f"{certificate}: it ended on {day}", "Have it renewed.")]
    if ends < moment + SOON:
        return [Check(name, Status.WARN, f"{certificate}: it ends on {day}", "Have it renewed.")]
    return [ok(name, f"{certificate}: it holds until {day}, and its key fits")]


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal."""
    raise ValueError("the key needs a password, which a daemon has nobody to ask for")


def _end_of(certificate: Path) -> float:
    """Seconds since the epoch. Raises OSError, ValueError."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()


async def provider(oidc: OidcConfig) -> Check:
    """Its discovery document and its keys, which have to fit the algorithms of config.toml."""
    from headrace_daemon.api.oidc_keys import KeysUnavailable, fetch_keys

    name = f"OpenID provider {oidc.issuer}"
    try:
        keys = await fetch_keys(oidc)
    except KeysUnavailable as error:
        remedy = "Correct `issuer`, `jwks_url` or `ca_file` in [api.oidc], or let this host reach it."
        return Check(name, Status.FAIL, str(error), remedy)
    offered = frozenset().union(*(key.algorithms for key in keys))
    lacking = [algorithm for algorithm in oidc.algorithms if algorithm not in offered]
    if len(lacking) == len(oidc.algorithms):
        said = f"it has no key for {', '.join(lacking)}, but for {', '.join(sorted(offered))}"
        return Check(name, Status.FAIL, said, "Correct `algorithms` in [api.oidc].")
    return ok(name, f"{len(keys)} keys, for {', '.join(sorted(offered))}")


def account_checks(config: Config) -> list[Check]:
    """The POSIX accounts of those who have a section of their own."""
    from headrace_daemon.files.account import account_of

    checks = []
    for user, section in sorted(config.users.items()):
        account = _account(user, section)
        if account is None:
            continue
        try:
            found = account_of(account)
        except UsageError as error:
            checks.append(refused(f"account of user {user}", error))
            continue
        checks.append(ok(f"account of user {user}", f"{account}, uid {found.uid}"))
    return checks


def _account(user: str, section: UserConfig) -> str | None:
    if section.account is not None:
        return section.account or None
    return None if user == ANYONE else user
