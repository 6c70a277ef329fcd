"""A closer look at both ends of an object, where their listings do not tell whether it has to be sent."""

import asyncio
import os
from typing import Final

from headrace_daemon.content import Seen, folder_status, refuse_released, see, sums_of
from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.posix import from_metadata
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.compare import (
    FILES,
    MISSING,
    SAME_SIZE,
    SECOND_NS,
    SIZE_DIFFERS,
    Decision,
    Moment,
    Route,
    Side,
    by_sum,
    by_time,
)
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.moments import told_mtime
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import End, FilesEnd, NoFolder
from headrace_queue.jobs import Compare

_STEPS: Final = {"lustre": SECOND_NS, "0x4d44": 2 * SECOND_NS}
"""Clocks of file systems that do not keep nanoseconds: Lustre stores whole seconds, FAT every second one."""


class Looking:
    """Looks at the pairs of one job. Raises S3Error, FileError, OSError of the object or of its whole side."""

    def __init__(
        self,
        source: End,
        destination: End | NoFolder,
        route: Route,
        compare: Compare,
        threads: FileThreads,
        *,
        folder_times: bool = False,
    ) -> None:
        """folder_times: by mtime, a folder that is there is compared with what its marker says."""
        self._source = source
        self._destination = destination
        self._route = route
        self._compare = compare
        self._times_of_folders = folder_times and compare is Compare.MTIME
        self._threads = threads

    async def look(self, entry: Entry, other: Entry | None) -> Decision:
        """TRANSFER or SKIP. other None: the entry is a folder marker, and a tree may have that folder."""
        if isinstance(self._destination, NoFolder):
            return MISSING
        if other is None:
            if isinstance(self._destination, FilesEnd) and not self._destination.is_folder(entry.key, entry.size):
                return MISSING  # it has content, which no folder can hold
            there = await self._threads.run(folder_status, self._destination, entry.key)
            if there is None:
                return MISSING
            return await self._by_time_of_folder(entry, there) if self._times_of_folders else SAME_SIZE
        source, destination = await asyncio.gather(
            see(self._source, entry.key, entry.version), see(self._destination, other.key)
        )
        if self._compare is Compare.MTIME:
            return by_time(
                _moment(entry, source.info, self._route.source.resolution_ns),
                _moment(other, destination.info, self._route.destination.resolution_ns),
            )
        if source.info is not None and destination.info is not None and source.info.size != destination.info.size:
            return SIZE_DIFFERS  # one of them was written since it was listed
        await refuse_released(source, entry, self._threads)
        await refuse_released(destination, other, self._threads)
        return await self._by_sum(source, destination)

    async def _by_time_of_folder(self, entry: Entry, there: os.stat_result) -> Decision:
        """Only by what a folder would get of its marker: when that was written tells nothing of the folder."""
        marker = (await see(self._source, entry.key, entry.version)).info
        mtime_ns = None if marker is None else from_metadata(marker.metadata).mtime_ns
        if mtime_ns is None:
            return SAME_SIZE
        return by_time(Moment(mtime_ns, 1), Moment(there.st_mtime_ns, self._route.destination.resolution_ns))

    async def _by_sum(self, source: Seen, destination: Seen) -> Decision:
        sums = await sums_of(source, destination, self._threads)
        return by_sum(sums.same, sums.kind, f"{' and '.join(sums.read)} read" if sums.read else "")


def side_of(end: End | NoFolder) -> Side:
    """What the comparison has to know of an end. Raises OSError where its file system does not say what it is."""
    if isinstance(end, NoFolder):
        return FILES
    if isinstance(end, FilesEnd):
        return Side(files=True, resolution_ns=_STEPS.get(file_system(end.root.fd), FILES.resolution_ns))
    profile = end.remote.profile
    return Side(files=False, md5_etags=profile.etag_md5, max_object=profile.max_object)


def _moment(entry: Entry, info: ObjectInfo | None, resolution_ns: int) -> Moment:
    told = told_mtime(info.metadata) if info is not None else None
    return told or Moment(entry.mtime_ns, resolution_ns)
