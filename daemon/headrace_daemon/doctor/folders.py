"""Folders: where the state lies, and where the data sets of config.toml come from and go to.

Whether something may be written is found out by writing: access(2) says yes to root for paths that nobody can write to.
What is written is one empty file under a name that listings pass over, and it is removed at once.
"""

import os
import stat
import uuid
from pathlib import Path
from typing import Final

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.files import mounts
from headrace_daemon.files.names import temp_name
from headrace_queue.config import Config
from headrace_queue.datasets import is_relative
from headrace_queue.environments import Surroundings, environment_of
from headrace_queue.errors import UsageError
from headrace_queue.filesystem import SHARED, magic
from headrace_queue.locations import Location
from headrace_queue.mounted import refuse_unmounted
from headrace_queue.units import format_bytes

LOW_SPACE: Final = 2**30
"""Free bytes below which it is said."""
LOW_INODES: Final = 10_000


def state_directory(path: Path) -> Check:
    """Whether the daemon can write there, and what kind of file system it is. A directory that is missing stays so."""
    name = "state directory"
    existing = nearest(path)
    if not existing.is_dir():
        return Check(name, Status.FAIL, f"{path}: {existing} is no directory", "Correct state_dir in config.toml.")
    error = try_to_write(existing)
    if error is not None:
        remedy = f"Run: install -d -m 750 -o USER {path}, with the daemon's user, or set state_dir in config.toml."
        return Check(name, Status.FAIL, f"{path}: {_user()} may not write to {existing} ({error.strerror})", remedy)
    shared = SHARED.get(magic(existing))
    if shared is not None:
        remedy = "Set state_dir in config.toml to a path on a local disk; only data belongs on a shared one."
        return Check(name, Status.WARN, f"{path}: lies on {shared}, which is shared between hosts", remedy)
    made = "" if existing == path else ", made at the first start"
    return with_room(name, f"{path}: writable{made}", existing)


def data_folders(config: Config) -> list[Check]:
    """Each local source and destination of a data set, once. A relative one counts from the base directory of the
    environment in force; where that is missing there is a check of its own."""
    checks: dict[tuple[Path, bool], Check] = {}
    found, _ = environment_of(config.environments, Surroundings.here())
    base = None if found is None else found.base_dir
    for dataset, settings in sorted(config.datasets.items()):
        start, end = settings.ends(push=settings.direction == "push")
        for text, written in ((start, False), (end, True)):
            if is_relative(text) and config.environments and (base is None or not base.is_dir()):
                continue
            try:
                path = Location.parse(text, base).path
            except UsageError as error:
                checks[Path(dataset) / text, written] = refused(f"dataset {dataset}", error)
                continue
            if path is not None and (path, written) not in checks:
                checks[path, written] = destination(path) if written else source(path)
    return list(checks.values())


def source(path: Path) -> Check:
    """Whether files can be read from there."""
    name = f"source {path}"
    try:
        refuse_unmounted(path)
        if not stat.S_ISDIR(path.stat().st_mode):
            with path.open("rb"):
                return ok(name, "readable, a file")
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except UsageError as error:
        return refused(name, error)
    except OSError as error:
        return Check(name, Status.FAIL, f"{_user()} cannot read it: {error.strerror}", _MOUNT)
    if empty:
        return Check(name, Status.WARN, "readable, and empty", "Is the file system mounted that should be there?")
    return ok(name, f"readable, {_kind(path)}")


def destination(path: Path) -> Check:
    """Whether files can be brought there, and how much room there is. For data a shared file system is no fault."""
    name = f"destination {path}"
    existing = nearest(path)
    if not existing.is_dir():
        return Check(name, Status.FAIL, f"{existing} is a file, and a folder is needed there", "Correct the path.")
    try:
        refuse_unmounted(path)
    except UsageError as error:
        return refused(name, error)
    refusal = try_to_write(existing)
    if refusal is not None:
        remedy = f"Let the daemon's user write there (chown, chmod); under systemd also ReadWritePaths={existing}."
        return Check(name, Status.FAIL, f"{_user()} may not write to {existing} ({refusal.strerror})", remedy)
    made = "" if existing == path else f", made by the first job that writes there (below {existing})"
    return with_room(name, f"writable{made}", existing)


def nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    while not _is_there(path):
        path = path.parent
    return path


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return path == path.parent
    return True


def try_to_write(folder: Path) -> OSError | None:
    """Makes and removes an empty file there; why that was not possible."""
    trial = folder / temp_name(0, uuid.uuid4().hex)
    try:
        os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        trial.unlink()
    except OSError as error:
        return error
    return None


def with_room(name: str, detail: str, folder: Path) -> Check:
    """The same with the kind of file system, free bytes and free inodes; a warning where little of them is left."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kind, room = mounts.file_system(fd), mounts.space(fd)
    finally:
        os.close(fd)
    return judged_room(name, f"{detail}, {kind}", room)


def judged_room(name: str, detail: str, room: mounts.Space) -> Check:
    """room.free_inodes is None where the file system has no fixed number of them."""
    detail += f", {format_bytes(room.free_bytes)} free"
    if room.free_inodes is not None:
        detail += f", {room.free_inodes:,} inodes free"
    if room.free_bytes < LOW_SPACE:
        return Check(name, Status.WARN, detail, "Free space there, or nothing more can be written before long.")
    if room.free_inodes is not None and room.free_inodes < LOW_INODES:
        return Check(name, Status.WARN, detail, "Remove files there, or make the file system with more inodes.")
    return ok(name, detail)


def named_folder(path: Path, *, write: bool) -> list[Check]:
    """A path that was named to the doctor: as a source, and with write as a destination, which need not exist yet."""
    if not write:
        return [source(path)]
    return [*([source(path)] if _is_there(path) else []), destination(path)]


def _kind(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return mounts.file_system(fd)
    finally:
        os.close(fd)


def _user() -> str:
    return f"user {os.geteuid()}"


_MOUNT: Final = "Correct the path, mount the file system, or let the daemon's user read it."
