"""--trash in a bucket: the service copies an object to the trash, and only then may it be deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.errors import IntegrityError, NoSuchBucket, NotFound, PreconditionFailed, Rejected
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.mover import Numbered, attempt
from headrace_daemon.transfer.options import write_options
from headrace_daemon.transfer.tally import new_tally
from headrace_queue.jobs import Item

MOST_NAMES = 1000
"""How many names are tried for one object: as many versions of it may lie there."""


class Copied(NamedTuple):
    """How the copy of one object ended, and how many requests were sent again for it."""

    outcome: Outcome
    retries: int


async def copy_to_trash(work: Work, end: BucketEnd, trash: str, group: Sequence[Numbered]) -> dict[int, Copied]:
    """Copies each to the key prefix `trash`. By index: `trashed`, `vanished`, or `failed`. Raises Pause, JobFailed."""
    outcomes: dict[int, Copied] = {}

    async def one(numbered: Numbered) -> None:
        index, item = numbered
        tally = new_tally()
        outcome = await attempt(lambda: _copy(work, end, trash, item), work, item.key, tally)
        outcomes[index] = Copied(outcome, tally.take())

    await in_lanes(group, max(1, min(work.config.objects, len(group))), one)
    return outcomes


async def _copy(work: Work, end: BucketEnd, trash: str, item: Item) -> Outcome:
    """Raises S3Error; PreconditionFailed where the object was written since it was listed."""
    limit = end.remote.profile.max_copy
    if item.size > limit:
        raise Rejected("too_large", f"the service copies up to {limit:,} bytes at once, so this cannot be moved", 0)
    for name in _names(trash + item.key):
        found = await _look(end, name)
        if found is None:
            if not await _copied(work, end, name, item):
                continue
        elif (found.etag, found.size) != (item.etag, item.size):
            continue
        # the same content under this name is what an earlier run had copied and could not delete any more
        return Outcome("trashed", size=item.size, message=f"{end.remote.name}://{end.bucket}/{name}")
    raise Rejected("trash_full", f"{MOST_NAMES} objects of this name are in the trash already", 0)


async def _copied(work: Work, end: BucketEnd, name: str, item: Item) -> bool:
    """False where somebody else took the name meanwhile. Raises IntegrityError where less arrived than was there."""
    options = replace(
        write_options(work.job.spec.options, end.remote.profile), if_none_match=end.remote.profile.conditional_writes
    )
    key = end.key(item.key)
    try:
        result = await end.remote.copy(end.bucket, name, end.bucket, key, source_etag=item.etag, options=options)
    except PreconditionFailed:
        if await _look(end, name) is None:
            raise
        return False
    if result.etag != item.etag:
        found = await _look(end, name)
        if found is None or found.size != item.size:
            raise IntegrityError("integrity", f"{item.key}: the copy in the trash is not what was copied")
    return True


async def _look(end: BucketEnd, name: str) -> ObjectInfo | None:
    try:
        return await end.remote.head(end.bucket, name)
    except NoSuchBucket:
        raise
    except NotFound:
        return None


def _names(key: str) -> Iterator[str]:
    yield key
    for number in range(1, MOST_NAMES):
        yield f"{key}.~{number}~"
