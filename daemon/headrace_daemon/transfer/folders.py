"""Mode, owner and times of folders on the way down, with --preserve.

Whatever lands in a folder changes its time. So the markers themselves are the record: each batch asks what they say of
every folder that it lands anything in, and gives it once its files stand under their own names and before they are
recorded. A batch that a crash ended runs again, and so does this; nothing has to be remembered, and the last batch of a
folder, in whatever process, has the last word. A mode that keeps the daemon from writing in a folder waits until no
batch of this process uses it, and steps back for what comes later.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final
from weakref import WeakSet, WeakValueDictionary

from headrace_daemon.files.folders import Gift, give_folders, open_to_write
from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.names import FileError, shown
from headrace_daemon.files.posix import NOTHING, Posix, from_metadata
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, S3Error
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.judge import judge

REMEMBERED: Final = 10_000
"""Markers of a job that are not asked for again, about 3 MB."""


def folders_above(key: str) -> list[str]:
    """The markers of all folders that an object lies in, from the top; of a marker, itself too."""
    names = key.split("/")
    return ["/".join(names[:depth]) + "/" for depth in range(1, len(names))]


class Folders:
    """What the markers of one job say, and which folders its batches use. Shared by these."""

    def __init__(self, work: Work, source: BucketEnd, target: FilesEnd) -> None:
        self.work: Final = work
        self.target: Final = target
        # what a daemon without rights of its own made for several users is all its own: it must not reach their modes
        self.wanted: Final = work.job.spec.options.preserve and not isinstance(target.root, GuardedRoot)
        self.gate: Final = asyncio.Lock()  # nobody begins to use a folder while one is closed
        self._source = source
        self._said: OrderedDict[str, Posix] = OrderedDict()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._uses: WeakSet[FolderUse] = WeakSet()  # weak: a batch that lost its lease ends without a word

    def use(self) -> "FolderUse":
        """For one batch."""
        use = FolderUse(self)
        self._uses.add(use)
        return use

    def used_beside(self, mine: "FolderUse") -> set[str]:
        """The folders that other batches use."""
        return {name for use in self._uses if use is not mine for name in use.said}

    async def ask(self, marker: str) -> Posix:
        """What it says; NOTHING where there is none. Raises S3Error."""
        if not self.target.is_folder(marker, 0):
            return NOTHING
        gate = self._asking.get(marker)
        if gate is None:
            gate = self._asking[marker] = asyncio.Lock()
        async with gate:
            said = self._said.get(marker)
            if said is None:
                said = await self._ask(marker)
                if len(self._said) >= REMEMBERED:
                    self._said.popitem(last=False)
            self._said[marker] = said
            self._said.move_to_end(marker)
            return said

    async def _ask(self, marker: str) -> Posix:
        source = self._source
        try:
            version = await self._version_of(marker)
            if version is None:
                return NOTHING
            info = await source.remote.head(source.bucket, source.key(marker), version=version)
        except NoSuchBucket:
            raise
        except NotFound:
            return NOTHING
        return from_metadata(info.metadata) if self.target.is_folder(marker, info.size) else NOTHING

    async def _version_of(self, marker: str) -> str | None:
        """The version that the job reads, '' for the current one; None where there was none then."""
        source = self._source
        if source.as_of_ns is None:
            return source.version
        found = await source.remote.version_at(source.bucket, source.key(marker), source.as_of_ns)
        return None if found is None else found.version


class FolderUse:
    """What one batch does in folders. said: those that it uses, and what their markers say."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.said: dict[str, Posix] = {}

    async def learn(self, marker: str) -> None:
        """As enter(), of a folder that is an object of the batch itself. Raises S3Error."""
        if self._folders.wanted:
            said = await self._folders.ask(marker)
            async with self._folders.gate:
                self.said[marker] = said

    async def enter(self, keys: Iterable[str]) -> None:
        """Before anything is written for these objects. A marker that may not be looked at says nothing, which the log
        tells. Raises Pause, JobFailed."""
        if not self._folders.wanted:
            return
        new = sorted({name for key in keys for name in folders_above(key)} - self.said.keys())
        if new:
            said = await asyncio.gather(*map(self._ask, new))
            async with self._folders.gate:
                self.said.update(zip(new, said, strict=True))

    async def _ask(self, marker: str) -> Posix:
        try:
            return await self._folders.ask(marker)
        except S3Error as error:
            judge(error)
            work = self._folders.work
            work.facts.job_event(work.job.id, "not_carried", f"metadata of the folder {shown(marker)}: {error}")
            return NOTHING

    async def let_in(self, key: str) -> bool:
        """After a refusal: whether a folder on the way was closed by its marker, and is open now."""
        target = self._folders.target
        names = [name for name in folders_above(key) if self.said.get(name, NOTHING) != NOTHING]
        if not names:
            return False
        async with self._folders.gate:
            folders = [(target.folder_key(name), self.said[name]) for name in names]
            return await self._folders.work.threads.run(open_to_write, target.root, folders)

    async def give(self, markers: Collection[str]) -> dict[str, FileError]:
        """Once all is under its own name: the folders get what is theirs. markers: those that are objects of this batch
        and give mode and owner too. What went wrong, by marker."""
        said = {name: posix for name, posix in self.said.items() if posix != NOTHING}
        work, target = self._folders.work, self._folders.target
        errors: list[FileError | None] = []
        async with self._folders.gate:
            beside = self._folders.used_beside(self)
            gifts = [
                Gift(target.folder_key(name), posix, whole=name in markers, last=name not in beside)
                for name, posix in said.items()
            ]
            if gifts:
                sync = work.config.fsync != "off"
                errors = await work.threads.run(lambda: give_folders(target.root, gifts, sync=sync))
            self.said = {}
        return {name: error for name, error in zip(said, errors, strict=True) if error is not None}
