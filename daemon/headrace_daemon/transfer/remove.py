"""Deletes what only the destination has, in groups; planned only after both listings ended without an error."""

from collections.abc import Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.judge import Vanished, judge
from headrace_daemon.transfer.mover import Numbered, Tell
from headrace_queue.jobs import Item


async def remove(work: Work, end: BucketEnd | FilesEnd, group: Sequence[Numbered], tell: Tell) -> None:
    """Delete these objects at the destination. Raises Pause, JobFailed."""
    by_key = {end.key(item.key): (index, item) for index, item in group}
    errors: dict[str, Exception] = dict(await _delete(work, end, list(by_key)))
    for key, (index, item) in by_key.items():
        await tell(index, item, _outcome(item, errors.get(key)), 0)


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
    return Outcome("failed", error=verdict.word, message=str(error))
