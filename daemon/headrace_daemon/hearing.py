"""That another process wrote to the queue is heard from the kernel: who looks ten times a second learns it late."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headrace_daemon.watching.inotify import CHANGED, IN_Q_OVERFLOW, Inotify


@contextmanager
def hearing_of_writes(url: str, told: Callable[[], None]) -> Iterator[None]:
    """Calls `told` on the running loop soon after anybody, this process too, wrote to the queue at `url`.

    Where the kernel has no inotify(7) left for this user, nothing is told: who must not miss anything looks by itself
    as well.
    """
    path = Path(url.partition("://")[2])
    log = os.fsencode(f"{path.name}-wal")  # a commit appends to it, and nothing but a commit does
    try:
        notices = Inotify()
    except OSError:
        yield
        return
    loop = asyncio.get_running_loop()

    def look() -> None:
        if any(event.mask & IN_Q_OVERFLOW or (event.mask & CHANGED and event.name == log) for event in notices.read()):
            told()

    try:
        with suppress(OSError):
            notices.add(os.fsencode(path.parent), follow=True)
            loop.add_reader(notices.fd, look)
        yield
    finally:
        loop.remove_reader(notices.fd)
        notices.close()
