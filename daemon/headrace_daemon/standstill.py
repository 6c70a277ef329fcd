"""When a drain may give up: nothing but waiting is left, and has been for long enough. Pure decisions, no I/O."""

from collections.abc import Sequence

from headrace_daemon.facts import Facts
from headrace_queue.jobs import Counters, Job


class Answers(Facts):
    """Counts what services answered well: while that grows, something moves, whatever jobs say that they wait for."""

    def __init__(self) -> None:
        self.count = 0

    def request(
        self, remote: str, endpoint: str, operation: str, status: int, seconds: float, sent: int, received: int
    ) -> None:
        if 200 <= status < 300:
            self.count += 1


class Standstill:
    """patience: seconds for which every unfinished job has to wait, with nothing moving, before it is one."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None
        self._seen: tuple[int, list[tuple[int, Counters]]] | None = None

    def look(self, now: float, jobs: Sequence[Job], answered: int) -> bool:
        """Whether it is one by now. jobs: those that are not at their end. answered: see Answers; `now`: seconds of a
        steady clock."""
        seen = (answered, [(job.id, job.counters) for job in jobs])
        if not jobs or seen != self._seen or any(job.waiting is None for job in jobs):
            self._since, self._seen = None, seen
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._patience
