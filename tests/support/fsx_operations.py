"""The operations of the fake FSx API: parameters in, answer out, as the service's protocol has them."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.fsx_model import FsxModel
from tests.support.fsx_records import ApiError, AssociationRecord, FileSystemRecord, Wire
from tests.support.fsx_rules import bad, check_association, check_file_system, check_task, touched

_KEPT = (
    "WeeklyMaintenanceStartTime",
    "PerUnitStorageThroughput",
    "DailyAutomaticBackupStartTime",
    "AutomaticBackupRetentionDays",
    "CopyTagsToBackups",
    "DriveCacheType",
    "DataCompressionType",
    "EfaEnabled",
    "LogConfiguration",
    "RootSquashConfiguration",
    "MetadataConfiguration",
    "ThroughputCapacity",
    "DataReadCacheConfiguration",
)
"""What DescribeFileSystems tells of a Lustre configuration as it was given."""


class Operations:
    """page: how many things an answer has at most, whatever is asked for."""

    def __init__(self, model: FsxModel) -> None:
        self._model = model
        self._tokens: dict[tuple[str, str], tuple[Wire, Callable[[], Wire]]] = {}
        self.page = 25

    def call(self, operation: str, request: Wire) -> Wire:
        """Raises ApiError. A request whose token was seen gets the answer of the first, as things are now."""
        handlers: dict[str, Callable[[Wire], Wire | Callable[[], Wire]]] = {
            "CreateFileSystem": self._create_file_system,
            "CreateFileSystemFromBackup": self._restore_file_system,
            "DescribeFileSystems": self._describe_file_systems,
            "DeleteFileSystem": self._delete_file_system,
            "CreateDataRepositoryAssociation": self._create_association,
            "DescribeDataRepositoryAssociations": self._describe_associations,
            "UpdateDataRepositoryAssociation": self._update_association,
            "DeleteDataRepositoryAssociation": self._delete_association,
            "CreateDataRepositoryTask": self._create_task,
            "DescribeDataRepositoryTasks": self._describe_tasks,
            "CancelDataRepositoryTask": self._cancel_task,
        }
        if operation not in handlers:
            raise ApiError("UnsupportedOperation", f"{operation} is not played here")
        seen = (operation, request.get("ClientRequestToken", ""))
        if seen in self._tokens:
            first, answer = self._tokens[seen]
            for name in sorted(first.keys() | request.keys()):
                if first.get(name) != request.get(name):
                    message = f"another request with the same ClientRequestToken had another {name}"
                    raise ApiError("IncompatibleParameterError", message, Parameter=name)
            return answer()
        result = handlers[operation](request)
        if not callable(result):
            return result
        if seen[1]:
            self._tokens[seen] = (request, result)
        return result()

    # file systems

    def _create_file_system(self, request: Wire) -> Callable[[], Wire]:
        check_file_system(request)
        record = self.add_file_system(request)
        return lambda: {"FileSystem": record.wire}

    def _restore_file_system(self, request: Wire) -> Callable[[], Wire]:
        """What the request leaves out is the backup's; every backup here is of the same persistent file system."""
        own = {"StorageCapacity": 1200, "StorageType": "SSD", "FileSystemTypeVersion": "2.15"}
        lustre = {"DeploymentType": "PERSISTENT_1", "PerUnitStorageThroughput": 50} | request.get(
            "LustreConfiguration", {}
        )
        record = self.add_file_system(own | request | {"LustreConfiguration": lustre})
        return lambda: {"FileSystem": record.wire}

    def add_file_system(self, request: Wire, lifecycle: str = "CREATING") -> FileSystemRecord:
        """As CreateFileSystem does, without its rules."""
        name, given = self._model.new_id("fs"), request.get("LustreConfiguration", {})
        deployment = given.get("DeploymentType", "SCRATCH_1")
        lustre: Wire = {"DeploymentType": deployment, "MountName": "fsx" if deployment == "SCRATCH_1" else "abcdefgh"}
        lustre |= {member: given[member] for member in _KEPT if member in given}
        if "ImportPath" in given:
            bucket = given["ImportPath"].removeprefix("s3://").partition("/")[0]
            lustre["DataRepositoryConfiguration"] = {
                "Lifecycle": "AVAILABLE",
                "ImportPath": given["ImportPath"],
                "ExportPath": given.get("ExportPath", f"s3://{bucket}/FSxLustre20260101T000000Z"),
                "ImportedFileChunkSize": given.get("ImportedFileChunkSize", 1024),
                "AutoImportPolicy": given.get("AutoImportPolicy", "NONE"),
            }
        newest = deployment == "PERSISTENT_2"
        wire: Wire = {
            "OwnerId": self._model.account,
            "CreationTime": self._model.clock(),
            "FileSystemId": name,
            "FileSystemType": "LUSTRE",
            "Lifecycle": lifecycle,
            "StorageCapacity": request.get("StorageCapacity", 0),
            "StorageType": request.get("StorageType", "SSD"),
            "VpcId": "vpc-0123456789abcdef0",
            "SubnetIds": list(request["SubnetIds"]),
            "NetworkInterfaceIds": [self._model.new_id("eni")],
            "DNSName": f"{name}.fsx.{self._model.region}.amazonaws.com",
            "ResourceARN": self._model.arn("file-system", name),
            "LustreConfiguration": lustre,
            "FileSystemTypeVersion": request.get("FileSystemTypeVersion", "2.12" if newest else "2.10"),
            **({"Tags": request["Tags"]} if "Tags" in request else {}),
        }
        record = self._model.file_systems[name] = FileSystemRecord(name, wire)
        return record

    def _describe_file_systems(self, request: Wire) -> Wire:
        names = request.get("FileSystemIds", [])
        records = [self._model.file_system(name) for name in names] or list(self._model.file_systems.values())
        shown, after = self._paged(records, request)
        for record in shown:
            self._model.look_at_file_system(record)
        for name in names:
            self._model.file_system(name)  # what is deleted is gone with this look
        return {"FileSystems": [r.wire for r in shown if r.id in self._model.file_systems]} | after

    def _delete_file_system(self, request: Wire) -> Callable[[], Wire]:
        record = self._model.file_system(request["FileSystemId"])
        if self._model.task_under_way(record.id):
            raise bad(f"file system {record.id} has data repository tasks that have not ended")
        final_backup = not request.get("LustreConfiguration", {}).get("SkipFinalBackup", True)
        if final_backup and self._model.associations_of(record.id):
            raise bad("file systems that are linked to a data repository have no backups")
        record.wire["Lifecycle"] = "DELETING"
        return lambda: {"FileSystemId": record.id, "Lifecycle": "DELETING"}

    # associations

    def _create_association(self, request: Wire) -> Callable[[], Wire]:
        file_system = self._model.file_system(request["FileSystemId"])
        check_association(request, file_system, self._model.associations_of(file_system.id))
        record = self.add_association(request)
        return lambda: {"Association": record.wire}

    def add_association(self, request: Wire, lifecycle: str = "CREATING") -> AssociationRecord:
        """As CreateDataRepositoryAssociation does, without its rules."""
        name = self._model.new_id("dra")
        wire: Wire = {
            "AssociationId": name,
            "ResourceARN": self._model.arn("association", f"{request['FileSystemId']}/{name}"),
            "FileSystemId": request["FileSystemId"],
            "Lifecycle": lifecycle,
            "FileSystemPath": request.get("FileSystemPath", "/"),
            "DataRepositoryPath": request["DataRepositoryPath"],
            "BatchImportMetaDataOnCreate": request.get("BatchImportMetaDataOnCreate", False),
            "ImportedFileChunkSize": request.get("ImportedFileChunkSize", 1024),
            "S3": dict(request.get("S3", {})),
            "CreationTime": self._model.clock(),
            **({"Tags": request["Tags"]} if "Tags" in request else {}),
        }
        record = AssociationRecord(name, wire, import_at_start=wire["BatchImportMetaDataOnCreate"])
        self._model.associations[name] = record
        return record

    def _describe_associations(self, request: Wire) -> Wire:
        names = request.get("AssociationIds", [])
        records = [self._model.association(name) for name in names] or list(self._model.associations.values())
        for values in self._filters(request, {"file-system-id"}).values():
            records = [one for one in records if one.wire["FileSystemId"] in values]
        shown, after = self._paged(records, request)
        for record in shown:
            self._model.look_at_association(record)
        for name in names:
            self._model.association(name)
        return {"Associations": [one.wire for one in shown if one.id in self._model.associations]} | after

    def _update_association(self, request: Wire) -> Callable[[], Wire]:
        record = self._model.association(request["AssociationId"])
        if record.wire["Lifecycle"] not in ("AVAILABLE", "MISCONFIGURED"):
            raise bad(f"association {record.id} is {record.wire['Lifecycle']}")
        record.wire["Lifecycle"] = "UPDATING"
        if "ImportedFileChunkSize" in request:
            record.wire["ImportedFileChunkSize"] = request["ImportedFileChunkSize"]
        record.wire["S3"] |= request.get("S3", {})
        return lambda: {"Association": record.wire}

    def _delete_association(self, request: Wire) -> Callable[[], Wire]:
        record = self._model.association(request["AssociationId"])
        record.delete_data = request.get("DeleteDataInFileSystem", False)
        record.wire["Lifecycle"] = "DELETING"
        answer = {"AssociationId": record.id, "Lifecycle": "DELETING", "DeleteDataInFileSystem": record.delete_data}
        return lambda: answer

    # tasks

    def _create_task(self, request: Wire) -> Callable[[], Wire]:
        file_system = self._model.file_system(request["FileSystemId"])
        links = self._model.associations_of(file_system.id)
        check_task(request, file_system, links)
        busy = self._model.task_under_way(file_system.id)
        if busy is not None:
            raise ApiError("DataRepositoryTaskExecuting", f"Data repository task {busy.id} has not ended yet.")
        task = self._model.add_task(request, touched(links, request["Type"], request.get("Paths", [])))
        return lambda: {"DataRepositoryTask": task.wire}

    def _describe_tasks(self, request: Wire) -> Wire:
        tasks = [self._model.task(name) for name in request.get("TaskIds", [])] or list(self._model.tasks.values())
        known = {"file-system-id", "task-lifecycle", "data-repository-association-id"}
        for name, values in self._filters(request, known).items():
            if name == "file-system-id":
                tasks = [task for task in tasks if task.wire["FileSystemId"] in values]
            elif name == "task-lifecycle":
                tasks = [task for task in tasks if task.lifecycle in values]
            else:
                tasks = [task for task in tasks if any(link.id in values for link in task.links)]
        shown, after = self._paged(tasks, request)
        for task in shown:
            self._model.look_at_task(task)
        return {"DataRepositoryTasks": [task.wire for task in shown]} | after

    def _cancel_task(self, request: Wire) -> Wire:
        task = self._model.task(request["TaskId"])
        self._model.cancel(task)
        return {"TaskId": task.id, "Lifecycle": task.lifecycle}

    # lists

    def _filters(self, request: Wire, known: set[str]) -> dict[str, Sequence[str]]:
        given = {one.get("Name"): one.get("Values", []) for one in request.get("Filters", [])}
        if unknown := given.keys() - known:
            raise bad(f"no such filter here: {', '.join(map(str, unknown))}")
        for name in given.get("file-system-id", []):
            self._model.file_system(name)
        return given

    def _paged(self, records: list[Any], request: Wire) -> tuple[list[Any], Wire]:
        size = min(self.page, request.get("MaxResults", self.page))
        begin = 0
        if "NextToken" in request:
            try:
                begin = int(base64.b64decode(request["NextToken"], validate=True))
            except (binascii.Error, ValueError):
                raise bad("the NextToken is not one of this service") from None
        rest = begin + size
        after = {"NextToken": base64.b64encode(str(rest).encode()).decode()} if rest < len(records) else {}
        return records[begin:rest], after
