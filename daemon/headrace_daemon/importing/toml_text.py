"""Our sections as the text of config.toml."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from headrace_daemon.importing.imported import Imported, Value

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def to_toml(imported: Imported, source: str, credentials: Mapping[str, Path], *, written: bool = True) -> str:
    """credentials: remote -> the absolute path of the file with its keys; written: False where none is made, so that
    only a comment names them. No key stands in what this gives."""
    head = [
        f"# Made by `headraced import-config` from {json.dumps(source, ensure_ascii=True)} of {imported.program}.",
        "# docs/coming-from.md says what became of each line; the commented config.toml shows all there is.",
        *(f"# {text}" for text in imported.head),
    ]
    sections = _sections(imported, credentials, written=written)
    return "\n".join([*head, *(line for section in sections for line in section), ""])


def _sections(imported: Imported, credentials: Mapping[str, Path], *, written: bool) -> list[list[str]]:
    texts = []
    for name, values in imported.sections:
        own: dict[str, Value] = dict(values)
        comments = list(imported.comments.get(name, ()))
        if (remote := name.removeprefix("remotes.")) in credentials and name.startswith("remotes."):
            if written:
                own["credentials"] = {"file": str(credentials[remote])}
            else:
                comments.insert(0, 'credentials = { file = "…" }: its keys; --output FILE writes both')
        header = f"[{'.'.join(_key(part) for part in name.split('.'))}]"
        lines = ["", header, *(f"{_key(key)} = {_value(value)}" for key, value in own.items())]
        texts.append([*lines, *(f"# {text}" for text in comments)])
    return texts


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items())} }}"
    return _text(str(value))


def _text(text: str) -> str:
    r"""A basic string (https://toml.io/en/v1.0.0#string): as JSON writes it, and DEL escaped too. Characters outside
    ASCII stay, for JSON would write some as two halves, which TOML refuses."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
