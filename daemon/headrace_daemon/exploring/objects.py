"""What is in a bucket below a prefix: one level, everything, every version, or one object."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from headrace_daemon.exploring.finds import USUAL_CLASS, Find, Finds, Kind
from headrace_daemon.planner.disksort import DiskSorter
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.listing import list_remote, unsorted_pages
from headrace_daemon.planner.page_turns import PageTurns
from headrace_daemon.s3.errors import NoSuchBucket, NotFound
from headrace_daemon.s3.looking import Found, FoundPage
from headrace_daemon.s3.profiles import FOLDER_ORDER_SERVERS
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import Listed, Page
from headrace_daemon.s3.versions_xml import ListedVersion
from headrace_daemon.s3.xml import bare_etag, parse_http_date

_SLASH: Final = "/"
_SCRATCH: Final = Path("/var/tmp")
"""Where the listing of a service that does not sort is sorted; /tmp may be memory."""


async def below(remote: Remote, bucket: str, prefix: str, *, sort: bool = True) -> Finds:
    """Every object below a prefix. prefix: empty, or a folder with its slash. sort: put into the order of keys what the
    service lists otherwise. Raises NoSuchBucket, other S3Errors, JobFailure for a listing that goes in a circle."""
    async with aclosing(_listed(remote, bucket, prefix, "", sort=sort)) as pages:
        async for page in pages:
            yield page


async def level(remote: Remote, bucket: str, prefix: str) -> Finds:
    """The objects and folders directly below a prefix. Raises as below() does."""
    async with aclosing(_listed(remote, bucket, prefix, _SLASH, sort=True)) as pages:
        async for page in pages:
            yield page


async def versions(remote: Remote, bucket: str, prefix: str, *, recursive: bool) -> Finds:
    """Every version and delete marker, by key, of each the newest first. recursive: of what lies in sub-folders, too.

    Raises NotSupported where the service lists no versions, other S3Errors.
    """
    token: tuple[str, str] | None = None
    while True:
        page = await remote.list_versions(bucket, prefix, token=token)
        mine = [one for one in page.versions if one.key.startswith(prefix) and one.key != prefix]
        found = [version_find(one, len(prefix)) for one in mine]
        found = [find for find in found if recursive or _SLASH not in find.name]
        yield found
        token = page.next
        if token is None:
            return


def version_find(listed: ListedVersion, cut: int) -> Find:
    """A version as it is shown, without the first `cut` characters of its key."""
    kind: Kind = "delete marker" if listed.is_marker else "version"
    return Find(
        listed.key[cut:],
        kind,
        None if listed.is_marker else listed.size,
        listed.mtime_ns,
        listed.etag,
        version=listed.version,
        is_latest=listed.is_latest,
    )


async def one_object(remote: Remote, bucket: str, key: str, *, version: str = "") -> Find | None:
    """The object of exactly this key; None where there is none. Raises NoSuchBucket and other S3Errors."""
    try:
        headers = await remote.all_headers(bucket, key, version=version)
    except NoSuchBucket:
        raise
    except NotFound:
        return None
    modified = headers.get("last-modified")
    return Find(
        key.rpartition(_SLASH)[2] or key,
        "object",
        int(headers.get("content-length", "0")),
        parse_http_date(modified) if modified else None,
        bare_etag(headers.get("etag")),
        headers.get("x-amz-storage-class", USUAL_CLASS),
        headers.get("x-amz-version-id", ""),
    )


async def _listed(remote: Remote, bucket: str, prefix: str, delimiter: str, *, sort: bool) -> Finds:
    if not remote.profile.paginates:
        pages = _whole(remote, bucket, prefix, sort=sort)
        pages = _as_level(pages) if delimiter else pages
    else:
        first = await remote.look_page(bucket, prefix, delimiter=delimiter)
        pages = _pages(remote, bucket, prefix, delimiter, first)
        in_order = remote.profile.lists_sorted and not first.server.startswith(FOLDER_ORDER_SERVERS)
        pages = pages if in_order or not sort else _sorted(pages)
    async with aclosing(pages) as found:
        async for page in found:
            yield page


async def _pages(remote: Remote, bucket: str, prefix: str, delimiter: str, first: FoundPage) -> Finds:
    turns = PageTurns(f"{remote.name}://{bucket}/{prefix}")
    page = first
    while True:
        # folders count as objects here: a level may hold nothing else
        turns.turn(Page([Listed(one.key, one.size, 0, "") for one in page.found], page.token))
        yield [_find(one, prefix) for one in page.found if one.key.startswith(prefix) and one.key != prefix]
        if page.token is None:
            return
        page = await remote.look_page(bucket, prefix, delimiter=delimiter, token=page.token)


def _find(found: Found, prefix: str) -> Find:
    name = found.key[len(prefix) :]
    if found.is_folder:
        return Find(name, "folder")
    return Find(name, "object", found.size, found.mtime_ns or None, found.etag, found.storage_class)


async def _sorted(pages: Finds) -> Finds:
    """Read to its end first: without order, the last one may be the first to show."""
    with DiskSorter(_SCRATCH) as sorter:
        async with aclosing(pages) as found:
            async for page in found:
                sorter.add([_packed(find) for find in page])
        for entries in sorter.pages():
            yield [_unpacked(entry) for entry in entries]


def _packed(find: Find) -> Entry:
    size = -1 if find.size is None else find.size
    return Entry(find.name, size, find.mtime_ns or 0, f"{find.storage_class}\n{find.etag}")


def _unpacked(entry: Entry) -> Find:
    if entry.size < 0:
        return Find(entry.key, "folder")
    storage_class, _, etag = entry.etag.partition("\n")
    return Find(entry.key, "object", entry.size, entry.mtime_ns or None, etag, storage_class)


async def _whole(remote: Remote, bucket: str, prefix: str, *, sort: bool) -> Finds:
    """Of a service that gives everything in one answer, without storage classes."""
    async for entries in _entries(remote, bucket, prefix, sort=sort):
        yield [Find(one.key, "object", one.size, one.mtime_ns or None, one.etag) for one in entries if one.key]


async def _entries(remote: Remote, bucket: str, prefix: str, *, sort: bool) -> AsyncIterator[list[Entry]]:
    if sort:
        async with aclosing(list_remote(remote, bucket, prefix, scratch=_SCRATCH)) as sorted_pages:
            async for page in sorted_pages:
                yield page.entries
        return
    async with aclosing(unsorted_pages(remote, bucket, prefix)) as pages:
        async for entries in pages:
            yield entries


async def _as_level(pages: Finds) -> Finds:
    """What a delimiter would have made of it; the finds come in the order of keys."""
    folder = ""
    async with aclosing(pages) as found:
        async for page in found:
            shown = []
            for find in page:
                head, slash, _ = find.name.partition(_SLASH)
                if not slash:
                    shown.append(find)
                elif head + slash != folder:
                    folder = head + slash
                    shown.append(Find(folder, "folder"))
            yield shown
