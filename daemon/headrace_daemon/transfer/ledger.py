"""The durable record of a large object under way: which parts are safe at the destination (invariant 1).

A restart finds the record, and sends only what is missing in it; it needs no ListParts. A source that changed has
another fingerprint, and starts over.
"""

from collections.abc import Awaitable, Callable, Sequence

from headrace_daemon.s3.checksum import PartSums, from_text, to_text
from headrace_daemon.transfer.parts import part_count, part_range
from headrace_queue.jobs import Lease, Multipart, PartRecord
from headrace_queue.writer import Queue


class Ledger:
    """One Multipart of the queue. `record` is what was committed before the first part was sent; resumed: it
    was found, and not made now."""

    def __init__(self, queue: Queue, lease: Lease, record: Multipart, *, resumed: bool) -> None:
        self._queue = queue
        self._lease = lease
        self._resumed = resumed
        self.record = record
        self._parts = {part.number: part for part in record.parts}

    @property
    def token(self) -> str:
        """The upload id, or the identity of the temporary file."""
        return self.record.token

    def missing(self) -> list[int]:
        """The numbers of the parts that are still to be sent."""
        count = part_count(self.record.size, self.record.part_size)
        return [number for number in range(1, count + 1) if number not in self._parts]

    def range_of(self, number: int) -> tuple[int, int]:
        return part_range(number, self.record.size, self.record.part_size)

    async def add(self, parts: Sequence[PartRecord]) -> None:
        """Parts that are safe now; durable on return. Raises LeaseLost."""
        lease, key, resumed = self._lease, self.record.key, self._resumed
        await self._queue.write(lambda store: store.add_parts(lease, key, parts, resumed=resumed))
        self._parts.update((part.number, part) for part in parts)

    def parts(self) -> list[PartRecord]:
        """All parts in their order."""
        return [self._parts[number] for number in sorted(self._parts)]

    def crc64nvme(self) -> str:
        """Of the whole object, combined from its parts; base64."""
        sums = PartSums()
        for part in self._parts.values():
            sums.add(part.number, from_text(part.crc64nvme), part.size)
        size = self.record.size
        return to_text(sums.whole(part_count(size, self.record.part_size), size))

    async def end(self) -> None:
        """The object is complete, or given up: forget it. What another worker has begun since then stays."""
        job_id, key, token = self.record.job_id, self.record.key, self.record.token
        await self._queue.write(lambda store: store.end_multipart(job_id, key, token))


async def open_ledger(
    queue: Queue,
    lease: Lease,
    plan: Multipart,
    usable: Callable[[Multipart], Awaitable[bool]],
    begin: Callable[[], Awaitable[str]],
    discard: Callable[[Multipart], Awaitable[None]],
) -> Ledger:
    """Go on with what an earlier run recorded, or begin anew.

    plan: what would be recorded now, its token still empty. usable: is what the record names still there? begin:
    makes the upload or temporary file and gives its token. discard: removes what a record that is of no use names.
    """
    old = await queue.read(lambda store: store.multipart(plan.job_id, plan.key))
    if old is not None:
        same = (old.fingerprint, old.size) == (plan.fingerprint, plan.size)
        if same and await usable(old):
            return Ledger(queue, lease, old, resumed=True)
        await discard(old)
    token = await begin()
    record = Multipart(plan.job_id, plan.key, token, plan.size, plan.part_size, plan.fingerprint, plan.write_token)
    await queue.write(lambda store: store.begin_multipart(lease, record))
    return Ledger(queue, lease, record, resumed=False)
