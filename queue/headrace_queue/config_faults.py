"""What is wrong with a configuration, as three short sentences. No message repeats a value: it may be a secret."""

from difflib import get_close_matches
from types import NoneType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError

from headrace_queue.config_section import model_in
from headrace_queue.config_source import Source, variable_of
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused
from headrace_queue.units import format_bytes, parse_rate, parse_size

_SECRET_WORDS: Final = ("secret", "password", "token", "access_key")
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "less than", "Write {} or more."),
    "less_than_equal": ("le", "more than", "Write {} or less."),
    "greater_than": ("gt", "not more than", "Write more than {}."),
}
"""pydantic's type of a fault -> the name of the bound in its context, and how people say it."""


def fault_of(error: ValidationError, source: Source, model: type[BaseModel]) -> UsageError:
    """The first fault of a validation, told by the key's name in the file or by the variable that set it."""
    first = error.errors(include_input=False, include_url=False)[0]
    keys = tuple(str(part) for part in first["loc"])
    if not keys:  # what only all sections together show: the text names the key
        what = f"configuration {source.file}" if source.file is not None else "the configuration"
        return refused(what, first["msg"].removeprefix("Value error, "))
    if first["type"] == "extra_forbidden":
        return _unknown_key(source.name_of_unknown(keys), keys, model)
    if first["type"] == "missing":
        return UsageError(source.name_of(keys), "it is missing", f"Add {keys[-1]} to that section.")
    if first["type"] in _BOUNDS:
        return _out_of_bounds(source.name_of(keys), keys, first["type"], first["ctx"], model)
    return refused(source.name_of(keys), first["msg"].removeprefix("Value error, "))


def unknown_variable(source: Source, model: type[BaseModel]) -> UsageError:
    """The first of the variables that nobody reads, with the nearest one that exists."""
    name = source.unread[0]
    known = {variable_of(keys).replace("__", "_"): variable_of(keys) for keys in _settings((), model, source.values)}
    if near := get_close_matches(name, known, n=1, cutoff=0.9):
        remedy = f"Did you mean {known[near[0]]}?"
    else:
        remedy = "Remove it. Settings are HEADRACE_SECTION__KEY with two underscores: HEADRACE_TRANSFER__PART_SIZE."
    return UsageError(name, "Headrace reads no such variable", remedy)


def _settings(section: tuple[str, ...], model: type[BaseModel], values: Any) -> list[tuple[str, ...]]:
    """Every key that can be set: those of each section, and of each named one that the values have."""
    found: list[tuple[str, ...]] = []
    for key, field in model.model_fields.items():
        keys, table = (*section, key), values.get(key) if isinstance(values, dict) else None
        inner = _without_none(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += _settings(keys, inner, table)
        elif get_origin(field.annotation) is dict:
            for name in table or {}:
                model_of_one = model_in(get_args(field.annotation)[-1])
                found += _settings((*keys, name), model_of_one, table[name] if table else None)
        else:
            found.append(keys)
    return found


def _unknown_key(what: str, keys: tuple[str, ...], model: type[BaseModel]) -> UsageError:
    known = _known_keys(keys[:-1], model)
    if any(word in keys[-1].lower() for word in _SECRET_WORDS):
        remedy = 'Keep secrets out of the configuration: credentials = { file = "/path" }, mode 0600.'
    elif near := get_close_matches(keys[-1], known, n=1, cutoff=0.5):
        remedy = f"Did you mean {near[0]}?"
    else:
        remedy = f"Known here: {', '.join(known)}."
    return UsageError(what, "there is no such key", remedy)


def _out_of_bounds(
    what: str, keys: tuple[str, ...], kind: str, context: dict[str, Any], model: type[BaseModel]
) -> UsageError:
    name, relation, remedy = _BOUNDS[kind]
    bound = context[name]
    text = format_bytes(bound) if _is_size(keys, model) else f"{bound:,}".removesuffix(".0")
    return UsageError(what, f"the value is {relation} {text}", remedy.format(text))


def _is_size(keys: tuple[str, ...], model: type[BaseModel]) -> bool:
    metadata = _section_of(keys[:-1], model).model_fields[keys[-1]].metadata
    return any(isinstance(item, BeforeValidator) and item.func in (parse_size, parse_rate) for item in metadata)


def _known_keys(section: tuple[str, ...], model: type[BaseModel]) -> list[str]:
    return list(_section_of(section, model).model_fields)


def _section_of(section: tuple[str, ...], model: type[BaseModel]) -> type[BaseModel]:
    """The section that these names lead to; a table of named sections takes any name."""
    current: Any = model
    for name in section:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = _without_none(current.model_fields[name].annotation)
        else:
            current = model_in(get_args(current)[-1])
    found: type[BaseModel] = current
    return found


def _without_none(annotation: Any) -> Any:
    """The model of a section that may be missing."""
    inner = [one for one in get_args(annotation) if one is not NoneType] if NoneType in get_args(annotation) else []
    return model_in(inner[0]) if len(inner) == 1 else annotation
