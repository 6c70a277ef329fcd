"""The adapter of AWS's FSx API, and the commands of `headraced fsx dra`, against the fake FSx."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.fsx import aws
from headrace_daemon.fsx.api import (
    Association,
    FsxApi,
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxTaskEnded,
    FsxUnreachable,
    NewTask,
)
from headrace_daemon.fsx.aws import Access, AwsFsx, FsxApis, aws_api
from headrace_daemon.fsx.aws_errors import answered
from headrace_daemon.fsx.dra import commands as commands
from headrace_daemon.fsx.dra.settling import UNSEEN, Pace, until_gone, until_made
from headrace_daemon.fsx.spec.model import AssociationS3, AssociationSpec, Event, EventPolicy
from headrace_queue.config import Config, CredentialsConfig, RemoteConfig
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import UsageError
from headrace_queue.tasks import TaskKind
from tests.support.fsx_server import FakeFsx, fsx_server
from tests.support.scripted import Asked, answer, error, scripted

SECRET = "canary/s3cret+value"
TOKEN = "canary-session-token"
KEYS = {"FSX_ACCESS_KEY_ID": "AKOLD", "FSX_SECRET_ACCESS_KEY": SECRET, "FSX_SESSION_TOKEN": TOKEN}
REPORT = "s3://bkt/p/.headrace-tasks/"


@pytest.fixture
def fsx() -> Iterator[FakeFsx]:
    ticks = count(1_700_000_000.0)
    with fsx_server(clock=lambda: next(ticks)) as server:
        yield server


@asynccontextmanager
async def api_of(fsx: FakeFsx, *, attempts: int = 1, environ: dict[str, str] = KEYS) -> AsyncIterator[AwsFsx]:
    remote = RemoteConfig(credentials=CredentialsConfig(env="FSX"))
    api = aws_api("s3", remote, Facts(), access=Access("us-east-1", fsx.url, attempts), environ=environ)
    try:
        yield api
    finally:
        await api.close()


def task(kind: TaskKind, file_system: str, *paths: str, token: str = "t-1", **more: Any) -> NewTask:
    return NewTask(kind, file_system, paths, more.pop("report", ""), token, **more)


async def test_what_file_systems_and_associations_are(fsx: FakeFsx) -> None:
    system = fsx.add_file_system(deployment="PERSISTENT_1", version="2.12", import_path="s3://old/x")
    linked = fsx.add_file_system()
    names = [
        fsx.add_association(linked, f"/ns{number}", f"s3://bkt/p{number}/", auto_import=("NEW", "DELETED"))
        for number in range(5)
    ]
    fsx.misconfigure(names[1])
    fsx.page(2)
    async with api_of(fsx) as api:
        found = await api.file_system(system)
        assert (found.id, found.lifecycle, found.deployment_type) == (system, "AVAILABLE", "PERSISTENT_1")
        assert (found.storage_type, found.capacity, found.lustre_version) == ("SSD", 1200, "2.12")
        assert (found.region, found.owner_id, found.repository) == ("us-east-1", "123456789012", "s3://old/x")
        assert found.arn.endswith(system)
        assert all((found.dns_name, found.mount_name, found.vpc_id, found.subnet_ids, found.created))
        associations = await api.associations(linked)
        assert [one.id for one in associations] == names  # of all pages
        assert associations[0] == Association(
            names[0], linked, "/ns0", "s3://bkt/p0/", "AVAILABLE", auto_import=("NEW", "DELETED")
        )
        assert (associations[1].lifecycle, associations[1].failure) == ("MISCONFIGURED", "the bucket cannot be read")
        with pytest.raises(FsxNotFound):
            await api.file_system("fs-00000000000000000")


async def test_a_task_from_its_request_to_its_end(fsx: FakeFsx) -> None:
    system = fsx.add_file_system()
    fsx.add_association(system, "/ns1", "s3://bkt/p/")
    fsx.page(1)
    async with api_of(fsx) as api:
        wanted = task(TaskKind.EXPORT, system, "ns1/x", report=REPORT, tags={"headrace-task": "t-1"})
        made = await api.create_task(wanted)
        assert (made.kind, made.lifecycle, made.paths) == ("EXPORT_TO_REPOSITORY", "PENDING", ("ns1/x",))
        assert (made.report, made.tags, made.file_system_id) == (REPORT, {"headrace-task": "t-1"}, system)
        assert made.created > 0
        again = await api.create_task(wanted)
        assert again.id == made.id
        assert (await api.task(made.id)).lifecycle == "EXECUTING"
        ended = await api.task(made.id)
        assert ended.lifecycle == "SUCCEEDED"
        assert ended.started is not None
        assert ended.ended is not None
        with pytest.raises(FsxTaskEnded):
            await api.cancel_task(made.id)
        second = await api.create_task(task(TaskKind.RELEASE, system, "ns1", token="t-2"))
        assert fsx.calls("CreateDataRepositoryTask")[-1]["ReleaseConfiguration"] == {
            "DurationSinceLastAccess": {"Unit": "DAYS", "Value": 0}
        }
        assert {one.id for one in await api.tasks(system)} == {made.id, second.id}
        with pytest.raises(FsxNotFound):
            await api.task("task-00000000000000000")


async def test_one_task_at_a_time_and_a_cancelled_one(fsx: FakeFsx) -> None:
    system = fsx.add_file_system()
    fsx.add_association(system, "/", "s3://bkt/p/")
    fsx.hold("IMPORT")
    async with api_of(fsx) as api:
        first = await api.create_task(task(TaskKind.IMPORT, system, "s3://bkt/p/", report=""))
        assert fsx.calls("CreateDataRepositoryTask")[0]["Report"] == {"Enabled": False}
        assert "ReleaseConfiguration" not in fsx.calls("CreateDataRepositoryTask")[0]
        await api.task(first.id)
        with pytest.raises(FsxBusy, match="DataRepositoryTaskExecuting"):
            await api.create_task(task(TaskKind.EXPORT, system, token="t-2"))
        assert "Paths" not in fsx.calls("CreateDataRepositoryTask")[1]  # everything
        await api.cancel_task(first.id)
        assert (await api.task(first.id)).lifecycle == "CANCELED"


async def test_file_systems_and_associations_are_made_and_deleted(fsx: FakeFsx) -> None:
    async with api_of(fsx) as api:
        made = await api.create_file_system({
            "ClientRequestToken": "c-1",
            "FileSystemType": "LUSTRE",
            "StorageCapacity": 1200,
            "SubnetIds": ["subnet-0123456789abcdef0"],
            "FileSystemTypeVersion": "2.15",
            "LustreConfiguration": {"DeploymentType": "SCRATCH_2"},
        })  # fmt: skip
        assert made.lifecycle == "CREATING"
        while (await api.file_system(made.id)).lifecycle != "AVAILABLE":
            pass
        request = {
            "ClientRequestToken": "a-1",
            "FileSystemId": made.id,
            "FileSystemPath": "/ns1",
            "DataRepositoryPath": "s3://bkt/p/",
        }
        association = await api.create_association(request)
        assert association.lifecycle == "CREATING"
        while [one.lifecycle for one in await api.associations(made.id)] != ["AVAILABLE"]:
            pass
        assert await api.delete_association(association.id, "d-1", delete_data=False) == "DELETING"
        while await api.associations(made.id):
            pass
        assert await api.delete_file_system(made.id, "d-2", skip_final_backup=True) == "DELETING"
        assert "LustreConfiguration" not in fsx.calls("DeleteFileSystem")[0]
        kept = fsx.add_file_system(deployment="PERSISTENT_1")
        await api.delete_file_system(kept, "d-3", skip_final_backup=False)
        assert fsx.calls("DeleteFileSystem")[1]["LustreConfiguration"] == {"SkipFinalBackup": False}


ERRORS = [
    ("BadRequest", FsxRefused),
    ("UnsupportedOperation", FsxRefused),
    ("IncompatibleParameterError", FsxRefused),
    ("DataRepositoryTaskExecuting", FsxBusy),
    ("ServiceLimitExceeded", FsxBusy),
    ("ThrottlingException", FsxBusy),
    ("FileSystemNotFound", FsxNotFound),
    ("AccessDeniedException", FsxDenied),
    ("InternalServerError", FsxUnreachable),
    ("ServiceUnavailable", FsxUnreachable),
]


@pytest.mark.parametrize(("code", "kind"), ERRORS)
async def test_what_fsx_answers_is_told_by_what_to_do(fsx: FakeFsx, code: str, kind: type[FsxError]) -> None:
    fsx.refuse("DescribeFileSystems", code, "said so")
    async with api_of(fsx) as api:
        with pytest.raises(FsxError, match=r"DescribeFileSystems: .*said so") as raised:
            await api.file_system("fs-0123456789abcdef0")
    assert type(raised.value) is kind
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidNetworkSettings", 400, FsxRefused),
        ("SnapshotNotFound", 400, FsxNotFound),
        ("SomethingNew", 400, FsxRefused),
        ("SomethingNew", 429, FsxBusy),
        ("SomethingNew", 403, FsxDenied),
        ("SomethingNew", 503, FsxUnreachable),
        ("com.amazonaws.fsx#BadRequest", 400, FsxRefused),
        ("", 502, FsxUnreachable),
    ],
)
def test_codes_of_no_table_count_by_their_status(code: str, status: int, kind: type[FsxError]) -> None:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    told = answered(response, "Op")
    assert type(told) is kind
    assert told.code == (code.rpartition("#")[2] or f"HTTP {status}")


def test_what_an_error_is_about_is_told_and_what_was_signed_is_not() -> None:
    response = {
        "Error": {"Code": "InvalidSignatureException", "Message": f"It does not match.\n\nThe canonical: {TOKEN}"},
        "Limit": "TOTAL_STORAGE",
    }
    told = str(answered(response, "CreateFileSystem"))
    assert told == "FSx: CreateFileSystem: TOTAL_STORAGE: It does not match. (InvalidSignatureException)"


async def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_token(fsx: FakeFsx) -> None:
    system = fsx.add_file_system()
    fsx.add_association(system, "/", "s3://bkt/p/")
    fsx.lose_answer("CreateDataRepositoryTask")
    async with api_of(fsx) as api:
        with pytest.raises(FsxUnreachable):
            await api.create_task(task(TaskKind.EXPORT, system))
        made = await api.create_task(task(TaskKind.EXPORT, system))
    assert [one["TaskId"] for one in fsx.tasks()] == [made.id]


async def test_nobody_there_is_unreachable_and_a_wrong_request_is_not_sent(fsx: FakeFsx) -> None:
    async with api_of(fsx) as api:
        with pytest.raises(FsxRefused, match="DataRepositoryPath"):
            await api.create_association({"FileSystemId": 1, "DataRepositoryPath": 2})
        assert fsx.requests == []
        fsx.drop("DescribeFileSystems")
        with pytest.raises(FsxUnreachable, match="DescribeFileSystems"):
            await api.file_system("fs-0123456789abcdef0")


async def test_what_is_not_fsx_is_told_from_it() -> None:
    async with scripted(lambda asked: answer(200, b"{}")) as server:
        api = aws_api(
            "s3",
            RemoteConfig(credentials=CredentialsConfig(env="FSX")),
            Facts(),
            FsxConfig(file_system_id="fs-0123456789abcdef0", mount=Path("/fsx"), endpoint_url=server.url),
            environ=KEYS,
        )
        try:
            with pytest.raises(FsxUnreachable, match="is the endpoint that of FSx"):
                await api.create_task(task(TaskKind.IMPORT, "fs-0123456789abcdef0"))
            with pytest.raises(FsxNotFound):
                await api.file_system("fs-0123456789abcdef0")
            server.script = lambda asked: answer(200, b'{"Associations": [], "NextToken": "x"}')
            with pytest.raises(FsxUnreachable, match="the same page"):
                await api.associations("fs-0123456789abcdef0")
        finally:
            await api.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "[1, 2]"),
        (200, '"x"'),
        (200, "null"),
        (200, '{"FileSystems": "x"}'),
        (200, '{"FileSystems": [5]}'),
        (200, '{"FileSystems": [{"FileSystemId": 5}]}'),
        (200, '{"FileSystems": [{"FileSystemId": "fs-1", "CreationTime": "y"}]}'),
        (200, '{"FileSystems": [{"FileSystemId": "fs-1", "NetworkInterfaceIds": 7}]}'),
        (200, '{"FileSystems": [{"FileSystemId": "fs-1", "Lifecycle": [1], "StorageCapacity": "7"}]}'),
        (400, "[1]"),
        (400, '{"__type": 5, "message": [2]}'),
    ],
)
async def test_an_answer_of_another_form_is_none(status: int, body: str) -> None:
    async with scripted(lambda asked: answer(status, body.encode())) as server:
        remote = RemoteConfig(credentials=CredentialsConfig(env="FSX"))
        api = aws_api("s3", remote, Facts(), access=Access("us-east-1", server.url, 1), environ=KEYS)
        try:
            with pytest.raises(FsxUnreachable, match="is the endpoint that of FSx"):
                await api.file_system("fs-0123456789abcdef0")
        finally:
            await api.close()


async def test_credentials_that_were_replaced_make_a_new_client_and_end_in_no_message(
    fsx: FakeFsx, tmp_path: Path
) -> None:
    system = fsx.add_file_system()
    keys = tmp_path / "keys.ini"

    def write(access: str) -> None:
        lines = (f"aws_access_key_id = {access}", f"aws_secret_access_key = {SECRET}", f"aws_session_token = {TOKEN}")
        keys.write_text("\n".join(("[default]", *lines)))
        keys.chmod(0o600)

    write("AKOLD")
    heard: list[str] = []
    remote = RemoteConfig(credentials=CredentialsConfig(file=keys))
    api = aws_api("s3", remote, Facts(), access=Access("us-east-1", fsx.url, 1), environ={}, hide=heard.append)
    try:
        await api.file_system(system)
        fsx.access_key = "AKNEW"
        with pytest.raises(FsxDenied) as raised:
            await api.file_system(system)
        assert SECRET not in str(raised.value)
        assert TOKEN not in str(raised.value)
        write("AKNEW")
        found = await asyncio.gather(*(api.file_system(system) for _ in range(5)))
        assert {one.id for one in found} == {system}
    finally:
        await api.close()
    assert {SECRET, TOKEN} <= set(heard)


@pytest.mark.parametrize(
    ("credentials", "said"), [({"env": "NOT"}, "NOT_ACCESS_KEY_ID"), ({"anonymous": True}, "anonymous")]
)
async def test_without_credentials_nothing_is_asked(fsx: FakeFsx, credentials: dict[str, Any], said: str) -> None:
    remote = RemoteConfig(credentials=CredentialsConfig(**credentials))
    api = aws_api("s3", remote, Facts(), access=Access("us-east-1", fsx.url), environ={})
    with pytest.raises(FsxDenied, match=said):
        await api.file_system("fs-0123456789abcdef0")
    await api.close()
    assert fsx.requests == []


async def test_a_profile_that_is_missing_is_in_nobodys_way_and_a_broken_file_is_told(
    fsx: FakeFsx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsx.add_file_system()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    async with api_of(fsx) as api:
        assert (await api.file_system(system)).id == system
    broken = tmp_path / "config"
    broken.write_text("no section\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    aws._session.cache_clear()
    try:
        async with api_of(fsx) as api:
            with pytest.raises(FsxDenied, match="ConfigParseError"):
                await api.file_system(system)
    finally:
        aws._session.cache_clear()


def section(fsx_url: str, file_system: str = "fs-0123456789abcdef0", **more: Any) -> FsxConfig:
    """A section whose mount is any folder."""
    given = {"file_system_id": file_system, "endpoint_url": fsx_url, "mount": "/fsx", "mounted_as": "any"}
    return FsxConfig.model_validate({**given, "lfs": "true", "poll": 0.001, **more})


def config_of(tmp_path: Path, sections: dict[str, FsxConfig], remotes: dict[str, RemoteConfig]) -> Config:
    return Config(state_dir=tmp_path, remotes=remotes, fsx=sections)


class Closing:
    """An API of which only its end matters."""

    def __init__(self, closed: list[object], *, fails: bool) -> None:
        self._closed = closed
        self._fails = fails

    async def close(self) -> None:
        self._closed.append(self)
        if self._fails:
            raise FsxUnreachable("", "it hangs")


async def test_sections_that_ask_the_same_share_an_api_and_all_are_closed(tmp_path: Path) -> None:
    sections = {
        "one": section("http://127.0.0.1:1"),
        "two": section("http://127.0.0.1:1", "fs-2222222222", mount="/a", region="us-east-1"),
        "far": section("http://127.0.0.1:1", "fs-3333333333", mount="/b", region="eu-west-1"),
    }
    closed: list[object] = []
    made: list[str] = []

    def make(name: str, remote: RemoteConfig, facts: Facts, fsx: FsxConfig) -> FsxApi:
        made.append(name)
        return Closing(closed, fails=len(made) == 1)  # type: ignore[return-value]

    apis = FsxApis(config_of(tmp_path, sections, {}), Facts(), make)
    assert apis.get("one") is apis.get("two")
    assert apis.get("one") is not apis.get("far")
    assert made == ["s3", "s3"]
    with pytest.raises(UsageError, match=r"Did you mean two\?"):
        apis.get("twp")
    with pytest.raises(ExceptionGroup):
        await apis.close()
    assert len(closed) == 2


# -- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def keys_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


ListedBucket = "<ListAllMyBucketsResult><Buckets><Bucket><Name>{}</Name></Bucket></Buckets></ListAllMyBucketsResult>"


def s3_script(asked: Asked, *, region: str = "us-east-1", own: str = "bkt") -> bytes | object:
    if asked.method == "HEAD":
        name = asked.path.partition("?")[0].strip("/")
        return answer(404) if name == "nowhere" else answer(200, x_amz_bucket_region=region)
    return answer(200, ListedBucket.format(own).encode())


async def checked(
    capsys: pytest.CaptureFixture[str],
    config: Callable[[RemoteConfig], Config],
    sides: Sequence[str],
    script: Callable[[Asked], bytes | object] = s3_script,
) -> tuple[int, Any]:
    async with scripted(script) as s3:
        remote = RemoteConfig(endpoint_urls=(s3.url,), credentials=CredentialsConfig(env="FSX"))
        code = await commands.run_check(config(remote), *sides, as_json=True)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("keys_here")
async def test_check_asks_fsx_and_s3_and_says_all(
    fsx: FakeFsx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = fsx.add_file_system()
    dra = fsx.add_association(system, "/ns1", "s3://bkt/p/")
    fsx.add_association(system, "/ns2", "s3://nowhere/", auto_export=("NEW",))
    mount = tmp_path / "fsx"
    mount.mkdir()
    (mount / "bent").symlink_to(tmp_path)

    def config(remote: RemoteConfig) -> Config:
        return config_of(tmp_path, {"scratch": section(fsx.url, system, mount=mount)}, {"s3": remote})

    code, said = await checked(capsys, config, (f"{mount}/ns1/x", "s3://bkt/p/x"))
    assert code == 0
    assert (said["applies"], said["fsx"], said["file_system_id"]) == (True, "scratch", system)
    assert (said["association_id"], said["direction"]) == (dra, "export")
    assert said["task"] == {"kind": "export", "path": "ns1/x", "report": REPORT}
    assert [reason["code"] for reason in said["reasons"]] == ["auto_export_elsewhere"]

    far = partial(s3_script, region="eu-west-1", own="other")
    code, said = await checked(capsys, config, ("s3://bkt/p/x", f"{mount}/ns1/x"), far)
    assert (code, said["direction"], said["task"]["path"]) == (0, "import", "s3://bkt/p/x/")
    assert [reason["code"] for reason in said["reasons"]] == ["other_region", "other_account"]

    code, said = await checked(capsys, config, ("s3://nowhere", f"{mount}/bent"))
    assert (code, said["applies"], said["task"]) == (1, False, None)
    assert {reason["code"] for reason in said["reasons"]} == {"through_link", "not_linked", "no_bucket"}

    code, said = await checked(capsys, config, ("s3://bkt/p/x", "/elsewhere"))
    assert (code, [reason["code"] for reason in said["reasons"]]) == (1, ["not_configured"])

    def unknown(asked: Asked) -> bytes | object:
        return error(403, "AccessDenied")

    code, said = await checked(capsys, config, (f"{mount}/ns2", "s3://nowhere"), unknown)
    assert (code, [reason["code"] for reason in said["reasons"]]) == (1, ["auto_export"])

    def unmounted(remote: RemoteConfig) -> Config:
        return config_of(
            tmp_path, {"scratch": section(fsx.url, system, mount=mount, mounted_as="lustre")}, {"s3": remote}
        )

    code, said = await checked(capsys, unmounted, (f"{mount}/ns1", "s3://bkt/p"))
    assert (code, [reason["code"] for reason in said["reasons"] if reason["blocks"]]) == (1, ["not_mounted"])

    fsx.refuse("DescribeFileSystems", "AccessDeniedException", "no")
    code, said = await checked(capsys, config, (f"{mount}/ns1", "s3://bkt/p"))
    assert (code, [reason["code"] for reason in said["reasons"]]) == (1, ["fsx_denied"])
    with pytest.raises(UsageError, match="both sides are buckets"):
        await checked(capsys, config, ("s3://bkt/p", "s3://bkt/q"))


@pytest.mark.usefixtures("keys_here")
async def test_check_in_words(fsx: FakeFsx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = fsx.add_file_system(version="2.10")
    async with scripted(s3_script) as s3:
        remote = RemoteConfig(endpoint_urls=(s3.url,), credentials=CredentialsConfig(env="FSX"))
        config = config_of(tmp_path, {"scratch": section(fsx.url, system)}, {"s3": remote})
        assert await commands.run_check(config, "/fsx", "s3://bkt", as_json=False) == 1
    out = capsys.readouterr().out
    assert out.startswith("/fsx -> s3://bkt/ by data repository tasks: no\n")
    assert "  why     " in out
    assert "runs Lustre 2.10" in out
    assert "  do      Make one: headraced fsx dra create scratch FOLDER s3://bkt/" in out


def wanted(path: str = "/ns1", repository: str = "s3://bkt/p/", **more: Any) -> AssociationSpec:
    return AssociationSpec(file_system_path=path, data_repository_path=repository, **more)


@pytest.fixture
def site(fsx: FakeFsx, tmp_path: Path, keys_here: None) -> tuple[FakeFsx, Config, str]:
    system = fsx.add_file_system()
    remote = RemoteConfig(credentials=CredentialsConfig(env="FSX"))
    return fsx, config_of(tmp_path, {"scratch": section(fsx.url, system)}, {"s3": remote}), system


async def test_an_association_is_made_listed_and_deleted(
    site: tuple[FakeFsx, Config, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fsx, config, system = site
    events = AssociationS3(auto_import_policy=EventPolicy(events=(Event.NEW,)))
    spec = wanted(s3=events, batch_import_meta_data_on_create=True, imported_file_chunk_size=256)
    create = partial(commands.run_create, config, "scratch", as_json=True)
    assert await create(spec, dry_run=True, wait=True) == 0
    request = json.loads(capsys.readouterr().out)["CreateDataRepositoryAssociation"]
    assert (request["FileSystemPath"], request["ImportedFileChunkSize"]) == ("/ns1", 256)
    assert fsx.calls("CreateDataRepositoryAssociation") == []

    assert await create(spec, dry_run=False, wait=True) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert (made["fsx"], made["lifecycle"], made["auto_import"]) == ("scratch", "AVAILABLE", ["NEW"])
    assert f"{made['id']} is CREATING" in said.err
    assert await create(wanted(), dry_run=False, wait=False) == 0  # there already
    assert json.loads(capsys.readouterr().out)["id"] == made["id"]
    assert len(fsx.calls("CreateDataRepositoryAssociation")) == 1

    for name in (None, "scratch", system):
        assert await commands.run_list(config, name, as_json=True) == 0
        assert [one["id"] for one in json.loads(capsys.readouterr().out)["associations"]] == [made["id"]]
    assert await commands.run_list(config, None, as_json=False) == 0
    assert "scratch" in capsys.readouterr().out
    fsx.refuse("DescribeDataRepositoryAssociations", "AccessDeniedException", "no")
    assert await commands.run_list(config, None, as_json=False) == 1

    delete = partial(commands.run_delete, config, made["id"], delete_data=False, as_json=True)
    assert await delete(ask=None, dry_run=True, wait=True) == 0

    def refuses(lines: list[str], word: str) -> None:
        raise UsageError(word, "\n".join(lines), "no")

    with pytest.raises(UsageError, match="Released files cannot be read"):
        await delete(ask=refuses, dry_run=False, wait=False)
    assert fsx.calls("DeleteDataRepositoryAssociation") == []
    capsys.readouterr()
    assert await delete(ask=None, dry_run=False, wait=True) == 0
    assert json.loads(capsys.readouterr().out)["lifecycle"] == "DELETED"
    assert fsx.calls("DeleteDataRepositoryAssociation")[0]["DeleteDataInFileSystem"] is False
    with pytest.raises(UsageError, match="no file system of"):
        await delete(ask=None, dry_run=False, wait=False)


async def test_all_that_is_against_a_new_association_is_said_before_fsx_is_asked(
    site: tuple[FakeFsx, Config, str],
) -> None:
    fsx, config, system = site
    fsx.add_association(system, "/ns1", "s3://bkt/p/")
    create = partial(commands.run_create, config, "scratch", dry_run=False, wait=False, as_json=False)
    for spec, words in (
        (wanted("/", "s3://bkt/"), ("an association of / is the only one", "s3://bkt/ and s3://bkt/p/ of dra-")),
        (wanted("/ns1/deep", "s3://c/"), ("/ns1/deep and /ns1 of dra-",)),
        (wanted("/ns2", "s3://bkt/p/deep"), ("s3://bkt/p/deep and s3://bkt/p/ of dra-",)),
        (wanted("ns2", "b/p", imported_file_chunk_size=0), ("file_system_path", "data_repository_path", "MiB")),
        (wanted("/fsx/ns2", "s3://c/"), ("is a path of this host", "Write /ns2")),
    ):
        with pytest.raises(UsageError) as raised:
            await create(spec)
        assert all(word in str(raised.value) for word in words), str(raised.value)
    for number in range(2, 9):
        fsx.add_association(system, f"/ns{number}", f"s3://bkt/p{number}/")
    with pytest.raises(UsageError, match="8 are the most"):
        await create(wanted("/ns9", "s3://c/"))
    old = config.model_copy(update={"fsx": {"scratch": section(fsx.url, fsx.add_file_system(version="2.10"))}})
    with pytest.raises(UsageError, match=r"runs Lustre 2\.10"):
        await commands.run_create(old, "scratch", wanted(), dry_run=False, wait=False, as_json=False)
    assert fsx.calls("CreateDataRepositoryAssociation") == []


@pytest.mark.parametrize(
    ("looks", "until", "lifecycle", "told"),
    [
        ([None, "CREATING", "AVAILABLE"], until_made, "AVAILABLE", ["not shown yet, 1.0 s", "CREATING, 2.0 s"]),
        (["CREATING", FsxUnreachable("", "away"), "FAILED"], until_made, "FAILED", ["CREATING, 1.0 s", "FSx: away"]),
        (["CREATING", "MISCONFIGURED"], until_made, "MISCONFIGURED", ["CREATING, 1.0 s"]),
        ([None] * (UNSEEN + 1), until_made, None, ["not shown yet, "] * UNSEEN),
        (["DELETING", FsxBusy("", "slow"), None], until_gone, None, ["DELETING, 1.0 s", "FSx: slow"]),
        (["DELETING", "FAILED"], until_gone, "FAILED", ["DELETING"]),
    ],
)
async def test_waiting_ends_when_an_association_has_settled(
    looks: list[str | FsxError | None], until: Any, lifecycle: str | None, told: list[str]
) -> None:
    one = Association("dra-1", "fs-1", "/", "s3://bkt/", "CREATING")
    left = [*looks]
    lines: list[str] = []
    clock = iter(range(100))

    class Looked:
        async def associations(self, file_system_id: str) -> list[Association]:
            now = left.pop(0)
            if isinstance(now, FsxError):
                raise now
            return [replace(one, id="dra-2"), *([] if now is None else [replace(one, lifecycle=now)])]

    async def pause() -> None:
        return None

    found = await until(Looked(), one, Pace(pause, lambda: float(next(clock)), lines.append))
    assert (None if found is None else found.lifecycle) == lifecycle
    assert left == []
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True)), lines


async def test_tasks_are_shown_the_newest_first(
    site: tuple[FakeFsx, Config, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fsx, config, system = site
    fsx.add_association(system, "/", "s3://bkt/p/")
    assert await commands.run_tasks(config, "scratch", as_json=False) == 0
    assert capsys.readouterr().out == "FSx remembers no data repository task\n"
    async with api_of(fsx) as api:
        made = await api.create_task(task(TaskKind.IMPORT, system, "s3://bkt/p/a/"))
        while (await api.task(made.id)).lifecycle != "SUCCEEDED":
            pass
        later = await api.create_task(task(TaskKind.EXPORT, system, token="t-2"))
    assert await commands.run_tasks(config, "scratch", as_json=False) == 0
    out = capsys.readouterr().out
    assert made.id in out
    assert "import" in out
    assert out.index(later.id) < out.index(made.id)
    assert "everything" in out
    assert await commands.run_tasks(config, "scratch", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][1]["paths"] == ["s3://bkt/p/a/"]
