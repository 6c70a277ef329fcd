"""`headrace sync`, `copy`, `archive` and `run`: jobs go into the queue, whether or not a daemon runs."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_queue import command_options as given
from headrace_queue import request_options as groups
from headrace_queue.enqueueing import manner_of, submit, submit_one
from headrace_queue.errors import UsageError
from headrace_queue.name_list import refuse_stdin
from headrace_queue.request_options import request_from, taking
from headrace_queue.store import open_store
from headrace_queue.submit import archive_job, copy_job, dataset_job, sync_job

if TYPE_CHECKING:
    from headrace_queue.config import Config


@taking(*groups.SYNC)
def sync(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    *,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring everything below SRC to DST; what is there in the same size is left alone."""
    manner = manner_of(context, config, wait, as_json)
    return submit_one(sync_job, source, destination, request_from(context, options), manner)


@taking(*groups.COPY)
def copy(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    *,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring exactly one object or file from SRC to DST, whatever is there; into a folder DST under its own name."""
    manner = manner_of(context, config, wait, as_json)
    return submit_one(copy_job, source, destination, request_from(context, options), manner)


@taking(*groups.ARCHIVE)
def archive(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of this host.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="s3://bucket/key.tar, or NAME://….")],
    *,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring everything below DIR to DST as one tar, without a copy on a disk; below s3://bucket/ as DIR's name.tar."""
    manner = manner_of(context, config, wait, as_json)
    return submit_one(archive_job, folder, destination, request_from(context, options), manner)


@taking(*groups.RUN)
def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="DATASET…", help="Names from config.toml.")] = None,
    all_datasets: Annotated[bool, typer.Option("--all", help="Every dataset of config.toml.")] = False,
    *,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Sync datasets of config.toml by name; rules given here come after the dataset's own."""
    manner = manner_of(context, config, wait, as_json)
    request = request_from(context, options)
    chosen = _chosen(manner.config, names or [], all_datasets)
    if len(chosen) > 1:
        refuse_stdin(request.files_from, request.files_from0)
    # every dataset is checked before the first one is enqueued: all of them or none
    specs = [dataset_job(manner.config, name, request) for name in chosen]
    with closing(open_store(manner.config.queue_url)) as store:
        return submit(store, specs, manner, lambda entries: {"jobs": entries})


def _chosen(config: "Config", names: Sequence[str], all_datasets: bool) -> list[str]:
    if all_datasets and not names:
        names = list(config.datasets)
        if not names:
            raise UsageError("run --all", "config.toml has no datasets", "Add a section [datasets.NAME] to it.")
        return names
    if all_datasets or not names:
        known = f"There are: {', '.join(config.datasets) or 'none yet'}."
        raise UsageError("run", "it takes either names of datasets or --all", known)
    return list(dict.fromkeys(names))
