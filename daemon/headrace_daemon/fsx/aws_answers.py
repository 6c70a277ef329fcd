"""What FSx answers, as our plain data; and our tasks, as it wants to be asked. Shapes are those of botocore's service
model fsx-2018-03-01. Pure: no I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from headrace_daemon.fsx.api import Association, FileSystem, FsxUnreachable, NewTask, RepositoryTask
from headrace_queue.tasks import TaskKind

TASK_TYPE: Final[dict[TaskKind, str]] = {
    TaskKind.IMPORT: "IMPORT_METADATA_FROM_REPOSITORY",
    TaskKind.EXPORT: "EXPORT_TO_REPOSITORY",
    TaskKind.RELEASE: "RELEASE_DATA_FROM_FILESYSTEM",
}
REPORT_FORMAT: Final = "REPORT_CSV_20191124"
REPORT_SCOPE: Final = "FAILED_FILES_ONLY"

Shape = Mapping[str, Any]


def file_system(answer: Shape, region: str) -> FileSystem:
    """region: of the API that answered, where the ARN names none."""
    lustre = answer.get("LustreConfiguration") or {}
    arn = answer.get("ResourceARN", "")
    return FileSystem(
        id=required(answer, "FileSystemId"),
        lifecycle=answer.get("Lifecycle", ""),
        deployment_type=lustre.get("DeploymentType", ""),
        storage_type=answer.get("StorageType", ""),
        capacity=answer.get("StorageCapacity") or 0,
        lustre_version=answer.get("FileSystemTypeVersion", ""),
        region=_arn_field(arn, 3) or region,
        owner_id=answer.get("OwnerId", "") or _arn_field(arn, 4),
        arn=arn,
        dns_name=answer.get("DNSName", ""),
        mount_name=lustre.get("MountName", ""),
        vpc_id=answer.get("VpcId", ""),
        subnet_ids=tuple(answer.get("SubnetIds") or ()),
        network_interface_ids=tuple(answer.get("NetworkInterfaceIds") or ()),
        repository=(lustre.get("DataRepositoryConfiguration") or {}).get("ImportPath", ""),
        failure=_failure(answer),
        created=_seconds(answer.get("CreationTime")),
    )


def association(answer: Shape) -> Association:
    s3 = answer.get("S3") or {}
    return Association(
        id=required(answer, "AssociationId"),
        file_system_id=answer.get("FileSystemId", ""),
        path=answer.get("FileSystemPath", ""),
        repository=answer.get("DataRepositoryPath", ""),
        lifecycle=answer.get("Lifecycle", ""),
        auto_import=tuple((s3.get("AutoImportPolicy") or {}).get("Events") or ()),
        auto_export=tuple((s3.get("AutoExportPolicy") or {}).get("Events") or ()),
        failure=_failure(answer),
    )


def repository_task(answer: Shape) -> RepositoryTask:
    status, report = answer.get("Status") or {}, answer.get("Report") or {}
    return RepositoryTask(
        id=required(answer, "TaskId"),
        file_system_id=answer.get("FileSystemId", ""),
        kind=answer.get("Type", ""),
        lifecycle=answer.get("Lifecycle", ""),
        created=_seconds(answer.get("CreationTime")) or 0.0,
        started=_seconds(answer.get("StartTime")),
        ended=_seconds(answer.get("EndTime")),
        total=status.get("TotalCount") or 0,
        succeeded=status.get("SucceededCount") or 0,
        failed=status.get("FailedCount") or 0,
        failure=_failure(answer),
        report=report.get("Path", "") if report.get("Enabled") else "",
        paths=tuple(answer.get("Paths") or ()),
        tags={tag["Key"]: tag["Value"] for tag in answer.get("Tags") or ()},
    )


def task_request(task: NewTask) -> dict[str, Any]:
    """The parameters of CreateDataRepositoryTask. A report is never left out: FSx wants to be told that there is none.

    https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateDataRepositoryTask.html
    """
    request: dict[str, Any] = {
        "Type": TASK_TYPE[task.kind],
        "FileSystemId": task.file_system_id,
        "ClientRequestToken": task.token,
        "Report": {"Enabled": False},
    }
    if task.report:
        request["Report"] = {
            "Enabled": True,
            "Path": task.report,
            "Format": REPORT_FORMAT,
            "Scope": REPORT_SCOPE,
        }
    if task.paths:
        request["Paths"] = list(task.paths)
    if task.kind is TaskKind.RELEASE:
        # all that is exported, however lately it was read
        request["ReleaseConfiguration"] = {"DurationSinceLastAccess": {"Unit": "DAYS", "Value": 0}}
    if task.tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in task.tags.items()]
    return request


def required(answer: Shape, member: str) -> Any:
    """A member that every answer has. Raises FsxUnreachable: what answers without it is not FSx."""
    try:
        return answer[member]
    except KeyError:
        raise FsxUnreachable("bad_answer", f"an answer without {member}: is the endpoint that of FSx?") from None


def _failure(answer: Shape) -> str:
    text: str = (answer.get("FailureDetails") or {}).get("Message", "")
    return text


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _arn_field(arn: str, index: int) -> str:
    """arn:PARTITION:fsx:REGION:ACCOUNT:…"""
    fields = arn.split(":")
    return fields[index] if len(fields) > index else ""
