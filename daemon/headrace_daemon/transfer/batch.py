"""Runs one leased batch from its first object to its end, whatever the end is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files.names import DestinationFull
from headrace_daemon.files.room import need_of
from headrace_daemon.transfer.ends import End, FilesEnd, Work
from headrace_daemon.transfer.judge import ARCHIVED, JobFailed, Pause, judge, lacks
from headrace_daemon.transfer.lanes import in_lanes
from headrace_daemon.transfer.mover import Mover, Numbered
from headrace_daemon.transfer.recorder import Recorder
from headrace_daemon.transfer.remove import remove
from headrace_daemon.transfer.restore import restore
from headrace_queue.advice import for_job, split_advice
from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import Action, Archived, Batch, Counters, Item, Job
from headrace_queue.thaw import MOST_PARKED

GROUP_OBJECTS = 32
GROUP_BYTES = 2**20
DELETE_GROUP = 1000
CRASH_PAUSE = 5.0
FULL_PAUSE = 5.0
PARKED_PAUSE = 60.0
FORGET_SECONDS = 10.0
"""In which uploads of a cancelled job are aborted; where the service does not answer, the janitor goes on with that."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one lane does at a time: a group of small objects, one large object, deletions, or files to restore."""

    group: tuple[Numbered, ...]
    large: bool = False
    delete: bool = False
    restore: bool = False

    @property
    def size(self) -> int:
        return sum(item.size for _, item in self.group)


def cut(items: Sequence[Numbered], threshold: int, lanes: int) -> Iterator[Piece]:
    """Cut a batch into pieces, large objects first, so that the longest work does not start last.

    Groups save a thread hop an object; they are no larger than keeps all lanes busy.
    """
    deletes = [one for one in items if one[1].action is Action.DELETE]
    yield from _cut_streams([one for one in items if one[1].action is Action.COPY], threshold, lanes)
    for start in range(0, len(deletes), DELETE_GROUP):
        yield Piece(tuple(deletes[start : start + DELETE_GROUP]), delete=True)
    restores = tuple(one for one in items if one[1].action is Action.RESTORE)
    if restores:
        yield Piece(restores, restore=True)


def _cut_streams(items: Sequence[Numbered], threshold: int, lanes: int) -> Iterator[Piece]:
    """Objects whose bytes pass this host, whatever their action."""
    for one in items:
        if one[1].size >= threshold:
            yield Piece((one,), large=True)
    small = [one for one in items if one[1].size < threshold]
    limit = max(1, min(GROUP_OBJECTS, len(small) // lanes))
    group: list[Numbered] = []
    size = 0
    for one in small:
        if group and (len(group) >= limit or size + one[1].size > GROUP_BYTES):
            yield Piece(tuple(group))
            group, size = [], 0
        group.append(one)
        size += one[1].size
    if group:
        yield Piece(tuple(group))


class BatchRun:
    """One batch, its mover and its recorder."""

    def __init__(
        self,
        batch: Batch,
        work: Work,
        mover: Mover,
        destination: End,
        recorder: Recorder,
        facts: Facts,
        now: Callable[[], float],
    ) -> None:
        self._batch = batch
        self._work = work
        self._mover = mover
        self._destination = destination
        self._recorder = recorder
        self._facts = facts
        self._now = now
        self._life = work.pulse.life
        self._told: set[int] = set()
        self._not_restored: list[Numbered] = []  # to be streamed
        self._coming: Pause | None = None  # the data of others is on its way
        self._archived = batch.job.spec.options.archived
        self.moving = False  # whether it may be stopped: on its way out it may not, or its lease would be lost
        self.cancelled_by_user = False

    async def run(self) -> Job | None:
        """Runs to the end; the job as it stands then, or None where the batch goes back to the queue."""
        try:
            await self._moving()
            return await self._recorder.complete()
        except LeaseLost:
            self._facts.lease_lost(self._batch.job.id)
        except asyncio.CancelledError:
            await self._stopped()
            raise
        except Pause as pause:
            await self._paused(pause)
        except JobFailed as failure:
            await self._job_failed(failure)
        except Exception as error:  # noqa: BLE001 - a failing batch never stops the daemon
            if (lacking := lacks(error)) is not None:
                await self._paused(Pause(lacking, FULL_PAUSE))
            else:
                await self._crashed(error)
        return None

    async def _moving(self) -> None:
        self.moving = True
        try:
            await self._move()
        finally:
            self.moving = False

    async def _move(self) -> None:
        items = list(self._batch.open_items())
        await self._check_parked()
        threshold, lanes = self._work.config.multipart_threshold, self._work.config.objects
        await self._check_room([one for one in items if one[1].action is not Action.RESTORE])
        await self._do(list(cut(items, threshold, lanes)))
        if self._not_restored:
            await self._check_room(self._not_restored)
            await self._do(list(_cut_streams(self._not_restored, threshold, lanes)))
        if self._coming is not None:  # raised now: nothing of what was done meanwhile is lost with it
            raise self._coming

    async def _check_parked(self) -> None:
        """No more than so many objects of a job wait to be restored at once. Raises Pause."""
        job_id = self._batch.job.id
        if self._archived is not Archived.RESTORE:
            return
        if await self._work.queue.read(lambda store: store.thawing(job_id)) >= MOST_PARKED:
            raise Pause(f"{MOST_PARKED:,} objects are being restored; the others wait for them", PARKED_PAUSE)

    async def _do(self, pieces: Sequence[Piece]) -> None:
        """All of them, and what they did is durable and told."""
        await in_lanes(pieces, max(1, min(self._work.config.objects, len(pieces))), self._piece)
        await self._still_ours()
        await self._mover.settle(self._tell)

    async def _still_ours(self) -> None:
        """Raises LeaseLost where this worker stood still, and the batch was given to another meanwhile."""
        if self._work.pulse.doubtful(self._life):
            lease = self._batch.lease
            await self._work.queue.write(lambda store: store.progress(lease, [], Counters(), []))

    async def _check_room(self, items: Sequence[Numbered]) -> None:
        """Before the first byte of small objects; a large one is checked when its file is made, for what a restart left
        of it takes no room again, and one to be restored when it is asked for. Raises Pause."""
        end, threshold = self._destination, self._work.config.multipart_threshold
        if isinstance(end, FilesEnd) and end.landing is not None:
            need = need_of([item for _, item in items if item.size < threshold])
            try:
                await self._work.threads.run(end.landing.room.check, end.root.fd, end.root.path, need)
            except (DestinationFull, OSError) as error:
                judge(error)  # raises what concerns the whole batch; else the objects will say what is wrong

    async def _piece(self, piece: Piece) -> None:
        if self._mover.streams and not (piece.large or piece.delete or piece.restore):
            await self._work.pace(piece.size)  # a large object waits part by part
        async with self._work.slots.one(self._batch.lease.batch_id):
            await self._still_ours()
            if piece.delete:
                await remove(self._work, self._destination, self._batch.lease, piece.group, self._tell)
            elif piece.restore:
                await self._restore(piece.group)
            elif piece.large:
                await self._mover.large(piece.group[0], self._batch.lease, self._tell)
            else:
                async with self._work.memory.lend(piece.size):
                    await self._mover.small(piece.group, self._tell)

    async def _restore(self, group: Sequence[Numbered]) -> None:
        """What does not come back is streamed afterwards, unless the job says that nothing is. While some are on their
        way the batch waits without a slot."""
        left = await restore(self._work, self._destination, group, self._tell)
        self._coming = left.pause
        for one, why in left.failed:
            if self._work.only_tasks:
                await self._tell(*one, Outcome("failed", error="restore_failed", message=why), 0)
            else:
                self._not_restored.append(one)

    async def _tell(self, index: int, item: Item, outcome: Outcome, retries: int) -> None:
        await self._still_ours()
        self._told.add(index)
        # what is moved to a trash lies at the destination, and nobody restores it there
        if outcome.error == ARCHIVED and outcome.state == "failed" and item.action is not Action.DELETE:
            if self._archived is Archived.RESTORE:
                await self._recorder.park(index, item, retries)
                return
            if self._archived is Archived.SKIP:
                outcome.state = "archived"
                outcome.message, _ = split_advice(outcome.message)
        await self._recorder.done(index, item, outcome, retries)

    def _untold(self) -> list[Item]:
        return [item for index, item in self._batch.open_items() if index not in self._told]

    async def _leave(self) -> None:
        """Record what is finished, remove what is half done."""
        await self._quietly(self._mover.abandon(self._untold()))
        await self._quietly(self._recorder.flush())

    async def _paused(self, pause: Pause) -> None:
        lease, until = self._batch.lease, self._now() + pause.seconds
        self._facts.job_event(self._batch.job.id, "waiting", pause.reason)
        await self._leave()
        await self._let_go(lambda: self._work.queue.write(lambda store: store.snooze(lease, until, pause.reason)))

    async def _job_failed(self, failure: JobFailed) -> None:
        job_id = self._batch.job.id
        reason = for_job(str(failure), job_id)
        self._facts.job_event(job_id, "failed", reason)
        await self._leave()
        await self._quietly(self._work.queue.write(lambda store: store.fail(job_id, reason)))
        await self._release(reason)

    async def _crashed(self, error: Exception) -> None:
        """A fault of ours, or of the machine: the attempt counts, so that it cannot go on for ever."""
        until = self._now() + CRASH_PAUSE
        text = f"{type(error).__name__}: {error}"
        self._facts.job_event(self._batch.job.id, "batch_failed", text)
        await self._leave()
        await self._let_go(lambda: self._recorder.give_back(until, text))

    async def _stopped(self) -> None:
        """Cancelled from outside: by the user, then nothing is kept; by the end of a drain, then the next worker
        goes on with it."""
        if self.cancelled_by_user:
            await self._quietly(self._mover.abandon(self._untold()))
            await self._quietly(asyncio.wait_for(self._mover.forget(self._untold()), FORGET_SECONDS))
            await self._quietly(self._recorder.flush())
            await self._release("cancelled")
            return
        await self._leave()
        await self._release("the worker was stopped")

    async def _release(self, reason: str) -> None:
        lease, now = self._batch.lease, self._now()
        await self._quietly(self._work.queue.write(lambda store: store.snooze(lease, now, reason)))

    async def _let_go(self, step: Callable[[], Awaitable[object]]) -> None:
        """The lease goes back. A full disk is waited for: a lease that stays is lost for as long as this worker lives,
        and so is what was done and not recorded."""
        # no event tells that a disk has space again
        while await self._quietly(self._recorder.flush()) or await self._quietly(step()):  # noqa: ASYNC110
            await asyncio.sleep(FULL_PAUSE)

    async def _quietly(self, step: Awaitable[object]) -> bool:
        """A step on the way out: what fails here is told, and must not hide why the batch ended. Whether the
        host lacked something that it needs."""
        try:
            await step
        except LeaseLost:
            self._facts.lease_lost(self._batch.job.id)
        except Exception as error:  # noqa: BLE001 - told, and must not hide why the batch ended
            self._facts.job_event(self._batch.job.id, "cleanup_failed", f"{type(error).__name__}: {error}")
            return lacks(error) is not None
        return False
