"""What pydantic says of a specification's types, as violations; and what is left that the rules can still look at."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from headrace_daemon.fsx.spec import aws_pages as pages
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, error, text_of
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.violations import Violation

Path = tuple[str | int, ...]

_MOST_NAMES: Final = 6
_ASSOCIATIONS: Final = ("data_repository_associations",)
_KINDS: Final = {
    "int": "it is a whole number",
    "string": "it is a text, in quotes",
    "bool": "it is true or false",
    "tuple": "it is a list",
    "dict": "it is a table",
    "model": "it is a table",
}
_STANDS_FOR: Final = {
    "mode": "USER_PROVISIONED",
    "sizing_mode": "USER_PROVISIONED",
    "level": "WARN_ERROR",
    "file_system_path": "/unreadable-{}",
    "data_repository_path": "s3://unreadable-{}/",
}
"""Instead of a required value that cannot be read, so that the rules can be asked about all others."""


@dataclass(frozen=True, slots=True)
class Readable:
    """faults: of the types. values: what is left without them. unread: the paths of what was taken out, as text; a rule
    about one of them would speak of what nobody wrote."""

    faults: list[Violation]
    values: dict[str, Any]
    unread: set[str] = field(default_factory=set)

    def is_unread(self, path: str) -> bool:
        return any(path.startswith(one) for one in self.unread)


def readable(values: Mapping[str, Any], failure: ValidationError) -> Readable:
    """What a failed validation of the values leaves."""
    rest = deepcopy(dict(values))
    found = Readable([], rest)
    for detail in failure.errors(include_url=False):
        path: Path = detail["loc"]
        found.faults.append(_fault(path, detail["type"], detail.get("input"), detail["msg"]))
        if detail["type"] != "extra_forbidden":
            found.unread.add(name_of(_whole(path)))
        _take_out(rest, path, unknown=detail["type"] == "extra_forbidden")
    return found


def name_of(path: Path) -> str:
    """data_repository_associations[0].file_system_path"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _fault(path: Path, kind: str, value: Any, message: str) -> Violation:
    name, page = name_of(path), pages.CREATE_ASSOCIATION if "data_repository" in str(path[0]) else pages.TERRAFORM
    if kind == "extra_forbidden":
        known = list(_model_at(path[:-1]).model_fields)
        near = get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        near = near or (known if len(known) <= _MOST_NAMES else [LEAVE_OUT])
        return error(name, _shown(value), "there is no such key", *near, page=page)
    if kind == "missing":
        return error(name, None, "it is required here", page=page)
    if kind == "enum":
        allowed = [str(one) for one in _annotation_at(path)]
        near = get_close_matches(str(value).upper(), allowed, n=1, cutoff=0.8) or allowed
        return error(name, _shown(value), f"it is one of {', '.join(allowed)}", *near, page=page)
    told = f"{message[:1].lower()}{message[1:]}"
    rule = next((words for start, words in _KINDS.items() if kind.startswith(start)), told)
    near = []
    if kind == "string_type" and not isinstance(value, list | dict):
        # TOML reads 2.10 as the number 2.1
        near = [f'"{value:.2f}"' if isinstance(value, float) else f'"{text_of(value)}"']
    elif kind.startswith("tuple"):
        near = [f'["{value}"]'] if isinstance(value, str) else [f"[[{name}]]"] if path == _ASSOCIATIONS else []
    return error(name, _shown(value), rule, *near, page=page)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "a table" if isinstance(value, dict) else text_of(value) or '""'


def _whole(path: Path) -> Path:
    """Of a list's item, the list: without one of its items it is another list."""
    return path[:-1] if isinstance(path[-1], int) and path[:-1] != _ASSOCIATIONS else path


def _take_out(values: dict[str, Any], path: Path, *, unknown: bool) -> None:
    """Removes what cannot be read, or puts something readable in its place where something is required."""
    whole = _whole(path)
    level: Any = values
    for part in whole[:-1]:
        try:
            level = level[part]
        except (KeyError, IndexError):  # an outer one was taken out
            return
    last = whole[-1]
    if not unknown and last in _STANDS_FOR:
        level[last] = _STANDS_FOR[str(last)].format(whole[1] if len(whole) > 1 else "")
    elif isinstance(last, int) and isinstance(level, list):
        level[last] = {name: _STANDS_FOR[name].format(last) for name in ("file_system_path", "data_repository_path")}
    elif isinstance(level, dict):
        level.pop(last, None)


def _annotation_at(path: Path) -> Any:
    """The type of what stands there, without None."""
    current: Any = FileSystemSpec
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(part)].annotation
        else:  # a list's, or a table's
            current = [one for one in get_args(current) if one is not Ellipsis][-1]
        if get_origin(current) in (Union, UnionType):
            current = next(one for one in get_args(current) if one is not NoneType)
    return current


def _model_at(path: Path) -> type[BaseModel]:
    found: type[BaseModel] = _annotation_at(path)
    return found


def independent(violations: Sequence[Violation]) -> list[Violation]:
    """Those that hold whatever the deployment and storage type are."""
    return [one for one in violations if one.field.partition(".")[0].partition("[")[0] in _INDEPENDENT]


_INDEPENDENT: Final = frozenset(
    ("name", "region", "subnet_ids", "root_squash_configuration", "log_configuration", "tags", "backup_id",
     "weekly_maintenance_start_time", "data_repository_associations")
)  # fmt: skip
