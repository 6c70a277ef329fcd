"""Whether the file system of a destination has room, asked before the first byte of a batch or of a large file.

A file system that is filled to its last block makes everybody on it fail, and a large object would be fetched nearly
whole before that. All checks count what exists at once in any case: a new content stands beside the one it replaces.
"""

import os
import threading
from collections.abc import Sequence
from typing import Final

from headrace_daemon.files.names import DestinationFull
from headrace_queue.free_space import Need, Reserve, free_of, shortage
from headrace_queue.jobs import Action, Item

JOB_WAITS: Final = "free some, and the job goes on by itself"


def need_of(items: Sequence[Item]) -> Need:
    """What these objects take until they stand under their names, if this host writes them; deletions take nothing."""
    written = [item for item in items if item.action is not Action.DELETE]
    return Need(sum(item.size for item in written), len(written))


class Room:
    """What the large files that this process writes will still take, for each file system. Synchronous; for threads.

    Their space is free until they are written: without this each of several would count on the same.
    """

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._gate = threading.Lock()
        self._promises: set[Promise] = set()

    def check(self, fd: int, path: str, need: Need, advice: str = JOB_WAITS) -> None:
        """Raises DestinationFull where the file system of this open file or folder lacks the room. path, advice: for
        people."""
        with self._gate:
            self._check(fd, os.fstat(fd).st_dev, path, need, advice)

    def promise(self, fd: int, key: str, size: int) -> "Promise":
        """For a large file of this size; what is in it already takes no room again. Raises DestinationFull, OSError.

        The caller ends it with the file.
        """
        status = os.fstat(fd)
        left = max(0, size - status.st_blocks * 512)
        with self._gate:
            self._check(fd, status.st_dev, key, Need(left, 0))
            made = Promise(self._gate, self._promises, status.st_dev, left)
            self._promises.add(made)
        return made

    def _check(self, fd: int, device: int, path: str, need: Need, advice: str = JOB_WAITS) -> None:
        promised = sum(promise.left for promise in self._promises if promise.device == device)
        missing = shortage(need, free_of(os.fstatvfs(fd)), self._reserve, promised)
        if missing:
            raise DestinationFull(path, f"{missing}; {advice}")


class Promise:
    """The room of one large file. left: bytes that are still to be written."""

    def __init__(self, gate: threading.Lock, among: "set[Promise]", device: int, left: int) -> None:
        self._gate = gate
        self._among = among
        self.device = device
        self.left = left

    def written(self, count: int) -> None:
        """So many bytes more are in the file, and no longer free."""
        with self._gate:
            self.left = max(0, self.left - count)

    def end(self) -> None:
        """The file is closed. Once more does no harm."""
        with self._gate:
            self._among.discard(self)
