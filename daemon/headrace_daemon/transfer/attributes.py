"""What an object brings along from bucket to bucket besides its bytes, and what the destination refuses of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from headrace_daemon.s3.describe import REDIRECT
from headrace_daemon.s3.errors import AccessDenied, NotSupported, Rejected
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.kept import TAGS, WEBSITE_REDIRECT, Brought, Kept, words_of
from headrace_daemon.transfer.options import carried_over, write_options
from headrace_daemon.transfer.send import Create
from headrace_queue.jobs import Item

T = TypeVar("T")

_REFUSALS: Final = (AccessDenied, NotSupported, Rejected)


class Attributes:
    """What the objects of one job bring along. Shared by its batches, so that each loss is told once.

    A service that refuses tags or a redirect gets its objects without.
    """

    def __init__(self, work: Work, source: BucketEnd, target: BucketEnd) -> None:
        self._work = work
        self._source = source
        self._target = target
        self._refused: set[str] = set()
        self._kept = Kept(work, target)
        self._website: bool | None = None
        self._asking = asyncio.Lock()
        profile, name = target.remote.profile, target.remote.name
        self._why = {
            word: f"{name} is of kind {profile.name}, which stores none"
            for word, kept in ((TAGS, profile.tags), (WEBSITE_REDIRECT, profile.redirects))
            if not kept
        }
        self._refused.update(self._why)

    # -- before the object is written -----------------------------------------------------------------------------

    async def of(self, item: Item, info: ObjectInfo, *, as_it_is: bool = False) -> Brought:
        """Everything that the source's object has and the destination takes. One request more where it has tags.
        as_it_is: what the job says of the objects that it writes is not about this one.

        Raises S3Error where its tags cannot be read for a reason that may pass.
        """
        options = self._work.job.spec.options
        if as_it_is:
            options = replace(options, headers=(), metadata=(), tags=())
        brought = Brought(carried_over(options, self._target.remote.profile, info))
        if info.tag_count and not options.tags and self._source.remote.profile.tags:
            await self._bring_tags(item, brought)
        self._leave_out(brought)
        return brought

    async def of_copy(self, item: Item) -> Brought:
        """As of(), for an object that the service itself copies with its headers, metadata and tags. Where the job
        names some headers or metadata, all are sent: S3 keeps all of the source's or none."""
        options = self._work.job.spec.options
        if options.headers or options.metadata:
            return await self._of_described_copy(item)
        brought = Brought(write_options(options, self._target.remote.profile))
        if WEBSITE_REDIRECT not in self._refused and await self._is_website():
            source = self._source
            info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
            if REDIRECT in info.headers:
                brought.options = replace(brought.options, headers={REDIRECT: info.headers[REDIRECT]})
        return brought

    async def _of_described_copy(self, item: Item) -> Brought:
        source = self._source
        info = await source.remote.head(source.bucket, source.key(item.key), version=source.version_of(item))
        brought = Brought(carried_over(self._work.job.spec.options, self._target.remote.profile, info), replaces=True)
        self._leave_out(brought)
        return brought

    async def _bring_tags(self, item: Item, brought: Brought) -> None:
        source = self._source
        if TAGS in self._refused:
            self._kept.lose(brought, TAGS, self._why[TAGS])
            return
        try:
            tags = await source.remote.tags(source.bucket, source.key(item.key), version=source.version_of(item))
        except (AccessDenied, NotSupported) as error:
            self._kept.lose(brought, TAGS, f"{source.remote.name} does not let them be read ({error})")
        else:
            brought.options = replace(brought.options, tags=tags)

    def _leave_out(self, brought: Brought) -> None:
        if REDIRECT in brought.options.headers and WEBSITE_REDIRECT in self._refused:
            brought.options = without(brought.options, WEBSITE_REDIRECT)
            self._kept.lose(brought, WEBSITE_REDIRECT, self._why[WEBSITE_REDIRECT])

    async def _is_website(self) -> bool:
        """S3 copies no redirect, and only a HEAD of each object shows one: asked for where it does something, in a
        bucket that is a website (API reference, CopyObject)."""
        if self._website is not None:
            return self._website
        async with self._asking:
            if self._website is None:
                bucket = self._source.bucket
                try:
                    self._website = await self._source.remote.is_website(bucket)
                except AccessDenied as error:
                    self._website = False
                    why = f"whether {bucket} is a website, where objects may have one, may not be asked ({error})"
                    self._kept.tell(WEBSITE_REDIRECT, why)
        return self._website

    # -- writing it, and after that -------------------------------------------------------------------------------

    async def send(self, brought: Brought, write: Callable[[WriteOptions], Awaitable[T]]) -> T:
        """What `write` gives; once more without tags, or without the redirect, where the service refuses.

        Raises what `write` raises, the first error where leaving them out did not help.
        """
        options = brought.options
        try:
            return await write(options)
        except _REFUSALS as refusal:
            for word in sorted({TAGS, WEBSITE_REDIRECT} & words_of(options)):
                slim = without(options, word)
                try:
                    result = await write(slim)
                except _REFUSALS:
                    continue
                why = f"{self._target.remote.name} refuses objects that have it ({refusal})"
                if not isinstance(refusal, Rejected):  # which may be about the tags of this object alone
                    self._refused.add(word)
                    self._why[word] = why
                brought.options = slim
                self._kept.lose(brought, word, why)
                return result
            raise

    def creating(self, brought: Brought) -> Create:
        """How an upload in parts begins: as send(), for what Create takes is the object's at the end."""

        async def create(begin: Callable[[WriteOptions], Awaitable[str]], options: WriteOptions) -> str:
            brought.options = options
            return await self.send(brought, begin)

        return create

    async def look_back(self, item: Item, brought: Brought) -> None:
        """Whether the object at the destination has what was sent with it. Raises S3Error."""
        await self._kept.look_back(item, brought)


def without(options: WriteOptions, word: str) -> WriteOptions:
    """The options without the tags or without the website redirect. Pure."""
    if word == TAGS:
        return replace(options, tags="")
    return replace(options, headers={name: value for name, value in options.headers.items() if name != REDIRECT})
