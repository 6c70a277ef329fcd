"""The listing of a job whose list names what changed at its source: each name is looked at, nothing is listed.

So a tree of millions is not listed for a file that is new in it. What is gone by now means nothing: whoever named it
saw it change, and what is deleted is found by a sync of everything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from headrace_daemon.files.root import Root
from headrace_daemon.files.walk import Manner, WalkPage, look_at
from headrace_daemon.planner.entries import Entry, EntryPage, Lister, Listing, Problem
from headrace_daemon.planner.files_from import Names
from headrace_daemon.planner.listing import PAGE_ENTRIES, list_nothing
from headrace_daemon.s3.errors import AccessDenied, NoSuchBucket, NotFound
from headrace_daemon.session import Session
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd
from headrace_queue.jobs import Archived, Options

_Look: TypeAlias = Callable[[list[str]], Awaitable[EntryPage]]

PARALLEL: Final = 16
"""Objects that are looked at at once."""
_OF_NO_ACCOUNT: Final = frozenset({"blocked", "special_file"})
"""A folder or a socket that stands there now, or a file above it: there is no such file any more."""


def by_name(session: Session, names: Path) -> tuple[Lister, Lister] | None:
    """Both listings; None where the job asks for what only a listing of both sides tells. names: the list.

    All that is there is sent, whatever the destination has: it changed.
    """
    options, source = session.work.job.spec.options, session.source
    if options.no_clobber or options.existing:
        return None
    if isinstance(source, FilesEnd):
        root, threads, manner = source.root, session.threads, Manner(encoded=source.encoded)

        async def look(keys: list[str]) -> EntryPage:
            return _page(await threads.run(_look_at_files, root, keys, manner))

        return lambda after: _pages(names, after, look), list_nothing
    if isinstance(source, BucketEnd) and _needs_no_listing(options):
        return lambda after: _pages(names, after, lambda keys: _look_at_objects(source, keys)), list_nothing
    return None


def _needs_no_listing(options: Options) -> bool:
    return options.as_of_ns is None and options.inventory is None and options.archived is Archived.FAIL


async def _pages(names: Path, after: str, look: _Look) -> Listing:
    listed = await asyncio.to_thread(Names, names)
    try:
        left: Iterator[str] = listed.after(after)
        while keys := list(islice(left, PAGE_ENTRIES)):
            page = await look(keys)
            if page.entries or page.problems:
                yield page
    finally:
        listed.close()


def _look_at_files(root: Root, keys: list[str], manner: Manner) -> WalkPage:
    """Raises RootLost."""
    root.check()
    page = look_at(root, keys, manner)
    root.check()
    return page


def _page(found: WalkPage) -> EntryPage:
    entries = [Entry(key, size, mtime_ns, "", hollow) for key, size, mtime_ns, hollow in found.entries]
    told = [Problem(*problem) for problem in found.problems if problem.error not in _OF_NO_ACCOUNT]
    return EntryPage(entries, tuple(told))


async def _look_at_objects(end: BucketEnd, keys: list[str]) -> EntryPage:
    slots = asyncio.Semaphore(PARALLEL)

    async def look(key: str) -> Entry | Problem | None:
        async with slots:
            try:
                info = await end.remote.head(end.bucket, end.key(key))
            except NoSuchBucket:
                raise
            except NotFound:
                return None
            except AccessDenied as error:
                return Problem(key, "access_denied", str(error))
        return Entry(key, info.size, info.mtime_ns, info.etag)

    tasks = [asyncio.create_task(look(key)) for key in keys]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    problems = tuple(one for one in found if isinstance(one, Problem))
    return EntryPage([one for one in found if isinstance(one, Entry)], problems)
