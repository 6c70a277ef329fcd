"""Which object a repeated request was for.

The remote knows requests, not objects. Each lane works on one object at a time, so a counter in the lane's context
is the object's; tasks that a lane starts for the parts of an object inherit it.
"""

from contextvars import ContextVar

from headrace_daemon.facts import Facts


class Tally:
    """How many requests of the current object were sent again, and why the last of them was."""

    __slots__ = ("reason", "retries")

    def __init__(self) -> None:
        self.retries = 0
        self.reason = ""  # the error's code, or the word of a verdict

    def take(self) -> int:
        """The count since the last take; the next object starts without any."""
        count, self.retries, self.reason = self.retries, 0, ""
        return count


_current: ContextVar[Tally | None] = ContextVar("headrace_tally", default=None)


def new_tally() -> Tally:
    """Start counting for whatever this task does from here on."""
    tally = Tally()
    _current.set(tally)
    return tally


class TallyFacts(Facts):
    """The sink that counts."""

    def retried(self, remote: str, endpoint: str, operation: str, reason: str) -> None:
        tally = _current.get()
        if tally is not None:
            tally.retries += 1
            tally.reason = reason
