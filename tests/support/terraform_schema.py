"""Looks at Terraform JSON with the provider's own schema: an excerpt of it, which tools/terraform_schema.py writes."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SCHEMA: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("terraform_schema.json").read_text(encoding="utf-8"),
)
_TOP: Final = frozenset({"//", "terraform", "variable", "data", "resource", "output"})
_META: Final = frozenset({"//", "depends_on"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TEMPLATE: Final = re.compile(r"(?<!\$)\$\{(.*?)\}", re.DOTALL)
_REFERENCE: Final = re.compile(r"(?:(data)\.)?(aws_\w+)\.([\w-]+)\.(\w+)|var\.(\w+)")
_PYTHON: Final[Mapping[str, type | tuple[type, ...]]] = {"string": str, "number": int, "bool": bool}


def problems(document: Mapping[str, Any]) -> list[str]:
    """What Terraform would refuse: arguments, types, nesting, names, and references to what is not there."""
    found = [f"{key}: no such section" for key in document if key not in _TOP]
    for kind in ("resource", "data"):
        for name, labelled in document.get(kind, {}).items():
            if name not in SCHEMA[kind]:
                found.append(f"{kind} {name}: not in the excerpt")
                continue
            for label, body in labelled.items():
                where = f"{name}.{label}"
                found += [] if _NAME.fullmatch(label) else [f"{where}: no identifier"]
                plain = {key: value for key, value in body.items() if key not in _META}
                found += _block(where, plain, SCHEMA[kind][name])
                found += [
                    f"{where}: depends on {other}, which is not there"
                    for other in body.get("depends_on", ())
                    if other.rpartition(".")[2] not in document["resource"].get(other.partition(".")[0], {})
                ]
    found += [f"output {name}: keys {sorted(body)}" for name, body in document["output"].items() if "value" not in body]
    return found + list(_references(document))


def _block(where: str, body: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    arguments, blocks = schema["arguments"], schema["blocks"]
    for name, about in arguments.items():
        if about["required"] and name not in body:
            yield f"{where}.{name}: required"
    for name, value in body.items():
        here = f"{where}.{name}"
        if name in arguments:
            yield from _value(here, value, arguments[name]["type"])
        elif name in blocks:
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                yield f"{here}: blocks are a list of objects"
                continue
            if blocks[name]["max_items"] and len(value) > blocks[name]["max_items"]:
                yield f"{here}: at most {blocks[name]['max_items']}"
            for item in value:
                yield from _block(here, item, blocks[name])
        else:
            yield f"{here}: " + ("the provider computes it" if name in schema["computed"] else "no such argument")


def _value(where: str, value: Any, wanted: Any) -> Iterator[str]:
    if isinstance(wanted, str):
        expected = _PYTHON[wanted]
        template = isinstance(value, str) and _TEMPLATE.search(value) is not None
        if not template and (not isinstance(value, expected) or (isinstance(value, bool) and wanted != "bool")):
            yield f"{where}: {value!r} is no {wanted}"
        return
    collection, inner = wanted
    if not isinstance(value, dict if collection == "map" else list):
        yield f"{where}: {value!r} is no {collection}"
        return
    items = value.values() if isinstance(value, dict) else value
    for item in items:
        yield from _value(where, item, inner)


def texts(value: Any) -> Iterator[str]:
    """Every string below, keys of maps among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def templates(text: str) -> list[str]:
    """What stands in ${…}; an escaped $${…} is none."""
    return _TEMPLATE.findall(text)


def _references(document: Mapping[str, Any]) -> Iterator[str]:
    for text in texts({key: value for key, value in document.items() if key != "//"}):
        for template in templates(text):
            references = list(_REFERENCE.finditer(template))
            if not references:
                yield f"${{{template}}}: refers to nothing"
            for reference in references:
                yield from _reference(document, reference)


def _reference(document: Mapping[str, Any], reference: re.Match[str]) -> Iterator[str]:
    data, kind, label, attribute, variable = reference.groups()
    if variable is not None:
        if variable not in document.get("variable", {}):
            yield f"var.{variable}: not declared"
        return
    section = "data" if data else "resource"
    if label not in document.get(section, {}).get(kind, {}):
        yield f"{reference[0]}: not there"
        return
    schema = SCHEMA[section][kind]
    if attribute not in {**schema["arguments"], **schema["computed"]}:
        yield f"{reference[0]}: no such attribute"
