"""Making, describing and deleting file systems through an API that answers from a list."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from headrace_daemon.fsx.api import (
    Association,
    FileSystem,
    FsxApi,
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxUnreachable,
    NewTask,
    RepositoryTask,
)
from headrace_daemon.fsx.make.cloud_init import HostPart
from headrace_daemon.fsx.make.making import (
    Description,
    NotMade,
    client_token,
    create,
    creation,
    delete,
    describe,
    linking,
    losses,
    refuse_final_backup,
)
from headrace_daemon.fsx.make.text import Lines, Spinner, description_lines, display_for, made_lines, step_text
from headrace_daemon.fsx.make.waiting import Pace, Step
from headrace_daemon.fsx.spec import model as model
from headrace_daemon.fsx.spec.model import AssociationSpec, FileSystemSpec
from headrace_queue.errors import UsageError
from tests.support.service_model import problems

ID = "fs-0123456789abcdef0"
LINKS = (
    AssociationSpec(file_system_path="/ns1", data_repository_path="s3://climate/era5/"),
    AssociationSpec(file_system_path="/ns2", data_repository_path="s3://climate/cmip6/"),
)
SPEC = FileSystemSpec(
    subnet_ids=("subnet-0123456789abcdef0",),
    deployment_type=model.DeploymentType.SCRATCH_2,
    storage_capacity=1200,
    file_system_type_version="2.15",
    data_repository_associations=LINKS,
    tags={"a": "1", "b": "2"},
)
SYSTEM = FileSystem(
    id=ID,
    lifecycle="CREATING",
    deployment_type="SCRATCH_2",
    storage_type="SSD",
    capacity=1200,
    lustre_version="2.15",
    region="us-east-1",
    owner_id="123456789012",
    arn=f"arn:aws:fsx:us-east-1:123456789012:file-system/{ID}",
    dns_name=f"{ID}.fsx.us-east-1.amazonaws.com",
    mount_name="abcdefgh",
    vpc_id="vpc-1",
)
TASK = RepositoryTask("task-1", ID, "EXPORT_TO_REPOSITORY", "EXECUTING", 1e9, total=10, succeeded=4)


def link(path: str, repository: str, lifecycle: str = "AVAILABLE", failure: str = "") -> Association:
    return Association(f"dra-{path.strip('/')}", ID, path, repository, lifecycle, failure=failure)


class Scripted(FsxApi):
    """Answers looks at the file system from a list, the last one for good; errors in it are raised.

    links: what each new association answers at its looks, in turn.
    """

    def __init__(self, looks: Sequence[str | FileSystem | FsxError], links: Mapping[str, Sequence[str]] = {}) -> None:
        self.looks = list(looks)
        self.links = {path: list(states) for path, states in links.items()}
        self.there: dict[str, Association] = {}
        self.sent: list[tuple[str, Any]] = []
        self.errors: dict[str, list[FsxError]] = {}
        self.last_tasks: Sequence[RepositoryTask] = ()
        self.first = "CREATING"

    def _sent(self, operation: str, request: Any) -> None:
        self.sent.append((operation, request))
        if self.errors.get(operation):
            raise self.errors[operation].pop(0)

    async def create_file_system(self, request: Mapping[str, Any]) -> FileSystem:
        self._sent("create", request)
        return replace(SYSTEM, lifecycle=self.first)

    async def file_system(self, file_system_id: str) -> FileSystem:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, FsxError):
            raise look
        return replace(SYSTEM, lifecycle=look) if isinstance(look, str) else look

    async def delete_file_system(self, file_system_id: str, token: str, *, skip_final_backup: bool) -> str:
        self._sent("delete", (file_system_id, token, skip_final_backup))
        return "DELETING"

    async def associations(self, file_system_id: str) -> Sequence[Association]:
        for path, found in self.there.items():
            if self.links.get(path):
                self.there[path] = replace(found, lifecycle=self.links[path].pop(0), failure="no such bucket")
        return list(self.there.values())

    async def create_association(self, request: Mapping[str, Any]) -> Association:
        self._sent("associate", request)
        path = request["FileSystemPath"]
        self.there[path] = link(path, request["DataRepositoryPath"], "CREATING")
        return self.there[path]

    async def delete_association(self, association_id: str, token: str, *, delete_data: bool) -> str:
        raise AssertionError

    async def create_task(self, task: NewTask) -> RepositoryTask:
        raise AssertionError

    async def task(self, task_id: str) -> RepositoryTask:
        raise AssertionError

    async def tasks(self, file_system_id: str) -> Sequence[RepositoryTask]:
        return self.last_tasks

    async def cancel_task(self, task_id: str) -> None:
        raise AssertionError

    async def close(self) -> None:
        """Nothing is open."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(self.sleep, lambda: self.now)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


# -- requests and tokens ----------------------------------------------------------------------------------------------


def test_requests_are_those_of_the_service_model() -> None:
    made, *links = [creation(SPEC, ""), *linking(SPEC, ID, "")]
    assert problems("fsx", made.operation, made.parameters) == []
    assert [problems("fsx", request.operation, request.parameters) for request in links] == [[], []]
    tokens = {request.parameters["ClientRequestToken"] for request in (made, *links)}
    assert len(tokens) == 3
    assert all(len(token) <= 63 for token in tokens)


def test_a_token_is_that_of_the_request_and_no_other() -> None:
    token = creation(SPEC, "").parameters["ClientRequestToken"]

    def other(salt: str = "", **change: Any) -> str:
        found: str = creation(SPEC.model_copy(update=change), salt).parameters["ClientRequestToken"]
        return found

    assert other() == token
    assert other(tags={"b": "2", "a": "1"}) == token, "tags in another order"
    assert token not in {other("2"), other(name="x"), other(storage_capacity=2400), other(tags={"a": "1"})}
    assert client_token({"a": 1, "ClientRequestToken": "x"}, "") == client_token({"a": 1}, "")


def test_a_file_system_is_made_from_a_backup_by_another_operation() -> None:
    request = creation(SPEC.model_copy(update={"backup_id": "backup-0123456789abcdef0"}), "")
    assert (request.operation, request.parameters["BackupId"]) == (
        "CreateFileSystemFromBackup",
        "backup-0123456789abcdef0",
    )


# -- making -----------------------------------------------------------------------------------------------------------


async def test_the_file_system_first_then_one_association_after_the_other(clock: Clock) -> None:
    api = Scripted(["CREATING", "CREATING", "AVAILABLE"], {"/ns1": ["CREATING", "AVAILABLE"], "/ns2": ["AVAILABLE"]})
    steps: list[Step] = []
    made = await create(api, SPEC, "", clock.pace, steps.append, wait=True)
    assert made.file_system.lifecycle == "AVAILABLE"
    assert [found.path for found in made.associations] == ["/ns1", "/ns2"]
    assert [(step.what, step.lifecycle, step.elapsed) for step in steps] == [
        ("file system", "CREATING", 0.0),
        ("file system", "CREATING", 15.0),
        ("file system", "CREATING", 30.0),
        ("file system", "AVAILABLE", 45.0),
        ("association /ns1", "CREATING", 0.0),
        ("association /ns1", "CREATING", 15.0),
        ("association /ns1", "AVAILABLE", 30.0),
        ("association /ns2", "CREATING", 0.0),
        ("association /ns2", "AVAILABLE", 15.0),
    ]


async def test_without_waiting_the_links_are_left_for_later(clock: Clock) -> None:
    api = Scripted(["CREATING"])
    made = await create(api, SPEC, "", clock.pace, lambda step: None, wait=False)
    assert [operation for operation, _ in api.sent] == ["create"]
    assert made.missing == ("/ns1", "/ns2")
    assert clock.now == 0.0
    lines = made_lines(made, HostPart(), "s3", "")
    assert "Not linked yet: /ns1, /ns2. The same command with --wait links it, and makes no second one." in lines
    assert f"  mount -t lustre -o relatime,flock {SYSTEM.dns_name}@tcp:/abcdefgh /fsx" in lines
    assert "  [fsx.lustre]" in lines


async def test_without_waiting_all_that_can_be_asked_for_is(clock: Clock) -> None:
    api = Scripted(["AVAILABLE"])
    api.first = "AVAILABLE"
    made = await create(api, SPEC, "", clock.pace, lambda step: None, wait=False)
    assert [found.lifecycle for found in made.associations] == ["CREATING", "CREATING"]
    assert (made.missing, clock.now) == ((), 0.0)


async def test_once_more_makes_only_what_is_missing(clock: Clock) -> None:
    api = Scripted(["AVAILABLE"])
    api.there["/ns1"] = link("/ns1/", "s3://climate/era5")
    api.links["/ns2"] = ["AVAILABLE"]
    made = await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)
    assert [request["FileSystemPath"] for operation, request in api.sent if operation == "associate"] == ["/ns2"]
    assert len(made.associations) == 2


async def test_a_link_with_another_bucket_is_no_link(clock: Clock) -> None:
    api = Scripted(["AVAILABLE"])
    api.there["/ns1"] = link("/ns1", "s3://other/")
    with pytest.raises(NotMade, match="has it already, with s3://other/ and not s3://climate/era5/"):
        await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)


FAILURES = {
    "FAILED": "the file system is FAILED: no address is left in the subnet. Delete it with",
    "MISCONFIGURED_UNAVAILABLE": "is MISCONFIGURED_UNAVAILABLE: no address",
    "DELETING": "This command made it before, and it was deleted; add --token TEXT",
}


@pytest.mark.parametrize("lifecycle", FAILURES)
async def test_a_file_system_that_does_not_come(clock: Clock, lifecycle: str) -> None:
    failed = replace(SYSTEM, lifecycle=lifecycle, failure="no address is left in the subnet.")
    with pytest.raises(NotMade) as caught:
        await create(Scripted(["CREATING", failed]), SPEC, "", clock.pace, lambda step: None, wait=True)
    assert FAILURES[lifecycle] in str(caught.value)


@pytest.mark.parametrize("lifecycle", ["FAILED", "MISCONFIGURED"])
async def test_an_association_that_fails_ends_it(clock: Clock, lifecycle: str) -> None:
    api = Scripted(["AVAILABLE"], {"/ns1": [lifecycle]})
    with pytest.raises(NotMade, match=f"association /ns1: it is {lifecycle}: no such bucket. .*dra delete dra-ns1"):
        await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)
    assert "/ns2" not in api.there


@pytest.mark.parametrize(
    "error", [FsxRefused("BadRequest", "no such bucket"), FsxDenied("AccessDenied", "no such bucket")]
)
@pytest.mark.parametrize("wait", [True, False])
async def test_an_association_that_is_refused_says_what_is_there_already(
    clock: Clock, error: FsxError, wait: bool
) -> None:
    api = Scripted(["AVAILABLE"])
    api.first = "AVAILABLE"
    api.errors["associate"] = [error]
    with pytest.raises(NotMade) as caught:
        await create(api, SPEC, "", clock.pace, lambda step: None, wait=wait)
    assert caught.value.what == "association /ns1"
    assert "no such bucket" in caught.value.why
    assert f"The file system {ID} is there, and costs money. Once it is corrected, the same command goes on" in str(
        caught.value
    )
    corrected = SPEC.model_copy(update={"data_repository_associations": LINKS[1:]})
    assert creation(corrected, "").parameters == creation(SPEC, "").parameters, "and it does"


async def test_a_new_file_system_may_be_unknown_at_first(clock: Clock) -> None:
    unknown = FsxNotFound("FileSystemNotFound", "no")
    api = Scripted([unknown, unknown, "AVAILABLE"], {"/ns1": ["AVAILABLE"], "/ns2": ["AVAILABLE"]})
    assert (await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)).file_system.lifecycle == "AVAILABLE"
    with pytest.raises(NotMade, match="Add --token TEXT for a new one"):
        await create(Scripted([unknown]), SPEC, "", clock.pace, lambda step: None, wait=True)


async def test_silence_is_waited_out_and_told(clock: Clock) -> None:
    away = FsxUnreachable("ConnectTimeout", "no answer")
    api = Scripted(["CREATING", *[away] * 30, "AVAILABLE"], {"/ns1": ["AVAILABLE"], "/ns2": ["AVAILABLE"]})
    steps: list[Step] = []
    await create(api, SPEC, "", clock.pace, steps.append, wait=True)
    troubled = [step for step in steps if step.trouble]
    assert len(troubled) == 30
    assert step_text(troubled[0]) == f"file system {ID} CREATING (no news: no answer (ConnectTimeout))"


async def test_only_silence_in_one_piece_counts(clock: Clock) -> None:
    silence = [FsxUnreachable("ConnectTimeout", "no answer")] * 39
    looks: list[str | FileSystem | FsxError] = [*silence, "CREATING", *silence, "AVAILABLE"]
    api = Scripted(looks, {"/ns1": ["AVAILABLE"], "/ns2": ["AVAILABLE"]})
    assert (await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)).file_system.lifecycle == "AVAILABLE"


async def test_silence_without_end_is_an_error(clock: Clock) -> None:
    away = FsxUnreachable("ConnectTimeout", "no answer")
    with pytest.raises(FsxUnreachable):
        await create(Scripted([away]), SPEC, "", clock.pace, lambda step: None, wait=True)
    assert clock.now == 600.0


async def test_credentials_that_end_are_no_silence(clock: Clock) -> None:
    with pytest.raises(FsxDenied):
        await create(Scripted([FsxDenied("ExpiredToken", "x")]), SPEC, "", clock.pace, lambda step: None, wait=True)
    assert clock.now == 15.0


async def test_an_association_waits_its_turn(clock: Clock) -> None:
    api = Scripted(["AVAILABLE"], {"/ns1": ["AVAILABLE"], "/ns2": ["AVAILABLE"]})
    api.errors["associate"] = [FsxBusy("ServiceLimitExceeded", "eight are waiting")] * 2
    made = await create(api, SPEC, "", clock.pace, lambda step: None, wait=True)
    tokens = {
        r["ClientRequestToken"] for operation, r in api.sent if operation == "associate" and "1" in r["FileSystemPath"]
    }
    assert len(tokens) == 1, "the same request each time"
    assert len(made.associations) == 2


# -- describing and deleting ------------------------------------------------------------------------------------------


async def test_the_last_tasks_are_shown() -> None:
    api = Scripted(["AVAILABLE"])
    api.there["/ns1"] = replace(
        link("/ns1", "s3://bucket/\x1b[2J", "MISCONFIGURED", "no access"), auto_export=("NEW", "CHANGED")
    )
    api.last_tasks = [replace(TASK, id=f"task-{number}", created=float(number)) for number in range(30)]
    found = await describe(api, ID)
    assert [task.id for task in found.tasks] == [f"task-{number}" for number in range(29, 19, -1)]
    text = "\n".join(description_lines(found))
    assert "\x1b" not in text
    assert "NEW,CHANGED" in text
    assert "dra-ns1: no access" in text
    assert "4 of 10" in text


def described(deployment: str = "PERSISTENT_2", *links: Association, repository: str = "") -> Description:
    return Description(replace(SYSTEM, deployment_type=deployment, repository=repository), links, (TASK,))


def test_what_is_lost() -> None:
    linked = replace(link("/ns1", "s3://bucket/p/"), auto_export=("NEW",))
    lines = losses(described("SCRATCH_2", linked, link("/ns2", "s3://bucket/q/")), final_backup=False)
    assert lines == [
        f"{ID}: SCRATCH_2 SSD, 1,200 GiB, CREATING",
        "the association of /ns1 with s3://bucket/p/, which exports NEW",
        "the association of /ns2 with s3://bucket/q/, which exports nothing by itself",
        "task task-1, EXPORT_TO_REPOSITORY, EXECUTING",
        "every file that is not in a bucket",
    ]
    assert losses(described(), final_backup=False)[-1] == "every file"
    assert "final backup" in losses(described(), final_backup=True)[-1]
    assert "the link with s3://bucket/" in losses(described(repository="s3://bucket/"), final_backup=False)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (described("SCRATCH_2"), "of the type SCRATCH_2 has no backups"),
        (described("PERSISTENT_1", link("/", "s3://bucket/")), "linked to a bucket has no backups"),
        (described("PERSISTENT_1", repository="s3://bucket/"), "linked to a bucket has no backups"),
    ],
)
def test_a_final_backup_that_aws_would_not_make(found: Description, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        refuse_final_backup(found)


def test_a_final_backup_that_aws_makes() -> None:
    refuse_final_backup(described())


@pytest.mark.parametrize("final_backup", [True, False])
async def test_deleting_to_the_end(clock: Clock, final_backup: bool) -> None:
    api = Scripted(["DELETING", "DELETING", FsxNotFound("FileSystemNotFound", "no")])
    left = await delete(api, ID, clock.pace, lambda step: None, final_backup=final_backup, wait=True)
    assert (left, clock.now) == ("", 45.0)
    assert [request[2] for _, request in api.sent] == [not final_backup]


async def test_deleting_without_waiting(clock: Clock) -> None:
    assert await delete(Scripted([]), ID, clock.pace, lambda step: None, final_backup=False, wait=False) == "DELETING"


async def test_a_deletion_that_fails(clock: Clock) -> None:
    failed = replace(SYSTEM, lifecycle="FAILED", failure="the network interface is in use")
    with pytest.raises(NotMade, match="it is FAILED and not deleted: the network interface is in use"):
        await delete(Scripted(["DELETING", failed]), ID, clock.pace, lambda step: None, final_backup=False, wait=True)


# -- progress ---------------------------------------------------------------------------------------------------------


def test_lines_tell_changes_and_that_it_goes_on() -> None:
    written: list[str] = []
    lines = Lines(written.append)
    for seconds in range(0, 150, 15):
        lines.say(Step("file system", ID, "CREATING", float(seconds)))
    lines.say(Step("file system", ID, "CREATING", 150.0, "no answer"))
    lines.say(Step("file system", ID, "AVAILABLE", 165.0))
    assert [line.partition(f"{ID} ")[2].partition(",")[0] for line in written] == [
        "CREATING", "CREATING", "CREATING", "CREATING (no news: no answer)", "AVAILABLE",
    ]  # fmt: skip


def test_a_terminal_has_a_spinner_and_only_where_something_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    silent, told = Terminal(), Terminal()
    with display_for(silent) as display:
        assert isinstance(display, Spinner)
    with display_for(told) as display:
        display.say(Step("file system", ID, "CREATING", 0.0))
        display.say(Step("file system", ID, "AVAILABLE", 15.0))
    assert silent.getvalue() == ""
    assert f"file system {ID} AVAILABLE" in told.getvalue()
