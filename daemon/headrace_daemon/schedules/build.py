"""The keeper of schedules, made of its parts."""

import asyncio
import random
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.schedules.firings import Firings
from headrace_daemon.schedules.keeper import ScheduleKeeper
from headrace_daemon.schedules.messages import MessagesOfBucket
from headrace_daemon.schedules.reading import CommandReader
from headrace_daemon.watching.memory import FOLDER, Memory, forget_others
from headrace_daemon.watching.run import Watched, run_watch
from headrace_queue.command_specs import specs_of
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location
from headrace_queue.schedules import Schedule, Trigger
from headrace_queue.store import Store
from headrace_queue.writer import Queue


def keeper_of(
    config: Config, file: Path | None, queue: Queue, remotes: Remotes, facts: Facts, worker_id: str
) -> ScheduleKeeper:
    """file: the one that the configuration was read from, None where it was searched."""
    reader = CommandReader()
    firings = Firings(queue, config, file, facts, time.time, random.random, reader)

    async def folder(schedule: Schedule) -> None:
        waits = partial(firings.waits, schedule.name)
        try:
            spec = await reader.read(schedule.name, partial(_only_job, schedule, config, file))
            watched = _watched(schedule, spec, config.state_dir)
        except UsageError as error:
            await waits(str(error))
            raise
        await asyncio.to_thread(forget_others, config.state_dir, await queue.read(_names))
        await run_watch(watched, firings.of(schedule.name), partial(_tell, facts, schedule), waits=waits)

    async def bucket(schedule: Schedule) -> None:
        rule = schedule.spec.rule
        if rule.messages is None:
            raise UsageError(f"schedule {schedule.name}", "it names no queue of messages", "Make it anew.")
        told, tell = partial(firings.told, schedule.name), partial(_tell, facts, schedule)
        await MessagesOfBucket(rule.messages, remotes.get(rule.remote), config.state_dir, told, tell).run()

    watches = {Trigger.WATCH: folder, Trigger.MESSAGES: bucket}
    return ScheduleKeeper(queue, firings, watches, facts, time.time, worker_id, config.schedules)


def _tell(facts: Facts, schedule: Schedule, event: str, detail: str) -> None:
    facts.schedule_event(schedule.name, event, detail)


def _names(store: Store) -> set[str]:
    return {row.name for row in store.schedules()}


def _watched(schedule: Schedule, spec: JobSpec, state_dir: Path) -> Watched:
    """spec: the job of its command. Raises UsageError where that reads no folder."""
    root = Location.parse(spec.source).path
    if root is None:
        raise UsageError(f"schedule {schedule.name}", f"{spec.source} is no folder of this host", "Make it anew.")
    rule = schedule.spec.rule
    made = (str(schedule.id), repr(schedule.created), *schedule.spec.command)
    memory = Memory(state_dir / FOLDER / f"{schedule.name}.json", (*made, spec.source, spec.destination))
    since = schedule.standing.fired
    watched = Watched(str(root), rule.settle, encoded=spec.options.encode_names, since=since, memory=memory)
    return watched if rule.rescan is None else replace(watched, rescan=rule.rescan)


def _only_job(schedule: Schedule, config: Config, file: Path | None) -> JobSpec:
    """Raises UsageError where the command is more than one."""
    specs = specs_of(schedule.spec.command, config, schedule.spec.folder, file)
    if len(specs) != 1:
        raise UsageError(f"schedule {schedule.name}", f"its command is {len(specs)} jobs", "Watch for one at a time.")
    return specs[0]
