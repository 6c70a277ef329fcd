"""`headrace run --PRESET`: the presets of config.toml as options of the command.

config.toml is read for them only where it has to be: for an option that `run` does not have, and for --help.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperOption

from headrace_queue.command_options import RulesInOrder, config_file
from headrace_queue.errors import UsageError

_PRESETS: Final = "headrace.presets"
_READ: Final = "headrace.presets.read"


class PresetOptions(RulesInOrder):
    """A command that takes each preset of config.toml as an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {name for option in super().get_params(ctx) for name in (*option.opts, *option.secondary_opts)}
        if _unknown(args, own):
            ctx.meta[_READ] = _presets(ctx, args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)
        own = {name for option in params for name in (*option.opts, *option.secondary_opts)}
        read: dict[str, str] = ctx.meta.get(_READ, {})
        # first: they are what a person looks for in --help
        return [*(_option(name, text) for name, text in read.items() if f"--{name}" not in own), *params]


def presets_of(context: typer.Context) -> tuple[str, ...]:
    """Those that were typed, in their order, each once."""
    return tuple(dict.fromkeys(context.meta.get(_PRESETS, ())))


def _unknown(args: Sequence[str], own: set[str]) -> bool:
    """Whether there is an option that the command itself does not have, or --help, which shows all of them."""
    words = list(args[: list(args).index("--")]) if "--" in args else list(args)
    return any(word == "--help" or (word.startswith("--") and word.partition("=")[0] not in own) for word in words)


def _presets(context: Any, args: Sequence[str]) -> dict[str, str]:
    """Raises UsageError where config.toml cannot be read; --help is shown all the same."""
    from headrace_queue.config_source import read_source
    from headrace_queue.datasets import presets_in

    try:
        return presets_in(read_source(config_file(context, _named(args)), os.environ).values)
    except UsageError:
        if "--help" in args:
            return {}
        raise


def _named(args: Sequence[str]) -> Path | None:
    """The file of --config, before anything is parsed."""
    for index, word in enumerate(args):
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
        if word == "--config" and index + 1 < len(args):
            return Path(args[index + 1])
    return None


def _option(name: str, text: str) -> TyperOption:
    def remember(context: Any, _: Any, given: bool) -> None:
        if given:
            context.meta.setdefault(_PRESETS, []).append(name)

    return TyperOption(
        param_decls=[f"--{name}"], is_flag=True, default=False, help=text, expose_value=False, callback=remember
    )
