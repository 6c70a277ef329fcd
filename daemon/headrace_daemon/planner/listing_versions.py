"""A bucket as it was at an instant: of each key the newest version that is no younger, unless it is a delete marker.

What is held in memory is one page of versions, however many the bucket keeps.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry, EntryPage, Listing
from headrace_daemon.planner.errors import ListingDisorder
from headrace_daemon.planner.listing import ListProfile
from headrace_daemon.planner.page_turns import PageTurns
from headrace_daemon.s3.profiles import FOLDER_ORDER_SERVERS
from headrace_daemon.s3.types import Listed, Page
from headrace_daemon.s3.versions_xml import VersionsPage

_ENDS: Final = (0, -1)


class ListsVersions(Protocol):
    """What this listing needs of a remote."""

    @property
    def name(self) -> str: ...

    @property
    def profile(self) -> ListProfile: ...

    async def list_versions(
        self, bucket: str, prefix: str, *, after: str = "", token: tuple[str, str] | None = None
    ) -> VersionsPage: ...


class Chooser:
    """Takes the pages of a list of versions one after another, and gives what was current at an instant. Pure.

    S3 tells times in whole seconds: a version counts as written at the beginning of its second, and so what was written
    within the second of the instant belongs to it (API reference, ListObjectVersions, LastModified).
    """

    def __init__(self, as_of_ns: int, cut: int) -> None:
        """cut: how many characters of each key are the prefix."""
        self._as_of_ns = as_of_ns
        self._cut = cut
        self._done: set[str] = set()

    def take(self, page: VersionsPage) -> list[Entry]:
        """Of this page, in its order. The versions of one key may go on over any number of pages."""
        done, chosen = self._done, []
        for key, version, mtime_ns, _, is_marker, size, etag in page.versions:
            if mtime_ns > self._as_of_ns or key in done:
                continue
            done.add(key)
            if not is_marker:
                chosen.append(Entry(key[self._cut :], size, mtime_ns, etag, 0, version))
        self._done = done & {page.next[0]} if page.next is not None else set()
        return chosen


async def list_as_of(
    remote: ListsVersions,
    bucket: str,
    prefix: str,
    as_of_ns: int,
    after: str = "",
    *,
    scratch: Path | None = None,
    sort: bool = False,
) -> Listing:
    """The objects that were below a prefix at an instant (nanoseconds), keys relative to it and behind `after`.

    As list_remote. Raises ListingDisorder, JobFailure where the listing goes in a circle, S3Error (NotSupported where
    the service keeps no versions), OSError.
    """
    pages = None
    if remote.profile.lists_sorted and not sort:
        first = await remote.list_versions(bucket, prefix, after=prefix + after if after else "")
        if not first.server.startswith(FOLDER_ORDER_SERVERS):
            pages = _in_order(remote, bucket, prefix, as_of_ns, after, first)
    async with aclosing(pages or _sorted_on_disk(remote, bucket, prefix, as_of_ns, after, scratch)) as found:
        async for page in found:
            yield page


async def _in_order(
    remote: ListsVersions, bucket: str, prefix: str, as_of_ns: int, after: str, first: VersionsPage
) -> Listing:
    where = f"{remote.name}://{bucket}/{prefix}"
    chooser, previous = Chooser(as_of_ns, len(prefix)), prefix
    async with aclosing(_pages(remote, bucket, prefix, first)) as pages:
        async for page in pages:
            keys = [previous, *(one.key for one in page.versions)]
            _check_order(keys, prefix, where)
            previous = keys[-1]
            # the folder marker of the prefix is left out, and what a service repeats of the key it starts behind
            entries = [entry for entry in chooser.take(page) if entry.key > after]
            if entries:
                yield EntryPage(entries)


async def _sorted_on_disk(
    remote: ListsVersions, bucket: str, prefix: str, as_of_ns: int, after: str, scratch: Path | None
) -> Listing:
    """Read to its end first: without order, the last object listed may be the first one to plan."""
    sorter, chooser = DiskSorter(scratch or Path("/var/tmp")), Chooser(as_of_ns, len(prefix))
    try:
        async with aclosing(_pages(remote, bucket, prefix, None)) as pages:
            async for page in pages:
                mine = [one for one in page.versions if one.key.startswith(prefix)]
                await asyncio.to_thread(sorter.add, chooser.take(page._replace(versions=mine)))
        sorted_pages = sorter.pages(after)
        while entries := await asyncio.to_thread(next, sorted_pages, None):
            yield EntryPage(entries)
    finally:
        sorter.close()


async def _pages(
    remote: ListsVersions, bucket: str, prefix: str, first: VersionsPage | None
) -> AsyncGenerator[VersionsPage, None]:
    """first: a page that was fetched already."""
    turns = PageTurns(f"{remote.name}://{bucket}/{prefix}")
    page = first or await remote.list_versions(bucket, prefix)
    while True:
        turns.turn(_facts_of(page))
        yield page
        if page.next is None:
            return
        page = await remote.list_versions(bucket, prefix, token=page.next)


def _facts_of(page: VersionsPage) -> Page:
    """The page as PageTurns knows pages: its first and last version, and how to go on."""
    ends = [page.versions[index] for index in _ENDS] if page.versions else []
    return Page([Listed(f"{one.key} {one.version}", 0, 0, "") for one in ends], "\n".join(page.next or ()) or None)


def _check_order(keys: list[str], prefix: str, where: str) -> None:
    """Raises ListingDisorder unless no key is smaller than the one before it, and all lie below the prefix."""
    for before, key in pairwise(keys):
        if key < before or not key.startswith(prefix):
            raise ListingDisorder(where, before, key)
