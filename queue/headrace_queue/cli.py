"""`headrace`: the command. It talks to the queue alone, so it works whether or not a daemon runs.

Exit codes: 0 done; 1 done, but objects failed; 2 wrong use or configuration; 3 cancelled; 4 the job failed as a whole;
75 the queue cannot be used just now; 130 left with Ctrl-C while a job goes on.
"""

import signal
import sys
from typing import Annotated, TextIO

import typer

from headrace_queue import command_options as given
from headrace_queue import commands_jobs, commands_match, commands_submit
from headrace_queue.complaints import USAGE_EXIT, CommandLineError, complain, print_version
from headrace_queue.errors import HeadraceError

app = typer.Typer(
    name="headrace",
    help="Moves data between S3 and parallel file systems, and between buckets, through a durable queue.",
    invoke_without_command=True,
    rich_markup_mode=None,  # rich would cost every call 60 ms
    pretty_exceptions_enable=False,
)


@app.callback()
def _before(
    context: typer.Context,
    config: given.ConfigFile = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    context.obj = config
    if version:
        print_version("headrace")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


app.command(cls=given.RulesInOrder)(commands_submit.sync)
app.command()(commands_submit.copy)
app.command(cls=given.RulesInOrder)(commands_submit.run)
app.command(cls=given.RulesInOrder)(commands_match.match)
app.command()(commands_jobs.jobs)
app.command()(commands_jobs.status)
app.command()(commands_jobs.watch)
app.command()(commands_jobs.wait)
app.command()(commands_jobs.cancel)
app.command()(commands_jobs.pause)
app.command()(commands_jobs.resume)
app.command()(commands_jobs.retry)
app.command()(commands_jobs.report)
app.command()(commands_jobs.purge)


def main() -> int:
    """The entry point; the exit code."""
    # `headrace report 7 | head` ends quietly, like any other filter
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_a_character(stream)
    try:
        code: object = app(standalone_mode=False)
    except (HeadraceError, CommandLineError, OSError) as error:
        return complain(error, as_json="--json" in sys.argv)
    return code if isinstance(code, int) else 0


def _never_fail_on_a_character(stream: TextIO | object) -> None:
    """A key that the terminal's encoding does not have is shown as an escape; a traceback would hide what happened."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
