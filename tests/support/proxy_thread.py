"""The fault proxy for tests that block."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from headrace_daemon.demo.servers import Tls
from tests.support.faults import Fault
from tests.support.proxy import FaultProxy


class ProxyThread:
    """A FaultProxy on a loop of its own, for tests that block: `with ProxyThread(url) as proxy: proxy.url`."""

    def __init__(self, target_url: str, *, tls: Tls | None = None) -> None:
        self.proxy = FaultProxy(target_url, tls=tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")

    @property
    def url(self) -> str:
        return self.proxy.url

    def start(self) -> None:
        self._run(self.proxy.start())

    def stop(self) -> None:
        self._run(self.proxy.stop())

    def add(self, *faults: Fault) -> None:
        self._loop.call_soon_threadsafe(self.proxy.add, *faults)

    def clear(self) -> None:
        self._loop.call_soon_threadsafe(self.proxy.clear)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def __enter__(self) -> "ProxyThread":
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.proxy.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
