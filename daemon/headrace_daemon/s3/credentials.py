"""Where a remote's credentials come from, and how they stay fresh. No secret ever stands in an error or a repr.

aioboto3 knows every source that AWS has (instance roles, SSO, containers, assumed roles), and is imported only for
them: it costs a quarter of a second and 60 MB.
"""

import asyncio
import configparser
import importlib
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from headrace_daemon.facts import Facts
from headrace_daemon.s3.signing import Credentials
from headrace_queue.config import CredentialsConfig
from headrace_queue.errors import UsageError

Load: TypeAlias = Callable[[], Awaitable[Credentials | None]]
"""Reads the credentials anew; None for anonymous requests. Raises UsageError where there are none."""

MARGIN: Final = 300.0
"""Credentials are renewed this many seconds before they end, or in the last quarter of a shorter life."""
AGAIN: Final = 30.0
"""Seconds until the next try where renewing failed while the old ones still hold."""


class CredentialSource:
    """The current credentials of one remote: read once, renewed before they end, one renewal at a time.

    load: see Load. wall: seconds since the epoch, for expiry is a date. renewable: whether what `load` finds may change
    while this process runs.
    """

    def __init__(
        self, remote: str, load: Load, facts: Facts, wall: Callable[[], float], *, renewable: bool = True
    ) -> None:
        self.renewable = renewable
        self._remote = remote
        self._load = load
        self._facts = facts
        self._wall = wall
        self._loaded = False
        self._current: Credentials | None = None
        self._renew_at: float | None = None
        self._renewing: asyncio.Task[None] | None = None

    def ready(self) -> bool:
        """Whether `current` holds as it is; else `renew` first."""
        return self._loaded and (self._renew_at is None or self._wall() < self._renew_at)

    @property
    def current(self) -> Credentials | None:
        """The credentials last read; None before the first time, and for anonymous requests."""
        return self._current

    async def renew(self, stale: Credentials | None = None) -> None:
        """Reads them anew, unless someone did since `stale` was current. Raises UsageError where none are left."""
        if stale is not None and self._current is not stale:
            return
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew(), name=f"credentials {self._remote}")
        # shielded: one caller that is cancelled must not take the renewal away from the others
        await asyncio.shield(self._renewing)

    async def close(self) -> None:
        """Ends a renewal that is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        try:
            self._accept(await self._load())
        except UsageError:
            # static stability: a source that is away for a while must not stop what still works
            expires = self._current.expires if self._current is not None else None
            if expires is None or expires <= self._wall():
                raise
            self._renew_at = self._wall() + AGAIN
        finally:
            self._renewing = None

    def _accept(self, fresh: Credentials | None) -> None:
        self._current = fresh
        self._loaded = True
        self._renew_at = None
        if fresh is not None and fresh.expires is not None:
            left = max(0.0, fresh.expires - self._wall())
            # never before AGAIN: a source that hands out ended credentials would be asked for every request
            self._renew_at = self._wall() + max(AGAIN, left - min(MARGIN, left / 4))
            self._facts.credentials_expire(self._remote, fresh.expires)


def loader(remote: str, config: CredentialsConfig, environ: Mapping[str, str]) -> Load:
    """How to read what config.toml names, which is one source at most."""

    async def load() -> Credentials | None:
        if config.anonymous:
            return None
        if config.env is not None:
            return from_environment(remote, config.env, environ)
        if config.systemd is not None:
            return await asyncio.to_thread(from_systemd, remote, config, environ)
        if config.file is not None:
            return await asyncio.to_thread(from_file, remote, config.file, config.profile)
        if config.profile is None and (first := _first_of_chain(environ)) is not None:
            return first
        return await from_chain(remote, config.profile)

    return load


def _first_of_chain(environ: Mapping[str, str]) -> Credentials | None:
    """What AWS's default chain looks at first: the two variables, where they are of the kind that does not end.

    https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
    """
    access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret or environ.get("AWS_CREDENTIAL_EXPIRATION") or environ.get("AWS_SECURITY_TOKEN"):
        return None  # the last one is what old SDKs called the session token
    return Credentials(access, secret, environ.get("AWS_SESSION_TOKEN") or None)


def from_environment(remote: str, prefix: str, environ: Mapping[str, str]) -> Credentials:
    """PREFIX_ACCESS_KEY_ID, PREFIX_SECRET_ACCESS_KEY and, where set, PREFIX_SESSION_TOKEN. Raises UsageError."""
    access, secret = f"{prefix}_ACCESS_KEY_ID", f"{prefix}_SECRET_ACCESS_KEY"
    missing = [name for name in (access, secret) if not environ.get(name)]
    if missing:
        raise _refused(remote, f"{' and '.join(missing)} not set", "Set the variables where the daemon starts.")
    return Credentials(environ[access], environ[secret], environ.get(f"{prefix}_SESSION_TOKEN") or None)


def from_systemd(remote: str, config: CredentialsConfig, environ: Mapping[str, str]) -> Credentials:
    """The unit's credential of that name, in AWS's shared-credentials format. Raises UsageError."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise _refused(
            remote,
            "systemd credentials are there only inside a systemd unit",
            f"Add LoadCredential={config.systemd}:/path/to/file to headraced.service, or use `file`.",
        )
    # systemd itself guards the directory, and may show the file as readable for its group
    return _parse(remote, Path(directory) / str(config.systemd), config.profile)


def from_file(remote: str, path: Path, profile: str | None) -> Credentials:
    """A file in AWS's shared-credentials format. Raises UsageError, also where others may read the file."""
    path = path.expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _refused(remote, f"{path}: {error.strerror}", "Correct `file` or create it.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(remote, f"{path} is open to others (mode {mode & 0o777:04o})", f"Run: chmod 600 {path}")
    return _parse(remote, path, profile)


def _parse(remote: str, path: Path, profile: str | None) -> Credentials:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(remote, f"{path}: {error.strerror}", "Let the daemon's user read it.") from error
    except (configparser.Error, UnicodeDecodeError):
        # the parser's own message would quote the line, which may hold the secret
        raise _refused(remote, f"{path} is not in AWS's shared-credentials format", _FORMAT) from None
    name = profile or "default"
    if not parser.has_section(name):
        raise _refused(remote, f"{path} has no section [{name}]", "Name one by `profile`.")
    section = parser[name]
    access, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    if not access or not secret:
        raise _refused(remote, f"[{name}] of {path} lacks a key", _FORMAT)
    return Credentials(access, secret, section.get("aws_session_token") or None)


async def from_chain(remote: str, profile: str | None) -> Credentials:
    """AWS's default chain, or a profile of ~/.aws, through aioboto3. Raises UsageError."""
    aioboto3: Any = await asyncio.to_thread(importlib.import_module, "aioboto3")
    exceptions: Any = importlib.import_module("botocore.exceptions")
    try:
        # a new session each time: an old one would answer a forced renewal from its cache
        found = await aioboto3.Session(profile_name=profile).get_credentials()
        frozen = await found.get_frozen_credentials() if found is not None else None
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise _refused(remote, f"AWS's credential chain failed ({error})", _CHAIN) from error
    if frozen is None:
        raise _refused(remote, "AWS's credential chain found none", _CHAIN)
    # botocore keeps the end of temporary credentials in this attribute and offers no other way to it
    expiry = getattr(found, "_expiry_time", None)
    return Credentials(
        frozen.access_key, frozen.secret_key, frozen.token or None, expiry.timestamp() if expiry is not None else None
    )


_FORMAT: Final = "It needs [default], aws_access_key_id = … and aws_secret_access_key = … ."
_CHAIN: Final = (
    "Give the host an instance role, run `aws configure`, or set credentials = { file | profile | env | systemd = … }, "
    "{ anonymous = true } for public buckets."
)


def _refused(remote: str, why: str, remedy: str) -> UsageError:
    return UsageError(f"credentials of remote {remote}", why, remedy)
