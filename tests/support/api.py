"""The HTTP API in a thread of its own, on the daemon's kind of event loop, with real files and a real queue."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import structlog
import uvloop

from headrace_daemon.api.audit import Audit
from headrace_daemon.api.compose import serving
from headrace_daemon.api.server import ApiServer
from headrace_daemon.api.token_editing import add_token
from headrace_daemon.api.tokens import Token, TokenKind, new_token, sha256_of
from headrace_daemon.demo.servers import Tls
from headrace_daemon.facts import Facts
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.session import Host
from headrace_queue.config import Config
from headrace_queue.config_api import ApiConfig, SystemConfig, UserConfig
from headrace_queue.free_space import Reserve
from headrace_queue.jobs import Owner
from headrace_queue.sqlite import SqliteStore
from headrace_queue.transfers import Changes, Direction, Transfer, TransferSpec
from headrace_queue.writer import Queue

T = TypeVar("T")

SYSTEM = "cluster"
SECONDS = 60.0
SMALL = 3 * 2**20
"""Bytes of a file in one request."""


@dataclass
class ApiSite:
    """home: where users may work, a folder `NAME` for each beneath the system's root. tokens: by user. log: of the
    API."""

    directory: Path
    home: Path
    config: Config
    tokens: dict[str, str]
    queue: Queue
    loop: asyncio.AbstractEventLoop
    server: ApiServer
    audit: Audit
    verify: Any
    log: list[MutableMapping[str, Any]]

    @property
    def url(self) -> str:
        scheme = "https" if self.config.api is not None and self.config.api.tls_cert is not None else "http"
        return f"{scheme}://127.0.0.1:{self.server.port}"

    def folder(self, user: str) -> Path:
        return self.home / user

    def headers(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[user]}"}

    def client(self, user: str | None = "ada") -> httpx.Client:
        headers = {} if user is None else self.headers(user)
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, verify=self.verify)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    def add_transfer(self, user: str, direction: Direction, name: str, size: int = 5) -> Transfer:
        upload = direction is Direction.UPLOAD
        spec = TransferSpec(
            direction=direction,
            system=SYSTEM,
            owner=Owner(user, str(self.folder(user))),
            path=str(self.folder(user) / name),
            size=size,
            bucket="staging",
            key=f"{name}-{time.monotonic_ns()}",
            part_size=2**20 if upload else 0,
            deadline=time.time() + 3600 if upload else None,
        )
        return self.run(self.queue.write(lambda store: store.add_transfer(spec)))

    def move(self, transfer: Transfer, event: str, changes: Changes) -> None:
        self.run(self.queue.write(lambda store: store.move_transfer(transfer.id, event, changes)))

    def audited(self) -> str:
        return (self.directory / "state" / "audit.jsonl").read_text()


def api_config(directory: Path, users: dict[str, UserConfig], tls: Tls | None = None, **api: Any) -> Config:
    """One system, whose users work in folders of their own, with the rights of whoever runs the tests."""
    home = directory / "home"
    for name in users:
        (home / name).mkdir(parents=True, exist_ok=True)
    certificate = {} if tls is None else {"tls_cert": tls.cert_file, "tls_key": tls.key_file}
    return Config(
        state_dir=directory / "state",
        api=ApiConfig(
            **{"listen": "127.0.0.1:0", "tokens": directory / "tokens.toml", "max_small": SMALL, **certificate, **api}
        ),
        systems={
            SYSTEM: SystemConfig(roots=(str(home),)),
            "archive": SystemConfig(roots=(str(directory / "archive"),)),
        },
        users={
            name: user.model_copy(update={"roots": user.roots or (str(home / "{user}"),)})
            for name, user in users.items()
        },
    )


def make_tokens(directory: Path, users: dict[str, UserConfig]) -> dict[str, str]:
    tokens = {name: new_token() for name in users}
    for name, token in tokens.items():
        add_token(directory / "tokens.toml", Token(name, name, TokenKind.BEARER, None, sha256_of(token)))
    return tokens


@asynccontextmanager
async def _host(config: Config) -> AsyncIterator[Host]:
    def opened(*, read_only: bool = False) -> SqliteStore:
        return SqliteStore(str(config.state_dir / "queue.db"), read_only=read_only)

    facts = Facts()
    queue = Queue(opened, lambda: opened(read_only=True))
    await queue.start()
    threads, report, remotes = FileThreads(4), ReportWriter(config.state_dir), Remotes(config, facts)
    memory = MemoryBudget(config.transfer.memory)
    try:
        limits = BandwidthLimits(config, facts, time.time, time.time)
        yield Host(config, queue, remotes, threads, memory, limits, report, facts, time.time, Room(Reserve()))
    finally:
        await remotes.close()
        report.close()
        threads.close()
        await queue.close()


def _trusting(tls: Tls) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls.ca_file))


@contextmanager
def api_on(directory: Path, users: dict[str, UserConfig], *, tls: Tls | None = None, **api: Any) -> Iterator[ApiSite]:
    """api: further settings of [api]."""
    config = api_config(directory, users, tls, **api)
    (directory / "archive").mkdir(exist_ok=True)
    config.state_dir.mkdir(exist_ok=True)
    tokens = make_tokens(directory, users)
    started = threading.Event()
    found: dict[str, Any] = {}

    async def main() -> None:
        stop = asyncio.Event()
        found["stop"], found["loop"] = stop, asyncio.get_running_loop()
        async with _host(config) as host:
            assert config.api is not None
            async with serving(host, config.api) as server:
                found["queue"], found["server"] = host.queue, server
                found["audit"] = server.app.state.parts.audit
                started.set()
                await stop.wait()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        except BaseException as error:  # noqa: BLE001 - told where the test waits
            found["error"] = error
        finally:
            started.set()

    thread = threading.Thread(target=work, name="api")
    thread.start()
    try:
        assert started.wait(SECONDS)
        if "error" in found:
            raise found["error"]
        verify = True if tls is None else _trusting(tls)
        made = (found["queue"], found["loop"], found["server"], found["audit"])
        with structlog.testing.capture_logs() as log:
            yield ApiSite(directory, directory / "home", config, tokens, *made, verify, log)
    finally:
        if "loop" in found and "error" not in found:
            found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(SECONDS)
    if "error" in found:
        raise found["error"]
