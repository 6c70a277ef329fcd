"""`[datasets.NAME]` of config.toml: jobs with a name, and their presets, which `headrace run` takes as options."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from headrace_queue.config_section import Patterns, Section
from headrace_queue.jobs import Compare, Rule
from headrace_queue.new_files import umask_of
from headrace_queue.selection import folder_rules

_PRESET_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


class SelectionConfig(Section):
    """What is taken and when it is sent again.

    The excludes come first and the includes after them, so that an include takes back what an exclude took away.
    """

    include: Patterns = ()
    exclude: Patterns = ()
    include_folders: Patterns = ()  # names of folders, at any depth
    exclude_folders: Patterns = ()
    compare: Literal["size", "mtime", "checksum"] | None = None  # default: size, the safe mode
    no_clobber: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> "SelectionConfig":
        if self.no_clobber and self.compare is not None:
            raise ValueError("no_clobber leaves alone whatever exists, so there is nothing to compare; keep one")
        return self

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order in which they count. Raises UsageError for a folder that has no name."""
        return (
            *(Rule(False, pattern) for pattern in self.exclude),
            *(rule for folder in self.exclude_folders for rule in folder_rules(False, folder)),
            *(Rule(True, pattern) for pattern in self.include),
            *(rule for folder in self.include_folders for rule in folder_rules(True, folder)),
        )

    @property
    def comparison(self) -> Compare | None:
        return None if self.compare is None else Compare(self.compare)


class PresetConfig(SelectionConfig):
    """An option of `headrace run` that a data set defines: its rules come after those of the data set itself."""

    help: str = ""  # shown by `headrace run --help`


class DatasetConfig(SelectionConfig):
    """A named job. A relative path counts from the base directory of the environment in force; where config.toml has no
    environments, from the directory in which the command is called."""

    source: str
    destination: str
    presets: dict[str, PresetConfig] = Field(default_factory=dict)
    direction: Literal["pull", "push"] = "pull"  # push: from `destination` to `source`
    storage_class: str | None = None  # of objects that are written
    preserve: bool = False
    group: str | None = None  # of new files and folders
    umask: str | None = None
    allow_git: bool = False
    notify: Patterns = ()  # names of [notices.NAME]
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("presets")
    @classmethod
    def _usable_names(cls, presets: dict[str, PresetConfig]) -> dict[str, PresetConfig]:
        for name in presets:
            if not _PRESET_NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be an option; use small letters and digits, with single - between")
        return presets

    @field_validator("umask")
    @classmethod
    def _a_umask(cls, text: str | None) -> str | None:
        if text is not None:
            umask_of(text)
        return text

    def ends(self, *, push: bool) -> tuple[str, str]:
        """Where the data comes from and where it goes, as config.toml writes them."""
        return (self.destination, self.source) if push else (self.source, self.destination)


def chosen_presets(dataset: DatasetConfig, names: Sequence[str]) -> list[PresetConfig]:
    """Those of them that this data set has, in the order in which they were typed."""
    return [dataset.presets[name] for name in names if name in dataset.presets]
