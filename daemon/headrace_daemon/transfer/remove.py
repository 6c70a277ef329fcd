"""Deletes what only the destination has, in groups; planned only after both listings ended without an error.

With --trash it is moved instead: by the file system in one step, in a bucket by a copy and then the deletion.
"""

from collections.abc import Sequence
from functools import partial

from headrace_daemon.facts import Outcome
from headrace_daemon.files.names import FileError
from headrace_daemon.files.putting_aside import put_aside
from headrace_daemon.transfer.discard import Discarding
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.judge import Vanished, judge, told
from headrace_daemon.transfer.mover import Numbered, Tell
from headrace_queue.jobs import Item, Lease
from headrace_queue.locations import Location


async def remove(work: Work, end: BucketEnd | FilesEnd, lease: Lease, group: Sequence[Numbered], tell: Tell) -> None:
    """Delete these objects at the destination, or move them to the job's trash. Raises Pause, JobFailed, UsageError."""
    trash = work.job.spec.options.trash
    if trash is None:
        await _remove(work, end, group, tell)
    elif isinstance(end, BucketEnd):
        await _discard(work, end, Discarding(work, end, Location.parse(trash).key, lease), group, tell)
    else:
        await _put_aside(work, end, trash, group, tell)


async def _remove(work: Work, end: BucketEnd | FilesEnd, group: Sequence[Numbered], tell: Tell) -> None:
    by_key = {end.key(item.key): (index, item) for index, item in group}
    errors = await _delete(work, end, list(by_key))
    for key, (index, item) in by_key.items():
        await tell(index, item, _outcome(item, errors.get(key)), 0)


async def _discard(work: Work, end: BucketEnd, discarding: Discarding, group: Sequence[Numbered], tell: Tell) -> None:
    copies = await discarding.copy(group)
    items = dict(group)
    safe = [index for index, copied in copies.items() if copied.outcome.state == "trashed"]
    errors = await _delete(work, end, [end.key(items[index].key) for index in safe])
    for index, (outcome, retries) in copies.items():
        item = items[index]
        error = errors.get(end.key(item.key))
        if outcome.state == "vanished" or error is not None:
            outcome = _outcome(item, error)
        await tell(index, item, outcome, retries)


async def _put_aside(work: Work, end: FilesEnd, trash: str, group: Sequence[Numbered], tell: Tell) -> None:
    keys = [end.key(item.key) for _, item in group]
    opened = partial(work.standing.destination, making=end.root.making)
    places = await work.threads.run(put_aside, end.root, keys, trash, opened)
    for (index, item), place in zip(group, places, strict=True):
        if isinstance(place, FileError):
            outcome = _outcome(item, place)
        elif place:
            outcome = Outcome("trashed", size=item.size, message=f"{trash}/{place}")
        else:
            outcome = _outcome(item, None)
        await tell(index, item, outcome, 0)


async def _delete(work: Work, end: BucketEnd | FilesEnd, keys: list[str]) -> dict[str, Exception]:
    if isinstance(end, BucketEnd):
        return dict(await end.remote.delete(end.bucket, keys))
    if end.landing is None:
        raise AssertionError("a destination has a landing")
    errors = await work.threads.run(end.landing.delete, keys)
    return {key: error for key, error in zip(keys, errors, strict=True) if error is not None}


def _outcome(item: Item, error: Exception | None) -> Outcome:
    if error is None:
        return Outcome("deleted", size=item.size)
    verdict = judge(error)
    if isinstance(verdict, Vanished):
        return Outcome("deleted", size=item.size)
    return Outcome("failed", error=verdict.word, message=told(verdict, error))
