"""What the movers share that send to a bucket: how a large object is tried, what becomes of its parts, and of a small
object that arrived damaged."""

from collections.abc import Awaitable, Callable, Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import IntegrityError, NotFound
from headrace_daemon.s3.types import PutResult
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.mover import Numbered, Tell, attempt
from headrace_daemon.transfer.options import etag_is_md5
from headrace_daemon.transfer.proof import prove
from headrace_daemon.transfer.tally import new_tally
from headrace_daemon.transfer.uploads import give_up_uploads
from headrace_queue.errors import HeadraceError
from headrace_queue.jobs import Item


class IntoBucket:
    """The end of a Mover whose objects arrive at a bucket in requests of this host's."""

    def __init__(self, work: Work, target: BucketEnd) -> None:
        self._work = work
        self._target = target
        self._etag_is_md5 = etag_is_md5(work.job.spec.options, target.remote.profile)

    async def _try_large(self, one: Numbered, once: Callable[[], Awaitable[Outcome]], tell: Tell) -> None:
        """To its end. What failed for good leaves no parts. Raises Pause, JobFailed, and what giving up raises."""
        index, item = one
        tally = new_tally()
        outcome = await attempt(once, self._work, item.key, tally)
        if outcome.state == "failed":
            await give_up_uploads(self._work, self._target, [item])
        await tell(index, item, outcome, tally.take())

    async def _prove_put(self, item: Item, data: Buffer, crc: str, written: PutResult) -> str:
        """The proof of one PUT, by its answer. crc: base64 of the data's. Raises IntegrityError; what was written is
        removed then."""
        try:
            return prove(
                item.key,
                data,
                crc,
                theirs_crc=written.crc64nvme,
                theirs_etag=written.etag,
                etag_is_md5=self._etag_is_md5 and not written.opaque_etag,
            )
        except IntegrityError as damage:
            raise await self._take_back(item, written, damage) from damage

    async def _take_back(self, item: Item, written: PutResult, damage: IntegrityError) -> IntegrityError:
        """Removes the damaged object that one PUT made, and gives the failure that says what became of it.

        Left there, it would have the size of its source, and the next sync would call it unchanged. It goes before the
        next try and not after the last: --no-clobber would find it in its way and pass the object over, and there may
        be no next try, where the source vanishes or the job is cancelled meanwhile.
        """
        became = await self._remove_damaged(self._target.key(item.key), written.etag)
        return IntegrityError(damage.code, f"{damage.message}; {became}")

    async def _remove_damaged(self, key: str, etag: str) -> str:
        """In words, what became of it. etag: what the PUT was answered with; what has another is somebody else's."""
        remote, bucket = self._target.remote, self._target.bucket
        try:
            there = await remote.head(bucket, key)
            if there.etag != etag:
                return "another object is there by now, and was left alone"
            # Without If-Match, which no profile says its service takes on a DELETE. In a bucket that keeps versions
            # this makes a delete marker: the damaged bytes are not current any more, and an older version stays.
            refused: HeadraceError | None = (await remote.delete(bucket, [key])).get(key)
        except NotFound:
            return "nothing is there any more"
        except HeadraceError as error:  # the damage is what the object failed for, whatever keeps this from being done
            refused = error
        return f"the damaged object is still there ({refused})" if refused else "what was written was removed"

    async def settle(self, tell: Tell) -> None:
        """Nothing waits: an object is told when the service has confirmed it."""

    async def abandon(self, items: Sequence[Item]) -> None:
        """Parts that were sent stay: they are recorded, and the next run goes on with them."""

    async def forget(self, items: Sequence[Item]) -> None:
        """Raises S3Error."""
        await give_up_uploads(self._work, self._target, items)
