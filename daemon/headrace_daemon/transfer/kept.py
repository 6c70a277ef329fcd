"""What a service keeps of what it is sent with an object: looked for once a kind, told once a job.

Words for what is lost, in the log and in reports: `tags`, `website_redirect`, `metadata` (the user's), `acl`, and the
names of the system headers, such as `cache-control`.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from headrace_daemon.files.names import is_marker
from headrace_daemon.s3.describe import REDIRECT
from headrace_daemon.s3.errors import AccessDenied, NotFound, NotSupported, Rejected, ServerFault
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.mover import at_destination
from headrace_daemon.transfer.send import WRITE_TOKEN
from headrace_queue.jobs import Item

TAGS: Final = "tags"
WEBSITE_REDIRECT: Final = "website_redirect"
METADATA: Final = "metadata"
ACL: Final = "acl"

_CONTENT_TYPE: Final = "content-type"
_GROUPS: Final = {
    "public-read": "AllUsers",
    "public-read-write": "AllUsers",
    "authenticated-read": "AuthenticatedUsers",
}
"""Canned ACL -> the group that may read then (Amazon S3 user guide, "Canned ACL"). Of others an ACL shows nothing."""


@dataclass(slots=True)
class Brought:
    """How one object is written, and what of it is not. replaces: a copy by the service writes these metadata and
    headers in place of the source's."""

    options: WriteOptions
    replaces: bool = False
    lost: set[str] = field(default_factory=set)

    @property
    def lost_text(self) -> str:
        """For the report: words in their order, separated by commas."""
        return ",".join(sorted(self.lost))


@dataclass(slots=True)
class _Known:
    """looked: the words that were looked for. unseen: those of them that were not there."""

    looked: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)


class Kept:
    """What the destination of one job keeps. Shared by its batches.

    A service that may drop an attribute without a word is looked at once for each kind, after the first object that has
    it: one HEAD, and none where objects have nothing but a guessed content type. Folder markers are looked at by
    themselves: a service may make folders of them, and lose what only objects have.
    """

    def __init__(self, work: Work, target: BucketEnd) -> None:
        self._work = work
        self._target = target
        self._asked = {name for name, _ in work.job.spec.options.headers}
        self._of_files, self._of_markers = _Known(), _Known()
        self._told: set[str] = set()
        self._looking = asyncio.Lock()

    async def look_back(self, item: Item, brought: Brought) -> None:
        """Whether the object at the destination has what was sent with it. Raises S3Error."""
        options, target = brought.options, self._target
        if target.remote.profile.tells_what_it_drops:
            return
        words = words_of(options) | self._asked
        known = self._of_markers if is_marker(item.key) else self._of_files
        if not words <= known.looked:
            async with self._looking:  # what one object shows holds for those that were sent meanwhile
                if not words <= known.looked:
                    await self._look(item, options, words, known)
        for word in known.unseen & (words | {_CONTENT_TYPE}):
            self.lose(brought, word, f"{target.remote.name} took it, and does not show it with the object")

    async def _look(self, item: Item, options: WriteOptions, words: set[str], known: _Known) -> None:
        target = self._target
        try:
            stored = await at_destination(target.remote.head(target.bucket, target.key(item.key)), target)
        except AccessDenied as error:  # who may only write is not to fail for it
            for word in sorted(words):
                self.tell(word, f"whether {target.remote.name} keeps it may not be looked at ({error})")
        else:
            known.unseen |= missing_in(stored, options)
        if ACL in words:
            await self._look_at_acl(item, options, known)
        known.looked |= words

    async def _look_at_acl(self, item: Item, options: WriteOptions, known: _Known) -> None:
        target = self._target
        try:
            groups = await target.remote.reader_groups(target.bucket, target.key(item.key))
        except (AccessDenied, NotFound, NotSupported, Rejected, ServerFault) as error:
            self.tell(ACL, f"whether {target.remote.name} gives it cannot be looked at ({error})")
        else:
            if _GROUPS[options.acl or ""] not in groups:
                known.unseen.add(ACL)

    def lose(self, brought: Brought, word: str, why: str) -> None:
        """This object does not have it, which is told of the first one."""
        brought.lost.add(word)
        self.tell(word, why)

    def tell(self, word: str, why: str) -> None:
        """Once a job."""
        if word not in self._told:
            self._told.add(word)
            self._work.facts.job_event(self._work.job.id, "not_carried", f"{word}: {why}")


def words_of(options: WriteOptions) -> set[str]:
    """What is sent along beyond a content type, which every object has. Pure."""
    words = {name for name in options.headers if name not in (_CONTENT_TYPE, REDIRECT)}
    for word, there in (
        (TAGS, options.tags),
        (WEBSITE_REDIRECT, REDIRECT in options.headers),
        (METADATA, options.metadata.keys() - {WRITE_TOKEN}),
        (ACL, options.acl in _GROUPS),
    ):
        if there:
            words.add(word)
    return words


def missing_in(stored: ObjectInfo, options: WriteOptions) -> set[str]:
    """What was sent with an object and is not to be seen there. Pure. Services write values their own way, so that
    only a content type counts as lost where it is another."""
    words = {name for name in options.headers if name not in stored.headers and name != REDIRECT}
    ours, theirs = options.headers.get(_CONTENT_TYPE), stored.headers.get(_CONTENT_TYPE)
    for word, gone in (
        (_CONTENT_TYPE, ours is not None and theirs is not None and ours.lower() != theirs.lower()),
        (TAGS, options.tags and not stored.tag_count),
        (WEBSITE_REDIRECT, REDIRECT in options.headers and REDIRECT not in stored.headers),
        (METADATA, options.metadata.keys() - {WRITE_TOKEN} - stored.metadata.keys()),
    ):
        if gone:
            words.add(word)
    return words
