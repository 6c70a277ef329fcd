"""What every direction has in common: the shape of a mover, and how often one object is tried."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    DestinationMissing,
    IntegrityError,
    NoSuchBucket,
    NotFound,
    S3Error,
    UploadLost,
)
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.judge import Again, Vanished, judge, told
from headrace_daemon.transfer.tally import Tally
from headrace_queue.jobs import Item, JobSpec, Kind, Lease

T = TypeVar("T")

Numbered = tuple[int, Item]
"""An object of a batch with its index there."""

Tell = Callable[[int, Item, Outcome, int], Awaitable[None]]
"""Called once for each object that ended: index, object, outcome, requests sent again."""


async def at_destination(call: Awaitable[T], end: BucketEnd | None = None) -> T:
    """A 404 of the destination must never be taken for a source that vanished.

    Without `end` the call belongs to an upload in parts, which is gone then: raises UploadLost in its place. With it,
    the call stands alone, and there is nothing to begin anew: raises NoSuchBucket where the bucket is gone, else
    DestinationMissing with the service's own code.
    """
    try:
        return await call
    except NoSuchBucket:
        raise
    except NotFound as error:
        if end is None:
            raise UploadLost(error.code, f"the destination answered: {error.message}", error.status) from error
        raise await _what_is_missing(end, error) from error


async def _what_is_missing(end: BucketEnd, error: NotFound) -> S3Error:
    try:
        there = await end.remote.bucket_exists(end.bucket)
    except AccessDenied:
        there = True  # not for us to look at: then the answer itself has to do
    if there:
        return DestinationMissing(error.code, f"the destination answered: {error.message}", error.status)
    missing = NoSuchBucket("NoSuchBucket", "there is no such bucket (any more)", error.status)
    missing.tell_where(f"{end.remote.name}://{end.bucket}")
    return missing


class Mover(Protocol):
    """Moves objects in one direction. Errors that concern more than an object are raised as Pause or JobFailed."""

    direction: str

    @property
    def streams(self) -> bool:
        """Whether bytes pass this host. What bandwidth limits ask for a group is paid before small() gets it."""
        ...

    async def small(self, group: Sequence[Numbered], tell: Tell) -> None:
        """A few objects, each below the multipart threshold, one after the other."""
        ...

    async def large(self, one: Numbered, lease: Lease, tell: Tell) -> None:
        """One object in parts."""
        ...

    async def settle(self, tell: Tell) -> None:
        """Make durable and tell what is written but not yet safe."""
        ...

    async def abandon(self, items: Sequence[Item]) -> None:
        """The batch ends early: remove what objects that were not told have left at the destination."""
        ...

    async def forget(self, items: Sequence[Item]) -> None:
        """The job was cancelled: also give up what a later run could have gone on with."""
        ...


def _remotes_of(spec: JobSpec) -> str:
    return ",".join(end.partition("://")[0] for end in (spec.source, spec.destination) if "://" in end)


def _gone(spec: JobSpec, message: str, attempts: int) -> Outcome:
    """No failure of a sync, which brings what is there. Other jobs were asked for this one object."""
    if spec.kind is not Kind.SYNC:
        return Outcome("failed", error="vanished", message=message, attempts=attempts)
    return Outcome("vanished", message=message)


async def attempt(
    once: Callable[[], Awaitable[Outcome]], work: Work, key: str, tally: Tally, whole: int = 0
) -> Outcome:
    """Try one object until it is done, has failed, or has gone. Raises Pause, JobFailed, and faults of ours.

    whole: bytes that every further try moves anew, the first being paid for already; a large object pays by parts.
    """
    for number in range(1, work.config.attempts + 1):
        try:
            outcome = await once()
        except Exception as error:  # noqa: BLE001 - judge raises again what is not the object's
            verdict = judge(error)  # raises what is more than this object's
            if isinstance(error, IntegrityError | BadDigest):
                work.facts.integrity_failure(work.job.id, _remotes_of(work.job.spec), key)
            if isinstance(verdict, Vanished):
                return _gone(work.job.spec, str(error), number)
            if isinstance(verdict, Again) and number < work.config.attempts:
                tally.reason = verdict.word
                work.charge(whole)
                await asyncio.sleep(random.uniform(0.05, 0.2) * 2**number)
                continue
            outcome = Outcome("failed", error=verdict.word, message=told(verdict, error))
        outcome.attempts = number + tally.retries
        outcome.last_error = tally.reason
        return outcome
    raise AssertionError("the loop returns at its last turn")
