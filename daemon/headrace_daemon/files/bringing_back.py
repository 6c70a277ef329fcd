"""The released files below a path, and bringing all of them back: in bulk, in bounded memory, as often as needed."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from headrace_daemon.files.lustre import Lustre, is_hollow
from headrace_daemon.files.released import NOT_TOLD, Restoring

GROUP: Final = 1000
"""Files asked about in one go."""

WINDOW: Final = 10_000
"""Files that are waited for at once; Lustre's coordinator works on fewer than that anyway."""

SHOWN: Final = 10
"""Failures that are kept to be shown; all are counted."""


class HollowFile(NamedTuple):
    """One that has a size and no data here. size in bytes."""

    path: str
    size: int


def hollow_below(top: str, refused: Callable[[OSError], None]) -> Iterator[HollowFile]:
    """In no order; links are not followed. refused: told of each folder or file that cannot be looked at. top: a folder
    or a file. Raises OSError where it is not there."""
    status = os.lstat(top)
    if stat.S_ISREG(status.st_mode) and is_hollow(status):
        yield HollowFile(top, status.st_size)
    folders = [top] if stat.S_ISDIR(status.st_mode) else []
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and is_hollow(
                        status := entry.stat(follow_symlinks=False)
                    ):
                        yield HollowFile(entry.path, status.st_size)
        except FileNotFoundError:
            continue  # it went away meanwhile
        except OSError as error:
            refused(error)


@dataclass(slots=True)
class Tally:
    """Files and bytes. waiting: on their way; those of `here` were, or have their data and no blocks (sparse)."""

    released: int = 0
    released_bytes: int = 0
    waiting: int = 0
    here: int = 0
    here_bytes: int = 0
    failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)  # path, why: the first SHOWN

    def add(self, other: "Tally") -> None:
        self.released += other.released
        self.released_bytes += other.released_bytes
        self.waiting += other.waiting
        self.here += other.here
        self.here_bytes += other.here_bytes
        self.failed += other.failed
        self.failures = [*self.failures, *other.failures][:SHOWN]


def count_released(lustre: Lustre, files: Iterable[HollowFile]) -> Tally:
    """How many are released; waiting: of these, those that come back just now. Raises LustreError."""
    tally = Tally()
    for group in _groups(files, GROUP):
        states = lustre.states([file.path for file in group])
        for file, state in zip(group, states, strict=True):
            if state is not None and state.released:
                tally.released += 1
                tally.released_bytes += file.size
                tally.waiting += state.action != "NOOP"
    return tally


def ask_for_all(lustre: Lustre, files: Iterable[HollowFile]) -> Tally:
    """Asks once for everything that is released, and waits for nothing. Raises LustreError."""
    tally = Tally()
    for group in _groups(files, GROUP):
        # anew for each: what was asked for is of no use where nobody looks again; who is refused now has failed
        _Way(Restoring(lustre, wanted=True, tries=1), tally).begin(group)
    return tally


def bring_all_back(
    lustre: Lustre,
    files: Iterable[HollowFile],
    poll: float,
    sleep: Callable[[float], None],
    told: Callable[[Tally], None],
) -> Tally:
    """Asks for everything that is released, and waits until it is here or has failed. poll: seconds between two looks.
    told: called after each look. Raises LustreError; begun anew, it goes on where it was."""
    tally = Tally()
    way = _Way(Restoring(lustre, wanted=True), tally)
    for group in _groups(files, GROUP):
        way.begin(group)
        while len(way.waiting) > WINDOW - GROUP:
            sleep(poll)
            way.look()
            told(tally)
    while way.waiting:
        told(tally)
        sleep(poll)
        way.look()
    return tally


class _Way:
    """Files on their way back."""

    def __init__(self, restoring: Restoring, tally: Tally) -> None:
        self._restoring = restoring
        self._tally = tally
        self.waiting: dict[str, int] = {}  # path -> size

    def begin(self, group: list[HollowFile]) -> None:
        """Those that are not released are passed over, and those that went away."""
        sizes = {file.path: file.size for file in group}
        progress = self._restoring.look(list(sizes))
        for path in (*progress.here, *progress.unknown):
            del sizes[path]
        self._fail({path: NOT_TOLD for path in progress.unknown if os.path.lexists(path)})
        self._tally.released += len(sizes)
        self._tally.released_bytes += sum(sizes.values())
        self._fail(progress.failed)
        self.waiting |= {path: sizes[path] for path in progress.waiting}
        self._tally.waiting += len(progress.waiting)

    def look(self) -> None:
        progress = self._restoring.look(list(self.waiting))
        for path in progress.here:
            self._tally.here += 1
            self._tally.here_bytes += self.waiting.pop(path)
        failed = progress.failed | dict.fromkeys(progress.unknown, NOT_TOLD)
        for path in failed:
            del self.waiting[path]
        self._fail(failed)
        self._tally.waiting = len(self.waiting)

    def _fail(self, failed: dict[str, str]) -> None:
        self._tally.failed += len(failed)
        self._tally.failures = [*self._tally.failures, *failed.items()][:SHOWN]


def _groups(files: Iterable[HollowFile], size: int) -> Iterator[list[HollowFile]]:
    several = iter(files)
    while group := list(islice(several, size)):
        yield group
