"""The API's own port, on the daemon's event loop: TCP or a Unix socket, with TLS where a certificate is given."""

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn
from fastapi import FastAPI

from headrace_daemon.api.listening import Listening, listen
from headrace_daemon.api.protocol import PatientProtocol
from headrace_queue.config_api import ApiConfig
from headrace_queue.errors import UsageError

KEPT_SECONDS: Final = 75
"""For which a connection without a request is kept, longer than proxies keep theirs: they would lose a request."""
RENEWAL_SECONDS: Final = 30.0
"""Between two looks whether the certificate was renewed."""


_LAST_SECONDS: Final = 1.0  # for requests that were told to end


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves the signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class ApiServer:
    """start() and close() once each. app.state.stopping is set when it takes no request any more."""

    def __init__(self, app: FastAPI, api: ApiConfig) -> None:
        self.app = app
        self._api = api
        self.certificate: Certificate | None = None
        self._listening: Listening | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises UsageError where address or certificate cannot be used, Occupied where it is taken."""
        self.certificate = Certificate.of(self._api)
        self._listening = await listen(self._api.listen)
        try:
            self._server = _Server(self._config())
            self._serving = asyncio.create_task(self._server.serve(self._listening.sockets), name="api")
            if self.certificate is not None:
                self._renewing = asyncio.create_task(self.certificate.run(), name="api certificate")
            listens = asyncio.create_task(self._server.listens.wait(), name="api start")
            await asyncio.wait((self._serving, listens), return_when=asyncio.FIRST_COMPLETED)
            listens.cancel()
            if self._serving.done():
                self._serving.result()
        except BaseException:
            await self.close(0.0)
            raise

    async def close(self, seconds: float) -> None:
        """Takes no request any more, and ends those under way, which have so many seconds."""
        self.app.state.stopping.set()
        if self._server is not None:
            self._server.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]  # only awaited for
            self._server.should_exit = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))
        if self._serving is not None:
            await asyncio.wait((self._serving,))
        if self._server is not None and self._server.server_state.tasks:
            await asyncio.wait(self._server.server_state.tasks, timeout=_LAST_SECONDS)
        if self._listening is not None:
            self._listening.close()

    async def watch(self) -> None:
        """Until cancelled. Raises RuntimeError where the server ends though nobody told it to."""
        if self._serving is not None:
            await asyncio.wait((self._serving,))
        if not self.app.state.stopping.is_set():
            raise RuntimeError("the API's server ended by itself")
        await asyncio.Event().wait()

    @property
    def port(self) -> int:
        """Of a TCP socket, once it listens."""
        assert self._listening is not None
        return int(self._listening.sockets[0].getsockname()[1])

    def _config(self) -> uvicorn.Config:
        context = None if self.certificate is None else self.certificate.context
        return uvicorn.Config(
            self.app,
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,  # front.py tells of requests, and of what goes wrong with them
            access_log=False,
            server_header=False,
            # only where a proxy on this host is said to stand in front: anybody could send such headers
            proxy_headers=self._api.behind_tls,
            forwarded_allow_ips=["127.0.0.1", "::1"],
            timeout_keep_alive=KEPT_SECONDS,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )


class Certificate:
    """The server's certificate, read again when its files change: a renewed one is used by every new connection."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises UsageError."""
        self._files = (certificate, key)
        self._log = structlog.get_logger("headraced")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamp()
        try:
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"api.tls_cert = '{certificate}', api.tls_key = '{key}'",
                f"they cannot be used ({error.strerror or error})",
                "Give a certificate in PEM with its chain, and its key without a password, readable for the daemon.",
            ) from error

    @classmethod
    def of(cls, api: ApiConfig) -> "Certificate | None":
        if api.tls_cert is None or api.tls_key is None:
            return None
        return cls(Path(api.tls_cert), Path(api.tls_key))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> bool:
        """Reads the files again where they changed; whether they are used now. Half of a renewal changes nothing."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        try:
            # elsewhere first: a certificate that does not fit its key would stay in the context
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            self._log.warning("certificate_not_renewed", reason=str(error.strerror or error))
            return False
        self._seen = stamp
        self._log.info("certificate_renewed", file=str(self._files[0]))
        return True

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What tells one version of the files from another; nothing of those that are not there."""
        stamps = []
        for path in self._files:
            with contextlib.suppress(OSError):
                found = path.stat()
                stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return tuple(stamps)
