"""Turns whose number follows what was seen in the last one."""

import asyncio
from collections import deque


class Turns:
    """`async with turns`: at most `most` at once, and only `least` after one that never waited for a device.

    A step that finds everything in memory costs processor time alone: beside it, others like it only contend for it.
    One that waits for a disk leaves the processor to others. told() says which kind the last one was.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._limit = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def told(self, *, waited: bool) -> None:
        """Whether the step of a turn had to wait for a device."""
        self._limit = self._most if waited else self._least
        self._hand_over()

    async def __aenter__(self) -> None:
        if self._taken < self._limit:
            self._taken += 1
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
        self._taken -= 1
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._taken < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                self._taken += 1
                turn.set_result(None)
