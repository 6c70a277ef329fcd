"""Remotes for tests: against a running server or a scripted one, with facts that are remembered."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.facts import Facts
from headrace_daemon.flow.retry import Retry
from headrace_daemon.s3.checksum import crc64nvme, to_text
from headrace_daemon.s3.connect import SYSTEM_CLOCKS, connect
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.request import Clocks
from headrace_queue.config import CredentialsConfig, RemoteConfig

QUICK = Retry(random=random.random, base=0.001, cap=0.01, outage=0.0)
"""As the real policy, without its pauses."""


class Heard(Facts):
    """Remembers what the wire told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, int]] = []  # endpoint, operation, status
        self.retries: list[str] = []
        self.health: list[tuple[str, bool]] = []
        self.inflight_now: dict[str, int] = {}
        self.skews: list[float] = []
        self.arrived: list[str] = []
        self.bytes_received = 0

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        self.requests.append((endpoint, operation, status))
        self.bytes_received += received

    def retried(self, remote: str, endpoint: str, operation: str, reason: str) -> None:
        self.retries.append(reason)

    def endpoint(self, remote: str, endpoint: str, healthy: bool, reason: str) -> None:
        self.health.append((endpoint, healthy))

    def inflight(self, remote: str, endpoint: str, requests: int, limit: int) -> None:
        self.inflight_now[endpoint] = requests

    def heard(self, remote: str, endpoint: str) -> None:
        self.arrived.append(endpoint)

    def clock_skew(self, remote: str, seconds: float) -> None:
        self.skews.append(seconds)


def crc_text(data: Buffer) -> str:
    """The CRC64NVME as S3 writes it."""
    return to_text(crc64nvme(data))


@asynccontextmanager
async def remote_to(
    urls: Sequence[str],
    facts: Facts | None = None,
    *,
    keys: tuple[str, str] = ("AKIDEXAMPLE", "secret"),
    profile: Literal["aws", "s3", "seaweedfs", "snowball"] | None = None,
    region: str = "us-east-1",
    ca_file: Path | None = None,
    max_requests: int = 64,
    clocks: Clocks = SYSTEM_CLOCKS,
    retry: Retry = QUICK,
    patience: float = 10.0,
    requester_pays: bool = False,
) -> AsyncIterator[Remote]:
    """A remote, closed at the end; its slots must all have come back by then."""
    heard = facts if isinstance(facts, Heard) else Heard()
    config = RemoteConfig(
        profile=profile,
        region=region,
        endpoint_urls=tuple(urls),
        ca_file=ca_file,
        max_requests=max_requests,
        requester_pays=requester_pays,
        credentials=CredentialsConfig(env="TEST"),
    )
    environ = {"TEST_ACCESS_KEY_ID": keys[0], "TEST_SECRET_ACCESS_KEY": keys[1]}
    remote = connect("test", config, heard, clocks=clocks, environ=environ, retry=retry, patience=patience)
    try:
        await remote.start()
        yield remote
    finally:
        await remote.close()
    assert not any(heard.inflight_now.values()), f"slots were lost: {heard.inflight_now}"


@asynccontextmanager
async def remote_of(
    server: S3Server,
    facts: Facts | None = None,
    *,
    profile: Literal["aws", "s3", "seaweedfs", "snowball"] | None = None,
) -> AsyncIterator[Remote]:
    """A remote to a running server with all its endpoints."""
    async with remote_to(
        server.endpoint_urls,
        facts,
        keys=(server.keys.access_key, server.keys.secret_key),
        profile=profile,
        region=server.region,
        ca_file=server.ca_file,
    ) as remote:
        yield remote
