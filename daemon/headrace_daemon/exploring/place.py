"""A place as it was named, and what can be found there; how each look ends."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace_daemon.exploring import objects, tree
from headrace_daemon.exploring.finds import Find, Finds
from headrace_daemon.files.root import LinkPolicy
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.walk import Problem
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.s3.errors import AccessDenied, Rejected
from headrace_daemon.s3.remote import Remote
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.locations import Location
from headrace_queue.looking_request import LookRequest

NOTHING_THERE: Final = 1


@dataclass(frozen=True, slots=True)
class Looker:
    """With what a request is answered. unread: what of a tree could not be listed, in the order in which it was met."""

    config: Config
    request: LookRequest
    remotes: Remotes
    threads: FileThreads
    unread: list[Problem]

    async def remote(self, name: str) -> Remote:
        """Ready to be asked. Raises UsageError for a name that config.toml does not know, and without credentials."""
        remote = self.remotes.get(name)
        await remote.start()
        return remote.paying() if self.request.requester_pays else remote

    async def exact(self, place: Location) -> Find | None:
        """The one object or file that the place names; None for a folder, a bucket, and where there is none.

        Raises UsageError for a path where nothing is, S3Error.
        """
        if place.path is not None:
            return await self.threads.run(_exact_path, place.path)
        if not place.name:
            return None
        remote = await self.remote(place.remote or "")
        try:
            return await objects.one_object(remote, place.bucket, place.key)
        except (AccessDenied, Rejected):
            # a listing may be allowed where reading is not, and an object with a key of its own refuses a HEAD
            return None

    async def level(self, place: Location) -> Finds:
        """What is directly there. Raises OSError, S3Error, JobFailure."""
        if place.path is not None:
            found = tree.level(str(place.path), self.threads)
        else:
            found = objects.level(await self.remote(place.remote or ""), place.bucket, place.as_folder().key)
        async with aclosing(found) as pages:
            async for page in pages:
                yield page

    async def everything(self, place: Location) -> Finds:
        """All that is there, of a path also what is no file. Raises OSError, FileError, S3Error, JobFailure."""
        if place.path is None:
            found = self.below(place, "store")
        else:
            found = tree.everything(os.fspath(place.path), self.threads, self.unread.append)
        async with aclosing(found) as pages:
            async for page in pages:
                yield page

    async def below(self, place: Location, links: LinkPolicy, *, sort: bool = True) -> Finds:
        """All objects or files there. Raises OSError, FileError, S3Error, JobFailure."""
        if place.path is not None:
            found = tree.below(str(place.path), self.threads, links, self.unread.append)
        else:
            remote = await self.remote(place.remote or "")
            found = objects.below(remote, place.bucket, place.as_folder().key, sort=sort)
        async with aclosing(found) as pages:
            async for page in pages:
                yield page

    async def versions(self, place: Location, *, recursive: bool) -> Finds:
        """Of one object, where it names one that has any, or of all in a folder. Raises S3Error."""
        remote = await self.remote(place.remote or "")
        if place.name:
            mine = [one async for one in _of_key(remote, place)]
            if mine:
                yield mine
                return
        async with aclosing(
            objects.versions(remote, place.bucket, place.as_folder().key, recursive=recursive)
        ) as pages:
            async for page in pages:
                yield page


async def _of_key(remote: Remote, place: Location) -> AsyncIterator[Find]:
    """The versions of exactly one key; they come first of all that begin with it."""
    above = place.key[: -len(place.name)]
    token: tuple[str, str] | None = None
    while True:
        page = await remote.list_versions(place.bucket, place.key, token=token)
        for one in page.versions:
            if one.key != place.key:
                return
            yield objects.version_find(one, len(above))
        if page.next is None:
            return
        token = page.next


def _exact_path(path: Path) -> Find | None:
    try:
        return tree.one_path(os.fspath(path), path.name or "/")
    except (FileNotFoundError, NotADirectoryError):
        remedy = "Correct the path; is the file system mounted?"
        raise UsageError(str(path), "there is no such file or folder", remedy) from None
