"""[schedules.NAME] of config.toml: what is enqueued by itself, and when."""

import os
import shlex
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from headrace_queue.config_section import AbsolutePath, Seconds, Section
from headrace_queue.errors import UsageError
from headrace_queue.schedules import (
    CIRCLE,
    SCHEDULE_NAME,
    CatchUp,
    Origin,
    Overlap,
    Rule,
    ScheduleSpec,
    Trigger,
    circle,
)

TRIGGERS = ("cron", "every", "messages", "after")
SHORTEST = 1.0
"""Seconds between two firings."""


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"{value!r} has a quotation mark without its second one ({error}); write a list") from None


class ScheduleConfig(Section):
    """One of cron, every, messages and after says when; the command is a submission without `headrace`."""

    command: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(min_length=1)
    cron: str | None = None
    every: Seconds | None = Field(default=None, ge=SHORTEST)
    after: str | None = None
    messages: str | None = None
    timezone: str | None = None  # of cron; default: this host's
    jitter: Seconds = Field(default=0.0, ge=0)
    catch_up: CatchUp = CatchUp.ONCE
    overlap: Literal["skip", "hold"] = "skip"
    remote: str = "s3"
    directory: AbsolutePath | None = None  # what relative paths in the command count from

    @model_validator(mode="after")
    def _one_trigger(self) -> "ScheduleConfig":
        given = [name for name in TRIGGERS if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"{' and '.join(given)} are {len(given)} triggers" if given else "nothing says when it fires"
            raise ValueError(f"{what}; write one of {', '.join(TRIGGERS)}")
        self._check()
        return self

    def _check(self) -> None:
        from headrace_queue.schedule_times import check_cron, check_timezone

        try:
            if self.cron is not None:
                check_cron(self.cron)
            if self.timezone is not None:
                check_timezone(self.timezone)
        except UsageError as error:
            raise ValueError(f"{error.what}: {error.why}; {error.remedy}") from None
        if self.messages is not None and not self.messages.startswith(("https://", "http://")):
            raise ValueError(f"messages = {self.messages!r} is no URL; write that of a queue of SQS")

    def spec(self, name: str) -> ScheduleSpec:
        """The schedule of this name."""
        from headrace_queue.schedule_times import zone_of_host

        trigger = next(Trigger(name) for name in TRIGGERS if getattr(self, name) is not None)
        rule = Rule(
            cron=self.cron,
            every=self.every,
            timezone=self.timezone or zone_of_host(os.environ),
            jitter=self.jitter,
            catch_up=self.catch_up,
            overlap=Overlap(self.overlap),
            after=self.after,
            messages=self.messages,
            remote=self.remote,
        )
        return ScheduleSpec(name, trigger, rule, self.command, str(self.directory or ""), Origin.CONFIG)


def refuse_unclear_schedules(schedules: Mapping[str, ScheduleConfig], remotes: Collection[str]) -> None:
    """Raises ValueError for a name that could not be typed, for schedules that would fire each other for ever, and for
    a remote that there is not."""
    for name, schedule in schedules.items():
        if not SCHEDULE_NAME.fullmatch(name):
            raise ValueError(f"schedules.{name}: it cannot be a name; use letters, digits, -, _ and .")
        if schedule.messages is not None and schedule.remote not in remotes:
            known = ", ".join(sorted(remotes))
            raise ValueError(f"schedules.{name}: there is no remote {schedule.remote!r}; there are: {known}")
    commands = {name: (schedule.command, schedule.after) for name, schedule in schedules.items()}
    if names := circle(commands):
        raise ValueError(f"schedules.{names[0]}: {CIRCLE} ({' -> '.join(names)}); let one of them begin otherwise")
