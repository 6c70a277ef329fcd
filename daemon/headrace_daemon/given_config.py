"""The configuration of a command of `headraced`, whose --config may stand before or after the command's name."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from headrace_queue.config import Config


def config_of(context: "typer.Context", after: Path | None) -> "Config":
    """after: the --config behind the command's name. Raises UsageError."""
    from headrace_queue.config import load_config  # its models cost 80 ms, and --help has no use for them

    return load_config(after or context.obj)
