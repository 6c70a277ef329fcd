"""Files whose data Lustre has released: nobody reads them by accident, and they are brought back many at a time.

Reading a released file makes Lustre fetch its data before the read returns. Read one after the other, a tree of them
takes days, and fills the file system unasked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from headrace_daemon.files.lustre import HsmFlag, HsmState, Lustre
from headrace_daemon.files.names import FileError
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.gathered import Gathered

POLL: Final = 30.0
"""Seconds between looks at files that come back, where no section [fsx.NAME] says otherwise."""

MAX_ASKED: Final = 2
"""How often a file is asked for: a request that ended with nothing here may have met a passing fault, twice hardly."""

TOGETHER: Final = 500
"""Files that groups of a batch, which run beside each other, ask about in one step."""

_IDLE: Final = "NOOP"
_LOST: Final = "Lustre says that its copy in the bucket is lost (lost_from_hsm); copy the object there anew"
_RELEASED: Final = (
    "its data is not in the file system (released to its bucket); reading would bring it back; --restore does so for "
    "all in bulk (elsewhere: `headraced fsx restore`), or copy the object from its bucket"
)
_NOTHING_CAME: Final = (
    "it was asked for twice, and its data did not come back; look whether its object is still in the bucket, "
    "and not in an archive class"
)


class Hollow(FileError):
    """It has a size and no data here: ask Lustre whether it was released before it is read."""

    code = "hollow"

    def __init__(self, key: str) -> None:
        super().__init__(key, "it has a size and no data here")


class Released(FileError):
    """Nobody asked for its data to be brought back: the object fails."""

    code = "released"

    def __init__(self, key: str) -> None:
        super().__init__(key, _RELEASED)


class RestoreFailed(FileError):
    """Its data does not come back: the object fails."""

    code = "restore_failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of some paths. here: their data is, or nothing is known of them and reading tells what is wrong.
    waiting: on their way. failed: path -> why."""

    here: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Stand(NamedTuple):
    """Of one file. failed: why, or ''."""

    waiting: bool
    failed: str


def decide(
    paths: Sequence[str], states: Sequence[HsmState | None], asked: Mapping[int, int]
) -> tuple[Progress, list[str]]:
    """And which of the waiting ones are to be asked for now. states: of each path. asked: how often one was before, by
    the hash of its path."""
    progress = Progress()
    to_ask = []
    for path, state in zip(paths, states, strict=True):
        if state is None or not state.released:
            progress.here.append(path)
        elif HsmFlag.LOST in state.flags:
            progress.failed[path] = _LOST
        elif state.action != _IDLE:
            progress.waiting.append(path)
        elif asked.get(hash(path), 0) >= MAX_ASKED:
            progress.failed[path] = _NOTHING_CAME
        else:
            progress.waiting.append(path)
            to_ask.append(path)
    return progress, to_ask


class Restoring:
    """Brings released files of one Lustre back, and remembers what it asked for.

    wanted: whether the job may (--restore). poll: seconds between two looks at the same files.
    """

    def __init__(self, lustre: Lustre, *, wanted: bool, poll: float = POLL) -> None:
        self._lustre = lustre
        self._asked: dict[int, int] = {}  # by the hash of a path, for there may be very many
        self._asking: Gathered[str, Stand] | None = None
        self._refusing: Gathered[str, Stand] | None = None
        self.wanted = wanted
        self.poll = poll

    def look(self, paths: Sequence[str]) -> Progress:
        """How these files stand; those that are released and idle are asked for, all at once. paths: absolute, without
        links. Synchronous; look again after `poll` seconds. Raises LustreError."""
        progress, to_ask = decide(paths, self._lustre.states(paths), self._asked)
        if to_ask:
            self._lustre.restore(to_ask)
            for path in to_ask:
                self._asked[hash(path)] = self._asked.get(hash(path), 0) + 1
        for path in (*progress.here, *progress.failed):
            self._asked.pop(hash(path), None)
        return progress

    def only_look(self, paths: Sequence[str]) -> Progress:
        """The same, and nothing is asked for: what is released has failed."""
        states = self._lustre.states(paths)
        gone = {path for path, state in zip(paths, states, strict=True) if state is not None and state.released}
        return Progress([path for path in paths if path not in gone], [], dict.fromkeys(gone, _RELEASED))

    async def ask(self, threads: FileThreads, paths: Sequence[str]) -> Progress:
        """`look` off the loop, together with what others ask meanwhile: one call of `lfs` for many. With the daemon's
        own rights: the command takes on those of the account by itself. threads: the same at every call."""
        if self._asking is None:
            self._asking = _together(threads, self.look)
        return _as_progress(paths, await self._asking.do(paths))

    async def refuse(self, threads: FileThreads, paths: Sequence[str]) -> Progress:
        """`only_look` off the loop, likewise."""
        if self._refusing is None:
            self._refusing = _together(threads, self.only_look)
        return _as_progress(paths, await self._refusing.do(paths))


def _together(threads: FileThreads, look: Callable[[Sequence[str]], Progress]) -> Gathered[str, Stand]:
    """One step at a time: what was asked for is remembered without a lock."""

    def each(paths: list[str]) -> Sequence[Stand]:
        progress = look(paths)
        waiting = set(progress.waiting)
        return [Stand(path in waiting, progress.failed.get(path, "")) for path in paths]

    return Gathered(lambda paths: threads.acting(None).begin(each, paths), 1, TOGETHER)


def _as_progress(paths: Sequence[str], stands: Sequence[Stand]) -> Progress:
    progress = Progress()
    for path, stand in zip(paths, stands, strict=True):
        if stand.failed:
            progress.failed[path] = stand.failed
        else:
            (progress.waiting if stand.waiting else progress.here).append(path)
    return progress
