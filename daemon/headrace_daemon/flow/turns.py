"""Turns whose number moves while they are taken."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque


class MovingTurns(ABC):
    """`async with turns`: at most `limit` at once, first come first served."""

    def __init__(self) -> None:
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    @abstractmethod
    def limit(self) -> int:
        """How many there are now; whoever changes it calls moved()."""

    def moved(self) -> None:
        """The limit may be another."""
        while self._waiting and self.taken < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                self.taken += 1
                turn.set_result(None)

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._waiting)

    async def __aenter__(self) -> None:
        if self.taken < self.limit:
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # cancelled between the hand-over and its arrival
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        self.taken -= 1
        self.moved()


class Turns(MovingTurns):
    """At most `most` at once, and only `least` after one that never waited for a device.

    A step that finds everything in memory costs processor time alone: beside it, others like it only contend for it.
    One that waits for a disk leaves the processor to others. told() says which kind the last one was.
    """

    def __init__(self, least: int, most: int) -> None:
        super().__init__()
        self._least = least
        self._most = most
        self._limit = most

    @property
    def limit(self) -> int:
        return self._limit

    def told(self, *, waited: bool) -> None:
        """Whether the step of a turn had to wait for a device."""
        self._limit = self._most if waited else self._least
        self.moved()
