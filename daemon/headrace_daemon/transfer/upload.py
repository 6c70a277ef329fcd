"""File system -> bucket."""

import stat
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from headrace_daemon.apart.process import ProcessEnded
from headrace_daemon.facts import Outcome
from headrace_daemon.files.names import FileError
from headrace_daemon.files.posix import LINK, Posix, to_metadata
from headrace_daemon.files.reading import OpenSource, ReadFile
from headrace_daemon.files.released import Hollow
from headrace_daemon.files.root import Root
from headrace_daemon.s3.checksum import RunningSum
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.transfer.content_type import content_type_of
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.from_files import FromFiles
from headrace_daemon.transfer.kept import Brought, Kept
from headrace_daemon.transfer.mover import Numbered, Tell, attempt
from headrace_daemon.transfer.options import described
from headrace_daemon.transfer.released import ReleasedFiles
from headrace_daemon.transfer.send import send_object
from headrace_daemon.transfer.summed import Summed, read_and_sum, read_group
from headrace_daemon.transfer.tally import new_tally
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Item, Lease


class Upload(FromFiles):
    """Reads files in whole steps off the loop; one PUT for a small one, parts for a large one."""

    direction = "upload"
    streams = True

    def __init__(self, work: Work, source: FilesEnd, target: BucketEnd, kept: Kept) -> None:
        super().__init__(work, target, kept)
        self._source = source
        self._of_type: dict[str, WriteOptions] = {}
        self._released = ReleasedFiles(work, source, source.restoring) if source.restoring is not None else None

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        # the size may have changed since the listing; what is sent is what is there now
        async with self._source.reading:
            reads, waited = await self._read(group)
            self._source.reading.told(waited=waited)
        found: Sequence[Summed | HeadraceError] = reads
        if self._released is not None:
            group, found = await self._without_waiting(self._released, group, reads)
        tally = new_tally()
        for (index, item), read in zip(group, found, strict=True):
            once = self._first_then_again(item, read)
            outcome = await attempt(once, self._work, item.key, tally, item.size)
            await tell(index, item, outcome, tally.take())

    async def _read(self, group: Sequence[Numbered]) -> tuple[Sequence[Summed | FileError], bool]:
        """And whether a disk had to be waited for."""
        keys = [self._source.key(item.key) for _, item in group]
        tree, limit = self._source.tree, self._work.config.multipart_threshold
        if tree is not None and self._released is None:
            with suppress(ProcessEnded):
                step = tree.begin_read(keys, [item.size for _, item in group], limit)
                if step is not None:
                    reads, waited = await step
                    return await self._with_grown(keys, reads), waited
        here = partial(read_group, not_hollow=self._released is not None)
        return await self._work.threads.begin(here, self._source.root, keys, limit)

    async def _with_grown(
        self, keys: Sequence[str], reads: Sequence[Summed | FileError | None]
    ) -> Sequence[Summed | FileError]:
        """What found no room, because it grew since it was listed, is read here."""
        grown = [key for key, read in zip(keys, reads, strict=True) if read is None]
        if not grown:
            return [read for read in reads if read is not None]
        limit = self._work.config.multipart_threshold
        late = iter(await self._work.threads.run(read_and_sum, self._source.root, grown, limit))
        return [next(late) if read is None else read for read in reads]

    async def _without_waiting(
        self, released: ReleasedFiles, group: Sequence[Numbered], reads: Sequence[Summed | HeadraceError]
    ) -> tuple[list[Numbered], list[Summed | HeadraceError]]:
        """What can be told of the group now: what had no data here is asked about once for all, and read, or failed, or
        left out while it is on its way."""
        hollow = [self._source.key(item.key) for (_, item), read in zip(group, reads, strict=True) if _is_hollow(read)]
        if not hollow:
            return list(group), list(reads)
        verdicts = await released.verdicts(hollow)
        now = [key for key, error in verdicts.items() if error is None]
        limit = self._work.config.multipart_threshold
        texts = await self._work.threads.run(read_and_sum, self._source.root, now, limit) if now else []
        found: dict[str, Summed | HeadraceError] = dict(zip(now, texts, strict=True))
        found |= {key: error for key, error in verdicts.items() if error is not None}
        told: list[tuple[Numbered, Summed | HeadraceError]] = []
        for one, read in zip(group, reads, strict=True):
            key = self._source.key(one[1].key)
            if not _is_hollow(read):
                told.append((one, read))
            elif key in found:
                told.append((one, found[key]))
            else:
                self._work.charge(-one[1].size)  # it was paid for, and does not travel now
        return [one for one, _ in told], [read for _, read in told]

    def _first_then_again(self, item: Item, read: Summed | HeadraceError) -> Callable[[], Awaitable[Outcome]]:
        """Send what was read with the group; every further try reads the file anew."""
        kept = [read]

        async def once() -> Outcome:
            if kept:
                found = kept.pop()
            else:
                key, limit = self._source.key(item.key), self._work.config.multipart_threshold
                (found,) = await self._work.threads.run(read_and_sum, self._source.root, [key], limit)
            if isinstance(found, Exception):
                raise found
            read, crc = found
            return await self._put(item, read.data, crc, Brought(self._options(item, read)))

        return once

    def _options(self, item: Item, read: ReadFile | OpenSource) -> WriteOptions:
        options, target = self._work.job.spec.options, self._target
        key, is_link = target.key(item.key), stat.S_ISLNK(read.mode)
        if not is_link and not options.preserve:
            return self._plain_options(key)
        posix = to_metadata(LINK) if is_link else {}
        if options.preserve:
            posix = to_metadata(Posix(read.mode, read.uid, read.gid, read.mtime_ns, read.atime_ns))
        return described(options, target.remote.profile, key, posix, is_link=is_link)

    def _plain_options(self, key: str) -> WriteOptions:
        """Of a file of which nothing but its content is kept: the same for all of one type."""
        media_type = content_type_of(key)
        found = self._of_type.get(media_type)
        if found is None:
            found = described(self._work.job.spec.options, self._target.remote.profile, key, {}, is_link=False)
            self._of_type[media_type] = found
        return found

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        _, item = one
        key = self._source.key(item.key)
        refusal: HeadraceError | None = None
        if self._released is not None and await self._work.threads.run(_has_no_data, self._source.root, key):
            verdicts = await self._released.verdicts([key])
            if key not in verdicts:
                return  # on its way
            refusal = verdicts[key]

        async def once() -> Outcome:
            if refusal is not None:
                raise refusal
            started = time.monotonic()
            source = await self._work.threads.run(OpenSource, self._source.root, key)
            try:
                parts = _FileParts(self._work, source)
                brought = Brought(self._options(item, source))
                outcome = await send_object(
                    self._work, lease, item, parts, self._target, brought.options, stripe=self._source.stripe
                )
            finally:
                await self._work.threads.run(source.close)
            await self._kept.look_back(item, brought)
            outcome.lost = brought.lost_text
            outcome.seconds = time.monotonic() - started
            return outcome

        await self._try_large(one, once, tell)

    async def settle(self, tell: Tell) -> None:
        """Raises Pause where files of the batch are on their way."""
        if self._released is not None:
            self._released.wait()


def _is_hollow(read: Summed | HeadraceError) -> bool:
    return isinstance(read, Hollow)


def _has_no_data(root: Root, key: str) -> bool:
    """False too for what cannot be opened: whoever reads it says why."""
    try:
        source = OpenSource(root, key)
    except FileError:
        return False
    source.close()
    return source.hollow


class _FileParts:
    """The parts of an open file."""

    stored_crc = ""
    overhead = 0
    proven = True

    def __init__(self, work: Work, source: OpenSource) -> None:
        self._work = work
        self._source = source
        self.size = source.size
        self.fingerprint = source.fingerprint

    async def part(self, start: int, buffer: memoryview) -> tuple[str, int]:
        total = RunningSum()
        await self._work.threads.run(self._source.read_into, start, buffer, total.add)
        return "", total.value

    async def check(self) -> None:
        await self._work.threads.run(self._source.check)
