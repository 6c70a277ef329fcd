"""Receives one large object into a temporary file, in ranges, many at once.

A part is recorded only after fdatasync has made it durable, in groups, so that a restart, even after a power cut,
goes on with exactly what is on the disk.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.files.landing import Landing, Pending
from headrace_daemon.files.large import LargeFile
from headrace_daemon.files.posix import Posix
from headrace_daemon.flow.width import FIRST
from headrace_daemon.s3.checksum import RunningSum, to_text
from headrace_daemon.s3.errors import IntegrityError, S3Error
from headrace_daemon.s3.reading import RangeBody
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.judge import first_cause
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.ledger import Ledger, open_ledger
from headrace_daemon.transfer.parts import choose_range_size
from headrace_daemon.transfer.proof import agree, is_md5
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Item, Lease, Multipart, PartRecord

WRITE = 4 * 2**20
"""Bytes written in one step: some Lustre stripes, and enough for a disk that is written past the page cache."""

SYNC_BYTES = 256 * 2**20
"""How much may have to be fetched again after a crash: parts are synced and recorded once so much is written."""

SYNC_SECONDS = 5.0
"""The same in time, for a slow network: so often what was written since is synced and recorded."""

LARGE_WRITE = 2 * WRITE
"""The same while few parts are under way at once: half as many steps off the loop, in memory nobody else needs then."""

READ_AHEAD = 6 * 2**20
"""What the engine was measured to hold of one part under way, beside the block that is being filled or written."""

LANES = 64

NO_IDENTITY = "-"
"""Where the file system cannot prove that a file is the same after a restart: such a download starts over."""


async def receive_object(
    work: Work,
    lease: Lease,
    item: Item,
    info: ObjectInfo,
    source: BucketEnd,
    landing: Landing,
    target_key: str,
    attributes: tuple[int, Posix],
    stripe: int = 0,
) -> tuple[Outcome, Pending]:
    """The object in its temporary file, closed, not yet durable under its own name. stripe: of that file, see
    `choose_range_size`. Raises what `judge` knows."""
    receiver = _Receiver(work, lease, item, info, source, landing, target_key, stripe)
    return await receiver.run(attributes)


class _Receiver:
    def __init__(
        self,
        work: Work,
        lease: Lease,
        item: Item,
        info: ObjectInfo,
        source: BucketEnd,
        landing: Landing,
        target_key: str,
        stripe: int,
    ) -> None:
        self.work = work
        self.lease = lease
        self.item = item
        self.info = info
        self.source = source
        self.landing = landing
        self.target_key = target_key
        self.stripe = stripe
        self.endpoints: set[str] = set()
        self._unsynced: list[PartRecord] = []
        self._due = asyncio.Event()  # enough is there to be recorded
        self._file: LargeFile | None = None
        self._turn = asyncio.Semaphore(1)

    async def run(self, attributes: tuple[int, Posix]) -> tuple[Outcome, Pending]:
        try:
            ledger = await self._open()
        except BaseException:
            if self._file is not None:
                await self.work.threads.run(self._file.close)  # opened, but not recorded
            raise
        file = self._opened()
        self._turn = asyncio.Semaphore(file.writers)
        try:
            affordable = max(1, self.work.memory.limit // (WRITE + READ_AHEAD))
            missing = ledger.missing()
            lanes = max(1, min(len(missing), affordable, LANES))
            await self._receive(missing, lanes, ledger, file)
            await self._sync(ledger, file)  # what was finished while the last were synced
            crc = ledger.crc64nvme()
            proof = await self._prove(crc, file)
            mtime_ns, posix = attributes
            no_clobber = self.work.job.spec.options.no_clobber
            pending = await self.work.threads.run(lambda: file.finish(mtime_ns, posix=posix, no_clobber=no_clobber))
        except IntegrityError:
            await self.work.threads.run(file.discard)
            await ledger.end()
            raise
        except (asyncio.CancelledError, S3Error):
            await self._keep(ledger, file)
            raise
        except BaseException:
            await self.work.threads.run(file.close)  # what is recorded stays for the next run
            raise
        outcome = Outcome(
            "transferred",
            size=self.info.size,
            source_endpoint=",".join(sorted(self.endpoints)),
            etag=self.info.etag,
            crc64nvme=crc,
            proof=proof,
        )
        return outcome, pending

    async def _keep(self, ledger: Ledger, file: LargeFile) -> None:
        """The daemon stops, or the source is away: what was written since the last sync need not be fetched again.

        A failure here costs no more than that, and must not take the place of the reason for the stop.
        """
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            lambda: self._sync(ledger, file),
            lambda: self.work.threads.run(file.close),
        )
        for step in steps:
            try:
                await step()
            except HeadraceError as error:
                self.work.facts.job_event(self.work.job.id, "progress_lost", f"{self.item.key}: {error}")

    def _opened(self) -> LargeFile:
        if self._file is None:
            raise AssertionError("the ledger opens the file before it is used")
        return self._file

    async def _open(self) -> Ledger:
        size = self.info.size
        part_size = choose_range_size(size, self.work.config.part_size, self.source.remote.profile, self.stripe)
        fingerprint = f"{self.info.etag} {size}"
        plan = Multipart(self.work.job.id, self.item.key, "", size, part_size, fingerprint, "")

        async def usable(record: Multipart) -> bool:
            self._file = await self.work.threads.run(self.landing.open_large, self.target_key, size, record.token)
            return self._file.reused

        async def begin() -> str:
            self._file = await self.work.threads.run(self.landing.open_large, self.target_key, size, None)
            return self._file.identity or NO_IDENTITY

        async def discard(record: Multipart) -> None:
            if self._file is not None:
                await self.work.threads.run(self._file.discard)
                self._file = None

        return await open_ledger(self.work.queue, self.lease, plan, usable, begin, discard)

    async def _receive(self, missing: Sequence[int], lanes: int, ledger: Ledger, file: LargeFile) -> None:
        """All that is missing, recorded every few seconds: a part that is here must not wait for the next to come."""
        over = False

        async def record() -> None:
            while not over:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SYNC_SECONDS):
                        await self._due.wait()
                self._due.clear()
                await self._sync(ledger, file)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(record())
                await in_lanes(missing, lanes, lambda number: self._part(ledger, file, number))
                over = True
                self._due.set()  # not cancelled: what it is about to record would be lost
        except BaseExceptionGroup as failures:
            raise first_cause(failures) from failures

    async def _part(self, ledger: Ledger, file: LargeFile, number: int) -> None:
        start, end = ledger.range_of(number)
        await self.work.pace(end - start)

        async with self.work.parts, self.work.memory.buffer(min(self._step(), end - start), READ_AHEAD) as block:

            async def write(body: RangeBody, endpoint: str) -> str:
                crc = await self._fill_and_write(body, block, file, start)
                self.endpoints.add(endpoint)
                return crc

            crc = await self.source.remote.get_range(
                self.source.bucket,
                self.source.key(self.item.key),
                start,
                end,
                if_match=self.info.etag,
                total=self.info.size,
                consume=write,
                version=self.source.version_of(self.item),
            )
        self._unsynced.append(PartRecord(number, end - start, "", crc))
        if sum(part.size for part in self._unsynced) >= SYNC_BYTES:
            self._due.set()

    def _step(self) -> int:
        """Bytes of a write: larger ones must not cost a part its turn."""
        room_for_all = self.work.memory.limit >= FIRST * (LARGE_WRITE + READ_AHEAD)
        return LARGE_WRITE if room_for_all and self.work.parts.few else WRITE

    async def _fill_and_write(self, body: RangeBody, block: memoryview, file: LargeFile, offset: int) -> str:
        """The range's CRC64NVME as text. Block by block: few large writes from aligned memory cost the disk least."""
        total = RunningSum()
        while count := await body.into(block, total.add):
            async with self._turn:
                await self.work.threads.run(file.pwrite_at, offset, block[:count])
            offset += count
        return to_text(total.value)

    async def _sync(self, ledger: Ledger, file: LargeFile) -> None:
        """By one task at a time."""
        parts = list(self._unsynced)  # what is finished while these are synced is for the next time
        if not parts:
            return
        if self.work.config.fsync != "off":
            await self.work.threads.run(file.sync)
        del self._unsynced[: len(parts)]
        await ledger.add(parts)

    async def _prove(self, crc: str, file: LargeFile) -> str:
        """By the source's CRC64NVME. Where it stores none, by the MD5 that the ETag of a single PUT is.

        For that the file is read once more, because its parts came in any order. Raises IntegrityError.
        """
        stored = self.info.checksums.get("crc64nvme", "")
        if stored:
            return agree(self.item.key, crc, stored)
        if self.info.opaque_etag or not self.source.remote.profile.etag_md5 or not is_md5(self.info.etag):
            return "size"
        ours = await self.work.threads.run(file.md5_hex)
        if ours != self.info.etag:
            message = f"{self.item.key}: the MD5 of what was written is {ours}, the source's ETag {self.info.etag}"
            raise IntegrityError("integrity", message)
        return "md5"
