"""The async doorway to files: whole steps in a bounded set of threads, and descriptors that outlive a cancelled step.

A cancelled `await` does not stop the thread behind it. So a descriptor that threads share is closed only when the last
step has let go of it: otherwise its number could be given to another file, and a late write would land there.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

from aiofiles.os import wrap

from headrace_daemon.files.account import Account
from headrace_daemon.files.acting import MayNotAct, RightsStuck, acting, has_rights_of, may_act

Buffer: TypeAlias = bytes | bytearray | memoryview
A = TypeVar("A")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DaemonPool(Executor):
    """A fixed number of threads that never hold up the end of the process.

    The standard pool joins its threads at exit; one that waits in the kernel for a dead file server (state D) would
    keep the daemon from ending. A thread that cannot get the daemon's rights back ends, and another takes its place.
    """

    def __init__(self, size: int, name: str) -> None:
        self._steps: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closing = False
        self._gate = threading.Lock()
        self._name = name
        self._stuck: set[threading.Thread] = set()
        self._threads = [self._thread(number) for number in range(size)]

    def _thread(self, number: int) -> threading.Thread:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
        thread.start()
        return thread

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Raises RuntimeError after shutdown."""
        future: Future[T] = Future()

        def step() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except RightsStuck as error:
                self._stuck.add(threading.current_thread())
                future.set_exception(RuntimeError(str(error)))
                raise
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._gate:
            if self._closing:
                raise RuntimeError("the file threads are closed")
            if self._stuck:
                self._replace()
            self._steps.put(step)
        return future

    def _replace(self) -> None:
        """From here, for a thread inherits the rights of the one that makes it."""
        for number, thread in enumerate(self._threads):
            if thread in self._stuck:
                self._threads[number] = self._thread(number)
                self._stuck.discard(thread)

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            step()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends every thread after the steps before it. wait: join them; never use it where one may be stuck."""
        with self._gate:
            if self._closing:
                return
            self._closing = True
            for _ in self._threads:
                self._steps.put(None)
        if wait:
            for thread in self._threads:
                thread.join()


def fan_out(step: Callable[[A], T], items: Sequence[A], size: int = 8) -> list[T]:
    """step of every item, in order, in up to `size` threads of its own: for calls that only wait, as fsync does."""
    if len(items) < 3:
        return [step(item) for item in items]
    pool = DaemonPool(min(size, len(items)), "fan-out")
    try:
        return [future.result() for future in [pool.submit(step, item) for item in items]]
    finally:
        pool.shutdown(wait=False)


class FileThreads:
    """`size` threads in which the file work of the daemon runs."""

    def __init__(self, size: int = 16) -> None:
        self._pool = DaemonPool(size, "files")

    def acting(self, account: Account | None) -> "FileThreads":
        """The same threads for steps that run with this account's rights, and with the daemon's where it is None.

        An ordinary daemon may not act for others (`may_act`): its own rights stay, and `permits` has to be asked before
        every step. Root never takes its own instead: it raises MayNotAct. So does a step that finds the account's
        refused, and does nothing.
        """
        if account is None or has_rights_of(account):
            return self
        if not may_act():
            if os.geteuid() == 0:
                raise MayNotAct(f"root lacks CAP_SETUID or CAP_SETGID here, and cannot act as {account.name}")
            return self
        return _Acting(self, account)

    async def run(self, step: Callable[[*Ts], T], *args: *Ts) -> T:
        """One whole step (open, read, close) as one hop. Raises what the step raises.

        Cancelling the await leaves the step running to its end. A step must not raise StopIteration: a future cannot
        carry it (use `next(iterator, None)`).
        """
        return await wrap(step)(*args, executor=self._pool)

    def begin(self, step: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """The same, begun: what comes of it belongs to no task that could be cancelled."""
        return asyncio.get_running_loop().run_in_executor(self._pool, step, *args)

    def close(self) -> None:
        """Returns at once: a thread that is stuck in the kernel is left behind."""
        self._pool.shutdown(wait=False)


class _Acting(FileThreads):
    """A view of file threads: not its own to close."""

    def __init__(self, threads: FileThreads, account: Account) -> None:
        self._threads = threads
        self._account = account

    def acting(self, account: Account | None) -> FileThreads:
        return self._threads.acting(account)

    async def run(self, step: Callable[[*Ts], T], *args: *Ts) -> T:
        return await self._threads.run(self._step, step, args)

    def begin(self, step: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        return self._threads.begin(self._step, step, args)

    def _step(self, step: Callable[[*Ts], T], args: tuple[*Ts]) -> T:
        with acting(self._account):
            return step(*args)

    def close(self) -> None:
        """The threads are everybody's."""


class SharedFd:
    """A descriptor that several threads use: `with shared as fd`. close() takes effect when the last has left."""

    __slots__ = ("_closing", "_gate", "_users", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._users = 0
        self._closing = False
        self._gate = threading.Lock()

    def retain(self) -> int:
        """The descriptor, which stays open until release(). Raises ValueError after close()."""
        with self._gate:
            if self._closing:
                raise ValueError("this file is closed")
            self._users += 1
        return self.fd

    def release(self) -> None:
        with self._gate:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            # whoever closed it has moved on: the file is being thrown away, its close error says nothing any more
            with contextlib.suppress(OSError):
                os.close(self.fd)

    def __enter__(self) -> int:
        return self.retain()

    def __exit__(self, *_: object) -> None:
        self.release()

    def close(self) -> None:
        """Once is enough, more does no harm. Raises OSError where the close itself fails: bytes may be lost then."""
        with self._gate:
            if self._closing:
                return
            self._closing = True
            idle = self._users == 0
        if idle:
            os.close(self.fd)


def write_at(fd: int, offset: int, data: Buffer) -> None:
    """All of data, however little the kernel takes at once. Raises OSError."""
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
