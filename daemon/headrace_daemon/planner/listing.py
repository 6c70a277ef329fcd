"""Both kinds of listing as pages of entries in key order: a bucket below a prefix, and a tree of files.

Key order is the order of UTF-8 bytes, which is the order of code points and so the order of Python's strings.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, suppress
from itertools import pairwise
from operator import lt
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.walk import PLAIN, Manner, walk
from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry, EntryPage, Listing, Problem
from headrace_daemon.planner.errors import JobFailure, ListingDisorder
from headrace_daemon.planner.page_turns import PageTurns
from headrace_daemon.s3.profiles import FOLDER_ORDER_SERVERS
from headrace_daemon.s3.types import Listed, Page

PAGE_ENTRIES: Final = 1_000


class ListProfile(Protocol):
    """What a listing has to know of a service."""

    @property
    def lists_sorted(self) -> bool: ...


class ListsObjects(Protocol):
    """What a listing needs of a remote."""

    @property
    def name(self) -> str: ...

    @property
    def profile(self) -> ListProfile: ...

    async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page: ...


class WholeProfile(ListProfile, Protocol):
    """Whether it gives a listing in pages, or all at once."""

    @property
    def paginates(self) -> bool: ...


@runtime_checkable
class ListsWhole(ListsObjects, Protocol):
    """A remote that can hand on a listing while it arrives."""

    @property
    def profile(self) -> WholeProfile: ...

    async def list_whole(
        self, bucket: str, prefix: str, begin: Callable[[], Callable[[list[Listed]], Awaitable[None]]]
    ) -> None: ...


async def list_remote(
    remote: ListsObjects,
    bucket: str,
    prefix: str,
    after: str = "",
    *,
    scratch: Path | None = None,
    sort: bool = False,
) -> Listing:
    """The objects below a prefix, keys relative to it and behind `after`. The folder marker of the prefix is left out.

    prefix: empty, or a folder with its slash. A prefix that nobody wrote below is an empty listing. scratch: where the
    listing of a service that does not sort is sorted. Raises ListingDisorder, S3Error (also NoSuchBucket), OSError.
    """
    pages = None
    if remote.profile.lists_sorted and not sort:
        first = await remote.list_page(bucket, prefix, after=prefix + after if after else "")
        if not first.server.startswith(FOLDER_ORDER_SERVERS):
            pages = _in_order(remote, bucket, prefix, after, first)
    async with aclosing(pages or _sorted_on_disk(remote, bucket, prefix, after, scratch)) as found:
        async for page in found:
            yield page


async def _in_order(remote: ListsObjects, bucket: str, prefix: str, after: str, first: Page) -> Listing:
    """From the first page on. A key at or before `after` is an error as well: skipping it could lose it."""
    where = f"{remote.name}://{bucket}/{prefix}"
    previous = prefix + after if after else None
    page, turns = first, PageTurns(where)
    while True:
        turns.turn(page)
        if objects := page.objects:
            check_order([listed[0] for listed in objects], previous, prefix, where)
            previous = objects[-1][0]
            if objects[0][0] == prefix:
                objects = objects[1:]
            for start in range(0, len(objects), PAGE_ENTRIES):
                yield EntryPage(relative(objects[start : start + PAGE_ENTRIES], len(prefix)))
        if page.token is None:
            return
        page = await remote.list_page(bucket, prefix, token=page.token)


async def _sorted_on_disk(remote: ListsObjects, bucket: str, prefix: str, after: str, scratch: Path | None) -> Listing:
    """Read to its end first, from the start: without order, the last object listed may be the first one to plan."""
    if isinstance(remote, ListsWhole) and not remote.profile.paginates:
        async with aclosing(_whole_sorted(remote, bucket, prefix, after, scratch)) as whole:
            async for page in whole:
                yield page
        return
    sorter = DiskSorter(scratch or Path("/var/tmp"))
    try:
        async with aclosing(unsorted_pages(remote, bucket, prefix)) as found:
            async for entries in found:
                await asyncio.to_thread(sorter.add, entries)
        pages = sorter.pages(after)  # the marker of the prefix, whose key is empty, falls out here
        while sorted_entries := await asyncio.to_thread(next, pages, None):
            yield EntryPage(sorted_entries)
    finally:
        sorter.close()


async def unsorted_pages(remote: ListsObjects, bucket: str, prefix: str) -> AsyncGenerator[list[Entry], None]:
    """The objects below a prefix in the order in which the service lists them, its own marker among them (key '').

    Raises JobFailure where the listing goes in a circle, S3Error.
    """
    turns = PageTurns(f"{remote.name}://{bucket}/{prefix}")
    token: str | None = None
    while True:
        page = await remote.list_page(bucket, prefix, token=token)
        turns.turn(page)
        yield relative([listed for listed in page.objects if listed[0].startswith(prefix)], len(prefix))
        token = page.token
        if token is None:
            return


async def _whole_sorted(remote: ListsWhole, bucket: str, prefix: str, after: str, scratch: Path | None) -> Listing:
    """As _sorted_on_disk, of a service that gives all in one answer: it goes to the disk while it arrives."""
    sorter = DiskSorter(scratch or Path("/var/tmp"))

    def begin() -> Callable[[list[Listed]], Awaitable[None]]:
        nonlocal sorter
        sorter.close()
        sorter = DiskSorter(scratch or Path("/var/tmp"))

        async def take(objects: list[Listed]) -> None:
            mine = [listed for listed in objects if listed.key.startswith(prefix)]
            await asyncio.to_thread(sorter.add, relative(mine, len(prefix)))

        return take

    try:
        await remote.list_whole(bucket, prefix, begin)
        pages = sorter.pages(after)
        while entries := await asyncio.to_thread(next, pages, None):
            yield EntryPage(entries)
    finally:
        sorter.close()


def check_order(keys: Sequence[str], previous: str | None, prefix: str, where: str) -> None:
    """Raises ListingDisorder unless the keys grow strictly, from `previous` on, and all lie below the prefix."""
    if previous is not None and keys[0] <= previous:
        raise ListingDisorder(where, previous, keys[0])
    if not all(map(lt, keys, keys[1:])):
        before, key = next(pair for pair in pairwise(keys) if pair[0] >= pair[1])
        raise ListingDisorder(where, before, key)
    # in order, so that what lies between two keys with the prefix has it as well
    for key in (keys[0], keys[-1]):
        if not key.startswith(prefix):
            raise ListingDisorder(where, prefix, key)


def relative(objects: Sequence[Listed], cut: int) -> list[Entry]:
    """Listed objects as entries, without the first `cut` characters of their keys."""
    return [Entry(key[cut:], size, mtime_ns, etag) for key, size, mtime_ns, etag in objects]


async def list_nothing(after: str = "") -> Listing:
    """What a folder holds that is not there."""
    nothing: tuple[EntryPage, ...] = ()
    for page in nothing:
        yield page


def list_files(
    root: Root,
    threads: FileThreads,
    after: str = "",
    *,
    manner: Manner = PLAIN,
    scratch: Path | None = None,
    sort: bool = False,
) -> Listing:
    """The files of a tree, keys relative to its root and behind `after`, with the problems met on the way.

    sort: with encoded names, whose order on the disk is not always that of the keys: read to its end and sorted in
    `scratch` first. Raises RootLost where the root vanishes (an unmounted source must not look like an empty one),
    JobFailure where the root itself cannot be read, and ListingDisorder.
    """
    if sort:
        return _walked_and_sorted(root, threads, after, manner, scratch)
    return _in_threads(_walked(root, after, manner), threads)


async def _in_threads(pages: Generator[EntryPage, None, None], threads: FileThreads) -> Listing:
    try:
        while (page := await threads.run(next, pages, None)) is not None:
            yield page
    finally:
        # a cancelled await may leave a thread inside the walk; then that thread drops the last reference and ends it
        with suppress(ValueError):
            pages.close()


def _walked(root: Root, after: str, manner: Manner) -> Generator[EntryPage, None, None]:
    previous = after or None
    for page in _tree_pages(root, after, manner):
        if manner.encoded and page.entries:
            check_order([entry.key for entry in page.entries], previous, "", root.path)
            previous = page.entries[-1].key
        yield page


async def _walked_and_sorted(
    root: Root, threads: FileThreads, after: str, manner: Manner, scratch: Path | None
) -> Listing:
    """The tree is walked in `threads`, with the rights that these have; what is sorted is the daemon's own."""
    own = threads.acting(None)
    sorter = await own.run(DiskSorter, scratch or Path("/var/tmp"))
    try:
        async with aclosing(_in_threads(_tree_pages(root, "", manner), threads)) as found:
            async for page in found:
                await own.run(sorter.add, page.entries)
                if page.problems:
                    yield EntryPage([], page.problems)
        pages = sorter.pages(after)
        while entries := await own.run(next, pages, None):
            yield EntryPage(entries)
    finally:
        sorter.close()


def _tree_pages(root: Root, after: str, manner: Manner) -> Generator[EntryPage, None, None]:
    for found in walk(root, after, manner=manner):
        problems = tuple(Problem(name, error, message) for name, error, message in found.problems)
        for problem in problems:
            if not problem.key:
                raise JobFailure(f"{root.path}: cannot be listed: {problem.message}. Nothing below it is known.")
        yield EntryPage(
            [Entry(key, size, mtime_ns, "", hollow) for key, size, mtime_ns, hollow in found.entries], problems
        )
