"""Watches transfers until nothing is left of them: sees that an upload is complete, follows the job that moves the
bytes, ends what nobody completes or fetches in time, and removes what was staged.

All it knows is in the queue and in the bucket, so that any keeper goes on where another stopped. Several share the
work: who takes a transfer to look at holds it for a while.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.staging.looks import Looks
from headrace_daemon.staging.waiting import CLEANING, UPLOADING, delay
from headrace_queue.errors import IllegalTransition, QueueUnavailable, UnknownTransfer
from headrace_queue.store import Store
from headrace_queue.transfers import ENDED, Changes, Transfer, TransferState
from headrace_queue.writer import Queue

TURN: Final = 0.25
"""Seconds between looks at what is due."""
AT_ONCE: Final = 16
"""Transfers that are looked at at the same time."""
LOOK: Final = 25.0
"""Seconds that one look may take: a service that hangs holds up nobody else."""
HOLD: Final = 30.0
"""Seconds for which no other keeper looks at what this one took; longer than LOOK."""
FULL: Final = 5.0
"""Seconds until the next turn where the queue takes nothing."""
UNDER_WAY: Final = (TransferState.WAITING, TransferState.MOVING)
PAGE: Final = 1000


class Keeper:
    """One daemon's eyes on all transfers. now: seconds since the epoch."""

    def __init__(self, queue: Queue, looks: Looks, facts: Facts, now: Callable[[], float]) -> None:
        self._queue = queue
        self._looks = looks
        self._facts = facts
        self._now = now
        self._busy: set[int] = set()
        self._troubled: set[int] = set()  # whose trouble was told

    async def run(self) -> None:
        """Until cancelled."""
        with suppress(QueueUnavailable):  # then they are held a little longer
            await self._queue.write(self._take_over)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        for transfer in await self._due(AT_ONCE - len(self._busy)):
                            self._busy.add(transfer.id)
                            tasks.create_task(self._one(transfer), name=f"transfer {transfer.id}")
                        await asyncio.sleep(TURN)
                    except QueueUnavailable as error:
                        self._facts.api_problem("staging", str(error))
                        await asyncio.sleep(FULL)
        finally:
            await self._let_go()

    async def look(self) -> int:
        """One look at everything that is due, to its end; how many there were."""
        due = await self._due(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for transfer in due:
                self._busy.add(transfer.id)
                tasks.create_task(self._one(transfer))
        return len(due)

    async def wake(self, transfer_id: int) -> None:
        """Something happened to it: look at once."""
        self._looks.wake(transfer_id)
        await self._look_now(transfer_id)

    async def _due(self, room: int) -> list[Transfer]:
        if room <= 0:
            return []
        now = self._now()
        due = await self._queue.write(lambda store: store.due_transfers(now, HOLD, room))
        return [transfer for transfer in due if transfer.id not in self._busy]

    def _take_over(self, store: Store) -> None:
        """What a keeper that was killed held is looked at now; where another lives, one of the two looks in vain."""
        now, before = self._now(), None
        while page := store.transfers(None, UNDER_WAY, PAGE, before):
            for transfer in page:
                if now < transfer.next_look <= now + HOLD:
                    store.change_transfer(transfer.id, Changes(next_look=now))
            before = page[-1].id

    async def _let_go(self) -> None:
        """What was being looked at when this daemon stops: the next one need not wait until it is let go of."""
        for transfer_id in self._busy:
            await self._look_now(transfer_id)

    async def _look_now(self, transfer_id: int) -> None:
        changes = Changes(next_look=self._now())
        with suppress(UnknownTransfer, QueueUnavailable):
            await self._queue.write(lambda store: store.change_transfer(transfer_id, changes))

    # -- one transfer -------------------------------------------------------------------------------------------------

    async def _one(self, transfer: Transfer) -> None:
        """Whatever is wrong with it, the others go on."""
        try:
            async with asyncio.timeout(LOOK):
                await self._looks.look(transfer)
            self._troubled.discard(transfer.id)
        except (IllegalTransition, UnknownTransfer):
            pass  # somebody else moved or removed it meanwhile; where it stays, it is due again
        except QueueUnavailable:
            pass  # the next turn says so; the hold ends by itself
        except Exception as error:  # noqa: BLE001 - as above: whatever it is
            await self._trouble(transfer, error)
        self._busy.discard(transfer.id)

    async def _trouble(self, transfer: Transfer, error: Exception) -> None:
        if transfer.id not in self._troubled:
            self._troubled.add(transfer.id)
            why = str(error) or f"no answer in {LOOK:g} s"
            self._facts.api_problem("staging", f"transfer {transfer.id}: {type(error).__name__}: {why}")
        with suppress(UnknownTransfer, QueueUnavailable):
            patience = CLEANING if transfer.state in ENDED else UPLOADING
            await self._looks.wait(transfer, delay(patience, transfer.looks))
