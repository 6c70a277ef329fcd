"""Whether the file system of a destination has room, asked before the first byte of a batch or of a large file.

A file system that is filled to its last block makes everybody on it fail, and a large object would be fetched nearly
whole before that. Both checks count what exists at once in any case: a new content stands beside the one it replaces.
"""

import os
from collections.abc import Sequence

from headrace_daemon.files.names import DestinationFull
from headrace_queue.free_space import Need, free_of, shortage
from headrace_queue.jobs import Action, Item


def need_of(items: Sequence[Item]) -> Need:
    """What these objects take until they stand under their names; deletions take nothing."""
    copies = [item for item in items if item.action is Action.COPY]
    return Need(sum(item.size for item in copies), len(copies))


def check_room(fd: int, path: str, need: Need) -> None:
    """Raises DestinationFull where the file system of this open file or folder lacks the room. path: for people."""
    missing = shortage(need, free_of(os.fstatvfs(fd)))
    if missing:
        raise DestinationFull(path, f"{missing}; free some, and the job goes on by itself")
