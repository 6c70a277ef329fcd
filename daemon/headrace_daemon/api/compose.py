"""From config.toml and the parts of a running worker to the API that listens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace_daemon.api.app import build_app
from headrace_daemon.api.audit import Audit
from headrace_daemon.api.authenticate import Authenticator
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.rates import Rates
from headrace_daemon.api.server import ApiServer
from headrace_daemon.api.user_files import UserFiles
from headrace_daemon.session import Host
from headrace_daemon.staging.build import staging_of
from headrace_queue.config_api import ApiConfig


@asynccontextmanager
async def serving(host: Host, api: ApiConfig) -> AsyncIterator[ApiServer]:
    """The API, while the block runs; what is under way at its end is ended. api: host.config.api.

    Raises UsageError, Occupied before the block begins.
    """
    authenticator = Authenticator(host.config, host.facts, now=host.now)
    try:
        audit = Audit(Path(api.audit or Path(host.config.state_dir) / "audit.jsonl"), host.facts, host.now)
        server = ApiServer(build_app(_parts(host, api, authenticator, audit)), api)
        noting = asyncio.create_task(audit.run(), name="audit")
        try:
            await server.start()
            try:
                yield server
            finally:
                await server.close(0.0)
        finally:
            noting.cancel()
            await asyncio.wait((noting,))
            await asyncio.to_thread(audit.close)
    finally:
        await authenticator.close()


def _parts(host: Host, api: ApiConfig, authenticator: Authenticator, audit: Audit) -> Parts:
    files = UserFiles(host.threads, host.room, api)
    return Parts(
        config=host.config,
        queue=host.queue,
        authenticator=authenticator,
        rates=Rates(time.monotonic),
        audit=audit,
        files=files,
        staging=staging_of(host.config, host.queue, host.remotes, files, host.facts, host.now),
        facts=host.facts,
        now=host.now,
    )
