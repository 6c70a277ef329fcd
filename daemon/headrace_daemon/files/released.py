"""Files whose data Lustre has released: nobody reads them by accident, and they are brought back many at a time.

Reading a released file makes Lustre fetch its data before the read returns. Read one after the other, a tree of them
takes days, and fills the file system unasked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, NamedTuple

from headrace_daemon.files.lustre import HsmFlag, HsmState, Lustre, LustreError
from headrace_daemon.files.names import FileError
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.gathered import Gathered

POLL: Final = 30.0
"""Seconds between looks at files that come back, where no section [fsx.NAME] says otherwise."""

MAX_ASKED: Final = 2
"""How often a file is asked for: a request that ended with nothing here may have met a passing fault, twice hardly."""

MAX_TROUBLES: Final = 20
"""Looks at the same files that `lfs` failed as a whole, one after the other, before they are given up: a server that
restarts takes minutes, and nothing waits for ever."""

TOGETHER: Final = 500
"""Files that groups of a batch, which run beside each other, ask about in one step."""

_IDLE: Final = "NOOP"
_LOST: Final = "Lustre says that its copy in the bucket is lost (lost_from_hsm); copy the object there anew"
_RELEASED: Final = (
    "its data is not in the file system (released to its bucket); reading would bring it back; --restore of a sync, or "
    "`headraced fsx restore`, does so for all in bulk; or copy the object from its bucket"
)
NOT_TOLD: Final = "Lustre does not tell where its data is: it is gone, or may not be asked about"
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
    """What became of some paths. here: Lustre says that their data is. unknown: it tells nothing of them, for they are
    gone, or may not be asked about: who reads them finds out, who does not must not take them for here. waiting: on
    their way. failed: path -> why."""

    here: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


class Where(Enum):
    """The data of a file."""

    HERE = auto()
    UNKNOWN = auto()
    WAITING = auto()
    FAILED = auto()


class Stand(NamedTuple):
    """Of one file. why: it failed."""

    where: Where
    why: str = ""


def decide(
    paths: Sequence[str], states: Sequence[HsmState | None], asked: Mapping[int, int], tries: int = MAX_ASKED
) -> tuple[Progress, list[str]]:
    """And which of the waiting ones are to be asked for now. states: of each path. asked: how often one was before, by
    the hash of its path. tries: how often it may be."""
    progress = Progress()
    to_ask = []
    for path, state in zip(paths, states, strict=True):
        if state is None:
            progress.unknown.append(path)
        elif not state.released:
            progress.here.append(path)
        elif HsmFlag.LOST in state.flags:
            progress.failed[path] = _LOST
        elif state.action != _IDLE:
            progress.waiting.append(path)
        elif asked.get(hash(path), 0) >= tries:
            progress.failed[path] = _NOTHING_CAME
        else:
            progress.waiting.append(path)
            to_ask.append(path)
    return progress, to_ask


class Restoring:
    """Brings released files of one Lustre back, and remembers what it asked for.

    wanted: whether the job may (--restore). poll: seconds between two looks at the same files. tries: how often a file
    is asked for.
    """

    def __init__(self, lustre: Lustre, *, wanted: bool, poll: float = POLL, tries: int = MAX_ASKED) -> None:
        self._lustre = lustre
        self._tries = tries
        self._asked: dict[int, int] = {}  # by the hash of a path, for there may be very many
        self._troubles: dict[int, int] = {}  # by the hash of the first path that was asked about
        self._asking: Gathered[str, Stand] | None = None
        self._refusing: Gathered[str, Stand] | None = None
        self.wanted = wanted
        self.poll = poll

    def look(self, paths: Sequence[str]) -> Progress:
        """How these files stand; those that are released and idle are asked for, all at once. paths: absolute, without
        links. Synchronous; look again after `poll` seconds. Raises LustreError."""
        progress, to_ask = decide(paths, self._lustre.states(paths), self._asked, self._tries)
        if to_ask:
            progress = self._refused(progress, self._lustre.restore(to_ask), to_ask)
        for path in (*progress.here, *progress.unknown, *progress.failed):
            self._asked.pop(hash(path), None)
        return progress

    def _refused(self, progress: Progress, refused: Mapping[str, str], to_ask: Sequence[str]) -> Progress:
        """Who was refused was asked for, too; at the last time it has failed, and with the reason."""
        for path in to_ask:
            self._asked[hash(path)] = self._asked.get(hash(path), 0) + 1
        failed = {path: why for path, why in refused.items() if self._asked[hash(path)] >= self._tries}
        waiting = [path for path in progress.waiting if path not in failed]
        return replace(progress, waiting=waiting, failed=progress.failed | failed)

    def only_look(self, paths: Sequence[str]) -> Progress:
        """The same, and nothing is asked for: what is released has failed."""
        progress = Progress()
        for path, state in zip(paths, self._lustre.states(paths), strict=True):
            if state is None:
                progress.unknown.append(path)
            elif state.released:
                progress.failed[path] = _RELEASED
            else:
                progress.here.append(path)
        return progress

    async def ask(self, threads: FileThreads, paths: Sequence[str]) -> Progress:
        """`look` off the loop, together with what others ask meanwhile: one call of `lfs` for many. With the daemon's
        own rights: the command takes on those of the account by itself. threads: the same at every call.

        Raises LustreError; time after time for the same files, these have failed.
        """
        if self._asking is None:
            self._asking = _together(threads, self.look)
        try:
            stands = await self._asking.do(paths)
        except LustreError as error:
            if not self._gives_up(paths):
                raise
            return Progress(failed=dict.fromkeys(paths, str(error)))
        self._troubles.pop(hash(paths[0]), None)
        return _as_progress(paths, stands)

    def _gives_up(self, paths: Sequence[str]) -> bool:
        first = hash(paths[0])  # of a batch in trouble nothing ends, so that its next look begins with the same file
        troubles = self._troubles.pop(first, 0) + 1
        if troubles < MAX_TROUBLES:
            self._troubles[first] = troubles
        return troubles >= MAX_TROUBLES

    async def refuse(self, threads: FileThreads, paths: Sequence[str]) -> Progress:
        """`only_look` off the loop, likewise."""
        if self._refusing is None:
            self._refusing = _together(threads, self.only_look)
        return _as_progress(paths, await self._refusing.do(paths))


def _together(threads: FileThreads, look: Callable[[Sequence[str]], Progress]) -> Gathered[str, Stand]:
    """One step at a time: what was asked for is remembered without a lock."""

    def each(paths: list[str]) -> Sequence[Stand]:
        progress = look(paths)
        stands = {path: Stand(Where.FAILED, why) for path, why in progress.failed.items()}
        stands |= dict.fromkeys(progress.here, Stand(Where.HERE))
        stands |= dict.fromkeys(progress.unknown, Stand(Where.UNKNOWN))
        stands |= dict.fromkeys(progress.waiting, Stand(Where.WAITING))
        return [stands[path] for path in paths]

    return Gathered(lambda paths: threads.acting(None).begin(each, paths), 1, TOGETHER)


def _as_progress(paths: Sequence[str], stands: Sequence[Stand]) -> Progress:
    progress = Progress()
    lists = {Where.HERE: progress.here, Where.UNKNOWN: progress.unknown, Where.WAITING: progress.waiting}
    for path, stand in zip(paths, stands, strict=True):
        if stand.where is Where.FAILED:
            progress.failed[path] = stand.why
        else:
            lists[stand.where].append(path)
    return progress
