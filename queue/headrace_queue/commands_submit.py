"""`headrace sync`, `copy`, `archive` and `run`: jobs go into the queue, whether or not a daemon runs."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_queue import command_options as given
from headrace_queue.enqueueing import manner_of, submit, submit_one
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, Via
from headrace_queue.name_list import refuse_stdin
from headrace_queue.object_headers import described
from headrace_queue.selection import bounds_of
from headrace_queue.store import open_store
from headrace_queue.submit import Request, archive_job, copy_job, dataset_job, sync_job

if TYPE_CHECKING:
    from headrace_queue.config import Config


def sync(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    include: given.Include = [],  # noqa: B006 - typer copies defaults
    exclude: given.Exclude = [],  # noqa: B006
    include_folder: given.IncludeFolder = [],  # noqa: B006
    exclude_folder: given.ExcludeFolder = [],  # noqa: B006
    min_size: given.MinSize = None,
    max_size: given.MaxSize = None,
    min_age: given.MinAge = None,
    max_age: given.MaxAge = None,
    files_from: given.FilesFrom = None,
    files_from0: given.FilesFromNul = None,
    compare: given.Comparison = None,
    force_overwrite: given.ForceOverwrite = False,
    no_clobber: given.NoClobber = False,
    existing: given.Existing = False,
    delete: given.Delete = False,
    max_delete: given.MaxDelete = None,
    allow_empty_source: given.AllowEmptySource = False,
    trash: given.Trash = None,
    dry_run: given.DryRun = False,
    wait: given.Wait = False,
    priority: given.Priority = 0,
    bandwidth: given.Bandwidth = None,
    submission_id: given.SubmissionId = None,
    label: given.Labels = [],  # noqa: B006
    via: given.Way = Via.AUTO,
    storage_class: given.StorageClass = None,
    sse: given.Encryption = None,
    acl: given.CannedAcl = None,
    sse_c_key_file: given.KeyFile = None,
    source_sse_c_key_file: given.SourceKeyFile = None,
    preserve: given.Preserve = False,
    restore: given.Restore = False,
    release: given.Release = False,
    content_type: given.ContentType = None,
    cache_control: given.CacheControl = None,
    content_disposition: given.Disposition = None,
    content_encoding: given.Encoding = None,
    content_language: given.Language = None,
    expires: given.Expires = None,
    metadata: given.Metadata = [],  # noqa: B006
    links: given.LinkPolicy = None,
    encode_names: given.EncodeNames = False,
    empty_dirs: given.EmptyDirs = False,
    dirs: given.Dirs = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Bring everything below SRC to DST; what is there in the same size is left alone."""
    manner = manner_of(context, config, wait, as_json)
    request = Request(
        rules=given.rules_of(context),
        bounds=bounds_of(min_size=min_size, max_size=max_size, min_age=min_age, max_age=max_age, now=time.time()),
        files_from=files_from,
        files_from0=files_from0,
        compare=Compare(compare) if compare else None,
        force_overwrite=force_overwrite,
        no_clobber=no_clobber,
        existing=existing,
        delete=delete,
        max_delete=max_delete,
        allow_empty_source=allow_empty_source,
        trash=trash,
        dry_run=dry_run,
        via=via,
        bandwidth=bandwidth,
        storage_class=storage_class,
        sse=sse,
        acl=acl,
        sse_c_key_file=sse_c_key_file,
        source_sse_c_key_file=source_sse_c_key_file,
        preserve=preserve,
        restore=restore,
        release=release,
        described=described(
            content_type=content_type,
            cache_control=cache_control,
            content_disposition=content_disposition,
            content_encoding=content_encoding,
            content_language=content_language,
            expires=expires,
            metadata=metadata,
        ),
        links=links,
        encode_names=encode_names,
        empty_dirs=empty_dirs,
        dirs=dirs,
        priority=priority,
        submission_id=submission_id,
        labels=label,
    )
    return submit_one(sync_job, source, destination, request, manner)


def copy(
    context: typer.Context,
    source: given.Source,
    destination: given.Destination,
    compare: given.Comparison = None,
    no_clobber: given.NoClobber = False,
    existing: given.Existing = False,
    dry_run: given.DryRun = False,
    wait: given.Wait = False,
    priority: given.Priority = 0,
    bandwidth: given.Bandwidth = None,
    submission_id: given.SubmissionId = None,
    label: given.Labels = [],  # noqa: B006
    via: given.Way = Via.AUTO,
    storage_class: given.StorageClass = None,
    sse: given.Encryption = None,
    acl: given.CannedAcl = None,
    sse_c_key_file: given.KeyFile = None,
    source_sse_c_key_file: given.SourceKeyFile = None,
    version_id: given.VersionId = None,
    preserve: given.Preserve = False,
    restore: given.Restore = False,
    content_type: given.ContentType = None,
    cache_control: given.CacheControl = None,
    content_disposition: given.Disposition = None,
    content_encoding: given.Encoding = None,
    content_language: given.Language = None,
    expires: given.Expires = None,
    metadata: given.Metadata = [],  # noqa: B006
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Bring exactly one object or file from SRC to DST, whatever is there; into a folder DST under its own name."""
    manner = manner_of(context, config, wait, as_json)
    request = Request(
        compare=Compare(compare) if compare else None,
        no_clobber=no_clobber,
        existing=existing,
        dry_run=dry_run,
        via=via,
        bandwidth=bandwidth,
        storage_class=storage_class,
        sse=sse,
        acl=acl,
        sse_c_key_file=sse_c_key_file,
        source_sse_c_key_file=source_sse_c_key_file,
        version_id=version_id,
        preserve=preserve,
        restore=restore,
        described=described(
            content_type=content_type,
            cache_control=cache_control,
            content_disposition=content_disposition,
            content_encoding=content_encoding,
            content_language=content_language,
            expires=expires,
            metadata=metadata,
        ),
        priority=priority,
        submission_id=submission_id,
        labels=label,
    )
    return submit_one(copy_job, source, destination, request, manner)


def archive(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of this host.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="s3://bucket/key.tar, or NAME://….")],
    include: given.Include = [],  # noqa: B006 - typer copies defaults
    exclude: given.Exclude = [],  # noqa: B006
    include_folder: given.IncludeFolder = [],  # noqa: B006
    exclude_folder: given.ExcludeFolder = [],  # noqa: B006
    wait: given.Wait = False,
    priority: given.Priority = 0,
    bandwidth: given.Bandwidth = None,
    submission_id: given.SubmissionId = None,
    label: given.Labels = [],  # noqa: B006
    storage_class: given.StorageClass = None,
    sse: given.Encryption = None,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Bring everything below DIR to DST as one tar, without a copy on a disk; below s3://bucket/ as DIR's name.tar."""
    manner = manner_of(context, config, wait, as_json)
    request = Request(
        rules=given.rules_of(context),
        bandwidth=bandwidth,
        storage_class=storage_class,
        sse=sse,
        priority=priority,
        submission_id=submission_id,
        labels=label,
    )
    return submit_one(archive_job, folder, destination, request, manner)


def run(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="DATASET…", help="Names from config.toml.")] = None,
    all_datasets: Annotated[bool, typer.Option("--all", help="Every dataset of config.toml.")] = False,
    include: given.Include = [],  # noqa: B006
    exclude: given.Exclude = [],  # noqa: B006
    include_folder: given.IncludeFolder = [],  # noqa: B006
    exclude_folder: given.ExcludeFolder = [],  # noqa: B006
    min_size: given.MinSize = None,
    max_size: given.MaxSize = None,
    min_age: given.MinAge = None,
    max_age: given.MaxAge = None,
    files_from: given.FilesFrom = None,
    files_from0: given.FilesFromNul = None,
    compare: given.Comparison = None,
    force_overwrite: given.ForceOverwrite = False,
    no_clobber: given.NoClobber = False,
    existing: given.Existing = False,
    delete: given.Delete = False,
    max_delete: given.MaxDelete = None,
    allow_empty_source: given.AllowEmptySource = False,
    trash: given.Trash = None,
    dry_run: given.DryRun = False,
    wait: given.Wait = False,
    priority: given.Priority = 0,
    bandwidth: given.Bandwidth = None,
    via: given.Way = Via.AUTO,
    storage_class: given.StorageClass = None,
    sse: given.Encryption = None,
    acl: given.CannedAcl = None,
    sse_c_key_file: given.KeyFile = None,
    source_sse_c_key_file: given.SourceKeyFile = None,
    preserve: given.Preserve = False,
    restore: given.Restore = False,
    release: given.Release = False,
    content_type: given.ContentType = None,
    cache_control: given.CacheControl = None,
    content_disposition: given.Disposition = None,
    content_encoding: given.Encoding = None,
    content_language: given.Language = None,
    expires: given.Expires = None,
    metadata: given.Metadata = [],  # noqa: B006
    links: given.LinkPolicy = None,
    encode_names: given.EncodeNames = False,
    empty_dirs: given.EmptyDirs = False,
    dirs: given.Dirs = False,
    config: given.ConfigFile = None,
    as_json: given.AsJson = False,
) -> int:
    """Sync datasets of config.toml by name; rules given here come after the dataset's own."""
    manner = manner_of(context, config, wait, as_json)
    request = Request(
        rules=given.rules_of(context),
        bounds=bounds_of(min_size=min_size, max_size=max_size, min_age=min_age, max_age=max_age, now=time.time()),
        files_from=files_from,
        files_from0=files_from0,
        compare=Compare(compare) if compare else None,
        force_overwrite=force_overwrite,
        no_clobber=no_clobber,
        existing=existing,
        delete=delete,
        max_delete=max_delete,
        allow_empty_source=allow_empty_source,
        trash=trash,
        dry_run=dry_run,
        via=via,
        bandwidth=bandwidth,
        storage_class=storage_class,
        sse=sse,
        acl=acl,
        sse_c_key_file=sse_c_key_file,
        source_sse_c_key_file=source_sse_c_key_file,
        preserve=preserve,
        restore=restore,
        release=release,
        described=described(
            content_type=content_type,
            cache_control=cache_control,
            content_disposition=content_disposition,
            content_encoding=content_encoding,
            content_language=content_language,
            expires=expires,
            metadata=metadata,
        ),
        links=links,
        encode_names=encode_names,
        empty_dirs=empty_dirs,
        dirs=dirs,
        priority=priority,
    )
    chosen = _chosen(manner.config, names or [], all_datasets)
    if len(chosen) > 1:
        refuse_stdin(files_from, files_from0)
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
