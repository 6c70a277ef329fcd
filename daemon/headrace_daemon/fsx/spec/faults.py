"""What pydantic says of a specification's types, as violations; and what is left that the rules can still look at."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from headrace_daemon.fsx.spec.fields import ASSOCIATIONS, TAGS, Path, all_paths, page_of, type_at, values_of
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, error, text_of
from headrace_daemon.fsx.spec.violations import Violation

_MOST_NAMES: Final = 6
_DIGITS: Final = re.compile(r"[1-9]\d{0,9}", re.ASCII)
_LARGEST: Final = 10**10
_KINDS: Final = {
    "int": "it is a whole number",
    "string": "it is a text, in quotes",
    "bool": "it is true or false",
    "tuple": "it is a list",
    "dict": "it is a table",
    "model": "it is a table",
}
_STANDS_FOR: Final = {
    # where there is no number beside them: with one they are USER_PROVISIONED
    "mode": "AUTOMATIC",
    "sizing_mode": "NO_CACHE",
    "level": "WARN_ERROR",
    "file_system_path": "/unreadable-{}",
    "data_repository_path": "s3://unreadable-{}/",
}
"""Instead of a required value that cannot be read, so that the rules can be asked about all others."""
_NUMBER_BESIDE: Final = {"mode": "iops", "sizing_mode": "size"}


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
    name = name_of(path)
    if kind == "extra_forbidden":
        near, page = _known_near(path)
        return error(name, _shown(value), "there is no such key", *near, page=page)
    page = page_of(path)
    if kind == "missing":
        return error(name, None, "it is required here", *(text.strip('"') for text in values_of(path)), page=page)
    if kind == "enum":
        allowed = [str(one) for one in type_at(path)]
        near = get_close_matches(str(value).upper(), allowed, n=1, cutoff=0.8) or allowed
        return error(name, _shown(value), f"it is one of {', '.join(allowed)}", *near, page=page)
    told = f"{message[:1].lower()}{message[1:]}"
    rule = next((words for start, words in _KINDS.items() if kind.startswith(start)), told)
    return error(name, _shown(value), rule, *_readable_near(path, kind, value), page=page)


def _known_near(path: Path) -> tuple[list[str], str]:
    """The key that was perhaps meant, here or at another place, and its page."""
    if elsewhere := [one for one in all_paths() if one[-1] == path[-1]]:
        return [name_of(one) for one in elsewhere], page_of(elsewhere[0])
    known = list(type_at(path[:-1]).model_fields)
    if near := get_close_matches(str(path[-1]), known, n=1, cutoff=0.5):
        return near, page_of((*path[:-1], near[0]))
    return known if len(known) <= _MOST_NAMES else [LEAVE_OUT], page_of(path)


def _readable_near(path: Path, kind: str, value: Any) -> tuple[str, ...]:
    """The value in the type that it should have, where that is clear; else an example."""
    if kind.startswith("int") and (whole := _whole_number(value)):
        return (whole,)
    if kind.startswith("tuple") and isinstance(value, str):
        return (f'["{value}"]',)
    if kind == "string_type" and not isinstance(value, list | dict):
        # TOML reads 2.10 as the number 2.1
        text = f"{value:.2f}" if isinstance(value, float) else text_of(value)
        if path[-1] == "name" or (len(path) > 1 and path[-2] in TAGS) or f'"{text}"' in values_of(path):
            return (f'"{text}"',)
    return values_of(path)


def _whole_number(value: Any) -> str:
    """'' for what is none: 1200.0 and "1200" are, true is not."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _LARGEST else ""
    return value if isinstance(value, str) and _DIGITS.fullmatch(value) else ""


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "a table" if isinstance(value, dict) else text_of(value) or '""'


def _whole(path: Path) -> Path:
    """Of a list's item, the list: without one of its items it is another list."""
    return path[:-1] if isinstance(path[-1], int) and path[:-1] != (ASSOCIATIONS,) else path


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
        number = level.get(_NUMBER_BESIDE.get(str(last), ""))
        standing = _STANDS_FOR[str(last)] if number is None else "USER_PROVISIONED"
        level[last] = standing.format(whole[1] if len(whole) > 1 else "")
    elif isinstance(last, int) and isinstance(level, list):
        level[last] = {name: _STANDS_FOR[name].format(last) for name in ("file_system_path", "data_repository_path")}
    elif isinstance(level, dict):
        level.pop(last, None)


def independent(violations: Sequence[Violation]) -> list[Violation]:
    """Those that hold whatever the deployment and storage type are."""
    return [one for one in violations if one.field.partition(".")[0].partition("[")[0] in _INDEPENDENT]


_INDEPENDENT: Final = frozenset(
    ("name", "region", "subnet_ids", "root_squash_configuration", "log_configuration", "tags", "backup_id",
     "weekly_maintenance_start_time", "data_repository_associations")
)  # fmt: skip
