"""Waiting for an endpoint: who may send now, who queues, and the one task that probes what was set aside."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from headrace_daemon.s3.endpoints import Ending, Endpoint, Endpoints
from headrace_daemon.s3.errors import RemoteDown

PATIENCE: Final = 10.0
"""Seconds that callers wait for an endpoint to come back before they hear RemoteDown and let go of their batch."""
FIRST_PATIENCE: Final = 2.0
"""The same where none ever answered: no work in flight is lost, and somebody may wait to hear why nothing moves."""


class Pool:
    """Hands endpoints to requests, first come, first served.

    probe: whether an endpoint answers; must not raise. clock: seconds of a steady clock.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        probe: Callable[[Endpoint], Awaitable[bool]],
        clock: Callable[[], float],
        patience: float = PATIENCE,
    ) -> None:
        self.endpoints = endpoints
        self._probe = probe
        self._clock = clock
        self._patience = patience
        self._waiting: deque[asyncio.Future[Endpoint]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._confirming: dict[Endpoint, asyncio.Task[None]] = {}

    def take_now(self, avoid: Endpoint | None) -> Endpoint | None:
        """An endpoint if one has room; give it back by `ended`. Nobody is overtaken: room goes to those who wait as it
        appears, so that there is none left while somebody does."""
        return self.endpoints.take(avoid)

    async def take(self) -> Endpoint:
        """Waits for room; give the endpoint back by `ended`. Raises RemoteDown once none answered for `patience`."""
        if self._gave_up():
            raise self._down()
        self._keep_probing()
        turn: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # cancelled between the hand-over and its arrival: the slot would be lost for ever
                self.ended(turn.result(), Ending.UNKNOWN, "")
            raise

    def ended(self, endpoint: Endpoint, ending: Ending, reason: str) -> None:
        """A request is over: its slot goes to whoever waits, and a failing endpoint is probed from now on."""
        now = self._clock()
        self.endpoints.ended(endpoint, ending, reason, now)
        if self._waiting:
            self._hand_over()
        if not endpoint.healthy:
            self._keep_probing()
        elif self.endpoints.suspected(endpoint, now):
            self._confirm(endpoint)

    def arriving(self, endpoint: Endpoint) -> None:
        """Some of an answer came from an endpoint that was taken."""
        self.endpoints.arriving(endpoint, self._clock())

    async def confirm(self, endpoint: Endpoint) -> None:
        """Returns once it is known whether an endpoint whose last answer was a fault is alive; it is set aside where
        not. At once where other requests were answered since."""
        if self.endpoints.suspected(endpoint, self._clock(), faults=1):
            # shielded: one caller that is cancelled must not take the answer away from the others
            await asyncio.shield(self._confirm(endpoint))

    def _confirm(self, endpoint: Endpoint) -> asyncio.Task[None]:
        """One probe at a time."""
        task = self._confirming.get(endpoint)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._probe_suspect(endpoint), name="probe a suspect")
            self._confirming[endpoint] = task
        return task

    async def _probe_suspect(self, endpoint: Endpoint) -> None:
        try:
            await self._probe_one(endpoint)
        finally:
            del self._confirming[endpoint]
        if not endpoint.healthy:
            self._keep_probing()

    async def close(self) -> None:
        """Ends the probing; whoever still waits hears RemoteDown."""
        tasks = [*self._confirming.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None
        self._turn_away(lambda: RemoteDown("closed", "the remote was closed"))

    def _hand_over(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()  # its caller was cancelled
                continue
            endpoint = self.endpoints.take()
            if endpoint is None:
                return
            self._waiting.popleft().set_result(endpoint)

    def _turn_away(self, error: Callable[[], RemoteDown]) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error())

    def _gives_up_at(self) -> float | None:
        """When those who wait hear RemoteDown; None while an endpoint is healthy."""
        if self.endpoints.down_since is None:
            return None
        patience = self._patience if self.endpoints.answers else min(self._patience, FIRST_PATIENCE)
        return self.endpoints.down_since + patience

    def _gave_up(self) -> bool:
        gives_up_at = self._gives_up_at()
        return gives_up_at is not None and self._clock() >= gives_up_at

    def _down(self) -> RemoteDown:
        urls = ", ".join(endpoint.url for endpoint in self.endpoints.all)
        return RemoteDown("remote_down", f"no endpoint answers ({urls}); last: {self.endpoints.last_reason}")

    def _keep_probing(self) -> None:
        if self._task is None and self.endpoints.next_probe() is not None:
            self._task = asyncio.get_running_loop().create_task(self._probe_until_healthy(), name="probe endpoints")

    async def _probe_until_healthy(self) -> None:
        try:
            while (due_at := self.endpoints.next_probe()) is not None:
                await asyncio.sleep(max(0.0, self._wake_at(due_at) - self._clock()))
                await asyncio.gather(*(self._probe_one(endpoint) for endpoint in self.endpoints.due(self._clock())))
                if self._gave_up():
                    self._turn_away(self._down)
        finally:
            self._task = None

    def _wake_at(self, due_at: float) -> float:
        """When to look again: for the next probe, or earlier because the patience of those who wait ends."""
        gives_up_at = self._gives_up_at()
        return due_at if gives_up_at is None or self._gave_up() else min(due_at, gives_up_at)

    async def _probe_one(self, endpoint: Endpoint) -> None:
        alive = await self._probe(endpoint)
        self.endpoints.probed(endpoint, alive, self._clock())
        self._hand_over()
