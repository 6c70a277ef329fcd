"""What of a job is to be told, and to whom. Nothing here waits or sends."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headrace_queue.jobs import Job
from headrace_queue.notices import STALL_TOLD, Movement, NoticeEvent
from headrace_queue.states import JobState

if TYPE_CHECKING:
    from headrace_queue.config_notices import NoticeConfig

END: Final[dict[JobState, NoticeEvent]] = {
    JobState.DONE: NoticeEvent.DONE,
    JobState.INCOMPLETE: NoticeEvent.INCOMPLETE,
    JobState.FAILED: NoticeEvent.FAILED,
    JobState.CANCELLED: NoticeEvent.CANCELLED,
}


def receivers(notices: Mapping[str, "NoticeConfig"], job: Job, event: NoticeEvent) -> list[str]:
    """The names of those that want to hear of it: every job's, or this one's by its own choice, each once.

    A dry run changes nothing, so that only those hear of it that it names itself.
    """
    labels, options = dict(job.spec.labels), job.spec.options
    found = []
    for name, one in notices.items():
        every = one.jobs == "all" and one.labels.items() <= labels.items() and not options.dry_run
        if event in one.on and (every or name in options.notify):
            found.append(name)
    return found


def unknown_receivers(notices: Mapping[str, "NoticeConfig"], job: Job) -> list[str]:
    """What the job names and config.toml has no more."""
    return [name for name in job.spec.options.notify if name not in notices]


@dataclass(slots=True)
class _Seen:
    """mark: how far the job was; since: when it came there."""

    mark: tuple[object, ...]
    since: float


@dataclass(slots=True)
class Stalls:
    """Which jobs have not moved for `after` seconds. What was before this daemon started is not known: it counts from
    its first look."""

    after: float
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _last_move: float | None = None

    def look(self, now: float, movements: Iterable[Movement]) -> tuple[list[Job], list[int]]:
        """The jobs that stall and nobody was told of; the numbers of those that were told and move again.

        now: seconds of a clock that never goes back. movements: of all that run or are queued. A job that is queued
        waits for its turn as long as any other moves, and one that starts after others waits for them.
        """
        if self._last_move is None:
            self._last_move = now
        there, again = list(movements), []
        for movement in there:
            number = movement.job.id
            before = self._seen.get(number)
            if before is None or before.mark != movement.mark:
                self._seen[number] = _Seen(movement.mark, now)
                if before is not None:
                    self._last_move = now
                    if movement.told & STALL_TOLD:
                        again.append(number)
        self._seen = {movement.job.id: self._seen[movement.job.id] for movement in there}
        idle = now - self._last_move >= self.after
        stalled = [
            movement.job
            for movement in there
            if not movement.told & STALL_TOLD
            and now - self._seen[movement.job.id].since >= self.after
            and (movement.job.state is JobState.RUNNING or (idle and not movement.job.spec.after))
        ]
        return stalled, again
