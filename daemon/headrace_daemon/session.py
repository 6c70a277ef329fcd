"""Opens the two ends of a job in this process, and chooses what moves between them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from headrace_daemon.apart.process import FileProcess
from headrace_daemon.apart.tree import open_tree
from headrace_daemon.archiving import archive_mover
from headrace_daemon.facts import Facts
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.bandwidth import Bandwidth
from headrace_daemon.flow.load import LoadMeter
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.flow.slots import Slots
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.flow.width import PartTurns, Width
from headrace_daemon.opening import (
    check_mounted,
    files_looked_at,
    files_read,
    files_written,
    files_written_if_there,
    on_lustre,
)
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.customer_key import CustomerKey, read_key_file
from headrace_daemon.standing import DAEMONS, Standing, standing_of
from headrace_daemon.transfer.abilities import for_reading, for_writing, refuse_plain_http
from headrace_daemon.transfer.attributes import Attributes
from headrace_daemon.transfer.batch import BatchRun
from headrace_daemon.transfer.download import Download, landing_of
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder, Work
from headrace_daemon.transfer.folders import Folders
from headrace_daemon.transfer.kept import Kept
from headrace_daemon.transfer.mover import Mover
from headrace_daemon.transfer.recorder import Recorder, Report
from headrace_daemon.transfer.relay import Relay
from headrace_daemon.transfer.server_copy import ServerCopy
from headrace_daemon.transfer.upload import Upload
from headrace_daemon.transfer.writing import Writing
from headrace_queue.config import Config
from headrace_queue.dra_options import only_tasks
from headrace_queue.jobs import Batch, Item, Job, Kind, Links, Options, Via
from headrace_queue.key_files import DESTINATION_OPTION, SOURCE_OPTION
from headrace_queue.locations import Location
from headrace_queue.writer import Queue

if TYPE_CHECKING:
    from headrace_daemon.fsx.dra.jobs import JobTasks


@dataclass(frozen=True, slots=True)
class Host:
    """What all jobs of this process share."""

    config: Config
    queue: Queue
    remotes: Remotes
    threads: FileThreads
    memory: MemoryBudget
    bandwidth: BandwidthLimits
    report: Report
    facts: Facts
    now: Callable[[], float]
    room: Room
    pulse: Pulse = field(default_factory=Pulse)
    width: Width = field(default_factory=lambda: Width(LoadMeter().look))
    process: FileProcess | None = None  # for small files; None where threads handle them all
    tasks: "JobTasks | None" = None  # data repository tasks; None where config.toml names no [fsx]


class Session:
    """One job's ends, open in this process.

    destination: NoFolder where no folder stands there. It is made for the first batch, when something is to be written,
    and never for a job that fails before that.
    """

    def __init__(
        self,
        host: Host,
        job: Job,
        source: End,
        destination: End | NoFolder,
        make: Callable[[], FilesEnd] | None,
        standing: Standing,
        moved: tuple[int, ...] = (),
    ) -> None:
        """make: makes and opens the folder that is not there yet; None for a dry run. standing: with whose rights.
        moved: the data repository tasks that had worked when it was opened."""
        self.moved = moved
        self.host = host
        self.source = _apart(host, source, standing)
        self.destination = _apart(host, destination, standing)
        self._make = make
        self._making = asyncio.Lock()
        self.scratch = host.config.state_dir
        self.standing = standing
        self.threads = host.threads.acting(standing.account)
        remotes = {end.remote.name for end in (source, destination) if isinstance(end, BucketEnd)}
        own = job.spec.options.bandwidth
        limits = [] if own is None else [Bandwidth(own, time.monotonic)]
        of_remotes = host.bandwidth.of_remotes
        limits += [of_remotes[name] for name in remotes if name in of_remotes]
        limits += host.bandwidth.of_host
        self.work = Work(
            job=job,
            config=host.config.transfer,
            queue=host.queue,
            threads=self.threads,
            memory=host.memory.share(),
            slots=Slots(host.config.transfer.objects),
            parts=PartTurns(host.width),
            bandwidth=limits,
            facts=host.facts,
            scratch=self.scratch,
            standing=standing,
            pulse=host.pulse,
            only_tasks=only_tasks(job.spec, host.config.fsx),
        )
        self._mover = _mover_for(self.work, self.source, self.destination)

    async def batch_run(self, batch: Batch) -> BatchRun:
        """What runs one batch. Each has its own mover state where something waits to be settled.

        Raises UsageError where the destination's folder cannot be made.
        """
        destination = await self._made()
        mover = self._mover()
        host = self.host
        recorder = Recorder(batch, host.queue, host.report, host.facts, mover.direction, time.monotonic)
        return BatchRun(batch, self.work, mover, destination, recorder, host.facts, host.now)

    async def _made(self) -> End:
        """The destination, made where it is missing."""
        async with self._making:
            if isinstance(self.destination, NoFolder):
                assert self._make is not None, "a dry run has no batches"
                made = await self.threads.run(self._make)
                self.destination = made  # closed with the session, whatever comes next
                found = await _on_lustre(self.host, self.work.job, made, self.standing)
                self.destination = _apart(self.host, found, self.standing)
                self._mover = _mover_for(self.work, self.source, self.destination)
            return self.destination

    async def forget(self, items: Sequence[Item]) -> None:
        """Give up what these unfinished objects left at the destination. Raises S3Error, FileError."""
        if isinstance(self.destination, NoFolder):
            # a person removed the folder, and what was left in it with it
            job_id = self.work.job.id
            for item in items:
                await self.host.queue.write(lambda store, key=item.key: store.end_multipart(job_id, key))  # type: ignore[misc]
            return
        await self._mover().forget(items)

    async def close(self) -> None:
        """Let go of directories."""
        for end in (self.source, self.destination):
            if isinstance(end, FilesEnd) and end.tree is not None:
                end.tree.close()
            await self.host.threads.run(_close_end, end)


EndT = TypeVar("EndT", bound=End | NoFolder)


def _apart(host: Host, end: EndT, standing: Standing) -> EndT:
    """The end as the process for small files knows it too. It acts with the daemon's own rights alone."""
    if isinstance(end, FilesEnd) and standing.account is None:
        return replace(end, tree=open_tree(host.process, end.root, end.landing))
    return end


async def _on_lustre(host: Host, job: Job, end: FilesEnd, standing: Standing) -> FilesEnd:
    """The end with what Lustre tells of its tree; a nearly full destination is told of once."""
    found, warning = await host.threads.run(on_lustre, end, host.config.fsx, job.spec.options, standing)
    if warning:
        host.facts.job_event(job.id, "warning", warning)
    return found


def _close_end(end: End | NoFolder) -> None:
    if isinstance(end, FilesEnd):
        if end.landing is not None:
            end.landing.close()
        end.root.close()


def _mover_for(work: Work, source: End, destination: End | NoFolder) -> Callable[[], Mover]:
    """A factory, for the choice is the job's, and what waits to be settled is the batch's."""
    if work.job.spec.kind is Kind.ARCHIVE:
        return archive_mover(work, source, destination)
    if isinstance(source, FilesEnd) and isinstance(destination, BucketEnd):
        kept = Kept(work, destination)
        return lambda: Upload(work, source, destination, kept)
    if isinstance(source, BucketEnd) and isinstance(destination, FilesEnd):
        if destination.landing is None:
            return _moves_nothing
        writing, folders = Writing(work, destination, landing_of(destination)), Folders(work, source, destination)
        return lambda: Download(work, source, destination, writing, folders)
    if isinstance(source, BucketEnd) and isinstance(destination, BucketEnd):
        return _between_buckets(work, source, destination)
    if isinstance(destination, NoFolder):
        return _moves_nothing
    raise AssertionError("two paths are refused before they are enqueued")


def _moves_nothing() -> Mover:
    raise AssertionError("nothing is moved by a dry run, nor into a folder that is not there")


def _between_buckets(work: Work, source: BucketEnd, destination: BucketEnd) -> Callable[[], Mover]:
    via = work.job.spec.options.via
    one_service = source.remote.identity() == destination.remote.identity() and source.remote.profile.server_copy
    attributes = Attributes(work, source, destination)

    def relay() -> Relay:
        return Relay(work, source, destination, attributes)

    if via is Via.STREAM or not (one_service or via is Via.SERVER):
        return relay
    refusal = [False]  # the job's, not the batch's: a service that will not copy is asked once
    return lambda: ServerCopy(work, source, destination, attributes, relay(), refusal)


class Sessions:
    """The open sessions, by job."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[int, Session] = {}
        # a lock for each job: one whose remote or mount hangs must not keep the others from opening theirs
        self._opening: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @property
    def open_jobs(self) -> set[int]:
        return set(self._open)

    async def open(self, job: Job) -> Session:
        """The job's session, opened at its first use. Raises UsageError (a remote that is not configured or has no
        credentials, a source that is not there), CredentialsExpired, FileError, OSError."""
        gate = self._opening.get(job.id)
        if gate is None:
            gate = self._opening[job.id] = asyncio.Lock()
        async with gate:
            session = self._open.get(job.id)
            if session is None:
                session = self._open[job.id] = await self._start(job)
            return session

    async def open_anew(self, job: Job) -> Session:
        """As `open`, for a plan: what was opened before a data repository task worked is not what is there since."""
        session, tasks = self._open.get(job.id), self._host.tasks
        if session is not None and tasks is not None and session.moved != await tasks.ended(job.id):
            await self.end(job.id)
        return await self.open(job)

    async def _start(self, job: Job) -> Session:
        moved = () if self._host.tasks is None else await self._host.tasks.ended(job.id)
        if moved:
            # FSx keeps a link as a link, whatever the job says; one that counted as its target would differ from it
            options = replace(job.spec.options, links=Links.STORE)
            job = replace(job, spec=replace(job.spec, options=options))
        source = Location.parse(job.spec.source)
        destination = Location.parse(job.spec.destination)
        whole = job.spec.kind is Kind.COPY
        standing = await self._standing(job)
        for location in (source, destination):
            if location.path is not None:
                await self._host.threads.run(check_mounted, location.path, self._host.config.fsx)
        threads = self._host.threads.acting(standing.account)
        start = await self._source(source, job.spec.options, standing, threads, whole=whole)
        try:
            if isinstance(start, FilesEnd):
                start = await _on_lustre(self._host, job, start, standing)
            end = await self._destination(destination, job, standing, threads, whole=whole)
            if isinstance(end, FilesEnd):
                end = await _on_lustre(self._host, job, end, standing)
        except BaseException:
            # a job that waits for its destination is opened again and again: each time would leave descriptors behind
            await self._host.threads.run(_close_end, start)
            raise
        make = None
        if isinstance(end, NoFolder) and destination.path is not None and not job.spec.options.dry_run:
            config, room = self._host.config.transfer, self._host.room
            make = partial(files_written, destination.path, whole, job, config, room, standing)
        return Session(self._host, job, start, end, make, standing, moved)

    async def _standing(self, job: Job) -> Standing:
        """With whose rights. Every path of the job is looked at before any of them is. Raises UsageError."""
        if job.spec.owner is None:
            return DAEMONS
        return await self._host.threads.run(standing_of, job.spec, self._host.config.users)

    async def _source(
        self, location: Location, options: Options, standing: Standing, threads: FileThreads, *, whole: bool
    ) -> End:
        if location.path is None:
            key = await self._key(location, SOURCE_OPTION, options.source_sse_c_key_file)
            return for_reading(options, await self._bucket(location), key)
        return await threads.run(files_read, location.path, whole, options, standing)

    async def _destination(
        self, location: Location, job: Job, standing: Standing, threads: FileThreads, *, whole: bool
    ) -> End | NoFolder:
        if location.path is None:
            options = job.spec.options
            key = await self._key(location, DESTINATION_OPTION, options.sse_c_key_file)
            source_key = await self._key(location, SOURCE_OPTION, options.source_sse_c_key_file)
            return for_writing(options, await self._bucket(location), key, source_key)
        if job.spec.options.dry_run:
            return await threads.run(files_looked_at, location.path, whole, job.spec.options, standing)
        config, room = self._host.config.transfer, self._host.room
        return await threads.run(files_written_if_there, location.path, whole, job, config, room, standing)

    async def _key(self, location: Location, option: str, path: str | None) -> CustomerKey | None:
        """The key in this file, for a remote that may be given it. Raises UsageError."""
        if path is None:
            return None
        remote = self._host.config.remotes.get(location.remote or "s3")
        refuse_plain_http(option, location, remote.endpoint_urls if remote else ())
        return await self._host.threads.run(read_key_file, path)

    async def _bucket(self, location: Location) -> BucketEnd:
        remote = self._host.remotes.get(location.remote or "s3")
        await remote.start()
        return BucketEnd(remote, location.bucket, location.key)

    async def end(self, job_id: int) -> None:
        """The job ended: let go of what it held open."""
        session = self._open.pop(job_id, None)
        if session is not None:
            await session.close()

    def end_process(self, patience: float) -> None:
        """Whoever waits for the process for small files waits no longer than so many seconds."""
        if self._host.process is not None:
            self._host.process.end_if_silent(patience)

    async def close(self) -> None:
        for job_id in list(self._open):
            await self.end(job_id)
