"""A host with the HTTP API and a staging bucket, and the people outside who use it: each with a token of their own.

Whatever goes through it is told from what came out by other means than Headrace's own.
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import firecrest
import httpx

from headrace_daemon.api.token_editing import add_token
from headrace_daemon.api.tokens import Token, TokenKind, new_token, sha256_of
from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import S3Server, Tls
from headrace_queue.transfers import Transfer
from tests.support.buckets import fresh_bucket
from tests.support.commands import remote_of
from tests.support.site import DEADLINE, Daemon, Site, until
from tests.support.trees import keys_of, open_uploads

SYSTEM = "cluster"
MIB = 2**20
PART = 16 * MIB
"""Bytes of a part of what people upload: the most that [staging] lets one have here."""

END_SECONDS = 25.0
"""For an end as asked: whoever keeps a connection open, or uploads meanwhile, does not hold it up."""

MOVING = ['part_size = "8MiB"', 'multipart_threshold = "16MiB"', 'memory = "128MiB"']


@dataclass(frozen=True)
class Person:
    """Somebody outside, with a token."""

    outside: "Outside"
    name: str
    token: str

    @property
    def home(self) -> Path:
        """The folder that is theirs on the system."""
        return self.outside.files / self.name

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def http(self) -> httpx.Client:
        """Asks the API as this person; the caller closes it."""
        return httpx.Client(
            base_url=self.outside.url, headers=self.headers, verify=self.outside.context, timeout=DEADLINE
        )

    @contextmanager
    def client(self) -> Iterator[firecrest.v2.Firecrest]:
        """The public client, as it is."""
        client = firecrest.v2.Firecrest(
            firecrest_url=self.outside.url, authorization=_Bearer(self.token), verify=self.outside.context
        )
        try:
            yield client
        finally:
            client.close_session()

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[firecrest.v2.AsyncFirecrest]:
        client = firecrest.v2.AsyncFirecrest(
            firecrest_url=self.outside.url, authorization=_Bearer(self.token), verify=self.outside.context
        )
        try:
            yield client
        finally:
            await client.close_session()

    def environment(self) -> dict[str, str]:
        """For programs of theirs, which trust what this person trusts."""
        trusted = str(self.outside.tls.ca_file)
        return {"SSL_CERT_FILE": trusted, "CURL_CA_BUNDLE": trusted, "HEADRACE_TOKEN": self.token}


@dataclass(frozen=True)
class _Bearer:
    token: str = field(repr=False)

    def get_access_token(self) -> str:
        return self.token


class Outside:
    """A site whose daemon serves the API over TLS. files: what the system `cluster` is, with a folder for each person.

    public_url: what presigned URLs name; by default the address that the daemon uses itself. remote_url: what the
    daemon uses, another door to the server. sections: of config.toml, further ones; daemon: lines of [daemon].
    part: the size of an upload's parts.
    """

    def __init__(
        self,
        directory: Path,
        server: S3Server,
        tls: Tls,
        *,
        public_url: str | None = None,
        staging: Sequence[str] = (),
        files: Path | None = None,
        people: Sequence[str] = ("ada", "bob"),
        sections: Sequence[str] = (),
        daemon: Sequence[str] = (),
        remote_url: str | None = None,
        part: str = "16MiB",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.tls = tls
        self.server = server
        self.bucket = fresh_bucket(server, "staging")
        self.files = files or directory / "files"
        self.files.mkdir(exist_ok=True)
        self.context = ssl.create_default_context(cafile=tls.ca_file)
        self._claim = PortClaim(1)
        self.port = self._claim.ports[0]
        self.url = f"https://127.0.0.1:{self.port}"
        self.tokens = directory / "tokens.toml"
        more = [
            "[api]",
            f'listen = "127.0.0.1:{self.port}"',
            f'tls_cert = "{tls.cert_file}"',
            f'tls_key = "{tls.key_file}"',
            f'tokens = "{self.tokens}"',
            "[staging]",
            'remote = "s3"',
            f'bucket = "{self.bucket}"',
            f'max_part_size = "{part}"',
            *([f'public_url = "{public_url}"'] if public_url else []),
            *staging,
            f"[systems.{SYSTEM}]",
            f'roots = ["{self.files}"]',
            '[users."*"]',
            f'roots = ["{self.files}/{{user}}"]',
            'permissions = ["read", "write", "jobs"]',
            'remotes = ["s3"]',
            'account = ""',
            "transfers = 200",
            'requests = "1000/s"',
            "burst = 1000",
            *sections,
        ]
        remote = remote_of(server, [remote_url] if remote_url else ())
        self.site = Site(directory / "site", {"s3": remote}, MOVING, daemon, more=more)
        self.people = {name: self.person(name) for name in people}
        self.ada, self.bob = (self.people.get(name, next(iter(self.people.values()))) for name in ("ada", "bob"))
        self.daemon: Daemon = self.site.serve()

    def person(self, name: str) -> Person:
        """Somebody more, with a folder."""
        (self.files / name).mkdir(exist_ok=True)
        secret = new_token()
        add_token(self.tokens, Token(f"{name}-{secret[-4:]}", name, TokenKind.BEARER, None, sha256_of(secret)))
        return Person(self, name, secret)

    def restart(self, *, kill: bool) -> None:
        """The daemon ends, by SIGKILL or as asked, and another takes its place at the same address."""
        if kill:
            self.daemon.kill()
        else:
            assert self.daemon.stop(grace=END_SECONDS) == 0, self.daemon.log()
        self.daemon = self.site.serve()

    def close(self) -> None:
        try:
            assert self.daemon.stop(grace=END_SECONDS) == 0, self.daemon.log()
        finally:
            self.site.close()
            self._claim.release()

    def transfer(self, number: int) -> Transfer:
        """As it stands in the queue."""
        with self.site.store() as store:
            return store.transfer(number)

    def until_transfer(self, number: int, holds: Callable[[Transfer], bool], seconds: float = DEADLINE) -> Transfer:
        """The transfer as soon as it is so."""
        with self.site.store() as store:

            def look() -> Transfer | None:
                found = store.transfer(number)
                return found if holds(found) else None

            return until(look, seconds, lambda: f"{store.transfer(number)}\n{self.site.logs()}")

    def staged(self) -> list[str]:
        """The keys of everything that is in the staging bucket."""
        return list(keys_of(self.server, self.bucket))

    def until_clean(self) -> None:
        """Until nothing is left in the staging bucket: no object, no upload."""
        until(lambda: not self.staged() and not open_uploads(self.server, self.bucket), what=self.staged)

    def audit(self) -> list[dict[str, Any]]:
        path = self.site.state / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def outside_of(directory: Path, server: S3Server, tls: Tls, **settings: Any) -> Iterator[Outside]:
    """One that ends with the block; its daemon ends as asked."""
    site = Outside(directory, server, tls, **settings)
    try:
        yield site
    finally:
        site.close()
