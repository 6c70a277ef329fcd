"""The things that the fake FSx API knows: file systems, associations and tasks, as it tells of them, and its errors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED"})
"""Lifecycles of tasks that nothing leads out of."""

Wire = dict[str, Any]


class ApiError(Exception):
    """What the service answers instead: its own word, the HTTP status, further members of the error."""

    def __init__(self, code: str, message: str, *, status: int = 400, **members: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


@dataclass(frozen=True, slots=True)
class Step:
    """One file or object that a task processes. path: as a report names it. work: does it; its error code, '' for
    none."""

    path: str
    work: Callable[[], str]


@dataclass(slots=True)
class Looked:
    """How often a thing was looked at since it last moved."""

    looks: int = 0

    def due(self, after: int) -> bool:
        """Counts one look; whether it is time to move."""
        self.looks += 1
        if self.looks < after:
            return False
        self.looks = 0
        return True


@dataclass(slots=True)
class FileSystemRecord:
    """wire: as DescribeFileSystems tells of it."""

    id: str
    wire: Wire
    looked: Looked = field(default_factory=Looked)

    @property
    def lustre(self) -> Wire:
        configuration: Wire = self.wire["LustreConfiguration"]
        return configuration


@dataclass(slots=True)
class AssociationRecord:
    """wire: as DescribeDataRepositoryAssociations tells of it. delete_data: as its deletion was asked for."""

    id: str
    wire: Wire
    looked: Looked = field(default_factory=Looked)
    import_at_start: bool = False
    delete_data: bool = False

    @property
    def path(self) -> str:
        """With a slash at both ends."""
        return f"/{self.wire['FileSystemPath'].strip('/')}/".replace("//", "/")

    @property
    def repository(self) -> str:
        """s3://bucket/prefix/, with the slash."""
        return str(self.wire["DataRepositoryPath"]).rstrip("/") + "/"

    @property
    def exports_itself(self) -> bool:
        return bool(self.wire.get("S3", {}).get("AutoExportPolicy", {}).get("Events"))


@dataclass(slots=True)
class TaskRecord:
    """wire: as DescribeDataRepositoryTasks tells of it. links: the associations it may touch. failed: path and error
    code of each. doom: why it will fail as a whole, '' where it will not."""

    id: str
    wire: Wire
    links: tuple[AssociationRecord, ...]
    looked: Looked = field(default_factory=Looked)
    todo: Iterator[Step] = field(default_factory=lambda: iter(()))
    failed: list[tuple[str, str]] = field(default_factory=list)
    doom: str = ""

    @property
    def kind(self) -> str:
        return str(self.wire["Type"])

    @property
    def lifecycle(self) -> str:
        return str(self.wire["Lifecycle"])

    @property
    def ended(self) -> bool:
        return self.lifecycle in ENDED


@dataclass(frozen=True, slots=True)
class Hold:
    """Where things stop. kind: a task's type, or part of it (EXPORT), 'file-system' or 'association'. after: how many
    files a task may process first; None holds it while PENDING, too."""

    kind: str
    after: int | None = 0

    def stops(self, kind: str) -> bool:
        return self.kind in kind
