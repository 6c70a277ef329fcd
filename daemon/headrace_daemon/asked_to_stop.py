"""The signals by which a person or systemd asks the daemon to end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def signals(stop: asyncio.Event) -> AsyncIterator[None]:
    """The first SIGTERM or SIGINT asks for a drain; the second one ends the process at once.

    What is in flight then is safe: leases come back, and objects are only ever recorded after they are durable.
    """
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
