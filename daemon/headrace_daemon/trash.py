"""The trash of a job: where its deletions move objects, seen from the job's destination."""

import os
from contextlib import suppress
from pathlib import Path

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.standing import DAEMONS, Standing
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder
from headrace_queue.advice import with_advice
from headrace_queue.jobs import JobSpec
from headrace_queue.locations import Location


def trash_below(spec: JobSpec) -> str:
    """The trash as a folder relative to the destination, with its slash; '' where it lies elsewhere or there is none.

    Follows the links of paths: under another name it would be taken for a part of the destination. Blocking.
    """
    if spec.options.trash is None:
        return ""
    trash, destination = Location.parse(spec.options.trash), Location.parse(spec.destination)
    if trash.path is not None and destination.path is not None:
        below = Path(os.path.realpath(trash.path))
        above = Path(os.path.realpath(destination.path))
        return f"{below.relative_to(above).as_posix()}/" if below.is_relative_to(above) else ""
    return trash.key.removeprefix(destination.key) if destination.contains(trash) else ""


def check_trash(spec: JobSpec, destination: End | NoFolder, standing: Standing = DAEMONS) -> None:
    """Raises JobFailure, or UsageError, where nothing can be moved to the trash of the job, before anything is.
    Blocking.

    A copy and a deletion across two file systems would not be the one step that keeps the file.
    """
    if spec.options.trash is None:
        return
    if isinstance(destination, BucketEnd):
        if not destination.remote.profile.server_copy:
            raise JobFailure(
                with_advice(
                    f"--trash {spec.options.trash}: {destination.remote.name} copies nothing by itself, so no object "
                    "can be moved within it. Nothing was sent or deleted",
                    "Leave out --trash, or --delete.",
                )
            )
    elif isinstance(destination, FilesEnd):
        path = Location.parse(spec.options.trash).path
        if path is not None and standing.top is not None:
            with suppress(FileNotFoundError):
                standing.open(str(path), "skip").close()
        if path is not None and os.stat(_nearest(path)).st_dev != destination.root.device:
            raise JobFailure(
                with_advice(
                    f"--trash {path}: it is on another file system than {destination.root.path}, and files are moved "
                    "within one only. Nothing was sent or deleted",
                    "Name a folder on the file system of the destination.",
                )
            )


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
