"""`headraced fsx dra`: data repository associations and tasks; and whether a job can be one."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace_daemon.given_config import config_of
from headrace_queue.complaints import USAGE_EXIT
from headrace_queue.errors import UsageError
from headrace_queue.render import shown

if TYPE_CHECKING:
    from headrace_daemon.fsx.spec.model import AssociationSpec, EventPolicy

_EVENTS: Final = "NEW,CHANGED,DELETED"
_LEFT: Final = 130

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The config.toml to read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SectionName = Annotated[str, typer.Argument(metavar="NAME", help="Of a section [fsx.NAME] of config.toml.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what FSx would be asked, and change nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done, with a line for each look.")]

_dra = typer.Typer(
    help="Data repository associations: the links between folders of a file system and buckets.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.add_typer(_dra, name="dra")


@_dra.callback()
def _before(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


@_dra.command()
def check(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="As of a sync: a path, or s3://bucket/prefix.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="The other of both.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Say whether a data repository task can do this sync, and if not, why. Exit code 0 where it can, 1 where not."""
    from headrace_daemon.fsx.dra.commands import run_check

    loaded = config_of(context, config)
    return _run(lambda: run_check(loaded, source, destination, as_json=as_json))


@_dra.command("list")
def list_associations(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|ID]", help="A section [fsx.NAME], or a file system's id. [every section]"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Show the associations of file systems. An id without a section is asked for with the remote s3."""
    from headrace_daemon.fsx.dra.commands import run_list

    loaded = config_of(context, config)
    return _run(lambda: run_list(loaded, name, as_json=as_json))


@_dra.command()
def create(
    context: typer.Context,
    name: SectionName,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder, from the root of the file system: /ns1")],
    repository: Annotated[str, typer.Argument(metavar="S3", help="s3://bucket/prefix/")],
    auto_import: Annotated[
        str | None,
        typer.Option("--auto-import", metavar="EVENTS", help=f"What FSx imports by itself, of {_EVENTS}. [nothing]"),
    ] = None,
    auto_export: Annotated[
        str | None,
        typer.Option(
            "--auto-export",
            metavar="EVENTS",
            help=f"What FSx exports by itself, of {_EVENTS}; export tasks are impossible then. [nothing]",
        ),
    ] = None,
    import_now: Annotated[bool, typer.Option("--import", help="Import the metadata of what is in the bucket.")] = False,
    chunk_size: Annotated[
        int | None, typer.Option("--chunk-size", metavar="MIB", help="Of imported files, a stripe. [1024]")
    ] = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Link a folder of a file system to a prefix of a bucket. One that is there already is left as it is."""
    from headrace_daemon.fsx.dra.commands import run_create

    loaded = config_of(context, config)
    wanted = _association(path, repository, auto_import, auto_export, import_now, chunk_size)
    return _run(lambda: run_create(loaded, name, wanted, dry_run=dry_run, wait=wait, as_json=as_json))


@_dra.command()
def delete(
    context: typer.Context,
    association: Annotated[str, typer.Argument(metavar="ID", help="dra-…, of a file system of config.toml.")],
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete what lies in its folder, too; what is not exported is lost.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Take a link away. The objects stay, and so do the files; released ones lose what they are read from."""
    from headrace_daemon.fsx.dra.commands import run_delete

    loaded = config_of(context, config)
    ask = None if yes else _confirmed
    return _run(
        lambda: run_delete(
            loaded, association, ask=ask, delete_data=delete_data, dry_run=dry_run, wait=wait, as_json=as_json
        )
    )


@_dra.command()
def tasks(context: typer.Context, name: SectionName, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Show the last data repository tasks that FSx knows of, whoever asked for them; --json shows all."""
    from headrace_daemon.fsx.dra.commands import run_tasks

    loaded = config_of(context, config)
    return _run(lambda: run_tasks(loaded, name, as_json=as_json))


def _run(work: Callable[[], Awaitable[int]]) -> int:
    import asyncio

    async def working() -> int:
        return await work()

    try:
        return asyncio.run(working())
    except KeyboardInterrupt:
        print("headraced: what FSx has been asked goes on; `headraced fsx dra list` shows it", file=sys.stderr)
        return _LEFT


def _association(
    path: str,
    repository: str,
    auto_import: str | None,
    auto_export: str | None,
    import_now: bool,
    chunk_size: int | None,
) -> "AssociationSpec":
    from headrace_daemon.fsx.spec.model import AssociationS3, AssociationSpec

    imports, exports = _policy("--auto-import", auto_import), _policy("--auto-export", auto_export)
    s3 = AssociationS3(auto_import_policy=imports, auto_export_policy=exports) if imports or exports else None
    return AssociationSpec(
        file_system_path=path,
        data_repository_path=repository,
        batch_import_meta_data_on_create=import_now,
        imported_file_chunk_size=chunk_size,
        s3=s3,
    )


def _policy(option: str, text: str | None) -> "EventPolicy | None":
    from headrace_daemon.fsx.spec.model import Event, EventPolicy

    if text is None:
        return None
    words = [word.strip().upper() for word in text.split(",")]
    wrong = [word for word in words if word not in Event.__members__]
    if wrong:
        raise UsageError(f"{option} {text}", f"{wrong[0]!r} is no event", f"Write some of {_EVENTS}.")
    return EventPolicy(events=tuple(dict.fromkeys(Event(word) for word in words)))


def _confirmed(lines: list[str], word: str) -> None:
    """Shows what would be lost, and has `word` typed. Raises UsageError where it is not, or nobody is there to type."""
    if not sys.stdin.isatty():
        why = "it changes what others may rely on, and nobody is at a terminal to confirm it"
        raise UsageError(f"delete {word}", why, "Look with --dry-run, then add --yes.")
    for line in lines:
        print(shown(line), file=sys.stderr)
    print(f"Type {word} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise UsageError(f"delete {word}", "another word was typed, and nothing is changed", "Type the id as shown.")
