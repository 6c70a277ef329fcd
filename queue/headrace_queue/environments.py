"""Where am I: which environment of config.toml is in force on this host, and why."""

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from headrace_queue.errors import UsageError


class Conditions(Protocol):
    """What is looked at of a section [environments.NAME]."""

    @property
    def base_dir(self) -> Path: ...

    @property
    def command(self) -> str | None: ...

    @property
    def hostname(self) -> str | None: ...

    @property
    def variable(self) -> str | None: ...

    @property
    def mount(self) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a host looks like, as far as conditions ask. names: the host's, short and in full."""

    names: tuple[str, ...]
    variables: Mapping[str, str]

    @classmethod
    def here(cls) -> "Surroundings":
        name = socket.gethostname()
        return cls(tuple(dict.fromkeys((name, name.partition(".")[0]))), os.environ)

    def command(self, name: str) -> str | None:
        """Where this command is on PATH."""
        return shutil.which(name, path=self.variables.get("PATH", ""))

    def mounted(self, path: Path) -> bool:
        return os.path.ismount(path)


@dataclass(frozen=True, slots=True)
class Environment:
    """The one in force. why: each condition that holds. passed: those before it, and why they are not in force."""

    name: str
    base_dir: Path
    why: str
    passed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"Environment {self.name}: base directory {self.base_dir} ({self.why})"


def environment_of(
    environments: Mapping[str, Conditions], surroundings: Surroundings
) -> tuple[Environment | None, tuple[tuple[str, str], ...]]:
    """The first that fits, or None; and those that were passed over, each with the reason."""
    passed: list[tuple[str, str]] = []
    for name, conditions in environments.items():
        holds, fails = _conditions(conditions, surroundings)
        if not fails:
            why = ", ".join(holds) or "it has no condition"
            return Environment(name, conditions.base_dir, why, tuple(passed)), tuple(passed)
        passed.append((name, fails[0]))
    return None, tuple(passed)


def base_directory(environments: Mapping[str, Conditions], surroundings: Surroundings) -> Environment | None:
    """The environment in force, whose base directory is there; None where config.toml has no environments.

    Raises UsageError where none of them fits, and where the base directory is missing.
    """
    found, passed = environment_of(environments, surroundings)
    if found is None:
        if not environments:
            return None
        why = "none of its environments fits this host, so nothing says where relative paths count from"
        remedy = "Add one without conditions at the end, or make the paths of the data set absolute."
        raise UsageError("config.toml", why, remedy, tuple(f"{name}: {reason}" for name, reason in passed))
    check_base_directory(found)
    return found


def check_base_directory(found: Environment) -> None:
    """Raises UsageError where it is not there."""
    if found.base_dir.is_dir():
        return
    what = f"cannot change to {found.base_dir}"
    if os.path.lexists(found.base_dir):
        raise UsageError(what, "the base directory is no directory", f"Correct environments.{found.name}.base_dir.")
    why = f"it does not exist, and it is the base directory of environment {found.name} ({found.why})"
    raise UsageError(what, why, f"Create it: mkdir -p {found.base_dir}")


def _conditions(wanted: Conditions, here: Surroundings) -> tuple[list[str], list[str]]:
    """What holds and what does not, in words."""
    holds: list[str] = []
    fails: list[str] = []
    if wanted.command is not None:
        place = here.command(wanted.command)
        (holds if place else fails).append(f"{wanted.command} is {'' if place else 'not '}on PATH")
    if wanted.hostname is not None:
        fits = any(fnmatchcase(name, wanted.hostname) for name in here.names)
        verb = "matches" if fits else "does not match"
        (holds if fits else fails).append(f"host {here.names[0]} {verb} {wanted.hostname}")
    if wanted.variable is not None:
        name, separator, value = wanted.variable.partition("=")
        given = here.variables.get(name, "")
        fits = given == value if separator else bool(given)
        # the value of a variable may be anything: only what config.toml says of it is told
        state = f"is{'' if fits else ' not'} {value}" if separator else f"is{'' if fits else ' not'} set"
        (holds if fits else fails).append(f"{name} {state}")
    if wanted.mount is not None:
        fits = here.mounted(wanted.mount)
        (holds if fits else fails).append(f"{'a file system' if fits else 'nothing'} is mounted at {wanted.mount}")
    return holds, fails
