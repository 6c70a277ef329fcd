"""Fires schedules: the command's words become jobs as they are now, and these are enqueued in one commit with what is
known of the schedule. Whoever loses a race against another daemon has done nothing."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headrace_daemon.facts import Facts
from headrace_daemon.schedules.due import Turn, look
from headrace_daemon.schedules.firing import Fire, Firing
from headrace_daemon.schedules.narrowing import Narrow, by_names
from headrace_daemon.schedules.reading import CommandReader, NoAnswer
from headrace_queue.collisions import Collision
from headrace_queue.command_specs import specs_of
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Job, JobSpec
from headrace_queue.overlap import Services
from headrace_queue.schedule_firing import busy_job, fire
from headrace_queue.schedules import Schedule, Standing, UnknownSchedule
from headrace_queue.store import Store
from headrace_queue.writer import Queue


def _whole(spec: JobSpec) -> JobSpec | None:
    return spec


class Firings:
    """now: seconds since the epoch. chance: uniform from 0 to 1. file: where the configuration was read from."""

    def __init__(
        self,
        queue: Queue,
        config: Config,
        file: Path | None,
        facts: Facts,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = lambda: 0.0,
        reader: CommandReader | None = None,
    ) -> None:
        self._queue = queue
        self._config = config
        self._file = file
        self._facts = facts
        self._now = now
        self._chance = chance
        self._services = Services(config.remotes)
        self._reader = reader or CommandReader()

    # -- by the clock -------------------------------------------------------------------------------------------------

    async def timed(self, schedule: Schedule) -> bool:
        """Whatever is due of it; False where it waits for the end of a job. Raises QueueUnavailable."""
        busy = await self._queue.read(lambda store: busy_job(store, schedule))
        turn = look(schedule, self._now(), busy, self._chance)
        if turn is None:
            return False
        if turn.fire is None:
            await self._note(schedule, turn)
            return True
        instant = datetime.fromtimestamp(turn.fire, UTC).isoformat()
        try:
            await self.enqueue(schedule, turn.standing, instant, turn.standing.note or "")
        except Collision as error:
            again = look(schedule, self._now(), error.other.id, self._chance)
            if again is None:
                return False
            await self._note(schedule, again)
        except NoAnswer as error:
            await self._failed(schedule, schedule.standing, error)
            return False
        except UsageError as error:
            await self._failed(schedule, turn.standing, error)
        return True

    async def _note(self, schedule: Schedule, turn: Turn) -> None:
        if await self._write(schedule, turn.standing) and (turn.standing.note or "").startswith("passed over"):
            self._facts.schedule_event(schedule.name, "passed_over", turn.standing.note or "")

    # -- after other jobs ---------------------------------------------------------------------------------------------

    async def after(self, schedule: Schedule) -> bool:
        """For the oldest end of another job that it has yet to fire for; False where it has to wait."""
        if await self._queue.read(lambda store: busy_job(store, schedule)) is not None:
            return False
        ended, *rest = schedule.standing.pending
        standing = replace(schedule.standing, pending=tuple(rest), note=f"after job {ended}")
        try:
            await self.enqueue(schedule, standing, f"after-{ended}", f"after job {ended}")
        except Collision:
            return False
        except NoAnswer as error:
            await self._failed(schedule, schedule.standing, error)
            return False
        except UsageError as error:
            await self._failed(schedule, standing, error)
        return True

    # -- by what a folder or a bucket says ----------------------------------------------------------------------------

    def of(self, name: str) -> Fire:
        """How whoever watches for this schedule fires it. Raises QueueUnavailable."""

        async def fire_it(firing: Firing) -> bool:
            return await self.told(name, firing.why, by_names(self._config.state_dir, firing))

        return fire_it

    async def told(self, name: str, why: str, narrow: Narrow) -> bool:
        """One firing for what was seen; False where it cannot be now. narrow: what of each job of the command is meant,
        called in a thread. Raises QueueUnavailable."""
        try:
            schedule = await self._queue.read(lambda store: store.schedule(name))
        except UnknownSchedule:
            return True  # nobody wants it any more
        if schedule.standing.paused or await self._queue.read(lambda store: busy_job(store, schedule)) is not None:
            return False
        try:
            return await self.enqueue(schedule, replace(schedule.standing, note=why), None, why, narrow)
        except Collision:
            return False
        except UsageError as error:
            await self._failed(schedule, schedule.standing, error)
            return False

    async def waits(self, name: str, why: str | None) -> None:
        """What keeps whoever watches from it, as the list shows it; None: nothing does any more."""
        try:
            schedule = await self._queue.read(lambda store: store.schedule(name))
        except UnknownSchedule:
            return
        if schedule.standing.error != why:
            await self._write(schedule, replace(schedule.standing, error=why))

    # -- all of them --------------------------------------------------------------------------------------------------

    async def enqueue(
        self, schedule: Schedule, standing: Standing, instant: str | None, why: str, narrow: Narrow = _whole
    ) -> bool:
        """False where the schedule changed meanwhile: whoever reads it anew decides anew. Raises UsageError, Collision,
        QueueUnavailable."""
        specs = await self._specs(schedule, narrow)
        if not specs:
            return True
        now = self._now()

        def commit(store: Store) -> list[Job] | None:
            return fire(store, schedule, standing, specs, self._services, instant=instant, now=now)

        try:
            jobs = await self._queue.write(commit)
        except UnknownSchedule:
            return True
        if jobs is None:
            return False
        numbers = ", ".join(str(job.id) for job in jobs)
        self._facts.schedule_event(schedule.name, "fired", f"job {numbers}" + (f": {why}" if why else ""))
        return True

    async def _specs(self, schedule: Schedule, narrow: Narrow) -> list[JobSpec]:
        """Raises UsageError; NoAnswer where a path hangs."""
        spec = schedule.spec

        def make() -> list[JobSpec]:
            made = map(narrow, specs_of(spec.command, self._config, spec.folder, self._file))
            return [one for one in made if one is not None]

        return await self._reader.read(spec.name, make)

    async def _failed(self, schedule: Schedule, standing: Standing, error: UsageError) -> None:
        """Said once, as long as nothing about it changes."""
        text = str(error)
        if text == schedule.standing.error and standing == schedule.standing:
            return
        if await self._write(schedule, replace(standing, error=text)):
            self._facts.schedule_event(schedule.name, "failed", text)

    async def _write(self, schedule: Schedule, standing: Standing) -> bool:
        """False where somebody changed it meanwhile."""

        def change(store: Store) -> bool:
            if store.schedule(schedule.name).revision != schedule.revision:
                return False
            store.change_schedule(schedule.name, standing)
            return True

        try:
            return await self._queue.write(change)
        except UnknownSchedule:
            return False
