"""Opens the folders that a job reads and writes: by their paths for a job of the command, beneath the user's own
folder for one that came through the API. Synchronous, for the file threads; all raise UsageError, FileError, OSError.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_daemon.files.acting import has_rights_of
from headrace_daemon.files.direct import writers
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.lfs import lustre_of, section_of
from headrace_daemon.files.lustre import LustreError, nearly_full
from headrace_daemon.files.making import making_of
from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.names import RootLost
from headrace_daemon.files.released import POLL, Restoring
from headrace_daemon.files.room import Room
from headrace_daemon.files.root import LinkPolicy, Root
from headrace_daemon.flow.turns import Turns
from headrace_daemon.standing import Standing
from headrace_daemon.transfer.ends import READERS, FilesEnd, NoFolder
from headrace_queue.config import TransferConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Job, Links, Options

if TYPE_CHECKING:
    from headrace_queue.config_fsx import FsxConfig


def files_read(path: Path, whole: bool, options: Options, standing: Standing) -> FilesEnd:
    """whole: exactly this file; else the folder."""
    root, name = _source(path, whole, standing, options.links.value)
    # what a step waited for is known of the disks of this machine only; across a network, many always wait together
    return FilesEnd(root, name, encoded=options.encode_names, reading=Turns(writers(root.fd), READERS))


def files_looked_at(path: Path, whole: bool, options: Options, standing: Standing) -> FilesEnd | NoFolder:
    """A destination that nothing is written to."""
    folder, name = _folder_and_name(path, whole)
    links = _links_there(options)
    if standing.top is None:
        if not os.path.lexists(folder):
            return NoFolder(folder)
        return FilesEnd(Root.source(folder, links=links), name, encoded=options.encode_names)
    try:
        return FilesEnd(standing.open(folder, links), name, encoded=options.encode_names)
    except FileNotFoundError:
        return NoFolder(folder)


def files_written_if_there(
    path: Path, whole: bool, job: Job, config: TransferConfig, room: Room, standing: Standing
) -> FilesEnd | NoFolder:
    folder, _ = _folder_and_name(path, whole)
    making_of(job.spec, config)  # what cannot be given is told before anything is listed
    if standing.top is None and not os.path.lexists(folder):
        return NoFolder(folder)
    try:
        return _written(path, whole, job, config, room, standing, make=standing.top is None)
    except FileNotFoundError:
        return NoFolder(folder)


def files_written(
    path: Path, whole: bool, job: Job, config: TransferConfig, room: Room, standing: Standing
) -> FilesEnd:
    """The folder is made where it is missing."""
    return _written(path, whole, job, config, room, standing, make=True)


def check_mounted(path: Path, fsx: Mapping[str, "FsxConfig"]) -> None:
    """What is written beneath the mount of a section [fsx.NAME] where nothing is mounted fills the host's own disk, and
    what is read there is nothing. Raises RootLost: it may be mounted soon."""
    section = section_of(fsx, str(path))
    if section is None or section.mounted_as == "any":
        return
    why = f"no Lustre file system is mounted at {section.mount}, as config.toml says of {section.file_system_id}"
    try:
        fd = os.open(section.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RootLost(str(path), why) from error
    try:
        if file_system(fd) != "lustre":
            raise RootLost(str(path), why)
    finally:
        os.close(fd)


def on_lustre(
    end: FilesEnd, fsx: Mapping[str, "FsxConfig"], options: Options, standing: Standing
) -> tuple[FilesEnd, str]:
    """The end with what its Lustre tells, and a warning about a destination's full targets or ''. Any other tree as it
    is. Raises nothing; to be run with the daemon's own rights, for `lfs` takes on those of the account by itself."""
    account = standing.account
    if standing.guarded or (account is not None and has_rights_of(account)):
        account = None
    path, section = end.root.path, section_of(fsx, end.root.path)
    try:
        lustre = lustre_of(section, end.root.fd, account)
        if lustre is None:
            return end, ""
        restoring = Restoring(lustre, wanted=options.restore, poll=POLL if section is None else section.poll)
        end = replace(end, lustre=lustre, restoring=restoring)
        striping = lustre.striping(path)
        mount = path if section is None else str(section.mount)
        targets = [] if end.landing is None else lustre.targets(mount)
    except (LustreError, OSError) as error:
        return end, f"{path}: how its Lustre is striped and how full it is are not known: {error}"
    return replace(end, stripe=0 if striping is None else striping.stripe_size), nearly_full(targets)


def _written(
    path: Path, whole: bool, job: Job, config: TransferConfig, room: Room, standing: Standing, *, make: bool
) -> FilesEnd:
    folder, name = _folder_and_name(path, whole)
    options = job.spec.options
    links = _links_there(options)
    making = making_of(job.spec, config)
    if standing.top is None:
        root = Root.destination(folder, links=links, making=making)
    else:
        root = standing.open(folder, links, make=make)
    landing = Landing(root, job.id, config.fsync, config.direct_io, room, job.created)
    return FilesEnd(root, name, landing, encoded=options.encode_names, writers=writers(root.fd))


def _source(path: Path, whole: bool, standing: Standing, links: LinkPolicy) -> tuple[Root, str]:
    """A user's file counts from their own folder, so that a link from one place in it to another can be followed."""
    if standing.top is None:
        folder, name = _folder_and_name(path, whole)
        return Root.source(folder, links=links), name
    if whole:
        name = standing.below(str(path))
        if not name:
            raise UsageError(str(path), "it is a folder", "Name a file in it, or use sync.")
        return standing.open_top(links), name
    try:
        return standing.open(str(path), links), ""
    except FileNotFoundError as error:
        raise UsageError(str(path), "there is no such folder", "Name an existing one.") from error


def _folder_and_name(path: Path, whole: bool) -> tuple[str, str]:
    """A copy of one file works in its folder, under its name; a sync in the folder itself."""
    return (str(path.parent), path.name) if whole else (str(path), "")


def _links_there(options: Options) -> LinkPolicy:
    """Links of a destination are its own, and never followed; only where links are stored are they objects."""
    return "store" if options.links is Links.STORE else "skip"
