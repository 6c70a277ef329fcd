"""Where a specification comes from: a TOML file, flags over it, and one error that tells all that is wrong."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_origin

from pydantic import ValidationError

from headrace_daemon.fsx.spec.faults import independent, readable
from headrace_daemon.fsx.spec.fields import ASSOCIATIONS, page_of, type_at
from headrace_daemon.fsx.spec.fields import Path as Keys
from headrace_daemon.fsx.spec.findings import LEAVE_OUT, NOT_SET, error, line_of
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.rules import check, errors
from headrace_daemon.fsx.spec.violations import Violation
from headrace_queue.errors import UsageError
from headrace_queue.render import count, shown

_KEY: Final = re.compile(r"(\w+)((?:\[\d{1,3}\])*)", re.ASCII)
_TAG: Final = re.compile(r"((?:.*\.)?(?:final_backup_)?tags)\.(.+)")
_INDEX: Final = re.compile(r"\[(\d+)\]")
_PIVOTS: Final = ("deployment_type", "storage_type")
_NUMBER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_DEEPEST: Final = 8  # an event of an association's policy lies six deep
_LARGEST: Final = 2**63 - 1  # https://toml.io/en/v1.0.0#integer


class BadSpec(UsageError):
    """A specification that breaks rules: all of them, `violations`, errors only. Its text has a line for each."""

    def __init__(self, name: str, violations: list[Violation]) -> None:
        why = f"it has {count(len(violations), 'fault')}"
        remedy = "Correct them in the file, or with --set FIELD=VALUE."
        super().__init__(name, why, remedy, tuple(map(line_of, violations)))
        self.violations = violations


def load_spec(path: Path | None, flags: Mapping[str, str], *, placed: bool = True) -> FileSystemSpec:
    """The file's specification with the flags over it; of flags alone where there is no file.

    flags: dotted path -> text, such as metadata_configuration.iops -> 6000; an empty text takes a value away. placed:
    False where it is only counted with, and may have no subnet yet. Raises BadSpec, and UsageError for a file that
    cannot be read or is not TOML. What is doubtful but valid, `rules.check` tells.
    """
    name = "the specification" if path is None else f"specification {path}"
    return _spec_of(_read(path) if path is not None else {}, flags, name, placed=placed)


def settings_of(settings: Iterable[str]) -> dict[str, str]:
    """The flags that `--set KEY=VALUE` gave. Raises UsageError for what is none."""
    pairs = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or not key:
            raise UsageError(f"--set {shown(setting)}", "it is no KEY=VALUE", "Write --set storage_capacity=4800.")
        pairs[key] = value
    return pairs


def read_spec(text: str, name: str, *, placed: bool = True) -> FileSystemSpec:
    """As load_spec(), of the text of a file. name: what an error calls it."""
    return _spec_of(_parsed(text, name), {}, name, placed=placed)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise UsageError(f"specification {path}", f"it is not TOML: {fault}", "Write it in UTF-8.") from None
    except IsADirectoryError as fault:
        # Python makes it of an argument that is empty, too
        what = "specification '' or ." if path == Path() else f"specification {path}"
        raise UsageError(what, str(fault.strerror), "Name a TOML file that you can read.") from None
    except (OSError, RuntimeError) as fault:  # the second for the home of somebody who is not known
        why = getattr(fault, "strerror", None) or str(fault)
        raise UsageError(f"specification {path}", why, "Name a TOML file that you can read.") from None
    return _parsed(text, f"specification {path}")


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))  # editors of Windows write it
        too_much = _beyond(values)
    except tomllib.TOMLDecodeError as fault:
        raise UsageError(name, f"it is not TOML: {fault}", "Correct that line.") from None
    except ValueError:
        too_much = _TOO_LARGE  # Python reads no number of thousands of digits
    except RecursionError:
        too_much = _TOO_DEEP
    if too_much:
        raise UsageError(name, too_much, "Correct the file.")
    return values


_TOO_LARGE: Final = "a number in it is larger than TOML allows: 64 bits"
_TOO_DEEP: Final = "its tables or lists lie deeper in each other than those of any specification"


def _beyond(values: dict[str, Any]) -> str:
    """What no specification has and what copying or printing would fail at; '' where there is nothing."""
    level: list[Any] = [values]
    for _ in range(_DEEPEST):
        if any(isinstance(one, int) and abs(one) > _LARGEST for one in level):
            return _TOO_LARGE
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for group in inner for one in group]
        if not level:
            return ""
    return _TOO_DEEP


def _spec_of(given: Mapping[str, Any], flags: Mapping[str, str], name: str, *, placed: bool) -> FileSystemSpec:
    values: dict[str, Any] = deepcopy(dict(given))
    found = [fault for flag, text in flags.items() for fault in _put(values, flag, text)]
    try:
        spec = FileSystemSpec.model_validate(values)
    except ValidationError as failure:
        raise BadSpec(name, _missing_subnet_out(found + _all_faults(values, failure), placed=placed)) from None
    found = _missing_subnet_out(found + errors(check(spec)), placed=placed)
    if found:
        raise BadSpec(name, found)
    return spec


def _all_faults(values: Mapping[str, Any], failure: ValidationError) -> list[Violation]:
    """Those of the types, and what the rules say of all else."""
    left, sure = readable(values, failure), True
    for pivot in (one for one in _PIVOTS if one in left.unread):
        # what was most likely meant, so that the rules that hang on it can be asked; where that is unclear they are not
        near = next(one.nearest for one in left.faults if one.field == pivot)
        if len(near) == 1:
            left.values[pivot] = near[0]
        sure = sure and len(near) == 1
    broken = errors(check(FileSystemSpec.model_validate(left.values)))
    broken = [one for one in broken if not left.is_unread(one.field)]
    return left.faults + (broken if sure else independent(broken))


def _missing_subnet_out(violations: list[Violation], *, placed: bool) -> list[Violation]:
    return [one for one in violations if placed or (one.field, one.value) != ("subnet_ids", NOT_SET)]


def _put(values: dict[str, Any], flag: str, text: str) -> list[Violation]:
    """Sets what a flag names: a.b, or a[0].b. What is no path is told."""
    parts = _path_of(flag)
    if not parts:
        rule = "a field is named as in TOML, inner ones after a dot, items of a list by their number"
        examples = ("metadata_configuration.iops", "data_repository_associations[0].file_system_path")
        return [error(flag, text, rule, *examples, page=page_of(()))]
    level: Any = values
    for part, following in pairwise(parts):
        level = _inner(level, part, [] if isinstance(following, int) else {})
        if level is None:
            rule = f"{part} is no list or table that could hold it"
            return [error(flag, text, rule, LEAVE_OUT, page=page_of(parts[:1]))]
    return _set(level, parts, flag, text)


def _path_of(flag: str) -> Keys:
    """Empty for what is none. The key of a tag may have dots itself."""
    tag = _TAG.fullmatch(flag)
    parts: list[str | int] = []
    for part in (tag[1] if tag else flag).split("."):
        found = _KEY.fullmatch(part)
        if found is None:
            return ()
        parts += [found[1], *(int(index) for index in _INDEX.findall(found[2]))]
    parts += [tag[2]] if tag else []
    return tuple(parts) if len(parts) <= _DEEPEST else ()


def _inner(level: Any, part: str | int, empty: Any) -> Any:
    """What stands there, made where it is missing; None where it cannot hold anything."""
    if isinstance(level, list) and isinstance(part, int):
        if part == len(level):
            level.append(empty)
        found = level[part] if part < len(level) else None
    else:
        found = level.setdefault(part, empty) if isinstance(level, dict) and isinstance(part, str) else None
    return found if isinstance(found, type(empty)) else None


def _set(level: Any, path: Keys, flag: str, text: str) -> list[Violation]:
    key = path[-1]
    if isinstance(level, dict) and isinstance(key, str):
        if text == "":
            level.pop(key, None)
            return []
        level[key] = _typed(path, text)
        if isinstance(level[key], list) and text.startswith("["):
            # read as it is meant, so that it is told once
            plain = ",".join(word.strip("[]\"' ") for word in text.split(","))
            level[key] = _typed(path, plain)
            rule = "items of a list stand after commas, without brackets and quotes"
            return [error(flag, text, rule, plain, page=page_of(path))]
        return []
    if isinstance(level, list) and isinstance(key, int) and key <= len(level):
        level[key : key + 1] = [_typed(path, text)] if text else []
        return []
    return [error(flag, text, "there is no such place in the list", LEAVE_OUT, page=page_of(path))]


def _typed(path: Keys, text: str) -> Any:
    """As TOML would have it; what is no such value stays a text, and is told like that of a file."""
    try:
        wanted = type_at(path)
    except LookupError:  # a key that there is not
        return text
    if wanted is int:
        return int(text) if _NUMBER.fullmatch(text) else text
    if wanted is bool:
        return _TRUTH.get(text, text)
    # a list of tables is no list of words
    words = get_origin(wanted) is tuple and path != (ASSOCIATIONS,)
    return [one.strip() for one in text.split(",")] if words else text
