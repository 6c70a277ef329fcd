"""Bucket -> file system. Nothing is told before it is durable under its own name (invariant 2)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from headrace_daemon.apart.tree import Unnamed
from headrace_daemon.facts import Outcome
from headrace_daemon.files.landing import Landing, Pending, Write
from headrace_daemon.files.names import AccessRefused, AlreadyThere, DurabilityLost, FileError
from headrace_daemon.files.posix import LINK, NOTHING, Posix, from_metadata
from headrace_daemon.s3.archived import refuse_archived
from headrace_daemon.s3.checksum import crc64nvme, to_text
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.folders import Folders
from headrace_daemon.transfer.mover import Numbered, Tell, attempt
from headrace_daemon.transfer.proof import prove
from headrace_daemon.transfer.receive import receive_object
from headrace_daemon.transfer.tally import Tally, new_tally
from headrace_daemon.transfer.writing import Writing
from headrace_queue.jobs import Item, Lease, Links

T = TypeVar("T")


def landing_of(target: FilesEnd) -> Landing:
    """Of an end that is written to."""
    if target.landing is None:
        raise AssertionError("a destination has a landing")
    return target.landing


class Download:
    """Small objects are written in groups to temporary names and made durable together; large ones come in ranges."""

    direction = "download"
    streams = True

    def __init__(self, work: Work, source: BucketEnd, target: FilesEnd, writing: Writing, folders: Folders) -> None:
        """writing, folders: the job's; its batches share them."""
        self._work = work
        self._source = source
        self._target = target
        self._writing = writing
        self._landing = landing_of(target)
        self._gives = folders.wanted
        self._folders = folders.use()
        self._written: list[tuple[int, Item, Unnamed, Outcome, int]] = []
        self._made: list[tuple[int, Item, Outcome, int]] = []  # folders
        self._settling = asyncio.Lock()

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        tally = new_tally()
        fetched: list[tuple[int, Item, Outcome, ObjectInfo, Buffer, int]] = []
        for index, item in group:
            if self._target.is_folder(item.key, item.size):
                await self._folder(index, item, tell, tally)
                continue
            got: list[tuple[ObjectInfo, Buffer]] = []
            outcome = await attempt(
                lambda item=item, got=got: self._get(item, got),  # type: ignore[misc]
                self._work,
                item.key,
                tally,
                item.size,
            )
            if got and outcome.state == "transferred":
                info, data = got[-1]
                fetched.append((index, item, outcome, info, data, tally.take()))
            else:
                await tell(index, item, outcome, tally.take())
        await self._write(fetched, tell)

    async def _folder(self, index: int, item: Item, tell: Tell, tally: Tally) -> None:
        async def once() -> Outcome:
            await self._folders.learn(item.key)
            await self._or_let_in(item, make)
            return Outcome("created")

        async def make() -> None:
            await self._work.threads.run(self._landing.make_directory, self._target.folder_key(item.key))

        await self._folders.enter([item.key.removesuffix("/")])
        outcome = await attempt(once, self._work, item.key, tally)
        if self._gives and outcome.state == "created":
            self._made.append((index, item, outcome, tally.take()))
        else:
            await tell(index, item, outcome, tally.take())

    async def _or_let_in(self, item: Item, step: Callable[[], Awaitable[T]]) -> T:
        """Once more where the object lies in a folder that its marker closes, and that is open for us now."""
        try:
            return await step()
        except AccessRefused:
            if not await self._folders.let_in(item.key):
                raise
        return await step()

    async def _get(self, item: Item, got: list[tuple[ObjectInfo, Buffer]]) -> Outcome:
        started = time.monotonic()
        remote = self._source.remote
        info, data = await remote.get(
            self._source.bucket, self._source.key(item.key), size=item.size, version=self._source.version_of(item)
        )
        self._source.check_then(item, info.etag)
        crc = to_text(crc64nvme(data))
        proof = prove(
            item.key,
            data,
            crc,
            theirs_crc=info.checksums.get("crc64nvme", ""),
            theirs_etag=info.etag,
            etag_is_md5=remote.profile.etag_md5 and not info.opaque_etag,
        )
        got.append((info, data))
        return Outcome(
            "transferred",
            size=len(data),
            seconds=time.monotonic() - started,
            source_endpoint=info.endpoint,
            etag=info.etag,
            crc64nvme=crc,
            proof=proof,
        )

    async def _write(self, fetched: Sequence[tuple[int, Item, Outcome, ObjectInfo, Buffer, int]], tell: Tell) -> None:
        """All of a group in one step off the loop, together with what other lanes have then."""
        if not fetched:
            return
        files = [
            Write(self._target.key(item.key), memoryview(data), *self._attributes(info))
            for _, item, _, info, data, _ in fetched
        ]
        await self._folders.enter(item.key for _, item, *_ in fetched)
        written = await self._writing.write(files)
        for (index, item, outcome, _, _, retries), file, first in zip(fetched, files, written, strict=True):
            result = first
            if isinstance(first, AccessRefused) and await self._folders.let_in(item.key):
                (result,) = await self._writing.write([file])
            if isinstance(result, Exception):
                await tell(index, item, await self._failed(item, result), retries)
            else:
                self._written.append((index, item, result, outcome, retries))

    async def _failed(self, item: Item, error: Exception) -> Outcome:
        if isinstance(error, AlreadyThere):
            return Outcome("skipped", size=item.size, message="exists already")

        async def once() -> Outcome:
            raise error

        return await attempt(once, self._work, item.key, Tally())

    def _attributes(self, info: ObjectInfo) -> tuple[int, Posix]:
        """Always the object's time; with --preserve the time, mode and owner that its metadata says."""
        options = self._work.job.spec.options
        said = from_metadata(info.metadata) if options.preserve or options.links is Links.STORE else NOTHING
        if said.is_link and options.links is not Links.STORE:
            said = replace(said, mode=None)  # a file that holds where the link led; its mode says nothing of a file
        if not options.preserve:
            return info.mtime_ns, LINK if said.is_link else NOTHING
        return info.mtime_ns if said.mtime_ns is None else said.mtime_ns, said

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        index, item = one
        tally = new_tally()
        pending: list[Pending] = []

        async def once() -> Outcome:
            started = time.monotonic()
            source = self._source
            info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
            refuse_archived(info)
            source.check_then(item, info.etag)
            receive = partial(
                receive_object,
                self._work,
                lease,
                item,
                info,
                self._source,
                self._landing,
                self._target.key(item.key),
                self._attributes(info),
                self._target.stripe,
            )
            outcome, written = await self._or_let_in(item, receive)
            pending.append(written)
            outcome.seconds = time.monotonic() - started
            return outcome

        await self._folders.enter([item.key])
        outcome = await attempt(once, self._work, item.key, tally)
        if outcome.state == "transferred":
            self._written.append((index, item, pending[-1], outcome, tally.take()))
            return
        await self.forget([item])
        await tell(index, item, outcome, tally.take())

    async def settle(self, tell: Tell) -> None:
        """Sync, rename and sync the folders of everything written so far, give folders what is theirs; then tell it."""
        async with self._settling:
            written, self._written = self._written, []
            results = await self._settled([pending for _, _, pending, _, _ in written])
            unsafe = await self._give_folders(tell)
            job_id = self._work.job.id
            for (index, item, _, outcome, retries), error in zip(written, results, strict=True):
                if isinstance(error, DurabilityLost):
                    unsafe = error  # told by nobody: the batch runs again and fetches it anew
                    continue
                if error is not None:
                    outcome = await self._failed(item, error)
                elif item.size >= self._work.config.multipart_threshold:
                    await self._work.queue.write(lambda store, key=item.key: store.end_multipart(job_id, key))  # type: ignore[misc]
                await tell(index, item, outcome, retries)
            if unsafe is not None:
                raise unsafe

    async def _settled(self, pendings: Sequence[Unnamed]) -> list[FileError | None]:
        if not pendings:
            return []
        started = time.monotonic()
        results = await self._writing.settle(pendings)
        self._work.facts.synced(time.monotonic() - started, len(pendings))
        return results

    async def _give_folders(self, tell: Tell) -> Exception | None:
        """Before the files are told: a restart before that comes here again. What is not durable, and is not told."""
        made, self._made = self._made, []
        errors = await self._folders.give({item.key for _, item, _, _ in made})
        unsafe: Exception | None = None
        for index, item, outcome, retries in made:
            error = errors.get(item.key)
            if isinstance(error, DurabilityLost):
                unsafe = error
                continue
            await tell(index, item, outcome if error is None else await self._failed(item, error), retries)
        return unsafe

    async def abandon(self, items: Sequence[Item]) -> None:
        """Small temporary files go; those of large objects stay for the next run, their parts are recorded."""
        small = [self._target.key(item.key) for item in items if item.size < self._work.config.multipart_threshold]
        await self._writing.rest()  # a file that is still being made would be missed
        written, self._written = self._written, []
        await self._writing.discard([file for _, _, file, _, _ in written])
        await self._work.threads.run(self._landing.sweep, small)

    async def forget(self, items: Sequence[Item]) -> None:
        keys = [self._target.key(item.key) for item in items]
        await self._writing.rest()
        await self._work.threads.run(self._landing.sweep, keys)
        job_id = self._work.job.id
        for item in items:
            if item.size >= self._work.config.multipart_threshold:
                await self._work.queue.write(lambda store, key=item.key: store.end_multipart(job_id, key))  # type: ignore[misc]
