"""`headrace man`: the manual page, made of the commands themselves."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from headrace_queue.errors import UsageError

Words: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COMMAND]…", help="Only of this command, such as `sync`; without it, of all."),
]


def man(context: typer.Context, command: Words = None) -> int:
    """Print the manual page; `headrace man | man -l -` shows it.

    It is made of the commands themselves. To install it: headrace man > /usr/local/share/man/man1/headrace.1
    """
    from importlib.metadata import version

    from headrace_queue.manual import manual

    root = context.find_root()
    program = root.command.name or "headrace"  # not as it was called: `python -m headrace_daemon` is no name
    try:
        page = manual(root.command, program, version("headrace"), _date(), command or ())
    except KeyError as error:
        known = ", ".join(root.command.list_commands(root))  # type: ignore[attr-defined]
        raise UsageError(f"{program} man {error.args[0]}", "there is no such command", f"There are: {known}.") from None
    sys.stdout.write(page)
    return 0


def _date() -> str:
    """When the program was installed: its files have no other date."""
    return datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC).date().isoformat()
