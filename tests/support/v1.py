"""The HTTP API in this process, on a socket, with a queue that no worker works on: what /v1 itself does, no more."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from headrace_daemon.api.app import build_app
from headrace_daemon.api.audit import Audit
from headrace_daemon.api.authenticate import Authenticator
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.rates import Rates
from headrace_daemon.api.server import ApiServer
from headrace_daemon.api.token_editing import add_token
from headrace_daemon.api.tokens import Token, TokenKind, new_token, sha256_of
from headrace_daemon.api.user_files import UserFiles
from headrace_daemon.facts import Facts
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_queue.config import Config
from headrace_queue.free_space import Reserve
from headrace_queue.store import open_store
from headrace_queue.writer import Queue

PERMISSIONS = {
    "ada": ("read", "write", "jobs"),
    "bob": ("read", "write", "jobs"),
    "reader": ("read", "jobs"),
    "idle": ("read", "write"),
    "chief": ("read", "write", "jobs", "admin"),
}
SMALL = 4096
"""Bytes of a file in one request, here."""


@dataclass
class V1Host:
    """files: the root of the system `alps`; below it everybody has a folder of their name. The remote `lake` is for all
    of them, `moon` for nobody, and `lake` has the staging bucket `staged`."""

    files: Path
    url: str
    tokens: dict[str, str]
    parts: Parts
    _open: AsyncExitStack

    async def person(self, name: str) -> httpx.AsyncClient:
        """A client that asks as this person."""
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        return await self._open.enter_async_context(
            httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60.0, trust_env=False)
        )


def config_of(directory: Path, listen: str, requests: str, burst: int) -> Config:
    """Of a host with the API. requests, burst: what each user may."""
    files = directory / "files"
    return Config.model_validate(
        {
            "state_dir": directory / "state",
            "api": {
                "listen": listen,
                "tokens": directory / "tokens.toml",
                "max_small": SMALL,
                "events_poll": 0.05,
            },
            "remotes": {
                "lake": {"endpoint_urls": ["http://127.0.0.1:9"]},
                "pond": {"endpoint_urls": ["http://localhost:9"]},  # the same service
                "moon": {"endpoint_urls": ["http://127.0.0.1:10"]},
            },
            "staging": {"remote": "lake", "bucket": "staged"},
            "systems": {"alps": {"roots": [str(files)]}, "jura": {"roots": [str(files / "jura")]}},
            "users": {
                name: {
                    "account": "",
                    "systems": ["alps"],
                    "roots": [str(files / "{user}")] if name != "chief" else [],
                    "permissions": permissions,
                    "remotes": ["lake", "pond"],
                    "requests": requests,
                    "burst": burst,
                }
                for name, permissions in PERMISSIONS.items()
            },
        }
    )


@asynccontextmanager
async def v1_host(
    directory: Path, listen: str = "127.0.0.1:0", requests: str = "1000/s", burst: int = 1000
) -> AsyncIterator[V1Host]:
    """Without staging: what is asked of it is answered as on a host that has none."""
    tokens = {name: new_token() for name in PERMISSIONS}
    for name, token in tokens.items():
        add_token(directory / "tokens.toml", Token(name, name, TokenKind.BEARER, None, sha256_of(token)))
        (directory / "files" / name).mkdir(parents=True)
    config = config_of(directory, listen, requests, burst)
    facts = Facts()
    assert config.api is not None
    queue = Queue(
        lambda: open_store(config.queue_url), lambda: open_store(config.queue_url, read_only=True), facts.committed
    )
    async with AsyncExitStack() as closing:
        await queue.start()
        closing.push_async_callback(queue.close)
        threads = FileThreads(2)
        closing.callback(threads.close)
        authenticator = Authenticator(config, facts)
        closing.push_async_callback(authenticator.close)
        parts = Parts(
            config=config,
            queue=queue,
            authenticator=authenticator,
            rates=Rates(time.monotonic),
            audit=Audit(directory / "audit.jsonl"),
            files=UserFiles(threads, Room(Reserve()), config.api),
            staging=None,
            facts=facts,
            now=time.time,
        )
        server = ApiServer(build_app(parts), config.api)
        await server.start()
        closing.push_async_callback(server.close, 5.0)
        async with AsyncExitStack() as clients:
            listen = config.api.listen
            url = listen if listen.startswith("unix:") else f"http://127.0.0.1:{server.port}"
            yield V1Host(directory / "files", url, tokens, parts, clients)
