"""`headrace sync … --watch` and `headrace run NAME --push --watch`: a schedule that fires when files change.

The command goes into the queue as it was typed, without what belongs to the watching itself; the daemon reads it anew
each time it fires.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headrace_queue.client import POLL_SECONDS, any_live_worker, named_jobs
from headrace_queue.errors import UsageError
from headrace_queue.following import INTERRUPTED, exit_code, hint_how_to_start, print_endings, wait_for
from headrace_queue.job_json import to_text
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location
from headrace_queue.refusals import refused
from headrace_queue.render import shown
from headrace_queue.schedules import Rule, Schedule, ScheduleSpec, Trigger
from headrace_queue.store import Store, open_store
from headrace_queue.units import parse_duration

if TYPE_CHECKING:
    import typer

    from headrace_queue.enqueueing import Manner
    from headrace_queue.submit import Request

SETTLE: Final = 30.0
LONGEST_SETTLE: Final = 86_400.0
_OWN: Final = {"--watch": False, "--wait": False, "--json": False, "--settle": True, "--config": True}
"""Options that belong to this call and not to what is repeated, and whether each takes a value."""
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME: Final = 60


def watch(context: "typer.Context", request: "Request", manner: "Manner") -> int:
    """Makes the schedule, says how to end it, and with --wait follows its first job; the exit code.

    Raises UsageError.
    """
    if not request.watch:
        raise UsageError("--settle", "it says how --watch waits, which is not given", "Add --watch.")
    if manner.server is not None:
        why = "the daemon of another host cannot be told to watch a folder from here"
        raise UsageError("--watch with --url", why, "Call it on that host.")
    if manner.here:
        why = "a watch goes on for as long as a daemon runs, and this command would have to stay"
        raise UsageError("--watch with --here", why, "Leave out --here, and start `headraced serve`.")
    if request.files_from is not None or request.files_from0 is not None:
        why = "a list says once and for all what is meant, and nothing new is in it"
        raise UsageError("--watch with --files-from", why, "Use --include and --exclude.")
    from headrace_queue.command_options import words_of
    from headrace_queue.command_specs import specs_of

    settle = settle_of(request.settle)
    words = repeated(str(context.info_name), words_of(context), request)
    specs = specs_of(words, manner.config, Path.cwd(), manner.file)
    source = watched_folder(specs)
    with closing(open_store(manner.config.queue_url)) as store:
        schedule, made = add(store, name_for(specs[0], source), words, settle)
        _tell(schedule, specs[0], manner, made=made, live=any_live_worker(store, time.time()))
        return _first_jobs(store, schedule.name, manner) if manner.wait else 0


def settle_of(text: str | None) -> float:
    """Seconds. Raises UsageError."""
    if text is None:
        return SETTLE
    try:
        seconds = float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text)
    except ValueError as error:
        raise refused(f"--settle {text}", str(error)) from None
    if not 0 < seconds <= LONGEST_SETTLE:
        raise UsageError(f"--settle {text}", "it is more than nothing and at most a day", "Write for example 30s.")
    return seconds


def repeated(name: str, words: Sequence[str], request: "Request") -> tuple[str, ...]:
    """The command that each firing enqueues. name: of the command; words: all that was typed behind it.

    Where nothing says how to compare, the syncs of everything compare times: a file that was written anew in the same
    size, while no daemon ran, is found by its time alone. Not with --preserve, where that costs a request for each.
    """
    kept, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            kept += [word, *rest]
            break
        option, equals, _ = word.partition("=")
        if option not in _OWN:
            kept.append(word)
        elif _OWN[option] and not equals and rest:
            rest.pop(0)
    says_how = request.compare or request.force_overwrite or request.no_clobber or request.preserve
    return (name, *([] if says_how else ["--compare", "mtime"]), *kept)


def watched_folder(specs: Sequence[JobSpec]) -> Path:
    """The source. Raises UsageError where the command is not one upload from a folder."""
    if len(specs) != 1:
        why = f"these are {len(specs)} data sets, and each is watched by itself"
        raise UsageError("--watch", why, "Call it once for each of them.")
    spec = specs[0]
    source = Location.parse(spec.source).path
    if source is None:
        remedy = "For a bucket, let its event messages fire: `headrace schedule add NAME --messages URL -- sync …`."
        raise UsageError("--watch", f"it watches a folder of this host, and {spec.source} is none", remedy)
    if spec.options.files_from is not None:
        why = "a list says once and for all what is meant, and nothing new is in it"
        raise UsageError("--watch with --files-from", why, "Use --include and --exclude.")
    return source


def name_for(spec: JobSpec, source: Path) -> str:
    """What the schedule is called, if nothing else is: as the data set, or as the folder."""
    if (dataset := dict(spec.labels).get("dataset")) is not None:
        return dataset
    text = _NO_NAME.sub("-", source.name).strip("-.") or "root"
    return text[:_LONGEST_NAME].lstrip("_")


def add(store: Store, name: str, words: tuple[str, ...], settle: float) -> tuple[Schedule, bool]:
    """The schedule and True; or one that does the very same already, and False. The name gets a number where another
    one has it. Raises UsageError."""
    rule, cwd = Rule(settle=settle), os.getcwd()
    with store.group():
        there = store.schedules()
        for schedule in there:
            spec = schedule.spec
            if spec.trigger is Trigger.WATCH and (spec.command, spec.cwd, spec.rule) == (words, cwd, rule):
                return schedule, False
        taken = {schedule.name for schedule in there}
        names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
        free = next(one for one in names if one not in taken)
        return store.add_schedule(ScheduleSpec(free, Trigger.WATCH, rule, words, cwd)), True


def _tell(schedule: Schedule, spec: JobSpec, manner: "Manner", *, made: bool, live: bool) -> None:
    if manner.as_json:
        told: dict[str, Any] = {
            "schedule": schedule.name,
            "created": made,
            "source": spec.source,
            "destination": spec.destination,
            "settle": schedule.spec.rule.settle,
        }
        print(to_text(told), flush=True)
    else:
        is_watched = "is watched" if made else "is watched already"
        way = f"{shown(spec.source)} -> {shown(spec.destination)}"
        print(
            f"schedule {schedule.name}: {way} {is_watched}, until `headrace schedule remove {schedule.name}`",
            flush=True,
        )
    if not live:
        hint_how_to_start(manner.file)
        print("Only `headraced serve` watches; `headraced drain` ends with the queue.", file=sys.stderr)


def _first_jobs(store: Store, name: str, manner: "Manner") -> int:
    """The sync of everything with which a watch begins, to its end."""
    try:
        while not (standing := store.schedule(name).standing).jobs:
            if standing.error is not None:
                raise UsageError(
                    f"schedule {name}", standing.error, f"See `headrace schedule list`; then remove {name}."
                )
            time.sleep(POLL_SECONDS)
        jobs = wait_for(store, named_jobs(store, list(standing.jobs)), quiet=manner.as_json)
    except KeyboardInterrupt:
        jobs = None
    if jobs is None:
        return INTERRUPTED
    if not manner.as_json:
        print_endings(jobs)
    return exit_code(jobs)
