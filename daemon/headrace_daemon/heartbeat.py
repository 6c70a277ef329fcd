"""Keeps this worker's leases alive, and gives back those of workers that died.

A worker is dead when its process is gone (seen on the same host at once, also after kill -9) or its heartbeat is old.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable

from headrace_daemon.facts import Facts
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.transfer.recorder import Report, let_go
from headrace_queue.client import live_workers, process_started
from headrace_queue.errors import QueueFull
from headrace_queue.jobs import Worker
from headrace_queue.writer import Queue

HEARTBEAT = 5.0


def this_worker() -> Worker:
    """The row that names this process. Raises OSError without /proc."""
    pid = os.getpid()
    started = process_started(pid)
    if started is None:
        raise OSError("/proc tells nothing of this process; Headrace needs Linux with /proc mounted")
    host = socket.gethostname()
    return Worker(id=f"{host}-{pid}-{uuid.uuid4().hex[:8]}", host=host, pid=pid, started=started)


class Heartbeat:
    """Registers a worker and keeps it registered."""

    def __init__(
        self, queue: Queue, worker: Worker, report: Report, facts: Facts, now: Callable[[], float], pulse: Pulse
    ) -> None:
        """report: of objects that fail because their batch kills its workers. pulse: told of every beat."""
        self._pulse = pulse
        self._queue = queue
        self._worker = worker
        self._report = report
        self._facts = facts
        self._now = now

    @property
    def worker_id(self) -> str:
        return self._worker.id

    async def start(self) -> None:
        """Register, and take over from the dead."""
        await self._queue.write(lambda store: store.register(self._worker))
        await self.reap()

    async def run(self) -> None:
        """Beat until cancelled. A worker that others took for dead registers anew; its old leases are lost."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self.beat()
            except QueueFull as error:
                self._facts.job_event(0, "queue_full", str(error))

    async def beat(self) -> None:
        """Once. Raises QueueFull."""
        alive = await self._queue.write(lambda store: store.heartbeat(self._worker.id))
        self._pulse.beat(alive=alive)
        if not alive:
            self._facts.job_event(0, "heartbeat_late", "another worker took this one for dead")
            await self._queue.write(lambda store: store.register(self._worker))
        await self.reap()

    async def reap(self) -> None:
        """Expire every worker that is dead."""
        workers = await self._queue.read(lambda store: store.workers())
        living = live_workers(workers, self._now(), socket.gethostname(), process_started)
        alive = {worker.id for worker in living} | {self._worker.id}
        dead = [worker.id for worker in workers if worker.id not in alive]
        if dead:
            await self._expire(dead)

    async def _expire(self, dead: list[str]) -> None:
        try:
            count = await let_go(lambda store: store.expire(dead), self._queue, self._report, self._facts)
        except OSError as error:  # no room for the lines of the report: the next beat tries again
            self._facts.job_event(0, "warning", f"leases of dead workers are not taken over yet: {error}")
            return
        if count:
            self._facts.leases_expired(count)

    async def retire(self) -> None:
        """Leave in peace: whatever is still leased goes back, its attempts too."""
        await self._queue.write(lambda store: store.retire(self._worker.id))
