"""Making, looking at and deleting a file system through the API; nothing is printed here.

Every request that makes something carries a token that follows from what is asked for: the same specification asked for
again, after a lost answer or Ctrl-C, is the same file system and not a second one. `salt` makes it another one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from headrace_daemon.fsx.api import (
    Association,
    FileSystem,
    FsxApi,
    FsxDenied,
    FsxNotFound,
    FsxRefused,
    RepositoryTask,
)
from headrace_daemon.fsx.make.waiting import Pace, Say, Step, until
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.request import association_request, create_request
from headrace_queue.errors import HeadraceError, UsageError

_READY: Final = frozenset({"AVAILABLE", "UPDATING"})
_ON_ITS_WAY: Final = frozenset({"CREATING", "PENDING"})
_NOT_YET_SEEN: Final = 3
"""Looks for which a new file system may be unknown to the part of AWS that was asked."""
_LAST_TASKS: Final = 10


class NotMade(HeadraceError):
    """AWS began it and did not bring it to its end, or took it back; a person has to decide. what, why and remedy are
    those of UsageError."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}. {remedy}")
        self.what = what
        self.why = why
        self.remedy = remedy


class ApiRequest(NamedTuple):
    """One request as it is sent, by the names of the API."""

    operation: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """missing: paths whose associations are not made yet, for the file system is still being made."""

    file_system: FileSystem
    associations: tuple[Association, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """tasks: the last ones, newest first."""

    file_system: FileSystem
    associations: tuple[Association, ...]
    tasks: tuple[RepositoryTask, ...]


def client_token(request: Mapping[str, Any], salt: str) -> str:
    """A ClientRequestToken (63 characters at most) that the same request and salt always give."""
    asked = {name: value for name, value in request.items() if name != "ClientRequestToken"}
    # tags in another order are the same tags
    asked["Tags"] = sorted(asked.get("Tags", ()), key=lambda tag: str(tag["Key"]))
    text = json.dumps([asked, salt], sort_keys=True)
    return f"headrace-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


def creation(spec: FileSystemSpec, salt: str) -> ApiRequest:
    """The CreateFileSystem, from a backup where the specification names one."""
    operation = "CreateFileSystem" if spec.backup_id is None else "CreateFileSystemFromBackup"
    return ApiRequest(operation, create_request(spec, client_token(create_request(spec, ""), salt)))


def linking(spec: FileSystemSpec, file_system_id: str, salt: str) -> list[ApiRequest]:
    """A CreateDataRepositoryAssociation for each association, in the order of the specification."""
    found = []
    for association in spec.data_repository_associations:
        token = client_token(association_request(association, file_system_id, ""), salt)
        parameters = association_request(association, file_system_id, token)
        found.append(ApiRequest("CreateDataRepositoryAssociation", parameters))
    return found


async def create(api: FsxApi, spec: FileSystemSpec, salt: str, pace: Pace, say: Say, *, wait: bool) -> Made:
    """Makes the file system, and its associations once it is there; with `wait` stays until all of it is.

    Asked for again, it goes on where it was. Raises FsxError, NotMade, UsageError.
    """
    began = pace.clock()
    found = await api.create_file_system(creation(spec, salt).parameters)
    say(Step("file system", found.id, found.lifecycle, 0.0))
    if wait:
        found = await _file_system_settled(api, found, pace, say, began)
    requests = linking(spec, found.id, salt)
    if found.lifecycle not in _READY:
        if found.lifecycle not in _ON_ITS_WAY:
            raise _failed(found)
        return Made(found, (), tuple(request.parameters["FileSystemPath"] for request in requests))
    there = await api.associations(found.id) if requests else ()
    # one after the other: FSx works on one at a time, and a failure shows before the next begins
    made = [await _linked(api, request, there, pace, say, wait=wait) for request in requests]
    return Made(found, tuple(made))


async def describe(api: FsxApi, file_system_id: str) -> Description:
    """Raises FsxError."""
    found = await api.file_system(file_system_id)
    associations = await api.associations(file_system_id)
    tasks = sorted(await api.tasks(file_system_id), key=lambda task: task.created, reverse=True)
    return Description(found, tuple(associations), tuple(tasks[:_LAST_TASKS]))


def refuse_final_backup(found: Description) -> None:
    """Where AWS makes none. Raises UsageError.

    https://docs.aws.amazon.com/fsx/latest/LustreGuide/using-backups-fsx.html
    """
    why = ""
    if not found.file_system.deployment_type.startswith("PERSISTENT"):
        why = f"a file system of the type {found.file_system.deployment_type} has no backups"
    elif found.associations or found.file_system.repository:
        why = "a file system that is linked to a bucket has no backups"
    if why:
        raise UsageError("--final-backup", why, "Export what is needed to the bucket, and leave the option out.")


def losses(found: Description, *, final_backup: bool) -> list[str]:
    """What is gone with the file system, one thing a line."""
    system = found.file_system
    size = f"{system.capacity:,} GiB" if system.capacity else "elastic"
    lines = [f"{system.id}: {system.deployment_type} {system.storage_type}, {size}, {system.lifecycle}"]
    for link in found.associations:
        exported = f"exports {', '.join(link.auto_export)}" if link.auto_export else "exports nothing by itself"
        lines.append(f"the association of {link.path} with {link.repository}, which {exported}")
    lines += [f"the link with {system.repository}"] if system.repository else []
    running = [task for task in found.tasks if task.lifecycle in ("PENDING", "EXECUTING")]
    lines += [f"task {task.id}, {task.kind}, {task.lifecycle}" for task in running]
    if final_backup:
        return [*lines, "its files stay in a final backup, which costs money until it is deleted"]
    linked = found.associations or system.repository
    return [*lines, "every file that is not in a bucket" if linked else "every file"]


async def delete(api: FsxApi, file_system_id: str, pace: Pace, say: Say, *, final_backup: bool, wait: bool) -> str:
    """The lifecycle that it has at the end: DELETING, or '' where it is gone. Raises FsxError, NotMade."""
    began = pace.clock()
    token = client_token({"FileSystemId": file_system_id, "SkipFinalBackup": not final_backup}, "delete")
    lifecycle = await api.delete_file_system(file_system_id, token, skip_final_backup=not final_backup)
    say(Step("file system", file_system_id, lifecycle, 0.0))
    if not wait:
        return lifecycle

    async def look() -> FileSystem:
        return await api.file_system(file_system_id)

    def told(found: FileSystem) -> Step:
        return Step("file system", found.id, found.lifecycle, pace.clock() - began)

    try:
        found = await until(look, lambda found: found.lifecycle != "DELETING", told, pace, say)
    except FsxNotFound:
        return ""
    why = f"it is {found.lifecycle} and not deleted{_because(found.failure)}"
    raise NotMade(found.id, why, f"Look at `headraced fsx describe {found.id}`.")


# -- waiting ----------------------------------------------------------------------------------------------------------


async def _file_system_settled(api: FsxApi, new: FileSystem, pace: Pace, say: Say, began: float) -> FileSystem:
    """Raises NotMade, FsxError."""
    unseen = 0

    async def look() -> FileSystem:
        nonlocal unseen
        try:
            return await api.file_system(new.id)
        except FsxNotFound:
            unseen += 1
            if unseen > _NOT_YET_SEEN:
                why = "there is no such file system (any more); perhaps this command made it before, and it was deleted"
                raise NotMade(new.id, why, "Add --token TEXT for a new one.") from None
            return new

    def told(found: FileSystem) -> Step:
        return Step("file system", found.id, found.lifecycle, pace.clock() - began)

    return await until(look, lambda found: found.lifecycle not in _ON_ITS_WAY, told, pace, say)


def _failed(found: FileSystem) -> NotMade:
    remedy = f"Delete it with `headraced fsx delete {found.id}`, and add --token TEXT for a new one."
    if found.lifecycle == "DELETING":
        remedy = "This command made it before, and it was deleted; add --token TEXT for a new one."
    return NotMade(found.id, f"the file system is {found.lifecycle}{_because(found.failure)}", remedy)


async def _linked(
    api: FsxApi, request: ApiRequest, there: Sequence[Association], pace: Pace, say: Say, *, wait: bool
) -> Association:
    """One association, made or found. Raises NotMade, FsxError."""
    began = pace.clock()
    parameters = request.parameters
    path, repository = str(parameters["FileSystemPath"]), str(parameters["DataRepositoryPath"])
    new = _existing(there, path, repository)

    def told(link: Association) -> Step:
        return Step(f"association {path}", link.id, link.lifecycle, pace.clock() - began)

    there_is = f"The file system {parameters['FileSystemId']} is there, and costs money."

    async def ask() -> Association:
        try:
            return await api.create_association(parameters)
        except (FsxRefused, FsxDenied, FsxNotFound) as error:
            remedy = f"{there_is} Once it is corrected, the same command goes on with it, and makes no second one."
            raise NotMade(f"association {path}", str(error).removeprefix("FSx: "), remedy) from error

    if new is None:
        # asked for again while FSx is busy with others
        new = await until(ask, lambda link: True, told, pace, say, at_once=True)
    else:
        say(told(new))
    latest = new

    async def look() -> Association:
        nonlocal latest
        found = await api.associations(latest.file_system_id)
        latest = next((link for link in found if link.id == latest.id), latest)
        return latest

    if new.lifecycle in _ON_ITS_WAY:
        if not wait:
            return new
        new = await until(look, lambda link: link.lifecycle not in _ON_ITS_WAY, told, pace, say)
    if new.lifecycle not in _READY:
        remedy = f"{there_is} `headraced fsx dra delete {new.id}`, then the same command, corrected, goes on with it."
        raise NotMade(f"association {path}", f"it is {new.lifecycle}{_because(new.failure)}", remedy)
    return new


def _existing(there: Sequence[Association], path: str, repository: str) -> Association | None:
    """Raises NotMade where the path is linked with another repository."""
    found = next((link for link in there if _same(link.path, path)), None)
    if found is not None and not _same(found.repository, repository):
        why = f"the file system has it already, with {found.repository} and not {repository}"
        raise NotMade(f"association {path}", why, f"Look at `headraced fsx describe {found.file_system_id}`.")
    return found


def _because(failure: str) -> str:
    return f": {failure.rstrip('.')}" if failure else ""


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
