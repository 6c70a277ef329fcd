"""The daemon's own HTTP port: /metrics, /healthz, /readyz. Loopback unless the configuration says otherwise."""

import errno
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from headrace_daemon.observe.metrics import Metrics
from headrace_queue.errors import Occupied, UsageError

_INDEX = "headraced: /metrics /healthz /readyz\n"


class StatusServer:
    """problems: what keeps the process from being healthy, in words. ready: does it take work?"""

    def __init__(
        self, listen: str, metrics: Metrics, problems: Callable[[], Sequence[str]], ready: Callable[[], bool]
    ) -> None:
        self._listen = listen
        self._metrics = metrics
        self._problems = problems
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises UsageError where the address is malformed or not this host's, Occupied where it is taken."""
        host, _, port = self._listen.rpartition(":")
        if not port.isdigit():
            raise UsageError(f"daemon.listen = {self._listen!r}", "it is not HOST:PORT", "Write 127.0.0.1:9740.")
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            # whoever holds the port at boot may let go of it: systemd shall try again
            kind = Occupied if error.errno == errno.EADDRINUSE else UsageError
            raise kind(
                f"daemon.listen = {self._listen!r}",
                f"the address cannot be used ({error.strerror})",
                "Is another headraced running? Choose another port in [daemon] of config.toml.",
            ) from error

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return web.Response(body=encoder(self._metrics.registry), headers={"content-type": content_type})

    async def _healthz(self, request: web.Request) -> web.Response:
        problems = list(self._problems())
        return web.json_response({"healthy": not problems, "problems": problems}, status=503 if problems else 200)

    async def _readyz(self, request: web.Request) -> web.Response:
        ready = self._ready() and not self._problems()
        return web.json_response({"ready": ready}, status=200 if ready else 503)
