"""From a data set of config.toml, and what was typed beside its name, to a job. What is typed wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Rule
from headrace_queue.locations import Location
from headrace_queue.submit import Request, did_you_mean, sync_job

if TYPE_CHECKING:
    from headrace_queue.config import Config
    from headrace_queue.config_datasets import DatasetConfig, SelectionConfig
    from headrace_queue.environments import Environment


@dataclass(frozen=True, slots=True)
class Choice:
    """What was typed of data sets beside the options of any job. push: the direction, None for that of config.toml.
    presets: in the order in which they were typed."""

    push: bool | None = None
    presets: Sequence[str] = ()


def dataset_of(config: "Config", name: str) -> "DatasetConfig":
    """Raises UsageError for a name that is not there, with the nearest one."""
    dataset = config.datasets.get(name)
    if dataset is None:
        known = list(config.datasets)
        remedy = did_you_mean(name, known) if known else f"Add [datasets.{name}] to config.toml."
        raise UsageError(f"dataset {name!r}", "config.toml has no dataset of this name", remedy)
    return dataset


def dataset_job(
    config: "Config", name: str, request: Request, cwd: Path | None = None, choice: Choice | None = None
) -> JobSpec:
    """A data set as a job: its own rules, then those of the presets, then those of the request.

    cwd: where relative paths count from, see `base_of`. Raises UsageError.
    """
    from headrace_queue.config_datasets import chosen_presets

    dataset, choice = dataset_of(config, name), choice or Choice()
    presets = chosen_presets(dataset, choice.presets)
    source, destination = dataset.ends(push=pushes(dataset, choice))
    files = Location.parse(destination, cwd).path is not None
    own = _with_own(replace(request, labels=_labels(name, dataset, request.labels)), dataset, files=files)
    own = _compared(own, [dataset, *presets])
    rules: list[Rule] = [rule for part in (dataset, *presets) for rule in part.rules]
    return sync_job(config, source, destination, replace(own, rules=(*rules, *request.rules)), cwd)


def pushes(dataset: "DatasetConfig", choice: Choice) -> bool:
    """Whether it goes from `destination` to `source`."""
    return dataset.direction == "push" if choice.push is None else choice.push


def base_of(config: "Config", names: Sequence[str]) -> "tuple[Path | None, Environment | None]":
    """Where relative paths of these data sets count from, None for the working directory; and the environment that says
    so, None where there is none. Without a relative path nobody has to know. Raises UsageError."""
    from headrace_queue.environments import Surroundings, base_directory

    if not any(is_relative(text) for name in names for text in dataset_of(config, name).ends(push=False)):
        return None, None
    found = base_directory(config.environments, Surroundings.here())
    return (None, None) if found is None else (found.base_dir, found)


def is_relative(text: str) -> bool:
    """Whether a location of config.toml is a path that counts from somewhere."""
    return "://" not in text and not text.startswith(("/", "~"))


def refuse_missing_presets(config: "Config", names: Sequence[str], presets: Sequence[str]) -> None:
    """A preset that some of the chosen data sets lack counts for the others. Raises UsageError where all lack it."""
    for preset in presets:
        if not any(preset in dataset_of(config, name).presets for name in names):
            having = [name for name, dataset in config.datasets.items() if preset in dataset.presets]
            why = f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} no preset of this name"
            raise UsageError(f"--{preset}", why, f"It belongs to: {', '.join(having)}.")


def presets_in(values: Mapping[str, Any]) -> dict[str, str]:
    """Every preset of a configuration as it was read, unchecked, with the line that `run --help` shows of it."""
    found: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    datasets = values.get("datasets")
    for name, dataset in (datasets if isinstance(datasets, dict) else {}).items():
        presets = dataset.get("presets") if isinstance(dataset, dict) else None
        for preset, table in (presets if isinstance(presets, dict) else {}).items():
            found.setdefault(preset, []).append(name)
            if isinstance(table, dict) and isinstance(table.get("help"), str):
                said.setdefault(preset, table["help"])
    return {preset: f"{said.get(preset) or 'A preset'} [{', '.join(names)}]" for preset, names in found.items()}


def _with_own(request: Request, dataset: "DatasetConfig", *, files: bool) -> Request:
    """What the data set says beside rules, where nothing else was typed. files: the job writes files; what only means
    something for the other kind of destination is for the other direction."""
    values: dict[str, Any] = {
        "preserve": request.preserve or dataset.preserve,
        "allow_git": request.allow_git or dataset.allow_git,
        "notify": (*dataset.notify, *request.notify),
    }
    if files:
        values |= {"group": request.group or dataset.group, "umask": request.umask or dataset.umask}
    else:
        values["storage_class"] = request.storage_class or dataset.storage_class
    return replace(request, **values)


def _compared(request: Request, parts: "Sequence[SelectionConfig]") -> Request:
    """When an object is sent again: as typed, else as the last preset says that says anything, else the data set."""
    if request.compare is not None or request.force_overwrite or request.no_clobber:
        return request
    for part in reversed(parts):
        if part.no_clobber or part.compare is not None:
            return replace(request, no_clobber=part.no_clobber, compare=part.comparison)
    return request


def _labels(name: str, dataset: "DatasetConfig", typed: Sequence[str]) -> tuple[str, ...]:
    given = {text.partition("=")[0] for text in typed}
    own = (f"{label}={value}" for label, value in dataset.labels.items() if label not in given)
    return (f"dataset={name}", *own, *typed)
