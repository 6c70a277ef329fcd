"""Schedules: whether each command still works as it was written, and how the last firing went."""

from contextlib import closing
from pathlib import Path
from typing import Final

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_queue.client import queue_exists
from headrace_queue.command_specs import jobs_of, specs_of
from headrace_queue.config import Config
from headrace_queue.errors import HeadraceError, UsageError
from headrace_queue.schedule_json import next_text, when_text
from headrace_queue.schedules import Schedule, ScheduleSpec
from headrace_queue.store import open_for_a_look

_NOT_YET: Final = "it counts from the next start of headraced on"


def schedule_checks(config: Config, file: Path | None) -> list[Check]:
    """Those of config.toml and those of the queue. file: of --config. Blocks: paths of this host are looked at."""
    known = _known(config)
    checks = [_check(config, file, row.spec, row) for row in known if row.name not in config.schedules]
    rows = {row.name: row for row in known}
    checks += [_check(config, file, one.spec(name), rows.get(name)) for name, one in config.schedules.items()]
    return checks


def _known(config: Config) -> list[Schedule]:
    try:
        if not queue_exists(config.queue_url):
            return []
        with closing(open_for_a_look(config.queue_url)) as store:
            return store.schedules()
    except HeadraceError:
        return []  # the check of the queue says so


def _check(config: Config, file: Path | None, spec: ScheduleSpec, row: Schedule | None) -> Check:
    name = f"schedule {spec.name}"
    try:
        jobs_of(spec.name, None, specs_of(spec.command, config, spec.folder, file))
    except UsageError as error:
        return refused(name, error)
    if row is None or row.spec != spec:
        return Check(name, Status.WARN, f"{when_text(spec)}: {_NOT_YET}", "Restart headraced.")
    if row.standing.error is not None:
        remedy = f"It works now: `headrace schedule run {spec.name}` makes up for it."
        return Check(name, Status.WARN, f"its last firing failed: {row.standing.error}", remedy)
    return ok(name, f"{when_text(spec)}{_next(row)}")


def _next(row: Schedule) -> str:
    text = next_text(row)
    if row.standing.paused:
        return "; it is paused"
    return f"; next {text}" if text else ""
