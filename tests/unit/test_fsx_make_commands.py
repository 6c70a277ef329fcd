"""`headraced fsx terraform`, `cloud-init`, `create`, `describe` and `delete`, with a server that plays FSx."""

import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from headrace_daemon.fsx.api import FileSystem
from headrace_daemon.fsx.aws import ATTEMPTS
from headrace_daemon.fsx.make.waiting import Pace
from tests.support.fsx_server import FakeFsx, fsx_server

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon import commands_fsx_make
    from headrace_daemon.commands import run

ID = "fs-0123456789abcdef0"
SYSTEM = FileSystem(
    id=ID,
    lifecycle="AVAILABLE",
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
TOML = """
name = "era five"
region = "us-east-1"
subnet_ids = ["subnet-0123456789abcdef0"]
deployment_type = "SCRATCH_2"
storage_capacity = 1200
file_system_type_version = "2.15"
[[data_repository_associations]]
file_system_path = "/ns1"
data_repository_path = "s3://climate/era5/"
"""


class Command:
    """`headraced fsx …` in this process, with a configuration whose [fsx.here] is a server of the test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.spec = folder / "spec.toml"
        self.spec.write_text(TOML)
        self._config = folder / "config.toml"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.configure("")

    def configure(self, text: str) -> None:
        self._config.write_text(f'state_dir = "{self._config.parent / "state"}"\n{text}')

    def __call__(self, *words: object, code: int = 0, config: bool = True) -> str:
        """What it printed to stdout, or for an exit code other than 0 to stderr."""
        named = ["--config", str(self._config)] if config else []
        self._monkeypatch.setattr(sys, "argv", ["headraced", "fsx", *map(str, words), *named])
        ended = run()
        said = self._capsys.readouterr()
        self.said = said.err
        assert ended == code, said.err
        return said.err if code else said.out


@pytest.fixture
def pace() -> Pace:
    async def sleep(seconds: float) -> None:
        """Nobody waits in a test."""

    return Pace(sleep, lambda: 0.0)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pace: Pace) -> Command:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(commands_fsx_make, "pace", lambda: pace)
    return Command(tmp_path, monkeypatch, capsys)


@pytest.fixture
def fsx() -> Iterator[FakeFsx]:
    with fsx_server() as server:
        yield server


def test_create_describe_delete(command: Command, fsx: FakeFsx) -> None:
    there = ("--endpoint-url", fsx.url)
    made = json.loads(command("create", command.spec, "--wait", "--json", *there))
    found = made["file_system"]
    assert (found["lifecycle"], made["associations"][0]["path"]) == ("AVAILABLE", "/ns1")
    assert f"@tcp:/{found['mount_name']} /fsx" in made["mount_command"]
    assert f"file system {found['id']} AVAILABLE" in command.said
    again = json.loads(command("create", command.spec, "--wait", "--json", *there))
    assert again["file_system"]["id"] == found["id"]
    assert len(again["associations"]) == 1
    other = json.loads(command("create", command.spec, "--token", "2", "--json", *there))
    assert other["file_system"]["id"] != found["id"]
    assert other["missing_associations"] == ["/ns1"]

    command.configure(f'[fsx.here]\nfile_system_id = "{found["id"]}"\nmount = "/fsx"\nendpoint_url = "{fsx.url}"\n')
    told = json.loads(command("describe", "here", "--json"))
    assert told["file_system"]["id"] == found["id"]
    assert told["associations"][0]["repository"] == "s3://climate/era5/"
    assert command("describe", found["id"]).startswith(f"{found['id']}\n"), "the section of the id names the address"
    assert f'file_system_id = "{found["id"]}"' in command(
        "cloud-init", "here", "--repository-url", "https://h/x.git"
    ).replace("      ", "")
    assert "--yes" in command("delete", "here", code=2), "nobody is there to be asked"
    assert "has no backups" in command("delete", "here", "--yes", "--final-backup", code=2)
    assert any("era5" in line for line in json.loads(command("delete", "here", "--dry-run", "--json"))["would_lose"])
    assert not fsx.calls("DeleteFileSystem")
    assert command("delete", "here", "--yes", "--wait") == f"{found['id']} is deleted\n"
    assert "the association of /ns1 with s3://climate/era5/" in command.said
    assert "Look at the id, and at the region" in command("describe", found["id"], code=2)


def test_a_dry_run_sends_nothing(command: Command, fsx: FakeFsx) -> None:
    said = json.loads(command("create", command.spec, "--dry-run", "--json", "--endpoint-url", fsx.url))
    made, linked = said["requests"]
    assert (made["operation"], linked["operation"]) == ("CreateFileSystem", "CreateDataRepositoryAssociation")
    assert made["parameters"]["StorageCapacity"] == 1200
    assert linked["parameters"]["FileSystemPath"] == "/ns1"
    assert "FSx in us-east-1 would get this, with the credentials of the remote s3" in command.said
    assert "headraced fsx plan" in command.said
    assert fsx.requests == []
    command("create", command.spec, "--endpoint-url", fsx.url)
    assert fsx.calls("CreateFileSystem") == [made["parameters"]], "exactly what the dry run showed"


class Keyboard(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("no\n", 3), ("", 3), ("y\n", 3), ("ID\n", 0)])
def test_a_terminal_is_asked(
    command: Command, fsx: FakeFsx, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    made = fsx.add_file_system()
    monkeypatch.setattr(sys, "stdin", Keyboard(typed.replace("ID", made)))
    command("delete", made, "--endpoint-url", fsx.url, code=code)
    assert f"Type {made} to delete it" in command.said
    assert len(fsx.calls("DeleteFileSystem")) == (not code)


def test_ctrl_c_says_what_goes_on(command: Command, fsx: FakeFsx, pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands_fsx_make, "pace", lambda: replace(pace, sleep=interrupted))
    said = command("create", command.spec, "--wait", "--endpoint-url", fsx.url, code=130)
    assert "AWS goes on without you: `headraced fsx describe fs-" in said


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("AccessDeniedException", 2, "--remote NAME"),
        ("BadRequest", 2, "--dry-run"),
        ("ServiceLimitExceeded", 75, "Try the same command again"),
    ],
)
def test_what_fsx_refuses(command: Command, fsx: FakeFsx, error: str, code: int, said: str) -> None:
    fsx.refuse("CreateFileSystem", error, "because", times=9)
    told = json.loads(command("create", command.spec, "--json", "--endpoint-url", fsx.url, code=code))["error"]
    assert "because" in told["why"]
    assert (said in told["remedy"], told["exit_code"]) == (True, code)
    assert "secret" not in command.said


def test_a_lost_answer_makes_no_second_file_system(command: Command, fsx: FakeFsx) -> None:
    fsx.lose_answer("CreateFileSystem", times=ATTEMPTS)
    command("create", command.spec, "--endpoint-url", fsx.url, code=75)
    command("create", command.spec, "--endpoint-url", fsx.url)
    tokens = {request["ClientRequestToken"] for request in fsx.calls("CreateFileSystem")}
    assert len(tokens) == 1


Refusal = tuple[tuple[str, ...], str]
REFUSALS: list[Refusal] = [
    (("create", "SPEC", "--set", "storage_capacity=1234"), "storage_capacity"),
    (("create", "SPEC", "--set", "storage_capacity"), "KEY=VALUE"),
    (("create", "SPEC", "--remote", "lake"), "Known are s3."),
    (("create", "SPEC", "--mount", "fsx"), "--mount"),
    (("describe", "nothing"), "An id looks like fs-0123456789abcdef0"),
    (("delete", "nothing", "--yes"), "An id looks like"),
    (("cloud-init", "nothing"), "An id looks like"),
    (("cloud-init", ID, "--repository-url", "https://me:pw@h/x"), "password"),
    (("cloud-init", ID, "--mount", "/etc"), "the system needs what is there"),
    (("terraform", "SPEC", "--mount", "/usr"), "the system needs what is there"),
    (
        (
            "terraform",
            "SPEC",
            "--set",
            f"import_path=s3://bucket/{'x' * 900}",
            "--set",
            "data_repository_associations=",
        ),
        "Terraform's provider takes at most 900 characters",
    ),
    (("describe", ID, "--endpoint-url", "not-a-url"), "--endpoint-url 'not-a-url'"),
    (("describe", ID, "--endpoint-url", "http://[::1"), "--endpoint-url 'http://[::1'"),
    (("describe", ID, "--endpoint-url", "http://h:99999"), "--endpoint-url 'http://h:99999'"),
    (("describe", ID, "--endpoint-url", "http://h\n:80"), "Write https://HOST:PORT alone."),
    (("describe", ID, "--endpoint-url", "ftp://h"), "has no http:// or https:// in front"),
    (("describe", ID, "--endpoint-url", "http://me:secret@h"), "an endpoint URL holds credentials"),
]


@pytest.mark.parametrize(("words", "said"), REFUSALS)
def test_wrong_use(command: Command, words: tuple[str, ...], said: str) -> None:
    told = command(
        *(command.spec if word == "SPEC" else word for word in words), code=2, config=words[0] != "terraform"
    )
    assert said in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("lifecycle", "code", "said"),
    [
        ("AVAILABLE", 0, ""),
        ("UPDATING", 0, ""),
        ("CREATING", 0, "is CREATING: a host can mount it once it is AVAILABLE"),
        ("FAILED", 2, "it is FAILED: nothing can mount it"),
        ("DELETING", 2, "it is DELETING: nothing can mount it"),
    ],
)
def test_user_data_is_for_what_can_be_mounted(
    command: Command, monkeypatch: pytest.MonkeyPatch, lifecycle: str, code: int, said: str
) -> None:
    found = replace(SYSTEM, lifecycle=lifecycle)
    monkeypatch.setattr(commands_fsx_make, "ask", lambda work, place, *, as_json: found)
    told = command("cloud-init", found.id, code=code)
    assert said in command.said
    assert ("warning" in command.said) == (lifecycle == "CREATING")
    assert code or told.startswith("#cloud-config")


def test_user_data_mounts_it_where_the_configuration_says(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        commands_fsx_make, "ask", lambda work, place, *, as_json: replace(SYSTEM, lifecycle="AVAILABLE")
    )
    command.configure(f'[fsx.here]\nfile_system_id = "{ID}"\nmount = "/data"\n')
    assert 'mount = "/data"' in command("cloud-init", "here")
    assert 'mount = "/data"' in command("cloud-init", ID)
    assert 'mount = "/other"' in command("cloud-init", "here", "--mount", "/other")


def test_timeouts_are_no_matter_of_the_api(command: Command) -> None:
    requests = json.loads(command("create", command.spec, "--dry-run", "--json"))
    assert "Terraform" not in command.said
    timed = ("--set", "timeouts.create=1h", "--set", "data_repository_associations[0].timeouts.delete=30m")
    assert json.loads(command("create", command.spec, "--dry-run", "--json", *timed)) == requests
    assert "timeouts are Terraform's" in command.said


def test_without_credentials_it_says_how_to_give_some(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.configure('[remotes.s3.credentials]\nenv = "NOT"\n')
    told = command("describe", ID, "--endpoint-url", "http://127.0.0.1:9", code=2)
    assert "there are no credentials" in told
    assert "NOT_ACCESS_KEY_ID" in told
    assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told


def test_terraform_is_written(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    printed = command("terraform", command.spec, config=False)
    command("terraform", command.spec, "--output", folder, config=False)
    path = folder / "main.tf.json"
    assert path.read_text() == printed
    assert [entry.name for entry in folder.iterdir()] == ["main.tf.json"]
    label = "aws_fsx_lustre_file_system"
    assert list(json.loads(printed)["resource"][label]) == ["era_five"]
    command("terraform", command.spec, "--output", folder, "--set", "storage_capacity=2400", config=False)
    assert json.loads(path.read_text())["resource"][label]["era_five"]["storage_capacity"] == 2400


def test_terraform_of_somebody_else_stays(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "main.tf.json"
    path.write_text("{}")
    assert "was not written by this command" in command(
        "terraform", command.spec, "--output", tmp_path, code=2, config=False
    )
    assert path.read_text() == "{}"
    said = command("terraform", command.spec, "--output", path / "below", code=2, config=False)
    assert "Name a folder that you can write to" in said
