"""The fake FSx API answers as the service is documented to: lifecycles, refusals, repeated requests, lists, faults."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.validate import ParamValidator

from tests.support.descriptors import sockets_on
from tests.support.fsx_server import FakeFsx, fsx_server

NO_REPORT = {"Enabled": False}
REPORT = {"Enabled": True, "Path": "s3://bkt/p/r", "Format": "REPORT_CSV_20191124", "Scope": "FAILED_FILES_ONLY"}
IMPORT, EXPORT, RELEASE = "IMPORT_METADATA_FROM_REPOSITORY", "EXPORT_TO_REPOSITORY", "RELEASE_DATA_FROM_FILESYSTEM"
SCRATCH = {
    "FileSystemType": "LUSTRE",
    "StorageCapacity": 1200,
    "SubnetIds": ["subnet-0123456789abcdef0"],
    "FileSystemTypeVersion": "2.15",
    "LustreConfiguration": {"DeploymentType": "SCRATCH_2"},
}


@pytest.fixture
def fsx() -> Iterator[FakeFsx]:
    with fsx_server(clock=lambda: 1_800_000_000.0) as fsx:
        yield fsx


@pytest.fixture
def api(fsx: FakeFsx) -> Iterator[Any]:
    client = fsx.client()
    yield client
    client.close()


@pytest.fixture
def linked(fsx: FakeFsx) -> str:
    """A file system whose folder /ns1 is linked to s3://bkt/p/."""
    file_system = fsx.add_file_system()
    fsx.add_association(file_system, "/ns1", "s3://bkt/p/")
    return file_system


def refusal(call: Callable[..., object], **arguments: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def code_of(call: Callable[..., object], **arguments: Any) -> str:
    return str(refusal(call, **arguments)["Error"]["Code"])


def new_task(api: Any, file_system: str, kind: str = EXPORT, **others: Any) -> str:
    request = {"FileSystemId": file_system, "Type": kind, "Report": NO_REPORT, **others}
    return str(api.create_data_repository_task(**request)["DataRepositoryTask"]["TaskId"])


def look(api: Any, task: str) -> Any:
    (told,) = api.describe_data_repository_tasks(TaskIds=[task])["DataRepositoryTasks"]
    return told


def test_a_file_system_comes_and_goes(api: Any) -> None:
    made = api.create_file_system(**SCRATCH, Tags=[{"Key": "Name", "Value": "x"}])["FileSystem"]
    name = made["FileSystemId"]
    assert (made["Lifecycle"], made["FileSystemTypeVersion"], made["StorageCapacity"]) == ("CREATING", "2.15", 1200)
    (told,) = api.describe_file_systems(FileSystemIds=[name])["FileSystems"]
    assert told["Lifecycle"] == "AVAILABLE"
    assert told["DNSName"] == f"{name}.fsx.us-east-1.amazonaws.com"
    assert api.delete_file_system(FileSystemId=name)["Lifecycle"] == "DELETING"
    assert code_of(api.describe_file_systems, FileSystemIds=[name]) == "FileSystemNotFound"
    assert api.describe_file_systems()["FileSystems"] == []


def test_an_association_comes_and_goes_and_imports_at_its_start(fsx: FakeFsx, api: Any) -> None:
    file_system = fsx.add_file_system()
    request = {"FileSystemPath": "/a", "DataRepositoryPath": "s3://bkt/a", "BatchImportMetaDataOnCreate": True}
    events = {"AutoImportPolicy": {"Events": ["NEW", "DELETED"]}}
    made = api.create_data_repository_association(FileSystemId=file_system, S3=events, **request)["Association"]
    assert (made["Lifecycle"], made["S3"]) == ("CREATING", events)
    name = made["AssociationId"]
    assert fsx.tasks() == []
    (told,) = api.describe_data_repository_associations(AssociationIds=[name])["Associations"]
    assert told["Lifecycle"] == "AVAILABLE"
    assert [(task["Type"], task["Paths"]) for task in fsx.tasks()] == [(IMPORT, ["s3://bkt/a/"])]
    gone = api.delete_data_repository_association(AssociationId=name, DeleteDataInFileSystem=False)
    assert gone["Lifecycle"] == "DELETING"
    missing = code_of(api.describe_data_repository_associations, AssociationIds=[name])
    assert missing == "DataRepositoryAssociationNotFound"


def test_a_task_moves_when_it_is_looked_at(fsx: FakeFsx, api: Any, linked: str) -> None:
    task = new_task(api, linked)
    assert [look(api, task)["Lifecycle"] for _ in range(3)] == ["EXECUTING", "SUCCEEDED", "SUCCEEDED"]
    assert look(api, task)["EndTime"].timestamp() == 1_800_000_000.0
    fsx.looks("task", 2)
    task = new_task(api, linked)
    states = [look(api, task)["Lifecycle"] for _ in range(4)]
    assert states == ["PENDING", "EXECUTING", "EXECUTING", "SUCCEEDED"]


def test_what_is_held_stays_until_it_is_let_go(fsx: FakeFsx, api: Any, linked: str) -> None:
    fsx.hold("EXPORT", after=None)
    task = new_task(api, linked)
    assert {look(api, task)["Lifecycle"] for _ in range(3)} == {"PENDING"}
    fsx.let_go()
    fsx.hold("EXPORT")
    assert {look(api, task)["Lifecycle"] for _ in range(3)} == {"EXECUTING"}
    fsx.let_go()
    fsx.advance()
    assert [told["Lifecycle"] for told in fsx.tasks()] == ["SUCCEEDED"]


def test_file_systems_and_associations_are_held_too(fsx: FakeFsx, api: Any) -> None:
    fsx.hold("file-system")
    fsx.hold("association")
    name = fsx.add_file_system(lifecycle="CREATING")
    fsx.add_association(name, "/a", "s3://bkt/a", lifecycle="CREATING")

    def told() -> list[str]:
        systems = api.describe_file_systems()["FileSystems"]
        return [one["Lifecycle"] for one in [*systems, *api.describe_data_repository_associations()["Associations"]]]

    assert [told(), told()] == [["CREATING", "CREATING"]] * 2
    fsx.let_go()
    fsx.looks("association", 2)
    assert [told(), told()] == [["AVAILABLE", "CREATING"], ["AVAILABLE", "AVAILABLE"]]


def test_a_linked_file_system_is_deleted_once_and_without_a_backup(fsx: FakeFsx, api: Any, linked: str) -> None:
    backup = {"SkipFinalBackup": False}
    assert code_of(api.delete_file_system, FileSystemId=linked, LustreConfiguration=backup) == "BadRequest"
    request = {"FileSystemId": linked, "ClientRequestToken": "t1"}
    first = api.delete_file_system(**request)
    fsx.advance()
    again = api.delete_file_system(**request)
    assert [one["Lifecycle"] for one in (first, again)] == ["DELETING", "DELETING"]
    assert api.describe_data_repository_associations()["Associations"] == []
    assert code_of(api.delete_file_system, FileSystemId=linked) == "FileSystemNotFound"


def test_one_task_at_a_time(fsx: FakeFsx, api: Any, linked: str) -> None:
    new_task(api, linked)
    busy = {"FileSystemId": linked, "Type": EXPORT, "Report": NO_REPORT}
    assert code_of(api.create_data_repository_task, **busy) == "DataRepositoryTaskExecuting"
    assert code_of(api.delete_file_system, FileSystemId=linked) == "BadRequest"
    fsx.advance()
    fsx.advance()
    new_task(api, linked)


def test_the_same_token_is_the_same_task(fsx: FakeFsx, api: Any, linked: str) -> None:
    task = new_task(api, linked, ClientRequestToken="t1", Paths=["ns1"])
    assert new_task(api, linked, ClientRequestToken="t1", Paths=["ns1"]) == task
    request = {"FileSystemId": linked, "Type": EXPORT, "Report": NO_REPORT, "ClientRequestToken": "t1"}
    other = refusal(api.create_data_repository_task, **request, Paths=["ns1/other"])
    assert (other["Error"]["Code"], other["Parameter"]) == ("IncompatibleParameterError", "Paths")
    for _ in range(2):
        fsx.advance()
    told = api.create_data_repository_task(**request, Paths=["ns1"])["DataRepositoryTask"]
    assert (told["TaskId"], told["Lifecycle"]) == (task, "SUCCEEDED")
    assert len(fsx.tasks()) == 1


def test_a_cancelled_task_ends_so_and_an_ended_one_is_not_cancelled(fsx: FakeFsx, api: Any, linked: str) -> None:
    fsx.hold("EXPORT")
    task = new_task(api, linked)
    assert look(api, task)["Lifecycle"] == "EXECUTING"
    assert api.cancel_data_repository_task(TaskId=task)["Lifecycle"] == "CANCELING"
    assert look(api, task)["Lifecycle"] == "CANCELED"
    assert code_of(api.cancel_data_repository_task, TaskId=task) == "DataRepositoryTaskEnded"


def test_a_task_that_fails_as_a_whole_says_why(fsx: FakeFsx, api: Any, linked: str) -> None:
    fsx.fail_task("EXPORT", "no room")
    task = new_task(api, linked)
    look(api, task)
    told = look(api, task)
    assert (told["Lifecycle"], told["FailureDetails"]["Message"]) == ("FAILED", "no room")
    task = new_task(api, linked)
    look(api, task)
    assert look(api, task)["Lifecycle"] == "SUCCEEDED"


def test_tasks_of_a_misconfigured_association_fail_until_it_is_updated(fsx: FakeFsx, api: Any, linked: str) -> None:
    (association,) = api.describe_data_repository_associations()["Associations"]
    name = association["AssociationId"]
    fsx.misconfigure(name, "AccessDenied")
    (told,) = api.describe_data_repository_associations()["Associations"]
    assert (told["Lifecycle"], told["FailureDetails"]["Message"]) == ("MISCONFIGURED", "AccessDenied")
    task = new_task(api, linked, IMPORT)
    look(api, task)
    assert look(api, task)["Lifecycle"] == "FAILED"
    assert api.update_data_repository_association(AssociationId=name)["Association"]["Lifecycle"] == "UPDATING"
    (told,) = api.describe_data_repository_associations()["Associations"]
    assert (told["Lifecycle"], "FailureDetails" in told) == ("AVAILABLE", False)


def test_lists_have_pages_and_filters(fsx: FakeFsx, api: Any) -> None:
    systems = [fsx.add_file_system() for _ in range(3)]
    links = [fsx.add_association(name, f"/{part}", f"s3://bkt/{part}") for name in systems for part in "ab"]
    tasks = [new_task(api, name, Paths=["a"]) for name in systems]
    fsx.page(2)

    def pages(operation: str, member: str, key: str, **arguments: Any) -> list[list[str]]:
        found, after = [], arguments  # botocore itself can page through file systems only
        while True:
            answer = getattr(api, operation)(**after)
            found.append([told[key] for told in answer[member]])
            if "NextToken" not in answer:
                return found
            after = {**arguments, "NextToken": answer["NextToken"]}

    assert pages("describe_file_systems", "FileSystems", "FileSystemId") == [systems[:2], systems[2:]]
    of_second = [{"Name": "file-system-id", "Values": [systems[1]]}]
    listing = ("describe_data_repository_associations", "Associations", "AssociationId")
    assert pages(*listing) == [links[:2], links[2:4], links[4:]]
    assert pages(*listing, Filters=of_second) == [links[2:4]]
    listing = ("describe_data_repository_tasks", "DataRepositoryTasks", "TaskId")
    assert pages(*listing, Filters=of_second) == [[tasks[1]]]
    by_link = [{"Name": "data-repository-association-id", "Values": links[3:5]}]
    assert pages(*listing, Filters=by_link) == [[tasks[2]]]
    pending = [{"Name": "task-lifecycle", "Values": ["PENDING"]}]
    assert pages(*listing, Filters=pending) == [[tasks[0]]]
    assert code_of(api.describe_data_repository_tasks, NextToken="bm9uZQ==") == "BadRequest"
    volume = [{"Name": "volume-id", "Values": ["x"]}]
    assert code_of(api.describe_data_repository_associations, Filters=volume) == "BadRequest"


def system(**lustre: Any) -> dict[str, Any]:
    changes = {name: lustre.pop(name) for name in [*lustre] if name in (*SCRATCH, "StorageType")}
    return {**SCRATCH, **changes, "LustreConfiguration": {"DeploymentType": "SCRATCH_2", **lustre}}


HDD = {"DeploymentType": "PERSISTENT_1", "StorageType": "HDD", "DriveCacheType": "NONE", "PerUnitStorageThroughput": 12}
PERSISTENT_2 = {"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 125}
SYSTEMS = [
    (system(), ""),
    (system(StorageCapacity=7200), ""),
    (system(StorageCapacity=3600), "BadRequest"),
    (system(StorageCapacity=0), "BadRequest"),
    (system(DeploymentType="SCRATCH_1", StorageCapacity=3600), ""),
    (system(DeploymentType="SCRATCH_1", StorageCapacity=4800), "BadRequest"),
    (system(PerUnitStorageThroughput=50), "InvalidPerUnitStorageThroughput"),
    (system(**HDD, StorageCapacity=6000), ""),
    (system(**HDD, StorageCapacity=1800), "BadRequest"),
    (system(**{**HDD, "PerUnitStorageThroughput": 40}, StorageCapacity=1800), ""),
    (system(DeploymentType="SCRATCH_2", StorageType="HDD", DriveCacheType="NONE"), "BadRequest"),
    (system(**PERSISTENT_2), ""),
    (system(**{**PERSISTENT_2, "PerUnitStorageThroughput": 200}), "InvalidPerUnitStorageThroughput"),
    (system(**PERSISTENT_2, ImportPath="s3://bkt"), "InvalidImportPath"),
    (system(ImportPath="s3://bkt"), ""),
    (system(ExportPath="s3://bkt"), "InvalidExportPath"),
    (system(SubnetIds=["subnet-01234567", "subnet-01234568"]), "BadRequest"),
    (system(FileSystemType="WINDOWS"), "UnsupportedOperation"),
    (system(DeploymentType="PERSISTENT_2", StorageType="INTELLIGENT_TIERING"), "BadRequest"),
]


def test_file_systems_that_cannot_be_are_refused(api: Any) -> None:
    for request, code in SYSTEMS:
        if code:
            assert code_of(api.create_file_system, **request) == code, request
        else:
            api.create_file_system(**request)


def test_associations_that_cannot_be_are_refused(fsx: FakeFsx, api: Any) -> None:
    def made(file_system: str, path: str = "/b", repository: str = "s3://bkt/b") -> str:
        request = {"FileSystemId": file_system, "FileSystemPath": path, "DataRepositoryPath": repository}
        try:
            api.create_data_repository_association(**request)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    unfit: list[dict[str, Any]] = [
        {"version": "2.10"},
        {"deployment": "SCRATCH_1", "version": "2.15"},
        {"deployment": "PERSISTENT_2", "storage": "INTELLIGENT_TIERING"},
    ]
    assert {made(fsx.add_file_system(**options)) for options in unfit} == {"UnsupportedOperation"}
    assert made(fsx.add_file_system(import_path="s3://bkt")) == "BadRequest"
    assert made(fsx.add_file_system(lifecycle="DELETING")) == "BadRequest"
    assert made("fs-00000000000000999") == "FileSystemNotFound"
    assert made(fsx.add_file_system(version="2.12"), "/") == ""
    name = fsx.add_file_system()
    fsx.add_association(name, "/a/b", "s3://bkt/a/b/")
    assert {made(name, path) for path in ("/", "/a", "/a/b", "/a/b/c/", "b")} == {"BadRequest"}
    assert {made(name, "/b", url) for url in ("s3://bkt", "s3://bkt/a/", "s3://bkt/a/b/c", "bkt/c")} == {"BadRequest"}
    assert [made(name, f"/a/b{number}", f"s3://bkt/a/b{number}") for number in range(7)] == [""] * 7
    assert made(name) == "ServiceLimitExceeded"


TASKS: list[tuple[dict[str, Any], str]] = [
    ({"Type": EXPORT}, ""),
    ({"Type": EXPORT, "Paths": ["/ns1"]}, "BadRequest"),
    ({"Type": EXPORT, "Paths": ["/"]}, "BadRequest"),
    ({"Type": EXPORT, "Paths": ["ns1/../ns2"]}, "BadRequest"),
    ({"Type": RELEASE, "Paths": ["/"]}, ""),
    ({"Type": RELEASE, "Paths": ["/ns1"]}, "BadRequest"),
    ({"Type": IMPORT, "Paths": ["s3://bkt/p"]}, ""),
    ({"Type": IMPORT, "Paths": ["p"]}, "BadRequest"),
    ({"Type": IMPORT, "Report": REPORT}, ""),
    ({"Type": IMPORT, "Report": {**REPORT, "Path": "s3://bkt/q"}}, "BadRequest"),
    ({"Type": IMPORT, "Report": {"Enabled": True}}, "BadRequest"),
    ({"Type": "AUTO_RELEASE_DATA"}, "UnsupportedOperation"),
    ({"Type": EXPORT, "CapacityToRelease": 5}, "UnsupportedOperation"),
    ({"Type": EXPORT, "ReleaseConfiguration": {}}, "BadRequest"),
    ({"Type": "NONE"}, "BadRequest"),
    ({"Type": EXPORT, "Paths": ["x"] * 101}, "BadRequest"),
    ({"Type": EXPORT, "ClientRequestToken": "x" * 64}, "BadRequest"),
    ({"Type": EXPORT, "FileSystemId": "fs-00000000000000999"}, "FileSystemNotFound"),
]


def test_tasks_that_cannot_be_are_refused(fsx: FakeFsx, api: Any, linked: str) -> None:
    for changes, code in TASKS:
        request: dict[str, Any] = {"FileSystemId": linked, "Report": NO_REPORT, **changes}
        if code:
            assert code_of(api.create_data_repository_task, **request) == code, request
        else:
            api.create_data_repository_task(**request)
            fsx.advance()
            fsx.advance()
    assert [told["Lifecycle"] for told in fsx.tasks()] == ["SUCCEEDED"] * 4


def test_an_export_task_needs_a_link_that_does_not_export_by_itself(fsx: FakeFsx, api: Any) -> None:
    name = fsx.add_file_system()
    request = {"FileSystemId": name, "Type": EXPORT, "Report": NO_REPORT}
    assert code_of(api.create_data_repository_task, **request) == "BadRequest"
    fsx.add_association(name, "/auto", "s3://bkt/auto", auto_export=("NEW",))
    fsx.add_association(name, "/b", "s3://bkt/b", auto_import=("NEW",))
    assert code_of(api.create_data_repository_task, **request) == "BadRequest"
    assert code_of(api.create_data_repository_task, **request, Paths=["auto/x"]) == "BadRequest"
    new_task(api, name, Paths=["b"])


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("describe_file_systems", {"FileSystemIds": ["fs-00000000000000999"]}, "FileSystemNotFound"),
        ("describe_data_repository_tasks", {"TaskIds": ["task-00000000000000999"]}, "DataRepositoryTaskNotFound"),
        ("cancel_data_repository_task", {"TaskId": "task-00000000000000999"}, "DataRepositoryTaskNotFound"),
        (
            "update_data_repository_association",
            {"AssociationId": "dra-00000000000000999"},
            "DataRepositoryAssociationNotFound",
        ),
        ("describe_backups", {}, "UnsupportedOperation"),
    ],
)
def test_what_is_unknown_is_not_found(operation: str, arguments: dict[str, Any], code: str, api: Any) -> None:
    assert code_of(getattr(api, operation), **arguments) == code


def test_faults_happen_as_often_as_they_are_told(fsx: FakeFsx, api: Any, linked: str) -> None:
    fsx.refuse("CreateDataRepositoryTask", "ThrottlingException", times=2)
    fsx.refuse("CreateDataRepositoryTask", "InternalServerError")
    fsx.drop("CreateDataRepositoryTask")
    request = {"FileSystemId": linked, "Type": EXPORT, "Report": NO_REPORT, "ClientRequestToken": "t1"}
    for code, status in [("ThrottlingException", 400)] * 2 + [("InternalServerError", 500)]:
        answer = refusal(api.create_data_repository_task, **request)
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    with pytest.raises(ConnectionClosedError):
        api.create_data_repository_task(**request)
    assert fsx.tasks() == []
    fsx.lose_answer("CreateDataRepositoryTask")
    with pytest.raises(ConnectionClosedError):
        api.create_data_repository_task(**request)
    (kept,) = fsx.tasks()
    again = api.create_data_repository_task(**request)["DataRepositoryTask"]["TaskId"]
    assert again == kept["TaskId"]
    answers = [request.answer for request in fsx.requests]
    assert answers == ["ThrottlingException"] * 2 + ["InternalServerError", "dropped", "lost", "ok"]
    assert fsx.calls("CreateDataRepositoryTask") == [request] * 6


def test_requests_are_signed_for_this_service_and_checked(fsx: FakeFsx) -> None:
    def ask(body: object, authorization: str, operation: str = "DescribeFileSystems") -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(fsx.url).netloc, timeout=60)
        headers = {"Content-Type": "application/x-amz-json-1.1", "Authorization": authorization}
        headers["X-Amz-Target"] = f"AWSSimbaAPIService_v20180301.{operation}"
        try:
            connection.request("POST", "/", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()).get("__type", "")
        finally:
            connection.close()

    def signed(key: str = "KEY", scope: str = "us-east-1/fsx") -> str:
        credential = f"Credential={key}/20260101/{scope}/aws4_request"
        return f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"

    fsx.access_key = "KEY"
    assert ask({}, signed()) == (200, "")
    assert ask({}, "") == (400, "MissingAuthenticationTokenException")
    assert ask({}, signed(scope="eu-west-1/fsx")) == (400, "InvalidSignatureException")
    assert ask({}, signed(scope="us-east-1/s3")) == (400, "InvalidSignatureException")
    assert ask({}, signed("OTHER")) == (400, "UnrecognizedClientException")
    assert ask({"FileSystemIds": "x"}, signed()) == (400, "BadRequest")
    assert ask({"FileSystemIds": ["fs-none"]}, signed()) == (400, "BadRequest")
    assert ask({"Unknown": 1}, signed()) == (400, "BadRequest")
    assert ask({}, signed(), "MakeCoffee") == (400, "UnknownOperationException")


def test_every_answer_fits_the_service_model(fsx: FakeFsx) -> None:
    service = botocore.session.get_session().get_service_model("fsx")
    signed = "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/fsx/aws4_request, Signature=00"

    def ask(operation: str, **params: Any) -> Any:
        answer = fsx.answer(operation, params, signed)
        wrong = ParamValidator().validate(answer, service.operation_model(operation).output_shape)
        assert not wrong.has_errors(), f"{operation}: {wrong.generate_report()}"
        return answer

    name = ask("CreateFileSystem", **system(ImportPath="s3://bkt", DataCompressionType="LZ4"))["FileSystem"]
    ask("DescribeFileSystems", FileSystemIds=[name["FileSystemId"]])
    linked = fsx.add_file_system()
    policies = {"AutoImportPolicy": {"Events": ["NEW"]}}
    to = {"FileSystemPath": "/a", "DataRepositoryPath": "s3://bkt/p", "S3": policies}
    association = ask("CreateDataRepositoryAssociation", FileSystemId=linked, **to)["Association"]["AssociationId"]
    ask("DescribeDataRepositoryAssociations", MaxResults=1)
    unused = {"DurationSinceLastAccess": {"Unit": "DAYS", "Value": 3}}
    request = {"FileSystemId": linked, "Type": RELEASE, "Report": REPORT, "ReleaseConfiguration": unused}
    fsx.fail_task("")
    task = ask("CreateDataRepositoryTask", **request)["DataRepositoryTask"]["TaskId"]
    ask("DescribeDataRepositoryTasks", TaskIds=[task])
    assert "FailureDetails" in ask("DescribeDataRepositoryTasks", TaskIds=[task])["DataRepositoryTasks"][0]
    task = ask("CreateDataRepositoryTask", **request)["DataRepositoryTask"]["TaskId"]
    ask("CancelDataRepositoryTask", TaskId=task)
    ask("DescribeDataRepositoryTasks")
    fsx.misconfigure(association)
    ask("DescribeDataRepositoryAssociations")
    ask("UpdateDataRepositoryAssociation", AssociationId=association, ImportedFileChunkSize=8)
    ask("DeleteDataRepositoryAssociation", AssociationId=association, DeleteDataInFileSystem=False)
    ask("DeleteFileSystem", FileSystemId=linked)


def test_it_ends_while_clients_keep_their_connections() -> None:
    with fsx_server() as fsx:
        client = fsx.client()
        client.describe_file_systems()
        port = urlsplit(fsx.url).port
        assert port is not None
        assert sockets_on([port])
    client.close()
    assert not sockets_on([port])
