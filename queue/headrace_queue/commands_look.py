"""`headrace ls`, `du` and `stat`: what is at a place. Nothing is enqueued and nothing changed.

Looking into a bucket takes an S3 library, which the client does not load: it checks what was typed, and then becomes
the daemon's program, to which it hands the request.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

from headrace_queue import command_options as given
from headrace_queue.looking_request import LookRequest, check_place, place_of
from headrace_queue.python_child import module_command

Place: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[LOCATION]", help="s3://bucket/prefix, NAME://… or a path; s3:// lists buckets."),
]
OnePlace: TypeAlias = Annotated[
    str, typer.Argument(metavar="LOCATION", help="s3://bucket, s3://bucket/key, NAME://… or a path.")
]
Recursive: TypeAlias = Annotated[
    bool, typer.Option("--recursive", "-r", help="Everything below, not only what is directly there.")
]
Long: TypeAlias = Annotated[bool, typer.Option("--long", "-l", help="With size, time, storage class and ETag.")]
Human: TypeAlias = Annotated[bool, typer.Option("--human/--bytes", help="Sizes such as 1.5 GiB, or in bytes.")]
Limit: TypeAlias = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="How many lines at most.")]
AllVersions: TypeAlias = Annotated[
    bool, typer.Option("--versions", help="Every version and delete marker, with its version id.")
]
Depth: TypeAlias = Annotated[
    int, typer.Option("--depth", "-d", metavar="N", min=0, help="A line for each sub-folder too, so many levels down.")
]
ByClass: TypeAlias = Annotated[bool, typer.Option("--by-class", help="Add up each storage class by itself, too.")]
OfVersion: TypeAlias = Annotated[
    str, typer.Option("--version-id", metavar="ID", help="This version of the object, not the current one.")
]


def ls(
    context: typer.Context,
    location: Place = None,
    recursive: Recursive = False,
    long: Long = False,
    human: Human = True,
    limit: Limit = None,
    versions: AllVersions = False,
    requester_pays: given.RequesterPays = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """List what is at LOCATION: objects and folders, files, buckets; without LOCATION, the remotes.

    Exit code 1 where nothing is there.
    """
    request = LookRequest(
        look="ls",
        place=place_of(location) if location is not None else "",
        recursive=recursive,
        long=long,
        human=human,
        limit=limit,
        versions=versions,
        requester_pays=requester_pays,
        as_json=as_json,
    )
    _become_the_other(context, config, request)


def du(
    context: typer.Context,
    location: OnePlace,
    depth: Depth = 0,
    by_class: ByClass = False,
    human: Human = True,
    requester_pays: given.RequesterPays = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Count the objects and bytes below LOCATION. Exit code 1 where nothing is there."""
    request = LookRequest(
        look="du",
        place=place_of(location),
        depth=depth,
        by_class=by_class,
        human=human,
        requester_pays=requester_pays,
        as_json=as_json,
    )
    _become_the_other(context, config, request)


def stat(
    context: typer.Context,
    location: OnePlace,
    version_id: OfVersion = "",
    requester_pays: given.RequesterPays = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Show all that is known of one object, bucket or file. Exit code 1 where nothing is there."""
    request = LookRequest(
        look="stat",
        place=place_of(location),
        version=version_id,
        requester_pays=requester_pays,
        as_json=as_json,
    )
    _become_the_other(context, config, request)


def _become_the_other(context: typer.Context, config: Path | None, request: LookRequest) -> NoReturn:
    """Raises UsageError."""
    check_place(request)
    file = given.config_file(context, config)
    words = module_command("headrace_daemon", "look", request.to_text())
    words += ["--config", os.fspath(file.absolute())] if file is not None else []
    words += ["--json"] if request.as_json else []
    sys.stdout.flush()
    os.execv(sys.executable, words)
