"""From config.toml to remotes that work."""

import difflib
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from headrace_daemon.facts import Facts
from headrace_daemon.flow.retry import Retry
from headrace_daemon.s3.credentials import CredentialSource, Load, loader
from headrace_daemon.s3.endpoints import Endpoint, Endpoints
from headrace_daemon.s3.engine import Engine, EngineOptions
from headrace_daemon.s3.engine_loop import LoopEngine
from headrace_daemon.s3.engines import Engines
from headrace_daemon.s3.pipeline import Pipeline
from headrace_daemon.s3.places import Naming, Place, Places, aws_endpoint
from headrace_daemon.s3.pool import PATIENCE, Pool
from headrace_daemon.s3.profiles import profile_for
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.request import Clocks
from headrace_daemon.s3.signing import Credentials
from headrace_queue.config import Config, RemoteConfig
from headrace_queue.errors import UsageError

SYSTEM_CLOCKS = Clocks(steady=time.monotonic, wall=time.time, random=random.random)
MAX_ENGINE_THREADS = 4
"""One thread encrypts about a GiB a second; the other cores are for files, checksums and the kernel's network."""
DEFAULT_REMOTE = "s3"
"""What s3:// means; it exists without being configured."""


def connect(
    name: str,
    config: RemoteConfig,
    facts: Facts,
    *,
    clocks: Clocks = SYSTEM_CLOCKS,
    environ: Mapping[str, str] = os.environ,
    options: EngineOptions | None = None,
    retry: Retry | None = None,
    patience: float = PATIENCE,
    hide: Callable[[str], None] | None = None,
) -> Remote:
    """A remote; nothing is sent before its first operation. Call it with an event loop running, and close() it.

    patience: seconds without any endpoint after which operations raise RemoteDown. hide: is told every secret before it
    is used, so that the log can keep it to itself. Raises UsageError for a ca_file or credentials that cannot be what
    is meant.
    """
    from headrace_daemon.s3.engine_pyreqwest import PyreqwestEngine  # 7 MiB, which a daemon without work can spare

    profile = profile_for(config.profile, config.endpoint_urls)
    options = options or _engine_options(name, config)
    try:
        fast = LoopEngine(options, PyreqwestEngine(options))
        engines = Engines(fast, lambda: _aiohttp(options), pinned=options.ca_pem is not None)
    except ValueError as error:
        why = str(error).replace("ca_pem", str(config.ca_file))
        raise UsageError(f"ca_file of remote {name}", why, "It needs certificates in PEM format.") from error

    def make_endpoints(urls: Sequence[str]) -> Endpoints:
        return Endpoints(name, urls, config.max_requests, facts, clocks.random)

    def make_pool(endpoints: Endpoints, probe: Callable[[Endpoint], Awaitable[bool]]) -> Pool:
        return Pool(endpoints, probe, clocks.steady, patience)

    async def probe(place: Place, endpoint: Endpoint) -> bool:
        return await pipeline.probe(place, endpoint)

    places = Places(
        config.region,
        config.endpoint_urls,
        config.addressing,
        virtual_hosts=profile.virtual_hosts,
        make_endpoints=make_endpoints,
        make_pool=make_pool,
        probe=probe,
        naming=naming_of(config),
    )
    credentials = credentials_of(name, config, facts, wall=clocks.wall, environ=environ, hide=hide)
    pipeline = Pipeline(name, places, engines, credentials, retry or Retry(clocks.random), facts, clocks)
    remote = Remote(name, pipeline, profile, config.region)
    return remote.paying() if config.requester_pays else remote


def credentials_of(
    name: str,
    config: RemoteConfig,
    facts: Facts,
    *,
    wall: Callable[[], float],
    environ: Mapping[str, str],
    hide: Callable[[str], None] | None,
) -> CredentialSource:
    """What config.toml names for a remote; nothing is read yet."""
    load = loader(name, config.credentials, environ)
    fixed = config.credentials.env or config.credentials.systemd or config.credentials.anonymous
    return CredentialSource(name, load if hide is None else _hiding(load, hide), facts, wall, renewable=not fixed)


def naming_of(config: RemoteConfig) -> Naming:
    """Which of Amazon's names a remote without endpoint_urls has."""
    return Naming(dual_stack=config.dual_stack, fips=config.fips)


def endpoints_of(config: RemoteConfig) -> tuple[str, ...]:
    """The URLs by which a remote is reached, but for buckets that live in another region and for access points."""
    return config.endpoint_urls or (aws_endpoint(config.region, naming_of(config)),)


def _engine_options(name: str, config: RemoteConfig) -> EngineOptions:
    usual = EngineOptions()
    return EngineOptions(
        connect_timeout=config.connect_timeout or usual.connect_timeout,
        read_timeout=config.read_timeout or usual.read_timeout,
        ca_pem=_read_ca(name, config.ca_file),
        threads=min(os.cpu_count() or 1, MAX_ENGINE_THREADS),
    )


def _hiding(load: Load, hide: Callable[[str], None]) -> Load:
    async def load_and_tell() -> Credentials | None:
        found = await load()
        for secret in () if found is None else (found.secret_key, found.token):
            if secret:
                hide(secret)
        return found

    return load_and_tell


def _aiohttp(options: EngineOptions) -> Engine:
    """The second engine, imported where it is needed first: that costs a quarter of the start."""
    from headrace_daemon.s3.engine_aiohttp import AiohttpEngine

    return AiohttpEngine(options)


def _read_ca(name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise UsageError(
            f"ca_file of remote {name}",
            f"{path}: {error.strerror}",
            "Correct the path or let the daemon's user read it.",
        ) from error


class Remotes:
    """Every remote of a configuration by its name, connected when first asked for and closed together.

    facts hears at once of the endpoints of all that are configured, whether or not they are ever used.
    """

    def __init__(
        self, config: Config, facts: Facts, connect: Callable[[str, RemoteConfig, Facts], Remote] = connect
    ) -> None:
        self._configs = {DEFAULT_REMOTE: RemoteConfig()} | {name: config.remote(name) for name in config.remotes}
        self._facts = facts
        self._connect = connect
        self._open: dict[str, Remote] = {}
        for name, remote in config.remotes.items():
            if name == DEFAULT_REMOTE and remote == RemoteConfig():
                continue  # it exists without being configured, and many a host never uses it
            for url in endpoints_of(remote):
                facts.endpoint_known(name, url)

    def get(self, name: str) -> Remote:
        """Raises UsageError for a name that config.toml does not know, offering the nearest one."""
        if name not in self._open:
            if name not in self._configs:
                raise self._unknown(name)
            self._open[name] = self._connect(name, self._configs[name], self._facts)
        return self._open[name]

    def _unknown(self, name: str) -> UsageError:
        near = difflib.get_close_matches(name, self._configs, n=1)
        hint = f"Did you mean {near[0]}://?" if near else f"Known are {', '.join(sorted(self._configs))}."
        return UsageError(f"{name}://", "config.toml has no remote of this name", hint)

    async def close(self) -> None:
        """Closes every remote that was opened, also where closing one of them fails."""
        remotes, self._open = list(self._open.values()), {}
        errors: list[Exception] = []
        for remote in remotes:
            try:
                await remote.close()
            except Exception as error:  # noqa: BLE001  # collected, so that the others are closed too, and raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("remotes that did not close", errors)
