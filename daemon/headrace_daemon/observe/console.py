"""What a person who started a drain should read while it works: what a job waits for, why one failed, what is odd.

The log says everything, in its own form; this says little, on standard error, and a reason once until it changes.
"""

from collections.abc import Callable

from headrace_daemon.facts import Facts, Outcome
from headrace_queue.advice import split_advice
from headrace_queue.jobs import Item
from headrace_queue.render import shown


class ConsoleFacts(Facts):
    """write: takes one line without its end."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said: dict[int, str] = {}

    def job_event(self, job: int, event: str, detail: str) -> None:
        if event == "waiting" and self._said.get(job) != detail:
            self._said[job] = detail
            self._write(f"job {job} waits: {shown(detail)}")
        elif event == "warning":
            self._write(f"job {job}: warning: {shown(detail)}" if job else f"warning: {shown(detail)}")
        elif event == "failed":
            why, remedy = split_advice(detail)
            self._write(f"job {job} failed: {shown(why)}")
            if remedy:
                self._write(f"  do:  {shown(remedy)}")

    def object_done(self, job: int, direction: str, item: Item, outcome: Outcome) -> None:
        """It moves again: should it have to wait once more, that is news."""
        self._said.pop(job, None)
