"""The demo's misfortune: one endpoint dies in the middle of the relay, and comes back before its end."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

DOWN_FROM = 0.25
UP_FROM = 0.35


class OutageState(Enum):
    BEFORE = "before"
    DOWN = "down"
    BACK = "back"


def next_state(state: OutageState, share: float) -> OutageState:
    """Where the outage stands once this share of the objects has arrived; one step at a time."""
    if state is OutageState.BEFORE and share >= DOWN_FROM:
        return OutageState.DOWN
    if state is OutageState.DOWN and share >= UP_FROM:
        return OutageState.BACK
    return state


@dataclass(slots=True)
class Outage:
    """Acts on what it is shown of the progress, never on time: it happens on a slow machine and on a fast one.

    stop, start: what ends and starts the endpoint. clock: seconds since the epoch. came_back: when, None before.
    """

    stop: Callable[[], None]
    start: Callable[[], None]
    clock: Callable[[], float]
    state: OutageState = OutageState.BEFORE
    came_back: float | None = None

    def look(self, done: int, of: int) -> None:
        """done, of: objects."""
        state = next_state(self.state, done / of)
        if state is self.state:
            return
        self.state = state
        if state is OutageState.DOWN:
            self.stop()
        else:
            self.start()
            self.came_back = self.clock()
