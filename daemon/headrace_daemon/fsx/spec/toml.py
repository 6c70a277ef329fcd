"""A specification as TOML, to go on with: what is as it is by default is left out."""

import json
from typing import Any

from headrace_daemon.fsx.spec.model import FileSystemSpec


def to_toml(spec: FileSystemSpec) -> str:
    """What `headraced fsx plan` and its siblings read, but for the subnet, which stands there to be filled in. Without
    associations and tags."""
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude={"data_repository_associations", "tags"})
    values = {"name": spec.name, **values}
    lines = [_line(key, value) for key, value in values.items() if not isinstance(value, dict)]
    if not spec.subnet_ids:
        lines.append('# subnet_ids = ["subnet-…"]  # the one that it shall stand in')
    for key, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(_line(name, value) for name, value in table.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    # a string, number, truth value or list of strings reads the same in JSON and in TOML
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
