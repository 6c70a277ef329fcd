"""When a changed file has been left alone long enough to be sent. Pure: clocks and looks are passed in.

    touched or seen -> waits `settle` seconds -> is looked at -> ready, or waits again -> taken

A file that changes while it waits, or once it is ready, waits anew. Where the clock of the file system is this host's
own, one look tells: ctime, which nobody can set, says when it was last changed. Where it is another's (NFS, Lustre),
two looks at least `settle` seconds apart have to find it the same.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
MOST_NAMES: Final = 100_000
"""Names that wait or are ready; beyond it, everything is looked at instead."""


class Seen(NamedTuple):
    """A file as it was looked at. It is the same file, unchanged, while all of these are equal."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(slots=True)
class _Waiting:
    until: float  # when it is to be looked at, by a clock that only runs forward
    seen: Seen | None = None


class Settling:
    """The names below one folder that changed. settle: seconds. own_clock: ctimes are by this host's clock."""

    def __init__(
        self, settle: float, *, own_clock: bool, most: int = MOST_NAMES, taken: Mapping[str, Seen] | None = None
    ) -> None:
        self._settle = settle
        self._own_clock = own_clock
        self._most = most
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()  # by `until`, for each waits equally long
        self._later: dict[str, _Waiting] = {}  # those that wait for less than that: looked at, and too young
        self._ready: dict[str, Seen] = {}
        self._taken: dict[str, Seen] = dict(taken or {})
        self.lost = False  # there were too many: whoever asks looks at everything

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later) + len(self._ready)

    def touched(self, name: str, now: float) -> None:
        """Something happened to it."""
        self._ready.pop(name, None)
        self._later.pop(name, None)
        self._wait(name, _Waiting(now + self._settle))

    def seen(self, name: str, found: Seen, now: float) -> None:
        """A walk met it, young enough to have changed since the last one."""
        known = self._waiting.get(name) or self._later.get(name)
        before = known.seen if known is not None else self._ready.get(name) or self._taken.get(name)
        if before == found:
            return
        self._ready.pop(name, None)
        self._later.pop(name, None)
        self._wait(name, _Waiting(now + self._settle, found))

    def gone(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._later.pop(name, None)
        self._ready.pop(name, None)

    def to_look_at(self, now: float) -> list[str]:
        """Those that have waited long enough."""
        names = []
        for name, one in self._waiting.items():
            if one.until > now:
                break
            names.append(name)
        return names + [name for name, one in self._later.items() if one.until <= now]

    def looked(self, name: str, found: Seen | None, now: float, wall: float) -> None:
        """What it was when it was looked at; None: it is gone. wall: seconds since the epoch."""
        one = self._waiting.pop(name, None) or self._later.pop(name, None)
        if one is None or found is None:
            return
        age = wall - found.ctime_ns / SECOND_NS
        if one.seen == found or (self._own_clock and age >= self._settle):
            self._ready[name] = found
            return
        young = self._own_clock and age >= 0
        self._later[name] = _Waiting(now + (self._settle - age if young else self._settle), found)

    def next_look(self) -> float | None:
        """When to_look_at() has something to give."""
        first = next(iter(self._waiting.values()), None)
        times = [one.until for one in self._later.values()]
        return min([*times, *([first.until] if first is not None else [])], default=None)

    def ready(self) -> tuple[str, ...]:
        return tuple(self._ready)

    def taken(self, names: Iterable[str]) -> None:
        """They are durably enqueued, which is remembered: the next walk does not take them for changed anew."""
        for name in names:
            if (found := self._ready.pop(name, None)) is not None:
                self.covered(name, found)

    def covered(self, name: str, found: Seen) -> None:
        """What it was when a job was made that sends it."""
        self._taken.pop(name, None)
        self._taken[name] = found
        if len(self._taken) > self._most:  # it costs no more than that the first of them may be sent again
            del self._taken[next(iter(self._taken))]

    def oldest(self) -> float | None:
        """When the first of those changed that were met by a walk, or looked at, and are not taken yet; seconds since
        the epoch."""
        waiting = [one.seen for table in (self._waiting, self._later) for one in table.values() if one.seen is not None]
        times = [seen.ctime_ns for seen in (*waiting, *self._ready.values())]
        return min(times) / SECOND_NS if times else None

    def remembered(self) -> dict[str, Seen]:
        """All of them, as they were."""
        return dict(self._taken)

    def forget_before(self, ctime_ns: int) -> None:
        """No later walk asks for what is older; what has a time of modification that lies ahead is always asked for."""
        kept = ((name, seen) for name, seen in self._taken.items() if max(seen.ctime_ns, seen.mtime_ns) >= ctime_ns)
        self._taken = dict(kept)

    def clear(self) -> None:
        self._waiting.clear()
        self._later.clear()
        self._ready.clear()
        self.lost = False

    def _wait(self, name: str, one: _Waiting) -> None:
        self._waiting.pop(name, None)
        if len(self) >= self._most:
            self.lost = True
            return
        self._waiting[name] = one
