"""Whether the parameters of an AWS operation fit botocore's service model: its types, and what botocore itself lets
through: patterns, enumerations, largest lengths and numbers."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import botocore.session
from botocore.validate import ParamValidator

_CATEGORY: Final = re.compile(r"\\p\{([LNZ])\}")
_REPRESENTATIVE: Final = {"L": "a", "N": "0", "Z": " "}
_ASCII_CLASS: Final = {"L": "a-zA-Z", "N": "0-9", "Z": " "}


def problems(service: str, operation: str, params: Mapping[str, Any]) -> list[str]:
    """What the service would refuse of a request, as far as its model says: one line each, none where it fits.

    params: as they are given to a botocore client, such as problems("fsx", "CreateFileSystem", {…}).
    """
    shape = _model(service).operation_model(operation).input_shape
    if shape is None:
        return [f"{operation} takes no parameters"] if params else []
    report = ParamValidator().validate(params, shape).generate_report()
    of_types = [line for line in report.split("\n") if line and ", valid min " not in line]
    # the walk relies on the types, and tells of what is too short or too small itself
    return of_types or list(_walk(shape, params, operation))


@lru_cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _walk(shape: Any, value: Any, where: str) -> Iterator[str]:
    yield from _of_value(shape.metadata, value, where)
    if isinstance(value, Mapping) and shape.type_name == "structure":
        for name, inner in value.items():
            yield from _walk(shape.members[name], inner, f"{where}.{name}")
    elif isinstance(value, Mapping) and shape.type_name == "map":
        for name, inner in value.items():
            yield from _walk(shape.key, name, f"{where} key")
            yield from _walk(shape.value, inner, f"{where}[{name}]")
    elif isinstance(value, Sequence) and shape.type_name == "list":
        for index, inner in enumerate(value):
            yield from _walk(shape.member, inner, f"{where}[{index}]")


def _of_value(rules: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    if isinstance(value, bool):
        return
    size = value if isinstance(value, int | float) else len(value)
    word = "value" if isinstance(value, int | float) else "length"
    if "min" in rules and size < rules["min"]:
        yield f"{where}: {word} {size} is less than {rules['min']}"
    elif "max" in rules and size > rules["max"]:
        yield f"{where}: {word} {size} is more than {rules['max']}"
    elif isinstance(value, str):  # only then: some patterns take for ever on long texts
        if (allowed := rules.get("enum")) and value not in allowed:
            yield f"{where}: {value!r} is none of {', '.join(allowed)}"
        if (pattern := rules.get("pattern")) and not _matches(pattern, value):
            yield f"{where}: {value!r} does not match {pattern}"


def _matches(pattern: str, text: str) -> bool:
    """The whole text, also where the pattern has no anchors: the stricter reading of the two that are possible.

    Patterns are Java's: \\d is ASCII, and \\p{L} is any letter. Python has no such class, so that every letter, number
    and separator is replaced by one of ASCII, in a pattern that has one.
    """
    if _CATEGORY.search(pattern):
        text = "".join(_REPRESENTATIVE.get(unicodedata.category(one)[0], one) if one > "\x7f" else one for one in text)
        pattern = _CATEGORY.sub(lambda found: _ASCII_CLASS[found[1]], pattern)
    return re.fullmatch(pattern.removesuffix("$"), text, re.ASCII) is not None
