"""Commands are read in threads, for they look at paths, and a file system may hang.

Each schedule has one such thread at most: where it does not come back, nobody waits for it, no second one joins it, and
neither the threads of other parts nor the end of the daemon are held up by it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from headrace_daemon.files.threads import DaemonPool
from headrace_queue.errors import UsageError

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds in which the paths of a command have to answer."""


class NoAnswer(UsageError):
    """A path of the command hangs: it may answer later, so that nothing is lost by waiting."""


class CommandReader:
    """patience: seconds."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._under_way: dict[str, Future[Any]] = {}

    async def read(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns or raises. name: of the schedule. Raises NoAnswer, at once where the thread of an earlier
        call has not come back."""
        before = self._under_way.get(name)
        if before is not None and not before.done():
            raise self._no_answer(name)
        pool = DaemonPool(1, f"schedule {name}")
        future = pool.submit(make)
        pool.shutdown(wait=False)
        self._under_way[name] = future
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._no_answer(name) from None
        finally:
            if future.done():
                self._under_way.pop(name, None)

    def _no_answer(self, name: str) -> NoAnswer:
        why = f"a path of its command gave no answer in {self._patience:g} s"
        return NoAnswer(f"schedule {name}", why, "Look at the file systems of this host; it is tried again by itself.")
