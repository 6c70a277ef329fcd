"""`headrace sync`, `copy` and `archive`: jobs go into the queue, whether or not a daemon runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from headrace_queue import command_options as given
from headrace_queue import request_options as groups
from headrace_queue.enqueueing import manner_of, submit_one
from headrace_queue.request_options import request_from, taking
from headrace_queue.submit import archive_job, copy_job, sync_job


@taking(*groups.SYNC)
def sync(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    *,
    wait: bool,
    here: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring everything below SRC to DST; what is there in the same size is left alone."""
    manner, request = manner_of(context, config, wait, as_json, here=here), request_from(context, options)
    if request.watch or request.settle is not None:
        from headrace_queue.watching import watch

        return watch(context, request, manner)
    return submit_one(sync_job, source, destination, request, manner)


@taking(*groups.COPY)
def copy(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    *,
    wait: bool,
    here: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring exactly one object or file from SRC to DST, whatever is there; into a folder DST under its own name."""
    manner = manner_of(context, config, wait, as_json, here=here)
    return submit_one(copy_job, source, destination, request_from(context, options), manner)


@taking(*groups.ARCHIVE)
def archive(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of this host.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="s3://bucket/key.tar, or NAME://….")],
    *,
    wait: bool,
    here: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring everything below DIR to DST as one tar, without a copy on a disk; below s3://bucket/ as DIR's name.tar."""
    manner = manner_of(context, config, wait, as_json, here=here)
    return submit_one(archive_job, folder, destination, request_from(context, options), manner)
