"""`headrace run`: data sets of config.toml by name."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from headrace_queue import request_options as groups
from headrace_queue.config_search import search
from headrace_queue.dataset_lines import dataset_lines
from headrace_queue.datasets import Choice, base_of, dataset_job, dataset_of, refuse_missing_presets
from headrace_queue.enqueueing import Manner, manner_of, submit
from headrace_queue.errors import UsageError
from headrace_queue.name_list import refuse_stdin
from headrace_queue.preset_options import PresetOptions, presets_of
from headrace_queue.request_options import request_from, taking
from headrace_queue.store import open_store

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.jobs import JobSpec
    from headrace_queue.submit import Request

KIND: Final = PresetOptions

Push: TypeAlias = Annotated[
    bool | None,
    typer.Option("--push/--pull", help="From the destination of config.toml to its source, or the other way."),
]


@taking(groups.SELECT, *groups.RUN)
def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="DATASET…", help="Names from config.toml.")] = None,
    all_datasets: Annotated[bool, typer.Option("--all", help="Every dataset of config.toml.")] = False,
    push: Push = None,
    *,
    wait: bool,
    here: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Sync datasets of config.toml by name; rules given here come after the dataset's own."""
    manner = manner_of(context, config, wait, as_json, here=here)
    request = request_from(context, options)
    if request.watch or request.settle is not None:
        from headrace_queue.watching import watch

        return watch(context, request, manner)
    if not manner.config.datasets and manner.collector is None:
        _refuse_without_file(manner.file)
    chosen = _chosen(manner.config, names or [], all_datasets)
    if len(chosen) > 1:
        refuse_stdin(request.files_from, request.files_from0)
    # every dataset is checked before the first one is enqueued: all of them or none
    specs = dataset_jobs(manner, chosen, request, Choice(push, _presets(context, manner.config, chosen)))
    if manner.collector is not None:
        manner.collector.specs.extend(specs)
        return 0
    with closing(open_store(manner.config.queue_url)) as store:
        return submit(store, specs, manner, lambda entries: {"jobs": entries}, attach=True)


def dataset_jobs(manner: Manner, names: Sequence[str], request: "Request", choice: Choice) -> "list[JobSpec]":
    """One job for each; says where relative paths count from, and what each will do. Raises UsageError."""
    base, environment = base_of(manner.config, names)
    if environment is not None and not manner.as_json and manner.collector is None:
        print(environment, file=sys.stderr)
    specs = [dataset_job(manner.config, name, request, base or manner.cwd, choice) for name in names]
    if not manner.as_json and manner.collector is None:
        for name, spec in zip(names, specs, strict=True):
            dataset = dataset_of(manner.config, name)
            for line in dataset_lines(name, spec, dataset, choice.presets, request.rules):
                print(line, file=sys.stderr)
    return specs


def _refuse_without_file(file: Path | None) -> None:
    """Raises UsageError where there is no configuration that could name a dataset."""
    found = search(file, os.environ)
    if found.file is None:
        remedy = "Write one (docs/datasets.md), go to where it is, or name it with --config FILE."
        raise UsageError("config.toml", "no configuration was found, and it names the datasets", remedy, found.passed)


def _chosen(config: "Config", names: Sequence[str], all_datasets: bool) -> list[str]:
    if all_datasets and not names:
        names = list(config.datasets)
        if not names:
            raise UsageError("run --all", "config.toml has no datasets", "Add a section [datasets.NAME] to it.")
        return names
    if all_datasets or not names:
        known = f"There are: {', '.join(config.datasets) or 'none yet'}."
        remedy = f"{known} --all takes every one." if config.datasets else known
        raise UsageError("run", "it takes either names of datasets or --all", remedy)
    if "all" in names and "all" not in config.datasets:
        why = "config.toml has no dataset of this name"
        raise UsageError("dataset 'all'", why, f"--all takes every one of them: {', '.join(config.datasets)}.")
    for name in names:
        dataset_of(config, name)
    return list(dict.fromkeys(names))


def _presets(context: typer.Context, config: "Config", chosen: Sequence[str]) -> tuple[str, ...]:
    """Those that were typed. Raises UsageError for one that no chosen dataset has, or that could never be typed."""
    own = {name for option in context.command.params for name in (*option.opts, *option.secondary_opts)}
    for name, dataset in config.datasets.items():
        for preset in dataset.presets:
            if f"--{preset}" in own:
                what, why = f"datasets.{name}.presets.{preset}", f"`headrace run` has an option --{preset} already"
                raise UsageError(what, why, "Give the preset another name.")
    typed = presets_of(context)
    refuse_missing_presets(config, chosen, typed)
    return typed
