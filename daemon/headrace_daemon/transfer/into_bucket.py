"""What the movers share that send to a bucket: how a large object is tried, and what becomes of its parts."""

from collections.abc import Awaitable, Callable, Sequence

from headrace_daemon.facts import Outcome
from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_daemon.transfer.mover import Numbered, Tell, attempt
from headrace_daemon.transfer.tally import new_tally
from headrace_daemon.transfer.uploads import give_up_uploads
from headrace_queue.jobs import Item


class IntoBucket:
    """The end of a Mover whose objects arrive at a bucket in requests of this host's."""

    def __init__(self, work: Work, target: BucketEnd) -> None:
        self._work = work
        self._target = target

    async def _try_large(self, one: Numbered, once: Callable[[], Awaitable[Outcome]], tell: Tell) -> None:
        """To its end. What failed for good leaves no parts. Raises Pause, JobFailed, and what giving up raises."""
        index, item = one
        tally = new_tally()
        outcome = await attempt(once, self._work, item.key, tally)
        if outcome.state == "failed":
            await give_up_uploads(self._work, self._target, [item])
        await tell(index, item, outcome, tally.take())

    async def settle(self, tell: Tell) -> None:
        """Nothing waits: an object is told when the service has confirmed it."""

    async def abandon(self, items: Sequence[Item]) -> None:
        """Parts that were sent stay: they are recorded, and the next run goes on with them."""

    async def forget(self, items: Sequence[Item]) -> None:
        """Raises S3Error."""
        await give_up_uploads(self._work, self._target, items)
