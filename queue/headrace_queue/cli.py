"""`headrace`: the command. It talks to the queue alone, so it works whether or not a daemon runs; with --url it talks
to a daemon on another host.

Exit codes: 0 done; 1 done, but objects failed; 2 wrong use or configuration; 3 cancelled; 4 the job failed as a whole;
75 the queue cannot be used just now; 130 left with Ctrl-C while a job goes on.
"""

import importlib
import os
import signal
import sys
from typing import Annotated, Any, Final, TextIO

import typer
from typer.core import TyperGroup

from headrace_queue import command_options as given
from headrace_queue.complaints import USAGE_EXIT, CommandLineError, complain, print_version
from headrace_queue.errors import HeadraceError, UsageError

_MODULES: Final = {
    "sync": "commands_submit",
    "copy": "commands_submit",
    "archive": "commands_submit",
    "run": "commands_submit",
    "match": "commands_match",
    "jobs": "commands_jobs",
    "status": "commands_jobs",
    "watch": "commands_jobs",
    "wait": "commands_jobs",
    "cancel": "commands_jobs",
    "pause": "commands_jobs",
    "resume": "commands_jobs",
    "retry": "commands_jobs",
    "report": "commands_jobs",
    "purge": "commands_jobs",
    "upload": "commands_transfer",
    "download": "commands_transfer",
    "transfers": "commands_transfers",
}
"""Where each command is, in the order of --help: a function of its name, or a typer application called `app`."""
_ANYWHERE: Final = frozenset(
    {name for name, module in _MODULES.items() if module in ("commands_jobs", "commands_transfer")} | {"sync", "copy"}
) - {"purge"}
"""What a daemon on another host can be asked for."""
_WITH_RULES: Final = ("sync", "archive", "run", "match")


class _BuiltWhenCalled(TyperGroup):
    """Loads and builds one command, not fourteen: typer looks at each option of each, which costs every call 15 ms."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # all of them for a name that there is not: what is offered in its place comes from these
        for name in [cmd_name] if cmd_name in _MODULES else _MODULES:
            if name not in self.commands:
                self.commands[name] = _build(name)
        return self.commands.get(cmd_name)


def _build(name: str) -> Any:
    module: Any = importlib.import_module(f"headrace_queue.{_MODULES[name]}")
    if not hasattr(module, name):
        return typer.main.get_command(module.app)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name, cls=given.RulesInOrder if name in _WITH_RULES else None)(getattr(module, name))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="headrace",
    cls=_BuiltWhenCalled,
    help="Moves data between S3 and parallel file systems, and between buckets, through a durable queue.",
    invoke_without_command=True,
    rich_markup_mode=None,  # rich would cost every call 60 ms
    pretty_exceptions_enable=False,
)


@app.callback()
def _before(
    context: typer.Context,
    config: given.ConfigFile = None,
    url: given.Url = None,
    token_file: given.TokenFile = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    context.obj = config
    given.remember_server(context, url, token_file)
    if version:
        print_version("headrace")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)
    _refuse_from_afar(context.invoked_subcommand, url)


def _refuse_from_afar(command: str, url: str | None) -> None:
    named = "--url" if url is not None else "HEADRACE_URL" if os.environ.get("HEADRACE_URL") else ""
    if named and command in _MODULES and command not in _ANYWHERE and "--help" not in sys.argv:
        why = f"it works on this host's own queue and files, and {named} names a daemon on another one"
        raise UsageError(f"headrace {command}", why, f"Call it on that host, or without {named}.")


def main() -> int:
    """The entry point; the exit code."""
    # `headrace report 7 | head` ends quietly, like any other filter
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_a_character(stream)
    try:
        code: object = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # only where --url had SIGPIPE ignored
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (HeadraceError, CommandLineError, OSError) as error:
        return complain(error, as_json="--json" in sys.argv)
    return code if isinstance(code, int) else 0


def _never_fail_on_a_character(stream: TextIO | object) -> None:
    """A key that the terminal's encoding does not have is shown as an escape; a traceback would hide what happened."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
