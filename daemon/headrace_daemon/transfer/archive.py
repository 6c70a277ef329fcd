"""Folder -> one tar object. The bytes are made while they are sent: there is no copy on a disk."""

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from headrace_daemon.facts import Outcome
from headrace_daemon.files.archive import OVERHEAD, Layout, fill
from headrace_daemon.files.names import AccessRefused, FileFault, SourceChanged
from headrace_daemon.files.released import Released, Restoring
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.tree import SPECIAL, Selected, TreePage, walk_tree
from headrace_daemon.files.walk import Problem
from headrace_daemon.flow.turns import Turns
from headrace_daemon.s3.checksum import crc64nvme, to_text
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.from_files import FromFiles
from headrace_daemon.transfer.judge import disk_full
from headrace_daemon.transfer.kept import Brought, Kept
from headrace_daemon.transfer.mover import Numbered, Tell, attempt
from headrace_daemon.transfer.options import described
from headrace_daemon.transfer.released import absolute
from headrace_daemon.transfer.send import send_object
from headrace_daemon.transfer.tally import new_tally
from headrace_queue.errors import QueueFull
from headrace_queue.jobs import Item, Lease

NAMED: Final = 20
"""Names of what cannot be read that a message holds; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What is archived. top: the name that everything in the archive begins with."""

    root: Root
    top: str
    selected: Selected


@dataclass(slots=True)
class Unread:
    """What has to be in the archive and cannot be read: the first few, and how many."""

    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problem: Problem) -> None:
        self.count += 1
        if self.count <= NAMED:
            self.problems.append(problem)

    def refuse(self, top: str) -> None:
        """Raises AccessRefused or FileFault where there is any: a thinner archive would pass for the whole."""
        if not self.count:
            return
        names = "; ".join(f"{problem.name}: {problem.message}" for problem in self.problems)
        more = f"; and {self.count - len(self.problems):,} more" if self.count > len(self.problems) else ""
        refused = all(problem.error == "access_denied" for problem in self.problems)
        leaf = AccessRefused if refused else FileFault
        raise leaf(top, f"{self.count:,} of its files and folders cannot be read, so nothing was sent: {names}{more}")


async def lay_out(threads: FileThreads, tree: Tree, layout: Layout, passed: Callable[[Problem], None]) -> Unread:
    """Walks the tree into the layout, page by page. passed: told of what has no content.

    Raises RootLost, FileFault, and QueueFull or OSError where the notes cannot be written.
    """
    unread = Unread()
    pages = walk_tree(tree.root, tree.selected)
    try:
        while (page := await threads.run(_next_page, pages, layout)) is not None:
            for problem in page.problems:
                (passed if problem.error == SPECIAL else unread.add)(problem)
    except OSError as error:
        if disk_full(error):
            # of this host, and no destination's
            raise QueueFull(f"what is to be archived cannot be noted: {error}") from error
        raise
    finally:
        # a cancelled await may leave a thread inside the walk; then that thread drops the last reference and ends it
        with suppress(ValueError):
            pages.close()
    return unread


def _next_page(pages: Iterator[TreePage], layout: Layout) -> TreePage | None:
    page = next(pages, None)
    if page is not None:
        layout.add(page.members)
    return page


class Archive(FromFiles):
    """Walks the tree anew for every try, and sends what it found: in one PUT where that is small, else in parts."""

    direction = "upload"
    streams = True

    def __init__(self, work: Work, source: FilesEnd, tree: Tree, target: BucketEnd, kept: Kept, scratch: Path) -> None:
        """scratch: where the notes of a walk are kept, on a local disk."""
        super().__init__(work, target, kept)
        self._tree = tree
        self._reading = source.reading
        self._filling = Filling(work, tree.root, source.restoring)
        self._scratch = scratch

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        tally = new_tally()
        for index, item in group:
            outcome = await attempt(lambda item=item: self._once(item), self._work, item.key, tally, item.size)  # type: ignore[misc]
            await tell(index, item, outcome, tally.take())

    async def _once(self, item: Item) -> Outcome:
        started = time.monotonic()
        async with self._laid_out() as layout:
            limit = self._work.config.multipart_threshold
            if layout.size >= limit:
                why = f"{layout.size:,} bytes now, {item.size:,} when it was planned: enqueue the archive anew"
                raise SourceChanged(self._tree.top, why)
            data = bytearray(layout.size)
            await self._filling.fill(layout, 0, memoryview(data))
        outcome = await self._put(item, data, to_text(crc64nvme(data)), self._brought(item))
        outcome.seconds = time.monotonic() - started
        return outcome

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        _, item = one

        async def once() -> Outcome:
            started = time.monotonic()
            brought = self._brought(item)
            async with self._laid_out() as layout:
                parts = _TarParts(self._work, self._filling, layout, self._reading)
                outcome = await send_object(self._work, lease, item, parts, self._target, brought.options)
            await self._kept.look_back(item, brought)
            outcome.lost = brought.lost_text
            outcome.seconds = time.monotonic() - started
            return outcome

        await self._try_large(one, once, tell)

    def _brought(self, item: Item) -> Brought:
        options, target = self._work.job.spec.options, self._target
        return Brought(described(options, target.remote.profile, target.key(item.key), {}, is_link=False))

    @asynccontextmanager
    async def _laid_out(self) -> AsyncIterator[Layout]:
        """The tree as it is now. Raises AccessRefused, FileFault where a part of it cannot be read."""
        # with the daemon's own rights: whose job it is may not write there
        notes = await asyncio.to_thread(_unnamed, self._scratch)
        layout = Layout(self._tree.top, notes)
        try:
            unread = await lay_out(self._work.threads, self._tree, layout, _told_already)
            unread.refuse(self._tree.top)
            yield layout
        finally:
            layout.close()


def _unnamed(folder: Path) -> IO[bytes]:
    """A temporary file that a crash leaves nothing of."""
    return tempfile.TemporaryFile(dir=folder)


def _told_already(_: Problem) -> None:
    """The plan has told of what is passed over."""


class Filling:
    """Fills ranges of a tar out of a tree, and reads no file by accident whose data Lustre has released."""

    def __init__(self, work: Work, root: Root, restoring: Restoring | None) -> None:
        self.root = root
        self._threads = work.threads
        self._restoring = restoring
        # files without data that were looked at: they are sparse
        self._readable: set[str] | None = None if restoring is None or restoring.wanted else set()

    async def fill(self, layout: Layout, start: int, buffer: memoryview) -> bool:
        """Whether a disk had to be waited for; one that is across a network says nothing of it. Raises what `fill`
        raises, Released, LustreError."""
        waited, hollow = await self._threads.run(_fill, self.root, layout, start, buffer, self._readable)
        if hollow and self._restoring is not None and self._readable is not None:
            paths = await self._threads.run(absolute, self.root, hollow)
            progress = await self._restoring.refuse(self._threads, paths)
            for name, path in zip(hollow, paths, strict=True):
                if path in progress.failed:
                    raise Released(name)
            self._readable.update(hollow)
            await self._threads.run(_fill, self.root, layout, start, buffer, None)
        return waited


class _TarParts:
    """The parts of a tar that is not there."""

    stored_crc = ""
    overhead = OVERHEAD
    proven = True

    def __init__(self, work: Work, filling: Filling, layout: Layout, reading: Turns) -> None:
        self._work = work
        self._filling = filling
        self._layout = layout
        self._reading = reading
        self.size = layout.size
        self.fingerprint = layout.fingerprint

    async def part(self, start: int, buffer: memoryview) -> tuple[str, int]:
        async with self._reading:
            waited = await self._filling.fill(self._layout, start, buffer)
            self._reading.told(waited=waited)
        return "", crc64nvme(buffer)

    async def check(self) -> None:
        """Every range was compared with the walk when it was read. Raises RootLost."""
        await self._work.threads.run(self._filling.root.check)


def _fill(
    root: Root, layout: Layout, start: int, buffer: memoryview, readable: set[str] | None
) -> tuple[bool, list[str]]:
    """Whether a disk had to be waited for, and what `fill` left out."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
    left_out = fill(root, layout, start, buffer, readable)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock > before, left_out
