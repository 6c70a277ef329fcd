"""Watches transfers until nothing is left of them: sees that an upload is complete, follows the job that moves the
bytes, ends what nobody completes or fetches in time, and removes what was staged."""

from collections.abc import Callable, Iterator
from typing import Final

from headrace_daemon.facts import Facts
from headrace_daemon.keeping import HOLD, Keeping
from headrace_daemon.staging.looks import Looks
from headrace_daemon.staging.waiting import CLEANING, UPLOADING, delay
from headrace_queue.errors import UnknownTransfer
from headrace_queue.store import Store
from headrace_queue.transfers import ENDED, Changes, Transfer, TransferState
from headrace_queue.writer import Queue

UNDER_WAY: Final = (TransferState.WAITING, TransferState.MOVING)
PAGE: Final = 1000


class Keeper(Keeping[Transfer]):
    """One daemon's eyes on all transfers. now: seconds since the epoch."""

    def __init__(self, queue: Queue, looks: Looks, facts: Facts, now: Callable[[], float]) -> None:
        super().__init__(queue, now, UnknownTransfer)
        self._looks = looks
        self._facts = facts

    async def wake(self, transfer_id: int) -> None:
        """Something happened to it: look at once."""
        self._looks.wake(transfer_id)
        await self._look_now(transfer_id)

    def _take(self, store: Store, now: float, limit: int) -> list[Transfer]:
        return store.due_transfers(now, HOLD, limit)

    def _under_way(self, store: Store) -> Iterator[Transfer]:
        before = None
        while page := store.transfers(None, UNDER_WAY, PAGE, before):
            yield from page
            before = page[-1].id

    def _set_look(self, store: Store, number: int, when: float) -> None:
        store.change_transfer(number, Changes(next_look=when))

    async def _look(self, row: Transfer) -> None:
        await self._looks.look(row)

    async def _put_off(self, row: Transfer) -> None:
        patience = CLEANING if row.state in ENDED else UPLOADING
        await self._looks.wait(row, delay(patience, row.looks))

    def _tell(self, number: int | None, text: str) -> None:
        self._facts.api_problem("staging", text if number is None else f"transfer {number}: {text}")
