"""--trash in a bucket: the service copies an object to the trash, and only then may it be deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.errors import IntegrityError, NoSuchBucket, NotFound, PreconditionFailed, Rejected
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.types import ObjectInfo, WriteOptions
from headrace_daemon.transfer.attributes import Attributes
from headrace_daemon.transfer.copy_parts import copy_in_parts
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.mover import Numbered, attempt
from headrace_daemon.transfer.options import write_options
from headrace_daemon.transfer.tally import new_tally
from headrace_daemon.transfer.uploads import elsewhere
from headrace_queue.jobs import Item, Lease

MOST_NAMES = 1000
"""How many names are tried for one object: as many versions of it may lie there."""


class Copied(NamedTuple):
    """How the copy of one object ended, and how many requests were sent again for it."""

    outcome: Outcome
    retries: int


class Discarding:
    """Copies objects of one batch to the key prefix `trash` of their bucket."""

    def __init__(self, work: Work, end: BucketEnd, trash: str, lease: Lease) -> None:
        self._work = work
        self._end = end
        self._trash = trash
        self._lease = lease
        self._attributes = Attributes(work, end, end)

    async def copy(self, group: Sequence[Numbered]) -> dict[int, Copied]:
        """By index: `trashed`, `vanished`, or `failed`. Raises Pause, JobFailed, LeaseLost."""
        outcomes: dict[int, Copied] = {}

        async def one(numbered: Numbered) -> None:
            index, item = numbered
            tally = new_tally()
            outcome = await attempt(lambda: self._copy(item), self._work, item.key, tally)
            outcomes[index] = Copied(outcome, tally.take())

        await in_lanes(group, max(1, min(self._work.config.objects, len(group))), one)
        return outcomes

    async def _copy(self, item: Item) -> Outcome:
        """Raises S3Error; PreconditionFailed where the object was written since it was listed."""
        end = self._end
        in_parts = item.size > end.remote.profile.max_copy
        ours = await self._described(item) if in_parts else None
        for name in _names(self._trash + item.key):
            lost = ""
            found = await self._look(name)
            if found is None:
                copied = await (self._in_parts(name, item, ours) if ours else self._whole(name, item))
                if copied is None:
                    continue
                lost = copied
            elif not _is_same(found, item, ours):
                continue
            # the same content under this name is what an earlier run had copied and could not delete any more
            where = f"{end.remote.name}://{end.bucket}/{name}"
            outcome = Outcome("trashed", size=item.size, message=where)
            outcome.lost = lost
            return outcome
        raise Rejected("trash_full", f"{MOST_NAMES} objects of this name are in the trash already", 0)

    async def _described(self, item: Item) -> ObjectInfo:
        end = self._end
        info = await end.remote.head(end.bucket, end.key(item.key))
        if info.etag != item.etag:
            raise PreconditionFailed("PreconditionFailed", "it was written since it was listed", 412)
        return info

    async def _whole(self, name: str, item: Item) -> str | None:
        """What the copy lacks, '' for nothing. None where somebody else took the name meanwhile.

        Raises IntegrityError where less arrived than was there.
        """
        end, profile = self._end, self._end.remote.profile
        options = replace(_unseen(write_options(self._work.job.spec.options, profile), profile), tags="")
        source = end.bucket, end.key(item.key)
        try:
            result = await end.remote.copy(end.bucket, name, *source, source_etag=item.etag, options=options)
        except PreconditionFailed as refusal:
            await self._taken(name, refusal)
            return None
        if result.etag != item.etag:
            await self._prove(name, item, None)
        return ""

    async def _in_parts(self, name: str, item: Item, info: ObjectInfo) -> str | None:
        """As _whole(), of an object that is larger than one CopyObject takes."""
        end, profile = self._end, self._end.remote.profile
        brought = await self._attributes.of(item, info, as_it_is=True)
        options = _unseen(brought.options, profile)
        create = self._attributes.creating(brought)
        try:
            await copy_in_parts(self._work, self._lease, item, info, end, end, options, create, record=elsewhere(name))
        except PreconditionFailed as refusal:
            await self._taken(name, refusal)
            return None
        await self._prove(name, item, info)
        return brought.lost_text

    async def _taken(self, name: str, refusal: PreconditionFailed) -> None:
        """After a condition that did not hold: raises it again where it was not about the name in the trash."""
        if await self._look(name) is None:
            raise refusal

    async def _prove(self, name: str, item: Item, ours: ObjectInfo | None) -> None:
        found = await self._look(name)
        if found is None or found.size != item.size or not _sums_agree(found, ours):
            raise IntegrityError("integrity", f"{item.key}: the copy in the trash is not what was copied")

    async def _look(self, name: str) -> ObjectInfo | None:
        try:
            return await self._end.remote.head(self._end.bucket, name)
        except NoSuchBucket:
            raise
        except NotFound:
            return None


def _is_same(found: ObjectInfo, item: Item, ours: ObjectInfo | None) -> bool:
    """Whether it surely holds the content of the item. The ETag of a copy in parts is another than its source's."""
    if found.size != item.size:
        return False
    return found.etag == item.etag or (_sum_of(ours) != "" and _sum_of(found) == _sum_of(ours))


def _sums_agree(found: ObjectInfo, ours: ObjectInfo | None) -> bool:
    """False only where both are known."""
    return not _sum_of(ours) or not _sum_of(found) or _sum_of(found) == _sum_of(ours)


def _sum_of(info: ObjectInfo | None) -> str:
    return info.checksums.get("crc64nvme", "") if info is not None else ""


def _unseen(options: WriteOptions, profile: Profile) -> WriteOptions:
    """Only under a name that nobody took. An ACL is meant for what is sent: it opens nothing in the trash."""
    return replace(options, if_none_match=profile.conditional_writes, acl=None)


def _names(key: str) -> Iterator[str]:
    yield key
    for number in range(1, MOST_NAMES):
        yield f"{key}.~{number}~"
