"""What is wrong with a configuration, as three short sentences. No message repeats a value: it may be a secret."""

from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from headrace_queue.config_source import Source
from headrace_queue.errors import UsageError
from headrace_queue.refusals import refused

_SECRET_WORDS: Final = ("secret", "password", "token", "access_key")


def fault_of(error: ValidationError, source: Source, model: type[BaseModel]) -> UsageError:
    """The first fault of a validation, told by the key's name in the file or by the variable that set it."""
    first = error.errors(include_input=False, include_url=False)[0]
    keys = tuple(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(source.name_of(keys), keys, model)
    if first["type"] == "missing":
        return UsageError(source.name_of(keys), "it is missing", f"Add {keys[-1]} to that section.")
    return refused(source.name_of(keys), first["msg"].removeprefix("Value error, "))


def _unknown_key(what: str, keys: tuple[str, ...], model: type[BaseModel]) -> UsageError:
    known = _known_keys(keys[:-1], model)
    if any(word in keys[-1].lower() for word in _SECRET_WORDS):
        remedy = 'Keep secrets out of the configuration: credentials = { file = "/path" }, mode 0600.'
    elif near := get_close_matches(keys[-1], known, n=1, cutoff=0.5):
        remedy = f"Did you mean {near[0]}?"
    else:
        remedy = f"Known here: {', '.join(known)}."
    return UsageError(what, "there is no such key", remedy)


def _known_keys(section: tuple[str, ...], model: type[BaseModel]) -> list[str]:
    """The keys of the section that these names lead to; a table of named sections takes any name."""
    current: Any = model
    for name in section:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[name].annotation
        else:
            current = get_args(current)[-1]
    return list(current.model_fields)
