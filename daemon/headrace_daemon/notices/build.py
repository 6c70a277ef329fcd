"""The notices of one daemon, put together."""

import asyncio
import socket
import time
import uuid
from contextlib import suppress
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.notices.keeper import NoticeKeeper
from headrace_daemon.notices.receivers import Receivers
from headrace_daemon.notices.telling import Surroundings, Telling
from headrace_daemon.observe.log import Redaction
from headrace_queue.config import Config
from headrace_queue.errors import QueueUnavailable
from headrace_queue.notices import NoticeState
from headrace_queue.store import Store
from headrace_queue.writer import Queue

KEPT: Final = 30 * 86_400.0
"""Seconds for which the outbox remembers what was sent or given up."""
TIDY: Final = 3600.0
LOOK: Final = 0.05
PAGE: Final = 1000


def _due(store: Store) -> bool:
    """Whether one was never tried, or is to be tried again by now."""
    now = time.time()
    waiting = store.notices((NoticeState.WAITING,), PAGE)
    return any(not notice.looks or notice.next_look <= now for notice in waiting)


class Notices:
    """Hears what becomes of jobs, and tells those who asked. close() it after run() has ended."""

    def __init__(self, config: Config, queue: Queue, facts: Facts, redaction: Redaction) -> None:
        self._queue = queue
        self._some = bool(config.notices)
        self._receivers = Receivers(config, facts, redaction.hide)
        around = Surroundings(socket.gethostname(), time.time, time.monotonic, lambda: uuid.uuid4().hex, redaction.text)
        self._telling = Telling(queue, config.notices, config.daemon.stalled_after, facts, around)
        self._keeper = NoticeKeeper(queue, self._receivers, facts, time.time)

    async def run(self) -> None:
        """Until cancelled. Without [notices] it only sees to it that nobody hears of old jobs once there are some."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._telling.run(), name="notices: events")
            if self._some:
                tasks.create_task(self._keeper.run(), name="notices: sending")
                tasks.create_task(self._tidy(), name="notices: old ones")

    async def flush(self, seconds: float) -> None:
        """What happened so far is written down, and what is due is tried once, for so many seconds at most; run() has
        to run beside it. What did not arrive stays for the next daemon."""
        if not self._some:
            return
        with suppress(TimeoutError, QueueUnavailable):
            async with asyncio.timeout(seconds):
                while await self._telling.look():
                    pass
                while await self._queue.read(_due) or self._keeper.busy:  # noqa: ASYNC110 - the queue tells nobody
                    await asyncio.sleep(LOOK)

    async def close(self) -> None:
        await self._receivers.close()

    async def _tidy(self) -> None:
        while True:
            with suppress(QueueUnavailable):
                await self._queue.write(lambda store: store.purge_notices(time.time() - KEPT, PAGE))
            await asyncio.sleep(TIDY)
