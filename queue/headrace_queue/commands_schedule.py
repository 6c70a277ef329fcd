"""`headrace schedule`: what is enqueued by itself, at an instant, after another job, or by what a bucket says.

Everything here works while no daemon runs; what is due then is made up for as the schedule says.
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.client import any_live_worker, queue_exists
from headrace_queue.errors import UsageError
from headrace_queue.following import hint_without_worker
from headrace_queue.job_json import entry_json, to_text
from headrace_queue.jobs import Job, Kind
from headrace_queue.locations import Location
from headrace_queue.overlap import Services
from headrace_queue.refusals import refused
from headrace_queue.render import enqueued_line
from headrace_queue.schedule_json import COLUMNS, last_job, next_text, schedule_json, schedule_row, when_text
from headrace_queue.schedules import (
    CIRCLE,
    SCHEDULE_NAME,
    CatchUp,
    Origin,
    Overlap,
    Rule,
    Schedule,
    ScheduleSpec,
    Standing,
    Trigger,
    UnknownSchedule,
    circle,
)
from headrace_queue.store import Store, open_for_a_look, open_store
from headrace_queue.tables import print_table
from headrace_queue.units import parse_duration

if TYPE_CHECKING:
    from headrace_queue.config import Config

app = typer.Typer(
    name="schedule",
    help="Jobs that are enqueued by themselves: at an instant, after others, by what a bucket says.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="As `headrace schedule list` shows it.")]
_ATTEMPTS: Final = 20
_NOBODY: Final = "No daemon is at work yet; schedules fire while `headraced serve` runs."


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, -, _ and .")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND…", help="A submission without `headrace`: -- run sentinel2.")
    ],
    cron: Annotated[
        str | None, typer.Option("--cron", metavar="RULE", help="Five fields, such as '0 3 * * *'.")
    ] = None,
    every: Annotated[str | None, typer.Option("--every", metavar="TIME", help="Again and again, such as 6h.")] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="NAME", help="When a job of this data set or schedule is done.")
    ] = None,
    messages: Annotated[
        str | None, typer.Option("--messages", metavar="URL", help="A queue of SQS with events of the source bucket.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Of --cron: Europe/Copenhagen. [this host's]")
    ] = None,
    jitter: Annotated[str, typer.Option("--jitter", metavar="TIME", help="Up to so much later, by chance.")] = "0s",
    catch_up: Annotated[
        CatchUp, typer.Option("--catch-up", help="What passed while no daemon ran: one firing, none, or each.")
    ] = CatchUp.ONCE,
    overlap: Annotated[
        Overlap, typer.Option("--overlap", help="While the last job is not over: pass, or wait for its end.")
    ] = Overlap.SKIP,
    remote: Annotated[str, typer.Option("--remote", metavar="NAME", help="Whose credentials read --messages.")] = "s3",
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Add a schedule. The command is checked as if it were typed, and read anew each time it fires."""
    loaded, file = _config(context, config)
    when = {"cron": cron, "every": every, "after": after, "messages": messages}
    rule = _rule(when, timezone, jitter, remote)
    rule = replace(rule, catch_up=catch_up, overlap=overlap)
    trigger = next(Trigger(option) for option, value in when.items() if value is not None)
    spec = ScheduleSpec(name, trigger, rule, tuple(command), os.getcwd())
    with closing(open_store(loaded.queue_url)) as store:
        check(store, loaded, spec, file)
        with store.group():
            row = store.add_schedule(spec)
            row = store.change_schedule(name, _first(row, time.time()))
        if as_json:
            print(to_text({"schedule": schedule_json(row, None)}))
        else:
            print(f"schedule {name}: {when_text(spec)}{_next(row)}")
            if not any_live_worker(store, time.time()):
                print(_NOBODY)
    return 0


@app.command(name="list")
def list_them(context: typer.Context, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """Show all schedules: when each fires next, and what became of its last job."""
    loaded, _ = _config(context, config)
    rows: list[Schedule] = []
    last: dict[str, Job | None] = {}
    alive = False
    if queue_exists(loaded.queue_url):
        with closing(open_for_a_look(loaded.queue_url)) as store:
            rows = store.schedules()
            last = {row.name: last_job(store, row) for row in rows}
            alive = any_live_worker(store, time.time())
    unknown = [name for name in loaded.schedules if name not in last]
    if as_json:
        shown = [schedule_json(row, last[row.name]) for row in rows]
        print(to_text({"schedules": shown, "not_taken_up": unknown, "live_worker": alive}))
        return 0
    if rows:
        print_table(COLUMNS, [schedule_row(row, last[row.name]) for row in rows])
    for name in unknown:
        print(f"schedule {name} of config.toml counts from the next start of headraced on.")
    if not rows and not unknown:
        print("No schedules. `headrace schedule add` makes one.")
    elif not alive:
        print(_NOBODY)
    return 0


@app.command()
def remove(context: typer.Context, name: Name, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """Remove a schedule. Jobs that it enqueued go on."""
    loaded, _ = _config(context, config)
    with closing(open_store(loaded.queue_url)) as store:
        row = _found(store, name, loaded)
        if row.spec.origin is Origin.CONFIG and name in loaded.schedules:
            remedy = f"Remove [schedules.{name}] there and restart headraced; or `headrace schedule pause {name}`."
            raise UsageError(f"schedule {name}", "it stands in config.toml", remedy)
        store.remove_schedule(name)
    print(to_text({"removed": name}) if as_json else f"schedule {name}: removed")
    return 0


@app.command()
def pause(context: typer.Context, name: Name, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """Let it fire no more until it is resumed."""

    def paused(row: Schedule) -> Standing:
        # its next time stays, with the jitter that was drawn for it
        return replace(row.standing, paused=True, held_since=None)

    return _change(context, name, config, as_json, paused)


@app.command()
def resume(context: typer.Context, name: Name, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """Let a paused schedule fire again, from its next time on."""

    def resumed(row: Schedule) -> Standing:
        return _resumed(row, time.time()) if row.standing.paused else row.standing

    return _change(context, name, config, as_json, resumed)


@app.command()
def run(context: typer.Context, name: Name, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """Fire a schedule now, beside its times. A paused one, too."""
    loaded, file = _config(context, config)
    with closing(open_store(loaded.queue_url)) as store:
        _take_up(store, name, loaded)
        jobs = _fire(store, name, loaded, file)
        alive = any_live_worker(store, time.time())
        if as_json:
            entries = [entry_json(job, time.time(), created=True, live_worker=alive) for job in jobs]
            print(to_text({"jobs": entries}))
            return 0
        for job in jobs:
            print(enqueued_line(job, created=True))
        hint_without_worker(store, file)
    return 0


def check(store: Store, config: "Config", spec: ScheduleSpec, file: Path | None) -> None:
    """Raises UsageError for what could never fire as it should."""
    from headrace_queue.command_specs import jobs_of, specs_of

    name, after = spec.name, spec.rule.after
    if not SCHEDULE_NAME.fullmatch(name):
        raise UsageError(f"schedule {name!r}", "a name has 1 to 64 letters, digits, -, _ and .", "Choose another one.")
    if name in config.schedules:
        remedy = f"Choose another name, or change [schedules.{name}] there."
        raise UsageError(f"schedule {name}", "config.toml has one of this name", remedy)
    others = {row.name: (row.spec.command, row.spec.rule.after) for row in store.schedules()}
    others |= {other: (section.command, section.after) for other, section in config.schedules.items()}
    if after is not None and after not in others and after not in config.datasets:
        known = [*config.datasets, *others]
        near = get_close_matches(after, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known)) or 'none yet'}."
        raise UsageError(f"--after {after}", "there is neither a data set nor a schedule of this name", remedy)
    if names := circle(others | {name: (spec.command, after)}):
        raise UsageError(f"schedule {name}", f"{CIRCLE} ({' -> '.join(names)})", "Let one of them begin otherwise.")
    for job in jobs_of(name, None, specs_of(spec.command, config, spec.folder, file)):
        if spec.trigger is Trigger.MESSAGES and (job.kind is not Kind.SYNC or Location.parse(job.source).path):
            why = f"messages name objects of a bucket, and this {job.kind} reads {job.source}"
            raise UsageError("--messages", why, "Use run or sync with a source in a bucket.")
    if spec.trigger is Trigger.MESSAGES and spec.rule.remote not in config.remotes:
        known_remotes = ", ".join(sorted(config.remotes))
        raise UsageError(f"--remote {spec.rule.remote}", "config.toml has no remote of this name", known_remotes)


def _rule(when: dict[str, str | None], timezone: str | None, jitter: str, remote: str) -> Rule:
    """Raises UsageError."""
    from headrace_queue.schedule_times import check_cron, check_timezone, zone_of_host

    chosen = [f"--{option}" for option, value in when.items() if value is not None]
    if len(chosen) != 1:
        what = " with ".join(chosen) or "schedule add"
        why = "a schedule has one trigger" if chosen else "nothing says when it fires"
        raise UsageError(what, why, f"Give one of {', '.join(f'--{option}' for option in when)}.")
    if when["cron"] is not None:
        check_cron(when["cron"])
    elif timezone is not None:
        raise UsageError(f"--timezone {timezone}", "only --cron speaks of hours", "Leave it out.")
    if timezone is not None:
        check_timezone(timezone)
    if when["messages"] is not None and not when["messages"].startswith(("https://", "http://")):
        raise UsageError(f"--messages {when['messages']}", "it is no URL", "Write the URL of a queue of SQS.")
    every = None if when["every"] is None else _seconds("--every", when["every"])
    if every is not None and every < 1:
        raise UsageError(f"--every {when['every']}", "nothing fires more often than each second", "Write 10m or more.")
    return Rule(
        cron=when["cron"],
        every=every,
        timezone=timezone or zone_of_host(os.environ),
        jitter=_seconds("--jitter", jitter),
        after=when["after"],
        messages=when["messages"],
        remote=remote,
    )


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise refused(f"{option} {text}", str(error)) from None


def _first(row: Schedule, now: float) -> Standing:
    """Its next time from now on, where it has times."""
    from headrace_queue.schedule_times import next_instant

    planned = next_instant(row.spec.rule, row.created, now)
    due = None if planned is None else planned + random.random() * row.spec.rule.jitter
    return replace(row.standing, paused=False, planned=planned, due=due, held_since=None)


def _resumed(row: Schedule, now: float) -> Standing:
    """The time that it was paused at counts where it is still to come: chance is drawn once for each."""
    if row.standing.due is not None and row.standing.due > now:
        return replace(row.standing, paused=False)
    return _first(row, now)


def _next(row: Schedule) -> str:
    text = next_text(row)
    return f"; next {text}" if text else ""


def _config(context: typer.Context, after: Path | None) -> tuple["Config", Path | None]:
    from headrace_queue.config import load_config

    file = given.config_file(context, after)
    return load_config(file), file


def _found(store: Store, name: str, config: "Config") -> Schedule:
    """Raises UsageError for a name that is not there, with the nearest one."""
    try:
        return store.schedule(name)
    except UnknownSchedule:
        known = sorted({row.name for row in store.schedules()} | set(config.schedules))
        near = get_close_matches(name, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "`headrace schedule list` shows those that exist."
        if name in known:
            remedy = "It counts from the next start of headraced on."
        raise UsageError(f"schedule {name}", "the queue has no schedule of this name", remedy) from None


def _change(
    context: typer.Context, name: str, config: Path | None, as_json: bool, new: Callable[[Schedule], Standing]
) -> int:
    loaded, _ = _config(context, config)
    with closing(open_store(loaded.queue_url)) as store:
        with store.group():
            row = store.change_schedule(name, new(_found(store, name, loaded)))
        last = last_job(store, row)
    if as_json:
        print(to_text({"schedule": schedule_json(row, last)}))
    else:
        print(f"schedule {name}: {'paused' if row.standing.paused else when_text(row.spec) + _next(row)}")
    return 0


def _take_up(store: Store, name: str, config: "Config") -> None:
    """One of config.toml that no daemon has seen yet can be run all the same."""
    with store.group():
        known = {row.name for row in store.schedules()}
        if name in config.schedules and name not in known:
            store.add_schedule(config.schedules[name].spec(name))
        _found(store, name, config)


def _fire(store: Store, name: str, config: "Config", file: Path | None) -> list[Job]:
    """Raises UsageError."""
    from headrace_queue.command_specs import specs_of
    from headrace_queue.schedule_firing import fire

    for _ in range(_ATTEMPTS):
        row = store.schedule(name)
        specs = specs_of(row.spec.command, config, row.spec.folder, file)
        standing = replace(row.standing, note="fired by hand")
        jobs = fire(store, row, standing, specs, Services(config.remotes), instant=None, now=time.time())
        if jobs is not None:
            return jobs
    raise UsageError(f"schedule {name}", "it changes again and again just now", "Try again in a moment.")
