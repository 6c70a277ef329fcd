"""Which configuration is read and why, which environment is in force and why, and who gets what is made."""

import os
from collections.abc import Iterator

from headrace_daemon.doctor.check import CONFIGURATION, Check, Status, ok, refused
from headrace_daemon.files.making import usable_group
from headrace_queue.config import Config
from headrace_queue.config_source import Source
from headrace_queue.environments import Surroundings, check_base_directory, environment_of
from headrace_queue.errors import UsageError


def configuration(source: Source) -> Check:
    """The file, how it was found, what was looked at before it, and the variables that go over it."""
    found = f"{source.file} ({source.why})" if source.file is not None else "no file found: defaults"
    parts = [found]
    if source.passed:
        parts.append(f"not there: {', '.join(source.passed)}")
    if source.variables:
        parts.append(f"from the environment: {', '.join(sorted(source.variables.values()))}")
    return ok(CONFIGURATION, "; ".join(parts))


def environment_checks(config: Config, surroundings: Surroundings | None = None) -> list[Check]:
    """The environment in force and why the earlier ones are not; none where config.toml has no environments."""
    if not config.environments:
        return []
    found, passed = environment_of(config.environments, surroundings or Surroundings.here())
    told = "".join(f"; not {name}: {why}" for name, why in passed)
    if found is None:
        remedy = "Add one without conditions at the end, or make the paths of all data sets absolute."
        return [Check("environment", Status.WARN, f"none fits this host{told}", remedy)]
    name = f"environment {found.name}"
    try:
        check_base_directory(found)
    except UsageError as error:
        return [Check(name, Status.FAIL, f"{found.why}{told}; {error.what}: {error.why}", error.remedy)]
    return [ok(name, f"base directory {found.base_dir}: {found.why}{told}")]


def group_checks(config: Config) -> list[Check]:
    """Whether this user may give files to each group that config.toml names."""
    return [_group(group, where) for group, where in _groups(config)]


def _groups(config: Config) -> Iterator[tuple[str, str]]:
    """Each group, once, and where it is named."""
    named = [("transfer", config.transfer.group)]
    named += [(f"datasets.{name}", dataset.group) for name, dataset in config.datasets.items()]
    seen: set[str] = set()
    for where, group in named:
        if group is not None and group not in seen:
            seen.add(group)
            yield group, where


def _group(group: str, where: str) -> Check:
    try:
        number = usable_group(group)
    except UsageError as error:
        return refused(f"{where}.group", error)
    return ok(f"{where}.group", f"user {os.geteuid()} may give files to {group} ({number})")
