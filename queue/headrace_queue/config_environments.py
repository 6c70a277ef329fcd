"""`[environments.NAME]` of config.toml: which base directory a host has, by what the host looks like."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import field_validator

from headrace_queue.config_section import AbsolutePath, Section

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(=.*)?", re.ASCII | re.DOTALL)


class EnvironmentConfig(Section):
    """A kind of host. All conditions that are given must hold; without one it fits every host.

    The environments are tried in the order in which config.toml names them; the first one that fits is in force.
    """

    base_dir: AbsolutePath  # relative paths of data sets count from it
    command: str | None = None  # is on PATH, such as sbatch
    hostname: str | None = None  # a pattern, such as login*
    variable: str | None = None  # NAME: is set and not empty; NAME=value: has this value
    mount: AbsolutePath | None = None  # a file system is mounted there

    @field_validator("command", "hostname")
    @classmethod
    def _said(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("it is empty; write a name, or leave the key out")
        return text

    @field_validator("variable")
    @classmethod
    def _a_variable(cls, text: str | None) -> str | None:
        if text is not None and not _VARIABLE.fullmatch(text):
            raise ValueError("this is no variable; write NAME, or NAME=value")
        return text


def refuse_unreachable_environments(environments: Mapping[str, EnvironmentConfig]) -> None:
    """One without conditions fits always: what stands below it would never be looked at. Raises ValueError."""
    names = list(environments)
    for index, name in enumerate(names[:-1]):
        one = environments[name]
        if not any((one.command, one.hostname, one.variable, one.mount)):
            raise ValueError(
                f"environments.{name} has no condition, so environments.{names[index + 1]} below it would never be in "
                "force; move it to the end"
            )
