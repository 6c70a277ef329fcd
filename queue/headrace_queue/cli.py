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
from headrace_queue.help_page import explained, write_commands
from headrace_queue.output import prepare_output

_MODULES: Final = {
    "sync": "commands_submit",
    "copy": "commands_submit",
    "archive": "commands_submit",
    "run": "commands_run",
    "datasets": "commands_datasets",
    "match": "commands_match",
    "ls": "commands_look",
    "du": "commands_look",
    "stat": "commands_look",
    "jobs": "commands_jobs",
    "status": "commands_jobs",
    "watch": "commands_jobs",
    "wait": "commands_jobs",
    "explain": "commands_explain",
    "cancel": "commands_jobs",
    "pause": "commands_jobs",
    "resume": "commands_jobs",
    "retry": "commands_jobs",
    "report": "commands_jobs",
    "purge": "commands_jobs",
    "schedule": "commands_schedule",
    "upload": "commands_transfer",
    "download": "commands_transfer",
    "transfers": "commands_transfers",
    "completion": "commands_completion",
    "man": "commands_man",
    "_complete": "commands_completion",
}
"""Where each command is, in the order of --help: a function of its name, or a typer application called `app`. A module
may name the class of its command as `KIND`."""
_FROM_AFAR: Final = ("commands_jobs", "commands_explain", "commands_transfer")
_IN_QUEUE: Final = frozenset({name for name, module in _MODULES.items() if module in _FROM_AFAR} | {"sync", "copy"}) - {
    "purge"
}
_ANYWHERE: Final = _IN_QUEUE | {"completion", "man", "_complete"}
"""What a daemon on another host can be asked for."""
_WITH_RULES: Final = ("sync", "archive", "run", "match")


class _BuiltWhenCalled(TyperGroup):
    """Loads and builds one command, not fourteen: typer looks at each option of each, which costs every call 15 ms."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in _MODULES if not name.startswith("_")]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        write_commands(self, ctx, formatter)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # all of them for a name that there is not: what is offered in its place comes from these
        for name in [cmd_name] if cmd_name in _MODULES else _MODULES:
            if name not in self.commands:
                self.commands[name] = build(name)
        return self.commands.get(cmd_name)


def build(name: str) -> Any:
    """One command, without those that it stands beside."""
    module: Any = importlib.import_module(f"headrace_queue.{_MODULES[name]}")
    if not hasattr(module, name):
        return explained(typer.main.get_command(module.app))
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    kind = getattr(module, "KIND", given.RulesInOrder if name in _WITH_RULES else None)
    alone.command(name, cls=kind)(getattr(module, name))
    return explained(typer.main.get_command(alone))


app = typer.Typer(
    name="headrace",
    cls=_BuiltWhenCalled,
    help="Moves data between S3 and parallel file systems, and between buckets, through a durable queue.",
    invoke_without_command=True,
    add_completion=False,  # `headrace completion` knows jobs and buckets, too
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
    _never_fail_on_a_character(sys.stderr)
    output = prepare_output()
    try:
        code: object = app(standalone_mode=False)
        output.flush()
    except BrokenPipeError:  # only where --url had SIGPIPE ignored
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (HeadraceError, CommandLineError, OSError) as error:
        if output.failed:
            return output.tell_lost(error, as_json="--json" in sys.argv)
        return complain(error, as_json="--json" in sys.argv)
    return code if isinstance(code, int) else 0


def _never_fail_on_a_character(stream: TextIO | object) -> None:
    """A key that the terminal's encoding does not have is shown as an escape; a traceback would hide what happened."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
