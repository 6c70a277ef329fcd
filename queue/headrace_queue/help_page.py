"""What `--help` shows beyond what typer does by itself: commands by what they are for, and each argument explained."""

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final, get_args

_SECTIONS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("Move data", ("sync", "copy", "archive", "run", "datasets", "schedule")),
    ("Look at data", ("ls", "du", "stat", "match")),
    ("Look at jobs", ("jobs", "status", "watch", "wait", "explain", "report")),
    ("Steer jobs", ("pause", "resume", "cancel", "retry", "purge")),
    ("Another host, people outside", ("upload", "download", "transfers")),
    ("This command", ("completion", "man")),
)
_REST: Final = "More commands"


def sections_of(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The names under the titles of what they are for, each section in its own order; no empty section."""
    known = {name for _, members in _SECTIONS for name in members}
    rest = [name for name in names if name not in known]
    found = [(title, [name for name in members if name in names]) for title, members in _SECTIONS]
    return [(title, members) for title, members in [*found, (_REST, rest)] if members]


def write_commands(group: Any, context: Any, formatter: Any) -> None:
    """The commands of a group under the titles of what they are for."""
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    shown = {name: command for name, command in found.items() if command is not None and not command.hidden}
    width = max(map(len, shown), default=0)
    for title, names in sections_of(list(shown)):
        with formatter.section(title):
            formatter.write_dl([(f"{name:<{width}}", shown[name].get_short_help_str()) for name in names])


def explained(command: Any) -> Any:
    """The same command, and all below it, as --help should show it: each with its whole first sentence in lists, which
    click cuts off where the line ends; and arguments with the help that they were declared with, which typer's own
    class of arguments loses with click 8.5."""
    if not command.short_help and command.help:
        command.short_help = f"{first_sentence(command.help)}."
    for below in getattr(command, "commands", {}).values():
        explained(below)
    silent = [one for one in command.params if one.param_type_name == "argument" and not one.help]
    if silent and command.callback is not None:
        declared = inspect.signature(command.callback).parameters
        for argument in silent:
            parameter = declared.get(argument.name)
            argument.help = _declared_help(parameter.annotation) if parameter is not None else None
    # typer has a section of arguments, and click from 8.5 on another one of those that have help
    command.format_arguments = lambda _context, _formatter: None
    return command


def first_sentence(text: str | None) -> str:
    """`Do this.` of a help text, without the full stop."""
    first = " ".join((text or "").split("\n\n")[0].split())
    return re.split(r"(?<=[^.])\.(?:\s|$)", first, maxsplit=1)[0]


def _declared_help(annotation: object) -> str | None:
    found = (getattr(info, "help", None) for info in get_args(annotation)[1:])
    return next((text for text in found if text), None)
