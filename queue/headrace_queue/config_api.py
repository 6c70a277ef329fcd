"""The sections of config.toml that the HTTP API reads: [api], [staging], [systems.NAME], [users.NAME].

Without [api] there is no API, and nothing of it is loaded.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from headrace_queue.config_section import AbsolutePath, Patterns, Seconds, Section, Size, plain_url

ANYONE: Final = "*"
"""The [users."*"] section: what holds for users that have no section of their own."""

Permission = Literal["read", "write", "jobs", "admin"]
"""read: look at and download files. write: upload files. jobs: enqueue jobs of one's own. admin: see and change what
everybody has."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_LISTEN: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h)", re.ASCII)
_PER: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_MAX_URL_SECONDS: Final = 7 * 86_400.0
"""AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html"""


def parse_requests(value: object) -> float:
    """Requests a second of `60/min`. Raises ValueError naming what is wrong."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, float) and value > 0:
        return value
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{value!r} is no rate of requests; write for example 60/min or 5/s")
    return float(match[1]) / _PER[match[2]]


def trustworthy_url(url: str) -> bool:
    """Whether what comes from there is of whom it names: over TLS, or from this host itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        if host is None or parts.username is not None:
            return False
        if parts.scheme == "https":
            return True
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


Requests = Annotated[float, BeforeValidator(parse_requests)]


class OidcConfig(Section):
    """Tokens of an OpenID Connect provider (https://openid.net/specs/openid-connect-core-1_0.html)."""

    issuer: str  # exactly as the provider writes it into `iss`
    audience: str
    jwks_url: str | None = None  # default: what the issuer's discovery document names
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"], ...] = (
        "RS256",
    )
    username_claim: str = "preferred_username"
    ca_file: AbsolutePath | None = None
    leeway: Seconds = 30.0  # between its clock and ours

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _trustworthy(cls, url: str | None) -> str | None:
        """The keys that prove who somebody is come from there."""
        if url is not None and not trustworthy_url(url):
            raise ValueError(f"{url!r} is no https:// address; only this host itself may speak plain http")
        return url

    @field_validator("algorithms")
    @classmethod
    def _some(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if not algorithms:
            raise ValueError('it names no algorithm; write ["RS256"]')
        return algorithms


class ApiConfig(Section):
    """The HTTP API. A listening address that is not loopback needs a certificate, for tokens travel in it."""

    listen: str = "127.0.0.1:9741"  # HOST:PORT or unix:/absolute/path
    tls_cert: AbsolutePath | None = None  # PEM, with its chain
    tls_key: AbsolutePath | None = None
    behind_tls: bool = False  # a proxy in front of this host speaks TLS
    tokens: AbsolutePath | None = None  # the file of hashed tokens and API keys, see `headraced token`
    tokens_credential: str | None = None  # the same as a credential of the systemd unit
    oidc: OidcConfig | None = None
    max_small: Size = Field(default=5 * 2**20, le=2**30)  # bytes of a file in one request of the ops routes
    audit: AbsolutePath | None = None  # default: audit.jsonl in state_dir
    events_poll: Seconds = Field(default=0.5, ge=0.05, le=60)  # of server-sent events

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        if listen.startswith("unix:"):
            if not listen.startswith("unix:/") or len(listen.encode()) > 5 + 107:
                raise ValueError(f"{listen!r} is no socket; write unix:/absolute/path, of at most 107 bytes")
            return listen
        match = _LISTEN.fullmatch(listen)
        if match is None or int(match[1]) > 65535:
            raise ValueError(f"{listen!r} is no address; write HOST:PORT or unix:/absolute/path")
        return listen

    @model_validator(mode="after")
    def _safe(self) -> "ApiConfig":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together; give both")
        if self.tokens is not None and self.tokens_credential is not None:
            raise ValueError("tokens and tokens_credential name two sources; keep one")
        if self.tokens is None and self.tokens_credential is None and self.oidc is None:
            raise ValueError("nobody could use it: add `tokens` (see `headraced token`) or [api.oidc]")
        if not self.is_local and self.tls_cert is None and not self.behind_tls:
            raise ValueError(
                f"tokens would travel to {self.listen} in the clear; add tls_cert and tls_key, listen on 127.0.0.1, "
                "or set behind_tls where a proxy speaks TLS"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Only this host can reach it."""
        host = self.listen.rpartition(":")[0].strip("[]")
        return self.listen.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")


class StagingConfig(Section):
    """The bucket through which people outside send and fetch large files."""

    remote: str  # of [remotes], by which the daemon reaches it
    public_url: str | None = None  # what people outside dial; default: the remote's first endpoint
    addressing: Literal["path", "virtual"] = "path"  # of presigned URLs
    bucket: str = "headrace-staging"  # {user} in it: a bucket for each user
    prefix: str = ""  # of all keys; {user} in it: a prefix for each user
    url_lifetime: Seconds = Field(default=3600.0, ge=60, le=_MAX_URL_SECONDS)  # of a presigned URL
    max_url_lifetime: Seconds = Field(default=_MAX_URL_SECONDS, ge=60, le=_MAX_URL_SECONDS)  # the most to ask for
    upload_deadline: Seconds = Field(default=86_400.0, ge=60, le=30 * 86_400)  # until an upload must be complete
    expire_days: int = Field(default=7, ge=1, le=3650)  # the bucket's own rule, for what nobody removed
    max_part_size: Size = Field(default=2**30, ge=5 * 2**20, le=5 * 2**30)  # of an upload's parts
    max_size: Size = Field(default=5 * 2**40)  # of one transfer
    events_queue: str | None = None  # the URL of an SQS queue of its own, to which the bucket tells what was uploaded

    @field_validator("events_queue")
    @classmethod
    def _a_queue(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^/@?#\s]+/[^@?#\s]+", url):
            raise ValueError(f"{url!r} is no queue; write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
        return url

    @field_validator("public_url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        return None if url is None else plain_url(url)

    @model_validator(mode="after")
    def _ordered(self) -> "StagingConfig":
        if self.url_lifetime > self.max_url_lifetime:
            raise ValueError("url_lifetime is longer than max_url_lifetime; lower it")
        return self


class SystemConfig(Section):
    """A file system that the API offers under a name."""

    roots: Patterns = Field(min_length=1)  # folders; nothing outside them exists for the API
    account_required: bool = False  # a transfer must say which project it is charged to

    @field_validator("roots")
    @classmethod
    def _absolute(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        for root in roots:
            if not root.startswith("/") or "\0" in root or any(part in ("..", ".") for part in root.split("/")):
                raise ValueError(f"{root!r} is no absolute path without . and ..; write /scratch")
        return tuple(root.rstrip("/") or "/" for root in roots)


class UserConfig(Section):
    """What a user of the API may. {user} in `roots` stands for the name."""

    account: str | None = None  # the POSIX account whose rights count; default: the one of the user's name; "": none
    systems: Patterns = ()  # default: all
    roots: Patterns = ()  # folders beneath those of the systems; default: all of these
    permissions: tuple[Permission, ...] = ("read", "write")
    remotes: Patterns = ()  # that jobs of theirs may name
    max_size: Size | None = None  # of one transfer; default: that of [staging]
    transfers: int = Field(default=100, ge=0, le=100_000)  # under way at once
    requests: Requests = 10.0  # a second, on average
    burst: int = Field(default=50, ge=1, le=100_000)  # requests at once

    @field_validator("roots")
    @classmethod
    def _absolute(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        return SystemConfig(roots=roots).roots if roots else roots


def refuse_incomplete_api(
    api: ApiConfig | None,
    staging: StagingConfig | None,
    systems: Mapping[str, SystemConfig],
    users: Mapping[str, UserConfig],
    remotes: Mapping[str, object],
) -> None:
    """What only all sections together show. Raises ValueError."""
    for name in systems:
        if not _NAME.fullmatch(name) or name != name.lower():
            raise ValueError(f"systems.{name}: a system's name is of small letters, digits, '.', '_' and '-'")
    if staging is not None and staging.remote not in remotes:
        raise ValueError(f"staging.remote = {staging.remote!r}: there is no [remotes.{staging.remote}]")
    for name, user in users.items():
        for remote in user.remotes:
            if remote not in remotes:
                raise ValueError(f"users.{name}.remotes: there is no [remotes.{remote}]")
        for system in user.systems:
            if system not in systems:
                raise ValueError(f"users.{name}.systems: there is no [systems.{system}]")
        tops = [top for system in user.systems or systems for top in systems[system].roots]
        for root in user.roots:
            if not any(root == top or root.startswith(top.rstrip("/") + "/") for top in tops):
                raise ValueError(f"users.{name}.roots: {root!r} lies beneath no root of their systems; add it there")
    if api is not None and not systems:
        raise ValueError('[api] has no system to offer; add [systems.NAME] with roots = ["/scratch"]')
