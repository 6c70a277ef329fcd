"""The daemon's way to the queue: one thread that writes, one that reads, and coroutines that wait for them.

A transaction never belongs to a coroutine: one that is cancelled between two statements would leave it open for the
next. Coroutines hand over whole operations. Whatever has come in while the last commit was being made durable goes
into the next one, so that a commit's fsync is shared by as many as wait for it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from headrace_queue.errors import QueueError
from headrace_queue.store import Store

T = TypeVar("T")

MAX_GROUP: Final = 256  # operations in one commit
IDLE_SECONDS: Final = 0.5  # an idle thread turns this often, so that its marker tells "idle" from "stuck"


@dataclass(slots=True)
class Operation:
    """What one coroutine asked for, and what came of it. A group's outcomes count only once it is committed."""

    run: Callable[[Store], Any]
    future: "asyncio.Future[Any]"
    value: Any = None
    error: Exception | None = None

    def deliver(self) -> None:
        if self.future.done():
            return  # its coroutine was cancelled meanwhile; the operation itself stands as committed
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class StoreThread:
    """A thread that owns a store. size: how many operations it takes at once, in one commit where joined is set."""

    def __init__(
        self,
        name: str,
        open_store: Callable[[], Store],
        size: int,
        joined: bool,
        on_group: Callable[[float, int], None],
    ) -> None:
        self._open = open_store
        self._size = size
        self._joined = joined
        self._on_group = on_group
        self._inbox: SimpleQueue[Operation | None] = SimpleQueue()
        self._thread = Thread(target=self._main, name=name, daemon=True)
        self._accepts = False
        self.turns = 0

    async def start(self) -> None:
        """Returns when the store is open. Raises what opening it raised."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        await self._opened
        self._accepts = True

    async def run(self, operation: Callable[[Store], T]) -> T:
        if not self._accepts:
            raise QueueError("the queue is closed in this process")
        future: asyncio.Future[T] = self._loop.create_future()
        self._inbox.put(Operation(operation, future))
        return await future

    async def close(self) -> None:
        """What was handed over before is still done. Raises what closing the store raised."""
        self._accepts = False
        if not self._thread.is_alive():
            return
        self._inbox.put(None)
        await self._closed
        self._thread.join()

    def _main(self) -> None:
        try:
            store = self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the coroutine that waits in start()
            self._tell(self._closed, None)
            self._tell(self._opened, error)
            return
        self._tell(self._opened, None)
        while self._turn(store):
            pass
        try:
            store.close()
        except Exception as error:  # noqa: BLE001 - as above, in close()
            self._tell(self._closed, error)
        else:
            self._tell(self._closed, None)

    def _turn(self, store: Store) -> bool:
        """One group; False after the last."""
        self.turns += 1
        group, goes_on = self._next_group()
        if group:
            started = time.perf_counter()
            self._run_group(store, group)
            seconds = time.perf_counter() - started
            # one wakeup of the event loop for the whole group
            self._loop.call_soon_threadsafe(self._deliver, group, seconds)
        return goes_on

    def _next_group(self) -> tuple[list[Operation], bool]:
        """What waits, up to the size of a group; and whether more may come."""
        group: list[Operation] = []
        try:
            while len(group) < self._size:
                operation = self._inbox.get_nowait() if group else self._inbox.get(timeout=IDLE_SECONDS)
                if operation is None:
                    return group, False
                group.append(operation)
        except Empty:
            pass  # nothing more waits: what there is goes now
        return group, True

    def _run_group(self, store: Store, group: list[Operation]) -> None:
        try:
            with self._scope(store):
                for operation in group:
                    self._run_one(store, operation)
        except Exception as error:  # noqa: BLE001 - the commit failed: nothing of the group happened, all must know
            for operation in group:
                operation.error = error

    def _run_one(self, store: Store, operation: Operation) -> None:
        try:
            with self._scope(store):
                operation.value = operation.run(store)
        except Exception as error:  # noqa: BLE001 - it belongs to the coroutine that asked, and to nobody else
            operation.error = error

    def _scope(self, store: Store) -> AbstractContextManager[None]:
        return store.group() if self._joined else nullcontext()

    def _deliver(self, group: list[Operation], seconds: float) -> None:
        for operation in group:
            operation.deliver()
        self._on_group(seconds, len(group))

    def _tell(self, future: "asyncio.Future[None]", error: Exception | None) -> None:
        def settle() -> None:
            if future.done():
                return  # the coroutine that waited was cancelled
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(settle)


def _ignore(seconds: float, operations: int) -> None:
    """The listener of a queue that nobody listens to."""


class Queue:
    """The durable queue, for coroutines. on_commit hears, in the event loop, of every commit: seconds, operations."""

    def __init__(
        self,
        open_writer: Callable[[], Store],
        open_reader: Callable[[], Store],
        on_commit: Callable[[float, int], None] = _ignore,
        max_group: int = MAX_GROUP,
    ) -> None:
        self._writer = StoreThread("queue-writer", open_writer, max_group, True, self._committed)
        self._reader = StoreThread("queue-reader", open_reader, 1, False, _ignore)
        self._on_commit = on_commit
        self.commits = 0
        self.operations = 0

    @property
    def progress_marker(self) -> int:
        """Grows while the writer thread turns, at least every half second even when idle; for a watchdog."""
        return self._writer.turns

    async def start(self) -> None:
        """Opens both stores, the writer's first: it creates the file. Raises what opening raised."""
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:
            await self._writer.close()
            raise

    async def close(self) -> None:
        """Ends both threads after what was handed over is committed."""
        await self._reader.close()
        await self._writer.close()

    async def write(self, operation: Callable[[Store], T]) -> T:
        """Runs it in the writer thread; returns once it is durable. It happens whole or not at all.

        Raises what it raised, which undoes it alone, or what the commit raised. A caller that is cancelled leaves it
        running: what was handed over is done.
        """
        return await self._writer.run(operation)

    async def read(self, operation: Callable[[Store], T]) -> T:
        """Runs it in the reader thread, on a read-only store. It sees every write that was awaited before."""
        return await self._reader.run(operation)

    def _committed(self, seconds: float, operations: int) -> None:
        self.commits += 1
        self.operations += operations
        self._on_commit(seconds, operations)
