"""`headrace datasets`: the data sets of config.toml, where they come from and go to, and how each went last."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from headrace_queue import command_options as given
from headrace_queue.client import queue_exists
from headrace_queue.errors import UsageError
from headrace_queue.job_json import to_text
from headrace_queue.jobs import Job
from headrace_queue.locations import Location
from headrace_queue.render import shown, state_text
from headrace_queue.store import Store, open_for_a_look
from headrace_queue.tables import print_table

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.config_datasets import DatasetConfig

COLUMNS: Final = ("DATASET", "SOURCE", "", "DESTINATION", "PRESETS", "LAST JOB")
_PAGE: Final = 1000
_MOST_JOBS: Final = 20_000
"""How far back the last job of a data set is looked for."""


def datasets(context: typer.Context, config: given.ConfigFile = None, as_json: given.AsJson = False) -> int:
    """List the datasets of config.toml: where each comes from and goes to, and its last job."""
    from headrace_queue.config import load_config

    loaded = load_config(given.config_file(context, config))
    base, note = _base(loaded)
    last = _last_jobs(loaded)
    rows = [_row(name, dataset, base, last.get(name)) for name, dataset in loaded.datasets.items()]
    if as_json:
        print(to_text({"datasets": rows, "environment": note}))
        return 0
    if not rows:
        print("config.toml names no datasets. Add a section [datasets.NAME] to it.")
        return 0
    print_table(COLUMNS, [_cells(row, last.get(row["name"])) for row in rows])
    print(note["text"], file=sys.stderr)
    return 0


def _base(config: "Config") -> tuple[Path | None, dict[str, Any]]:
    """Where relative paths count from, as far as that can be said; and what is said of it."""
    from headrace_queue.environments import Surroundings, environment_of

    if not config.environments:
        return Path.cwd(), {"name": None, "base_dir": None, "text": "Relative paths count from the working directory."}
    found, passed = environment_of(config.environments, Surroundings.here())
    if found is None:
        told = "; ".join(f"{name}: {why}" for name, why in passed)
        return None, {"name": None, "base_dir": None, "text": f"No environment fits this host ({told})."}
    return found.base_dir, {"name": found.name, "base_dir": str(found.base_dir), "text": str(found)}


def _row(name: str, dataset: "DatasetConfig", base: Path | None, last: Job | None) -> dict[str, Any]:
    """Stable fields."""
    return {
        "name": name,
        "source": _resolved(dataset.source, base),
        "destination": _resolved(dataset.destination, base),
        "direction": dataset.direction,
        "presets": list(dataset.presets),
        "last_job": None if last is None else {"id": last.id, "state": str(last.state), "finished": last.finished},
    }


def _resolved(text: str, base: Path | None) -> str:
    """In full, where that is known; else as it was written."""
    try:
        location = Location.parse(text, base or Path("/"))
    except UsageError:
        return text
    return text if location.path is not None and base is None else str(location.as_folder())


def _cells(row: dict[str, Any], last: Job | None) -> tuple[str, ...]:
    arrow = "<-" if row["direction"] == "push" else "->"
    told = "never ran" if last is None else f"{last.id}: {state_text(last)}"
    presets = " ".join(f"--{preset}" for preset in row["presets"])
    return (shown(row["name"]), shown(row["source"]), arrow, shown(row["destination"]), presets, told)


def _last_jobs(config: "Config") -> dict[str, Job]:
    """By name, the newest that is no dry run. Raises QueueError."""
    if not config.datasets or not queue_exists(config.queue_url):
        return {}
    with closing(open_for_a_look(config.queue_url)) as store:
        return _newest(islice(_every(store), _MOST_JOBS), set(config.datasets))


def _newest(jobs: Iterable[Job], wanted: set[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for job in jobs:
        name = dict(job.spec.labels).get("dataset")
        if name in wanted and name not in found and not job.spec.options.dry_run:
            found[name] = job
            if len(found) == len(wanted):
                break
    return found


def _every(store: Store) -> Iterator[Job]:
    """Newest first."""
    before: int | None = None
    while page := store.jobs((), _PAGE, before):
        yield from page
        before = page[-1].id
