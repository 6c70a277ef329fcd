"""The commands of `headraced`: what runs on the host. Each imports what it needs, so that --help is quick."""

import importlib
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from typer.core import TyperGroup

from headrace_daemon.given_config import config_of
from headrace_queue.commands_completion import _complete, completion
from headrace_queue.commands_man import man
from headrace_queue.complaints import USAGE_EXIT, CommandLineError, complain, print_version
from headrace_queue.errors import HeadraceError
from headrace_queue.help_page import explained
from headrace_queue.jobs import Links
from headrace_queue.output import prepare_output
from headrace_queue.refusals import job_number, refused
from headrace_queue.units import parse_duration

if TYPE_CHECKING:
    from headrace_daemon.apart.process import FileProcess
    from headrace_queue.config import Config

_GROUPS: Final = ("token", "notices", "fsx")
"""The commands that have commands of their own, each in a module `commands_NAME`."""


class _GroupsWhenCalled(TyperGroup):
    """Loads and builds the groups for a call that names one or asks what there is: `serve` starts sooner without."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*(name for name in self.commands if name not in _GROUPS), *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            # all of them for a name that there is not: what is offered in its place comes from these
            for name in [cmd_name] if cmd_name in _GROUPS else _GROUPS:
                module = importlib.import_module(f"headrace_daemon.commands_{name}")
                self.commands[name] = explained(typer.main.get_command(module.app))
        return self.commands.get(cmd_name)


app = typer.Typer(
    name="headraced",
    cls=_GroupsWhenCalled,
    help="The Headrace daemon: works through the queue, moves the data, proves it.",
    invoke_without_command=True,
    add_completion=False,  # `headraced completion` knows more
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path | None, typer.Option("--config", readable=False, help="The config.toml to read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _before(
    context: typer.Context,
    config: ConfigFile = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    context.obj = config
    if version:
        print_version("headraced")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import gc

    import uvloop

    from headrace_daemon.cpu_policy import prefer_throughput

    prefer_throughput()
    # measured with 5,000 small objects: 4 % of the CPU went into looking for cycles among objects that have none
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    return uvloop.run(work())


def _file_process(config: "Config") -> "FileProcess | None":
    """Before there are threads, and before most is loaded: it is a copy of this process, with the same limits. None
    where the host grants no more processes; threads do its work then."""
    from headrace_daemon.apart.process import FileProcess
    from headrace_daemon.open_files import descriptors_needed, raise_limit

    raise_limit(descriptors_needed(config))
    try:
        return FileProcess.start()
    except OSError:
        return None


@app.command()
def serve(context: typer.Context, config: ConfigFile = None) -> int:
    """Work through the queue until SIGTERM, then finish what is in flight."""
    loaded = config_of(context, config)
    process = _file_process(loaded)
    from headrace_daemon.service import serve as work

    return _run(lambda: work(loaded, config or context.obj, process))


@app.command()
def drain(
    context: typer.Context,
    job: Annotated[
        int | None, typer.Option("--job", metavar="JOB", parser=job_number, help="Work on this job only.")
    ] = None,
    give_up_after: Annotated[
        str | None,
        typer.Option(
            "--give-up-after",
            metavar="SECONDS",
            help="End once every job that is left has only waited for so long, such as 90 or 10m. [never]",
        ),
    ] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    config: ConfigFile = None,
) -> int:
    """Work until nothing is left to do; the exit code is that of the worst job."""
    if parent is not None:
        from headrace_daemon.orphan import end_with

        end_with(parent)
    loaded = config_of(context, config)
    seconds = _seconds(give_up_after, "--give-up-after")
    process = _file_process(loaded)
    from headrace_daemon.service import drain as work

    return _run(lambda: work(loaded, job, seconds, process))


def _seconds(text: str | None, option: str) -> float | None:
    """Raises UsageError."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise refused(f"{option} {text}", str(error)) from None


@app.command()
def doctor(
    context: typer.Context,
    locations: Annotated[
        list[str] | None, typer.Argument(metavar="[LOCATION]…", help="To be tried, too: s3://bucket/prefix or a path.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write and delete a trial object or file at each LOCATION.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Look for what would keep Headrace from working here, each with a remedy. Exit code 0, or 1 for a problem."""
    import asyncio

    from headrace_daemon.doctor.run import run_doctor

    work = run_doctor(config or context.obj, as_json=as_json, locations=locations or (), write=write)
    return asyncio.run(work)


@app.command()
def verify(
    context: typer.Context,
    source: str,
    destination: str,
    encode_names: Annotated[
        bool, typer.Option("--encode-names", help="Names in a folder are as a sync with --encode-names writes them.")
    ] = False,
    links: Annotated[
        Links | None, typer.Option("--links", help="Links in a folder are as a sync with --links has them. [follow]")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Compare two locations object by object, by checksum. Exit code 0 where they hold the same, 1 where not."""
    from headrace_daemon.verify.run import TreeOptions, run_verify

    loaded = config_of(context, config)
    trees = TreeOptions(encode_names, links)
    return _run(lambda: run_verify(loaded, source, destination, trees, as_json=as_json))


@app.command(hidden=True)
def match(context: typer.Context, request: str, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """What `headrace match` becomes; request: its MatchRequest as text."""
    from headrace_daemon.matching import run_match
    from headrace_queue.commands_match import MatchRequest

    sys.argv[0] = "headrace"  # a complaint names the command that was typed
    loaded = config_of(context, config)
    return _run(lambda: run_match(loaded, MatchRequest.from_text(request)))


@app.command(hidden=True)
def look(context: typer.Context, request: str, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """What `headrace ls`, `du` and `stat` become; request: a LookRequest as text."""
    from headrace_daemon.exploring.run import run_look
    from headrace_queue.looking_request import LookRequest

    sys.argv[0] = "headrace"  # a complaint names the command that was typed
    loaded = config_of(context, config)
    return _run(lambda: run_look(loaded, LookRequest.from_text(request)))


@app.command(name="import-config")
def import_config(
    file: Annotated[Path, typer.Argument(help="config.yaml of s3_transfer.py, or config.ini of sync_from_s3.sh.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="What to write; - shows it and writes nothing.")
    ] = Path("headrace.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> int:
    """Make a headrace.toml of another program's configuration; its keys go into files of their own, mode 0600."""
    from headrace_daemon.importing.run import run_import

    return run_import(file, output, force=force)


@app.command(name="transfer-script")
def transfer_script(
    way: Annotated[Literal["upload", "download"], typer.Argument(metavar="upload|download")],
    url: Annotated[str, typer.Option("--url", help="Of the API, as people outside reach it: https://data.example.org")],
    system: Annotated[str, typer.Option("--system", help="Of [systems] in config.toml.")],
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FROM [TO]]",
            help="The file to upload and its path on the system, or the path to download and the file. "
            "What is left out is an argument of the script.",
        ),
    ] = None,
) -> int:
    """Print a shell script that uploads or downloads a file with curl, for people without Python."""
    from headrace_daemon.transfer_script import script_for

    sys.stdout.write(script_for(way, url, system, places or []))
    return 0


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep everything in this directory.")] = None,
) -> int:
    """Start real S3 servers, move sample data through all of Headrace, and prove that it arrived."""
    from headrace_daemon.demo.run import run_demo

    return run_demo(keep)


app.command(name="completion")(completion)
app.command(name="man")(man)
app.command(name="_complete", hidden=True)(_complete)


def run() -> int:
    """What the command line asks for; the exit code."""
    output = prepare_output()
    try:
        code: object = explained(typer.main.get_command(app))(standalone_mode=False)
        output.flush()
    except BrokenPipeError:
        from headrace_daemon.ended_early import end_without_reader

        end_without_reader()
    except OSError as error:
        if not output.failed:
            raise
        return output.tell_lost(error, as_json="--json" in sys.argv)
    except (HeadraceError, CommandLineError) as error:
        return complain(error, as_json="--json" in sys.argv)
    except BaseExceptionGroup as group:
        ours, others = group.split(HeadraceError)
        if others is not None or ours is None:
            raise
        return complain(_first(ours), as_json="--json" in sys.argv)
    return code if isinstance(code, int) else 0


def _first(group: BaseExceptionGroup[HeadraceError]) -> HeadraceError:
    """The error that ended the worker's tasks; the others followed from it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
