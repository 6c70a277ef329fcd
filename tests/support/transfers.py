"""What tests of transfers in the queue share: short ways to one in any state."""

from dataclasses import dataclass

from headrace_queue.jobs import Owner
from headrace_queue.store import Store
from headrace_queue.transfers import NO_CHANGES, Changes, Direction, Transfer, TransferSpec, TransferState
from tests.support.queue import Clock

_WAY: dict[TransferState, tuple[str, ...]] = {
    TransferState.WAITING: (),
    TransferState.MOVING: ("arrive",),
    TransferState.READY: ("arrive", "offer"),
    TransferState.DONE: ("arrive", "land"),
    TransferState.EXPIRED: ("arrive", "offer", "expire"),
    TransferState.FAILED: ("arrive", "fail"),
    TransferState.CANCELLED: ("arrive", "cancel"),
    TransferState.TIMEOUT: ("time_out",),
}
"""The events that lead there; a download has arrived from its start."""


def owner(user: str = "ann") -> Owner:
    return Owner(user, "/data", 1000, 1000, (1000, 27))


def transfer_spec(direction: Direction, user: str = "ann", key: str = "key") -> TransferSpec:
    """Of 10 bytes: an upload to /data/f, or a download of version v1 of it."""
    if direction is Direction.UPLOAD:
        return TransferSpec(direction, "alps", owner(user), "/data/f", 10, "staging", key, part_size=5, deadline=1e9)
    return TransferSpec(direction, "alps", owner(user), "/data/f", 10, "staging", key, lifetime=60.0, fingerprint="v1")


@dataclass
class TransferBench:
    """A store and the clock it reads. made: counts keys, which nobody uses twice."""

    store: Store
    clock: Clock
    made: int = 0

    def upload(self, user: str = "ann", limit: int | None = None) -> Transfer:
        return self.store.add_transfer(transfer_spec(Direction.UPLOAD, user, self._key()), limit)

    def download(self, user: str = "ann", limit: int | None = None) -> Transfer:
        return self.store.add_transfer(transfer_spec(Direction.DOWNLOAD, user, self._key()), limit)

    def offer(self, transfer: Transfer, expires: float = 100.0) -> Transfer:
        return self.store.move_transfer(transfer.id, "offer", Changes(expires=expires))

    def changes_of(self, event: str) -> Changes:
        """What a move needs beside its name."""
        return {"offer": Changes(expires=100.0), "fail": Changes(error="no space")}.get(event, NO_CHANGES)

    def transfer_in(self, state: TransferState, direction: Direction) -> Transfer:
        transfer = self.upload() if direction is Direction.UPLOAD else self.download()
        for event in _WAY[state]:
            if event != "arrive" or direction is Direction.UPLOAD:
                transfer = self.store.move_transfer(transfer.id, event, self.changes_of(event))
        assert transfer.state is state
        return transfer

    def ended(self) -> Transfer:
        """A cancelled one that left nothing behind."""
        return self.store.move_transfer(self.upload().id, "cancel", Changes(staged=False))

    def due(self, now: float, hold: float = 60.0) -> list[int]:
        return [transfer.id for transfer in self.store.due_transfers(now, hold)]

    def _key(self) -> str:
        self.made += 1
        return f"{self.made}/f"
