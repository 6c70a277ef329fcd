"""Schedules as they stand in the queue: plain frozen data. What fires one is a trigger; what it enqueues is a command.

Times are seconds since the epoch, durations seconds. A *planned instant* is one that the rule names; a schedule is
*due* at the planned instant and its jitter. A *firing* is one enqueueing of the command.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from headrace_queue.errors import HeadraceError, SchemaMismatch

SCHEDULE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
LABEL: Final = "schedule"
"""The label of every job of a schedule; its value is the schedule's name."""
MOST_PENDING: Final = 1000
"""Ends of other jobs that a schedule remembers until it has fired for each; older ones are forgotten."""
MOST_JOBS: Final = 100
"""Jobs of the last firing that a schedule remembers."""


class UnknownSchedule(HeadraceError):
    """There is no schedule of this name: look at `headrace schedule list`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"schedule {name}: no such schedule. `headrace schedule list` shows those that exist.")
        self.name = name


class Trigger(StrEnum):
    """What fires a schedule."""

    CRON = "cron"  # instants of a calendar
    EVERY = "every"  # instants at one distance, counted from when it was made
    WATCH = "watch"  # files that are new or changed below the source
    MESSAGES = "messages"  # events of a bucket, from a queue of SQS
    AFTER = "after"  # jobs of a data set or of another schedule that are done


TIMED: Final = frozenset({Trigger.CRON, Trigger.EVERY})
"""Triggers that name instants."""


class Origin(StrEnum):
    """Where a schedule was written."""

    CONFIG = "config"  # [schedules.NAME] of config.toml
    COMMAND = "command"  # headrace schedule add, or --watch


class CatchUp(StrEnum):
    """What becomes of instants that passed while no daemon ran."""

    ONCE = "once"  # one firing for all of them
    SKIP = "skip"  # none
    ALL = "all"  # one for each, the oldest first, each after the one before it is over


class Overlap(StrEnum):
    """What becomes of an instant at which the last job of the schedule is not over."""

    SKIP = "skip"  # it passes without a firing
    HOLD = "hold"  # the firing waits for the end of that job


@dataclass(frozen=True, slots=True)
class Rule:
    """When a schedule fires. Of cron, every, after and messages the one of its trigger is set."""

    cron: str | None = None  # five fields, as in crontab(5)
    every: float | None = None
    timezone: str = "UTC"  # of cron: a name of the IANA database
    jitter: float = 0.0  # at most so much later, drawn anew for every instant
    catch_up: CatchUp = CatchUp.ONCE
    overlap: Overlap = Overlap.SKIP
    after: str | None = None  # the name of a data set or of a schedule
    messages: str | None = None  # the URL of a queue of SQS
    remote: str = "s3"  # whose credentials read that queue
    settle: float = 30.0  # of watch: how long a file is left alone
    rescan: float | None = None  # of watch: between two looks at everything; None: as the file system needs it

    @property
    def fires_by(self) -> tuple[object, ...]:
        """What names its instants, or whose ends it fires for."""
        return (self.cron, self.every, self.timezone if self.cron is not None else None, self.after)


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What a person wrote. command: the words of a submission, such as ("run", "sentinel2", "--exclude-downloads").
    cwd: the absolute folder that relative paths in it count from; '' where there is none."""

    name: str
    trigger: Trigger
    rule: Rule
    command: tuple[str, ...]
    cwd: str
    origin: Origin = Origin.COMMAND

    @property
    def folder(self) -> Path | None:
        return Path(self.cwd) if self.cwd else None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a schedule is. Written as a whole; what changed meanwhile is seen by `Schedule.revision`."""

    paused: bool = False
    planned: float | None = None  # the next planned instant; None before the first was worked out, and without instants
    due: float | None = None  # that and its jitter
    held_since: float | None = None  # since when a firing waits for the end of another job
    fired: float | None = None  # the last firing
    succeeded: float | None = None  # when a job of it was last done
    jobs: tuple[int, ...] = ()  # of the last firing
    pending: tuple[int, ...] = ()  # of AFTER: jobs that are done, for each of which it has yet to fire
    note: str | None = None  # why the last instant passed without a firing, or what the last firing was for
    error: str | None = None  # why the command could not be enqueued; None once it could


@dataclass(frozen=True, slots=True)
class Schedule:
    """A row of the queue. revision grows with every change. holder: the worker that watches, where one has to."""

    id: int
    spec: ScheduleSpec
    standing: Standing
    created: float
    revision: int
    holder: str | None = None

    @property
    def name(self) -> str:
        return self.spec.name


CIRCLE: Final = "they would fire each other for ever"


def circle(commands: Mapping[str, tuple[Sequence[str], str | None]]) -> list[str]:
    """Names of schedules that fire each other in a circle, the first of them twice; none where there is no circle.

    commands: name -> the words of its command, and what it comes after. A `run` counts as each data set that it names.
    """
    ends = {name: {name, *_datasets(words)} for name, (words, _) in commands.items()}
    after = {name: first for name, (_, first) in commands.items() if first is not None}
    before = {
        name: [other for other, made in ends.items() if first in made or (_EVERY in made and first not in commands)]
        for name, first in after.items()
    }
    for name in after:
        paths = [[name]]
        seen = set()
        while paths:
            path = paths.pop()
            for other in before.get(path[-1], ()):
                if other == name:
                    return [name, *reversed(path)]
                if other not in seen:
                    seen.add(other)
                    paths.append([*path, other])
    return []


_EVERY: Final = "--all"
_LABELLED: Final = "dataset="


def _datasets(words: Sequence[str]) -> Sequence[str]:
    """The data sets that a command runs, by their names or by a label; a word too many does no harm."""
    labelled = [word.removeprefix("--label=")[len(_LABELLED) :] for word in words if _says_label(word)]
    return [*(words[1:] if words[:1] and words[0] == "run" else ()), *labelled]


def _says_label(word: str) -> bool:
    return word.removeprefix("--label=").startswith(_LABELLED)


def encode_rule(rule: Rule) -> str:
    return json.dumps(asdict(rule))


def decode_rule(text: str) -> Rule:
    """A field that an older Headrace did not know has its default.

    Raises SchemaMismatch for one that only a newer Headrace knows: what it was told to do must not be ignored.
    """
    values = json.loads(text)
    unknown = values.keys() - {one.name for one in fields(Rule)}
    if unknown:
        raise SchemaMismatch(f"a schedule has the rules {sorted(unknown)}, which only a newer Headrace knows: upgrade.")
    rule = Rule(**values)
    return replace(rule, catch_up=CatchUp(rule.catch_up), overlap=Overlap(rule.overlap))
