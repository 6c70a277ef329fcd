"""What the fake FSx API knows, and how it comes along: file systems, associations, tasks and their lifecycles. No I/O.

From https://docs.aws.amazon.com/fsx/latest/APIReference/ and the FSx for Lustre guide ("Data repository tasks"). No
clock decides anything here: a lifecycle moves when it has been looked at often enough, or by `advance`.
"""

import itertools
from collections.abc import Callable, Sequence

from tests.support.fsx_records import (
    ApiError,
    AssociationRecord,
    FileSystemRecord,
    Hold,
    Looked,
    Step,
    TaskRecord,
    Wire,
)

Planner = Callable[[TaskRecord], Sequence[Step]]
Reporter = Callable[[TaskRecord], None]


class FsxModel:
    """State, and time that is made of looks.

    looks: how many Describe calls it takes until a lifecycle moves on, by kind of thing. A task moves twice: PENDING to
    EXECUTING, and to its end. plan: what a task has to do. report: called when a task has ended with failures and was
    to be reported. erase: called with an association that is deleted with its data.
    """

    def __init__(self, clock: Callable[[], float], region: str, account: str) -> None:
        self.clock = clock
        self.region = region
        self.account = account
        self.looks = {"file-system": 1, "association": 1, "task": 1}
        self.file_systems: dict[str, FileSystemRecord] = {}
        self.associations: dict[str, AssociationRecord] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self.holds: list[Hold] = []
        self.dooms: list[tuple[str, str]] = []  # part of a task's type, why it will fail as a whole
        self.plan: Planner = lambda task: ()
        self.report: Reporter = lambda task: None
        self.erase: Callable[[AssociationRecord], None] = lambda association: None
        self._serial = itertools.count(1)

    # identities

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._serial):017x}"

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:fsx:{self.region}:{self.account}:{kind}/{name}"

    # looking things up

    def file_system(self, name: str) -> FileSystemRecord:
        """Raises ApiError."""
        if name not in self.file_systems:
            raise ApiError("FileSystemNotFound", f"File system '{name}' does not exist.")
        return self.file_systems[name]

    def association(self, name: str) -> AssociationRecord:
        """Raises ApiError."""
        if name not in self.associations:
            raise ApiError("DataRepositoryAssociationNotFound", f"Data repository association '{name}' does not exist.")
        return self.associations[name]

    def task(self, name: str) -> TaskRecord:
        """Raises ApiError."""
        if name not in self.tasks:
            raise ApiError("DataRepositoryTaskNotFound", f"Data repository task '{name}' does not exist.")
        return self.tasks[name]

    def associations_of(self, file_system: str) -> list[AssociationRecord]:
        return [one for one in self.associations.values() if one.wire["FileSystemId"] == file_system]

    def task_under_way(self, file_system: str) -> TaskRecord | None:
        of_it = (task for task in self.tasks.values() if task.wire["FileSystemId"] == file_system)
        return next((task for task in of_it if not task.ended), None)

    # new tasks

    def add_task(self, request: Wire, links: Sequence[AssociationRecord]) -> TaskRecord:
        """PENDING. request: the parameters of CreateDataRepositoryTask, which are taken as they are."""
        name = self.new_id("task")
        wire: Wire = {
            "TaskId": name,
            "Lifecycle": "PENDING",
            "Type": request["Type"],
            "CreationTime": self.clock(),
            "ResourceARN": self.arn("task", name),
            "FileSystemId": request["FileSystemId"],
            "Paths": list(request.get("Paths", [])),
            "Report": dict(request["Report"]),
            "Status": {"TotalCount": 0, "SucceededCount": 0, "FailedCount": 0, "LastUpdatedTime": self.clock()},
        }
        wire |= {member: request[member] for member in ("Tags", "ReleaseConfiguration") if member in request}
        task = TaskRecord(name, wire, tuple(links))
        for doomed in self.dooms:
            if doomed[0] in task.kind:
                task.doom = doomed[1]
                self.dooms.remove(doomed)
                break
        self.tasks[name] = task
        return task

    # time

    def look_at_file_system(self, record: FileSystemRecord) -> None:
        if not self._held("file-system") and record.looked.due(self.looks["file-system"]):
            self.move_file_system(record)

    def look_at_association(self, record: AssociationRecord) -> None:
        if not self._held("association") and record.looked.due(self.looks["association"]):
            self.move_association(record)

    def look_at_task(self, task: TaskRecord) -> None:
        if not task.ended and task.looked.due(self.looks["task"]):
            self.move_task(task)

    def move_file_system(self, record: FileSystemRecord) -> None:
        if record.wire["Lifecycle"] in ("CREATING", "UPDATING"):
            record.wire["Lifecycle"] = "AVAILABLE"
        elif record.wire["Lifecycle"] == "DELETING":
            del self.file_systems[record.id]
            for association in self.associations_of(record.id):
                del self.associations[association.id]

    def move_association(self, record: AssociationRecord) -> None:
        if record.wire["Lifecycle"] in ("CREATING", "UPDATING"):
            record.wire["Lifecycle"] = "AVAILABLE"
            record.wire.pop("FailureDetails", None)
            if record.import_at_start:
                record.import_at_start = False
                request = {
                    "Type": "IMPORT_METADATA_FROM_REPOSITORY",
                    "FileSystemId": record.wire["FileSystemId"],
                    "Paths": [record.repository],
                    "Report": {"Enabled": False},
                }
                self.add_task(request, [record])
        elif record.wire["Lifecycle"] == "DELETING":
            if record.delete_data:
                self.erase(record)
            del self.associations[record.id]

    def move_task(self, task: TaskRecord) -> None:
        """One lifecycle further, as far as nothing holds it."""
        hold = next((hold for hold in self.holds if hold.stops(task.kind)), None)
        if task.lifecycle == "CANCELING":
            self._end(task, "CANCELED")
        elif task.lifecycle == "PENDING" and (hold is None or hold.after is not None):
            self._start(task)
            if hold is not None:
                self._process(task, hold.after)
        elif task.lifecycle == "EXECUTING" and hold is None:
            self._process(task, None)
            self._finish(task)

    def cancel(self, task: TaskRecord) -> None:
        """Raises ApiError."""
        if task.ended:
            raise ApiError("DataRepositoryTaskEnded", f"Data repository task '{task.id}' has already ended.")
        task.wire["Lifecycle"] = "CANCELING"
        task.looked = Looked()

    def _held(self, kind: str) -> bool:
        return any(hold.stops(kind) for hold in self.holds)

    def _start(self, task: TaskRecord) -> None:
        task.wire["Lifecycle"] = "EXECUTING"
        task.wire["StartTime"] = self.clock()
        if task.doom:
            return
        try:
            steps = list(self.plan(task))
        except ApiError as error:  # a path that is not there: the task was taken, and fails
            task.doom = error.message
            return
        task.todo = iter(steps)
        task.wire["Status"]["TotalCount"] = len(steps)

    def _process(self, task: TaskRecord, most: int | None) -> None:
        status = task.wire["Status"]
        for step in itertools.islice(task.todo, most):
            code = step.work()
            if code:
                task.failed.append((step.path, code))
                status["FailedCount"] += 1
            else:
                status["SucceededCount"] += 1
        status["LastUpdatedTime"] = self.clock()

    def _finish(self, task: TaskRecord) -> None:
        failed = task.wire["Status"]["FailedCount"]
        message = task.doom or (f"The task failed to process {failed} files." if failed else "")
        if message:
            task.wire["FailureDetails"] = {"Message": message[:256]}
        self._end(task, "FAILED" if message else "SUCCEEDED")

    def _end(self, task: TaskRecord, lifecycle: str) -> None:
        task.wire["Lifecycle"] = lifecycle
        task.wire["EndTime"] = self.clock()
        task.looked = Looked()
        if task.failed and task.wire["Report"]["Enabled"]:
            self.report(task)
