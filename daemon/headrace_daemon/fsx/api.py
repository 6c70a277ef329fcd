"""What Headrace asks of the FSx API, and what it answers: plain data, one small interface, errors by what to do.

https://docs.aws.amazon.com/fsx/latest/APIReference/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace_queue.errors import HeadraceError
from headrace_queue.tasks import TaskKind


class FsxError(HeadraceError):
    """The base of what the FSx API answers, and of what keeps it from answering. code: AWS's own word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"FSx: {message} ({code})" if code else f"FSx: {message}")
        self.code = code


class FsxRefused(FsxError):
    """The request cannot be carried out as it is: do not repeat it."""


class FsxBusy(FsxError):
    """Not now: another task runs on the file system, or a limit is reached. Try again later."""


class FsxNotFound(FsxError):
    """There is no such file system, association or task (any more)."""


class FsxTaskEnded(FsxError):
    """The task to be cancelled has ended already: look at how."""


class FsxDenied(FsxError):
    """The credentials do not allow it, or are none."""


class FsxUnreachable(FsxError):
    """No answer, or a fault of the service: try again, with the same token."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What DescribeFileSystems tells of one. capacity in GiB (0 where it is elastic); times in seconds since the epoch.

    repository: the import path of a file system that is linked without an association, '' where there is none.
    """

    id: str
    lifecycle: str  # CREATING, AVAILABLE, FAILED, DELETING, MISCONFIGURED, UPDATING, …
    deployment_type: str
    storage_type: str
    capacity: int
    lustre_version: str
    region: str
    owner_id: str
    arn: str
    dns_name: str
    mount_name: str
    vpc_id: str
    subnet_ids: tuple[str, ...] = ()
    network_interface_ids: tuple[str, ...] = ()
    repository: str = ""
    failure: str = ""
    created: float | None = None


@dataclass(frozen=True, slots=True)
class Association:
    """What DescribeDataRepositoryAssociations tells of one. path: / or /ns1; repository: s3://bucket/prefix/.

    auto_import, auto_export: events (NEW, CHANGED, DELETED), empty where it is off.
    """

    id: str
    file_system_id: str
    path: str
    repository: str
    lifecycle: str  # CREATING, AVAILABLE, MISCONFIGURED, UPDATING, DELETING, FAILED
    auto_import: tuple[str, ...] = ()
    auto_export: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A CreateDataRepositoryTask. paths: as the kind wants them, none for everything. report: s3://bucket/prefix/ below
    which FSx writes the files that failed, '' for no report. token: the same one is the same task."""

    kind: TaskKind
    file_system_id: str
    paths: tuple[str, ...]
    report: str
    token: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RepositoryTask:
    """What DescribeDataRepositoryTasks tells of one; times in seconds since the epoch."""

    id: str
    file_system_id: str
    kind: str  # EXPORT_TO_REPOSITORY, IMPORT_METADATA_FROM_REPOSITORY, RELEASE_DATA_FROM_FILESYSTEM, …
    lifecycle: str  # PENDING, EXECUTING, SUCCEEDED, FAILED, CANCELING, CANCELED
    created: float
    started: float | None = None
    ended: float | None = None
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    failure: str = ""
    report: str = ""  # s3://bucket/prefix, '' for none
    paths: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class FsxApi(Protocol):
    """One region's FSx API. Every method raises FsxDenied and FsxUnreachable, and what else it names."""

    async def create_file_system(self, request: Mapping[str, Any]) -> FileSystem:
        """request: the parameters of CreateFileSystem, or of CreateFileSystemFromBackup where there is a BackupId;
        ClientRequestToken among them. Raises FsxRefused, FsxBusy, FsxNotFound for the backup."""
        ...

    async def file_system(self, file_system_id: str) -> FileSystem:
        """Raises FsxNotFound."""
        ...

    async def delete_file_system(self, file_system_id: str, token: str, *, skip_final_backup: bool) -> str:
        """The lifecycle it has from now on. Raises FsxNotFound, FsxRefused."""
        ...

    async def associations(self, file_system_id: str) -> Sequence[Association]:
        """All of them, however many pages. Raises FsxNotFound."""
        ...

    async def create_association(self, request: Mapping[str, Any]) -> Association:
        """request: the parameters of CreateDataRepositoryAssociation. Raises FsxNotFound, FsxRefused, FsxBusy."""
        ...

    async def delete_association(self, association_id: str, token: str, *, delete_data: bool) -> str:
        """The lifecycle it has from now on. Raises FsxNotFound, FsxRefused."""
        ...

    async def create_task(self, task: NewTask) -> RepositoryTask:
        """Once more with the same token gives the same task. Raises FsxNotFound, FsxRefused, FsxBusy."""
        ...

    async def task(self, task_id: str) -> RepositoryTask:
        """Raises FsxNotFound."""
        ...

    async def tasks(self, file_system_id: str) -> Sequence[RepositoryTask]:
        """All that FSx remembers of this file system. Raises FsxNotFound."""
        ...

    async def cancel_task(self, task_id: str) -> None:
        """Asks for it; the task says itself when it has ended. Raises FsxNotFound, FsxTaskEnded."""
        ...

    async def close(self) -> None: ...
