"""Watches one folder until it is cancelled, and fires a schedule for what changed below it and has settled.

Events of the kernel tell what changed where only this host writes; elsewhere, or where the kernel's limits are reached,
a walk does, every minute or less often. Beside both, everything is synced at the start and once in a while: what no
event and no walk can tell (a folder that was renamed over there, a file that was written through a mapping) is late
then, and not lost.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from headrace_daemon.files.encoding import decode_path
from headrace_daemon.files.names import FileError
from headrace_daemon.schedules.firing import Fire, Firing
from headrace_daemon.watching.inotify import Event, Inotify
from headrace_daemon.watching.memory import Memory, Sent
from headrace_daemon.watching.settling import MOST_NAMES, SECOND_NS, Seen, Settling
from headrace_daemon.watching.tree import RootGone, Tree, Unwatchable, foreign, look, root_identity

T = TypeVar("T")

RESCAN: Final = 3600.0
"""Seconds between two syncs of everything."""
WALK: Final = 60.0
"""Seconds between two walks where there are no events; at least WALK_SHARE times what the last one took."""
WALK_SHARE: Final = 10
SKEW: Final = 120.0
"""Seconds that the clock of a file server may be behind, or that events may have waited here, without a change being
found late."""
TICK: Final = 1.0
"""Seconds by which the time of a change is cut, at most, on a file system of this host."""
ROOT_LOOK: Final = 10.0
LINGER: Final = 0.05
"""Seconds in which events gather before they are worked on."""
BUSY: Final = 5.0
"""Seconds, at most, until a firing that cannot be now is tried again."""
MOST_EVENTS: Final = 100_000
"""That are kept while the folder is walked; beyond it, everything is looked at instead."""
EVENTS_OF_A_TURN: Final = 5_000
"""So that a burst does not keep the daemon from its other work."""


@dataclass(frozen=True, slots=True)
class Watched:
    """root: absolute. settle, rescan: seconds. encoded: names stand for keys by --encode-names. since: seconds since
    the epoch of the last firing, before any restart; None: there was none. memory: of what was sent before it."""

    root: str
    settle: float
    rescan: float = RESCAN
    encoded: bool = False
    since: float | None = None
    memory: Memory | None = None


async def _nobody(why: str | None) -> None:
    """Nobody wants to know."""


async def run_watch(
    watched: Watched,
    fire: Fire,
    tell: Callable[[str, str], None],
    wall: Callable[[], float] = time.time,
    *,
    waits: Callable[[str | None], Awaitable[None]] = _nobody,
) -> None:
    """Until cancelled. tell: an event and its detail, for the log. wall: seconds since the epoch. waits: is told why
    nothing is watched for the time being, and None once it is again."""
    own = True
    while True:
        try:
            kind = await asyncio.to_thread(foreign, watched.root)
            if kind is not None and own:
                own = False
                tell("scans", f"{watched.root} is on {kind}: changes by other hosts make no events here")
            await waits(None)
            sent = await asyncio.to_thread(watched.memory.load) if watched.memory is not None else None
            await _Watch(watched, fire, wall, sent, own=own).run()
        except Unwatchable as error:
            own = False
            tell("scans", f"{watched.root}: {error}")
        except RootGone as error:
            tell("waits", str(error))
            await waits(f"{error}; it is looked for every {ROOT_LOOK:.0f} seconds")
            await _until_there(watched.root)
            own = True


async def _until_there(root: str) -> None:
    while True:
        await asyncio.sleep(ROOT_LOOK)
        with suppress(RootGone):
            await asyncio.to_thread(root_identity, root)
            return


class _Events:
    """What the kernel told and nobody has looked at yet."""

    def __init__(self) -> None:
        """Raises Unwatchable."""
        try:
            self.inotify = Inotify()
        except OSError as error:
            why = f"no events can be had ({error.strerror}); see: sysctl fs.inotify.max_user_instances"
            raise Unwatchable(why) from error
        self.come = asyncio.Event()
        self.lost = False
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.inotify.fd, self._read)

    def _read(self) -> None:
        events = self.inotify.read()
        if len(self._events) + len(events) > MOST_EVENTS:
            self.lost = True
        else:
            self._events.extend(events)
        self.come.set()

    def take(self) -> list[Event]:
        """The first of them, in their order; `come` stays set while there are more."""
        self._read()
        events = [self._events.popleft() for _ in range(min(len(self._events), EVENTS_OF_A_TURN))]
        if not self._events:
            self.come.clear()
        return events

    def close(self) -> None:
        self._loop.remove_reader(self.inotify.fd)
        self.inotify.close()


class _Watch:
    """One folder, by events (own) or by walks."""

    def __init__(
        self, watched: Watched, fire: Fire, wall: Callable[[], float], sent: Sent | None, *, own: bool
    ) -> None:
        """sent: before it began. Raises RootGone, Unwatchable."""
        self._watched = watched
        self._fire = fire
        self._wall = wall
        self._clock = asyncio.get_running_loop().time
        self._identity = root_identity(watched.root)
        self._events = _Events() if own else None
        self._tree = Tree(watched.root, self._events.inotify if self._events is not None else None)
        self._settling = Settling(watched.settle, own_clock=own, taken=sent.files if sent is not None else None)
        self._left: dict[str, Seen] = {}  # what the first sync of everything covers
        self._lost = True  # what happened is not known: everything has to be walked and synced
        # what changed before that was found; seconds since the epoch
        self._walked = sent.until if sent is not None else watched.since
        self._next_walk = 0.0
        self._next_all = 0.0
        self._let_go = 0.0  # when all has settled that was forgotten, for it was too much
        self._next_fire = 0.0
        self._next_root = 0.0
        self._stopping = False

    async def run(self) -> None:
        """Raises RootGone, Unwatchable."""
        try:
            while True:
                await self._turn()
                await self._pause()
        finally:
            if self._events is not None:
                self._events.close()

    async def _turn(self) -> None:
        await self._take_events()
        await self._walk_where_due()
        await self._look()
        now = self._clock()
        if now >= self._next_fire:
            await self._fire_what_is_due(now)

    async def _pause(self) -> None:
        """Until something is due, or happens."""
        now = self._clock()
        times = [self._next_root, max(self._next_all, self._next_fire)]
        if self._settling.ready():
            times.append(self._next_fire)
        if (look_at := self._settling.next_look()) is not None:
            times.append(look_at)
        if self._events is None:
            times.append(self._next_walk)
        seconds = max(min(times) - now, 0.0)
        if self._events is None:
            await asyncio.sleep(max(seconds, LINGER))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._events.come.wait()
        await asyncio.sleep(LINGER)

    # -- what changed ---------------------------------------------------------------------------------------------

    async def _take_events(self) -> None:
        if self._clock() >= self._next_root:
            self._next_root = self._clock() + ROOT_LOOK
            if await asyncio.to_thread(root_identity, self._watched.root) != self._identity:
                raise RootGone(f"{self._watched.root}: another folder is there now")
        if self._events is None or self._lost:
            return
        read_at = self._wall()
        events = self._events.take()
        now = self._clock()
        for event in events:
            what = self._tree.take(event)
            if what.changed is not None:
                self._settling.touched(what.changed, now)
            elif what.gone is not None:
                self._settling.gone(what.gone)
            elif what.folder is not None:
                # before the next event: those that follow may be of folders in it
                await self._cover(what.folder)
            elif what.overflow:
                self._events.lost = True
        self._lost = self._events.lost
        if not self._lost and not self._events.come.is_set():
            self._walked = read_at

    async def _cover(self, folder: str) -> None:
        """A folder that is new here, with all that lies in it."""

        def cover() -> None:
            for found in self._tree.walk(folder, None):
                for one in found:
                    self._settling.touched(one.name, self._clock())
                self._check_stopping()

        await self._in_thread(cover)

    async def _walk_where_due(self) -> None:
        """Where something was lost; and where there are no events, whenever it is time."""
        began, wall = self._clock(), self._wall()
        if not self._lost and (self._events is not None or began < self._next_walk):
            return
        if self._events is not None:
            self._events.lost = False
        since = int((self._found_until(wall) - self._watched.settle) * SECOND_NS)
        first = since if self._walked is not None else since - int(SKEW * SECOND_NS)
        await self._in_thread(lambda: self._walk(since, int(wall * SECOND_NS), first))
        self._settling.forget_before(since)
        self._walked = wall
        self._next_walk = self._clock() + max(WALK, WALK_SHARE * (self._clock() - began))
        if self._lost:
            self._next_all = 0.0
            self._lost = False

    def _found_until(self, wall: float) -> float:
        """What changed before that is known here, or was fired; what has settled by now is found by the first sync."""
        if self._walked is None:
            return wall - (TICK if self._events is not None else SKEW)
        return self._walked - SKEW

    def _walk(self, since_ns: int, wall_ns: int, first_ns: int) -> None:
        """Every file that changed since then waits until it has settled; one whose time lies ahead, too: the sync of
        everything takes it for young as long as that is so. What changed before, and after first_ns, is left to that
        sync, and noted: a later start would ask for it."""

        def wanted(status: os.stat_result) -> bool:
            return status.st_ctime_ns >= first_ns or status.st_mtime_ns > wall_ns

        for found in self._tree.walk("", wanted):
            now = self._clock()
            for one in found:
                if one.seen.ctime_ns >= since_ns or one.seen.mtime_ns > wall_ns:
                    self._settling.seen(one.name, one.seen, now)
                elif one.seen.mtime_ns < since_ns and len(self._left) < MOST_NAMES:
                    self._left[one.name] = one.seen
            self._check_stopping()

    def _check_stopping(self) -> None:
        if self._stopping:
            raise RootGone(f"{self._watched.root}: nobody watches it any more")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Whoever is cancelled waits for the thread: it uses the queue of events, which is closed then."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stopping = True
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # which nobody else asks for
            raise

    # -- what has settled -----------------------------------------------------------------------------------------

    async def _look(self) -> None:
        names = self._settling.to_look_at(self._clock())
        if not names:
            return
        root = self._watched.root
        seen = await asyncio.to_thread(lambda: [look(root, name) for name in names])
        now, wall = self._clock(), self._wall()
        for name, found in zip(names, seen, strict=True):
            self._settling.looked(name, found, now, wall)

    async def _fire_what_is_due(self, now: float) -> None:
        """All names first: once they are enqueued, nothing that settled before is known here alone."""
        if self._settling.lost:
            # what it has let go of has settled by then, whatever comes later is told anew
            self._settling.clear()
            self._let_go = now + self._watched.settle
            self._next_all = min(self._next_all, self._let_go)
        settled = self._settling.ready()
        if settled:
            keys = {key for name in settled if (key := self._key(name)) is not None}
            why = "1 file changed" if len(keys) == 1 else f"{len(keys):,} files changed"
            if not keys or await self._fire(Firing(why, tuple(sorted(keys)))):
                self._settling.taken(settled)
                await self._remember()
                self._next_fire = now + (self._watched.settle if keys else 0.0)
            else:
                self._next_fire = now + min(BUSY, max(self._watched.settle, LINGER))
        elif now >= self._next_all:
            newest = int((self._wall() - self._watched.settle) * SECOND_NS)
            if await self._fire(Firing("everything is looked at", None, newest)):
                for name, seen in self._left.items():
                    self._settling.covered(name, seen)
                self._left.clear()
                await self._remember()
                self._next_all = self._let_go if self._let_go > now else now + self._watched.rescan
                self._next_fire = now + self._watched.settle
            else:
                self._next_fire = now + min(BUSY, max(self._watched.settle, LINGER))

    async def _remember(self) -> None:
        """What a later start would find changed, and was sent: what is older than the window of its walk is let go."""
        wall = self._wall()
        until = min(wall, self._walked if self._walked is not None else wall, self._settling.oldest() or wall)
        self._settling.forget_before(int((until - 2 * SKEW - self._watched.settle) * SECOND_NS))
        if self._watched.memory is not None:
            sent = Sent(until, self._settling.remembered())
            await asyncio.to_thread(self._watched.memory.save, sent)

    def _key(self, name: str) -> str | None:
        """What the file is called in the bucket; None for a name that none can be made of, which the sync of everything
        reports."""
        try:
            key = decode_path(name) if self._watched.encoded else name
            key.encode()
        except (FileError, UnicodeEncodeError):
            return None
        return key
