"""The list of names that a job with --files-from takes, as a file on this host; one in a bucket is fetched once."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import AccessDenied, NotFound, PreconditionFailed
from headrace_daemon.s3.remote import Remote
from headrace_daemon.session import Host
from headrace_queue.advice import with_advice
from headrace_queue.jobs import Job
from headrace_queue.locations import Location
from headrace_queue.name_list import Form, NameReader, fetched_path, is_location, list_path, write_list
from headrace_queue.state_folder import make_folder

MAX_LIST_FROM_OUTSIDE: Final = 256 << 20
"""Bytes of a list that somebody names through the HTTP API: it is kept on the disk that the queue is on."""

RANGE: Final = 4 << 20
"""Bytes of a list that are fetched, split and sorted at once."""


async def names_of(host: Host, job: Job) -> Path | None:
    """Where it is, sorted and NUL-separated; None for a job that has none.

    Raises JobFailure where the list is gone or cannot be read, UsageError for what is no list of names, S3Error,
    OSError.
    """
    listed = job.spec.options.files_from
    if listed is None:
        return None
    state_dir = host.config.state_dir
    if is_location(listed):
        path = fetched_path(state_dir, job.id)
        if not await host.threads.run(path.is_file):
            await _fetch(host, job, path)
        return path
    path = list_path(state_dir, listed)
    if not await host.threads.run(path.is_file):
        raise JobFailure(with_advice(f"{path}: the list of --files-from is gone", "Enqueue the job anew."))
    return path


async def _fetch(host: Host, job: Job, path: Path) -> None:
    """To this file, by way of a sort on the disk: nothing of it is there before all of it is."""
    options = job.spec.options
    assert options.files_from is not None
    location = Location.parse(options.files_from)
    option = "--files-from0" if options.files_from_nul else "--files-from"
    paths = Location.parse(job.spec.source).path is not None
    reader = NameReader(Form(f"{option} {location}", options.files_from_nul, paths))
    remote = host.remotes.get(location.remote or "s3")
    if options.requester_pays:
        remote = remote.paying()
    await remote.start()
    threads = host.threads
    sorter = await threads.run(DiskSorter, host.config.state_dir)
    try:
        async for block in _blocks(remote, location, None if job.spec.owner is None else MAX_LIST_FROM_OUTSIDE):
            await threads.run(_take, sorter, reader, block)
        await threads.run(_finish, sorter, reader, path)
    except (NotFound, AccessDenied, PreconditionFailed) as error:
        why = f"{option} {location}: the list cannot be read: {error}"
        raise JobFailure(with_advice(why, "Put it there, then enqueue the job anew.")) from error
    finally:
        await threads.run(sorter.close)
    if reader.all_end_in_cr:
        host.facts.job_event(job.id, "list_of_crs", f"every line of {location} ends in a carriage return (CR)")


def refuse_long_list(location: Location, size: int, most: int | None) -> None:
    """Raises JobFailure for a list that is larger than it may be."""
    if most is not None and size > most:
        why = f"{location}: the list has {size:,} bytes, and one that comes through the HTTP API at most {most:,}"
        raise JobFailure(with_advice(why, "Split it, or leave objects out by patterns."))


async def _blocks(remote: Remote, location: Location, most: int | None) -> AsyncIterator[bytes]:
    """An object in ranges, all of one version of it. most: bytes that it may have. Raises JobFailure."""
    info = await remote.head(location.bucket, location.key)
    refuse_long_list(location, info.size, most)

    async def joined(chunks: AsyncIterator[Buffer], _endpoint: str) -> bytes:
        return b"".join([bytes(chunk) async for chunk in chunks])

    for start in range(0, info.size, RANGE):
        end = min(start + RANGE, info.size)
        yield await remote.get_range(
            location.bucket, location.key, start, end, if_match=info.etag, total=info.size, consume=joined
        )


def _take(sorter: DiskSorter, reader: NameReader, block: bytes) -> None:
    sorter.add(_entries(reader.feed(block)))


def _finish(sorter: DiskSorter, reader: NameReader, path: Path) -> None:
    sorter.add(_entries(reader.end()))
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a worker of this number that died
    write_list(temporary, _names(sorter))
    temporary.rename(path)


def _entries(names: Iterable[bytes]) -> list[Entry]:
    return [Entry(name.decode(), 0, 0) for name in names]


def _names(sorter: DiskSorter) -> Iterator[bytes]:
    for page in sorter.pages():
        yield from (entry.key.encode() for entry in page)
