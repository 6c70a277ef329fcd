"""From two locations to two ends, their listings, and the pairs that are compared.

Neither side is changed. Two paths, and two locations that overlap, are fine here.
"""

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.files.lustre import is_hollow
from headrace_daemon.files.names import FileError
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.walk import Manner
from headrace_daemon.opening import on_lustre
from headrace_daemon.planner.entries import Entry, Listing, Problem
from headrace_daemon.planner.errors import JobFailure, ListingDisorder
from headrace_daemon.planner.listing import list_files, list_remote
from headrace_daemon.planner.merge import aligned, match
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, S3Error
from headrace_daemon.standing import DAEMONS
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd
from headrace_daemon.transfer.judge import JobFailed, Pause
from headrace_daemon.verify.pairs import Comparison, Pair, Side
from headrace_daemon.verify.report import Report
from headrace_queue.config import Config
from headrace_queue.dra_options import keeps_links
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Links, Options, Via
from headrace_queue.locations import Location
from headrace_queue.states import EXIT_CODE, JobState

FILE_THREADS: Final = 16
"""Files read at once; each holds one block of `content.BLOCK` bytes."""

_CANNOT_GO_ON: Final = (Pause, JobFailed, JobFailure, S3Error, FileError, OSError)


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """How trees of files are read: as a sync with the same options read or wrote them. links None: not given."""

    encode_names: bool = False
    links: Links | None = None

    def refuse(self, why_names: str, why_links: str) -> None:
        """Where an option would be without effect. Raises UsageError."""
        for option, given, why in (
            ("--encode-names", self.encode_names, why_names),
            (f"--links {self.links}", self.links, why_links),
        ):
            if given:
                raise UsageError(option, why, f"Leave out {option}.")


async def run_verify(config: Config, source: str, destination: str, trees: TreeOptions, *, as_json: bool) -> int:
    """Prints every difference and a summary; JSON Lines with as_json, one object a line, told apart by `event`.

    A location that names an object or a file means that one alone, and a destination that is a folder then takes its
    name, as with `copy`; anything else means everything below it. The exit code: 0 equal, 1 differences, 4 where a
    side cannot be compared at all. Raises UsageError.
    """
    report = Report(source, destination, as_json=as_json)
    threads = FileThreads(FILE_THREADS)
    remotes = Remotes(config, Facts())
    try:
        return await _Verification(config, remotes, threads, report, trees).run(source, destination)
    except UsageError:
        raise
    except _CANNOT_GO_ON as error:
        code = EXIT_CODE[JobState.FAILED]
        report.failed(error, code)
        return code
    finally:
        await remotes.close()
        threads.close()


class _Verification:
    """One run: from two texts to two ends, from these to pairs of entries."""

    def __init__(
        self, config: Config, remotes: Remotes, threads: FileThreads, report: Report, trees: TreeOptions
    ) -> None:
        self._config = config
        self._remotes = remotes
        self._threads = threads
        self._report = report
        self._trees = trees
        self._scratch = config.state_dir if os.access(config.state_dir, os.W_OK) else None

    async def run(self, source: str, destination: str) -> int:
        start, end = Location.parse(source), Location.parse(destination)
        if start.path is None and end.path is None:
            self._trees.refuse("between two buckets every name is a key", "buckets have no symbolic links")
        if await self._is_one(start):
            self._trees.refuse(f"{source} is one object, and you name both yourself", f"{source} is one object")
            return await self._compare_one(start, _named(end, destination, start.name))
        start, end = start.as_folder(), end.as_folder()
        if self._trees.links is None and keeps_links(self._config, start, end, Via.AUTO):
            self._trees = replace(self._trees, links=Links.STORE)
        if start == end:
            raise UsageError(f"{source} and {destination}", "both are the same place", "Change one of them.")
        return await self._compare_all(await self._tree(start), await self._tree(end))

    # -- one object ---------------------------------------------------------------------------------------------------

    async def _is_one(self, location: Location) -> bool:
        """An object that exists under exactly this key, or a file; not a prefix that only looks like a key."""
        if location.path is not None:
            return await self._threads.run(location.path.is_file)
        return bool(location.name) and await self._look(location) is not None

    async def _compare_one(self, start: Location, end: Location) -> int:
        async def pair() -> AsyncGenerator[Pair, None]:
            yield Pair("", await self._look(start), await self._look(end))

        if start == end:
            raise UsageError(f"{start} and {end}", "both are the same place", "Change one of them.")
        ends = [await (self._file(one) if one.path else self._bucket(one)) for one in (start, end)]
        try:
            await Comparison(ends[0], ends[1], self._threads, self._report).run(pair())
        finally:
            await self._threads.run(_close, ends)
        return self._report.end()

    async def _file(self, location: Location) -> FilesEnd:
        return await self._on_lustre(await self._threads.run(_file, location))

    async def _look(self, location: Location) -> Entry | None:
        if location.path is not None:
            return await self._threads.run(_look_at_file, location.path)
        end = await self._bucket(location)
        try:
            info = await end.remote.head(end.bucket, end.prefix)
        except NoSuchBucket:
            raise
        except NotFound:
            return None
        return Entry("", info.size, info.mtime_ns, info.etag)

    # -- everything below a place -------------------------------------------------------------------------------------

    async def _tree(self, location: Location) -> End:
        if location.path is None:
            return await self._bucket(location)
        links = self._trees.links or Links.FOLLOW
        root = await self._threads.run(lambda: Root.source(str(location.path), links=links.value))
        return await self._on_lustre(FilesEnd(root, "", encoded=self._trees.encode_names))

    async def _on_lustre(self, end: FilesEnd) -> FilesEnd:
        """What has been released is not read to compare it."""
        return (await self._threads.run(on_lustre, end, self._config.fsx, Options(), DAEMONS))[0]

    async def _bucket(self, location: Location) -> BucketEnd:
        remote = self._remotes.get(location.remote or "s3")
        await remote.start()
        return BucketEnd(remote, location.bucket, location.key)

    async def _compare_all(self, source: End, destination: End) -> int:
        try:
            try:
                await self._compare_listings(source, destination, sort=False)
            except ListingDisorder as disorder:
                # what was told so far may be wrong: the other side's key may have been listed earlier or later
                self._report.start_over(str(disorder))
                await self._compare_listings(source, destination, sort=True)
        finally:
            await self._threads.run(_close, [source, destination])
        return self._report.end()

    async def _compare_listings(self, source: End, destination: End, *, sort: bool) -> None:
        left = self._listing(source, Side.SOURCE, sort=sort)
        right = self._listing(destination, Side.DESTINATION, sort=sort)
        await Comparison(source, destination, self._threads, self._report).run(_pairs(left, right))

    async def _listing(self, end: End, side: Side, *, sort: bool) -> Listing:
        """The end's listing; what it could not list is told to the report."""
        if isinstance(end, BucketEnd):
            found = list_remote(end.remote, end.bucket, end.prefix, scratch=self._scratch, sort=sort)
        else:
            manner = Manner(encoded=end.encoded)
            sort = sort and end.encoded  # the order of other names is the walk's own, and holds
            found = list_files(end.root, self._threads, manner=manner, scratch=self._scratch, sort=sort)
        async with aclosing(found) as pages:
            async for page in pages:
                self._tell(side, page.problems)
                yield page

    def _tell(self, side: Side, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            self._report.not_listed(side, problem)


async def _pairs(source: Listing, destination: Listing) -> AsyncGenerator[Pair, None]:
    async with aclosing(aligned(source, destination)) as segments:
        async for segment in segments:
            pairs, extra = match(segment.source, segment.destination)
            for entry, other in pairs:
                yield Pair(entry.key, entry, other)
            for entry in extra:
                yield Pair(entry.key, None, entry)


def _named(end: Location, written: str, name: str) -> Location:
    """The exact object or file that a source of this name is compared with; `copy` reads its destination so."""
    folder = written.endswith("/") or not end.name or (end.path is not None and end.path.is_dir())
    return end.child(name) if folder else end


def _file(location: Location) -> FilesEnd:
    """One file, in its folder. Raises UsageError."""
    if location.path is None:
        raise TypeError(f"{location} is no path")
    return FilesEnd(Root.source(str(location.path.parent)), location.path.name)


def _look_at_file(path: Path) -> Entry | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(str(path), "it is no regular file", "Compare a file with a file, or a folder with a folder.")
    return Entry("", status.st_size, status.st_mtime_ns, "", is_hollow(status))


def _close(ends: list[End]) -> None:
    for end in ends:
        if isinstance(end, FilesEnd):
            end.root.close()
