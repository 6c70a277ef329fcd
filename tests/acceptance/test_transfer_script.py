"""`headraced transfer-script`: uploads and downloads with sh and curl alone."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import NOTHING_MORE
from tests.support.faults import Direction, Fault, Kind
from tests.support.outside import MIB, PART, SYSTEM, Outside, Person
from tests.support.proxy_thread import ProxyThread
from tests.support.require import require
from tests.support.site import COMMAND_SECONDS, until

pytestmark = pytest.mark.server

TOOLS = (
    "sh",
    "cat",
    "curl",
    "dd",
    "grep",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "rmdir",
    "sed",
    "sleep",
    "tr",
    "wc",
    "xargs",
)
"""Programs that every system has."""
NAME = 'it\'s "big" $HOME `x` größe ü.bin'


@pytest.fixture(scope="module")
def scripts(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts as an administrator hands them out."""
    folder = tmp_path_factory.mktemp("scripts")
    for way in ("upload", "download"):
        text = outside.site.run("headraced", "transfer-script", way, "--url", outside.url, "--system", SYSTEM)
        (folder / f"{way}.sh").write_text(text)
    return folder


def started(
    person: Person, script: Path, *arguments: object, environment: Mapping[str, str] = NOTHING_MORE
) -> subprocess.Popen[str]:
    """With an environment of which nothing leads to Python."""
    require("curl")
    return subprocess.Popen(
        ["/bin/sh", str(script), *map(str, arguments)],
        env={"PATH": "/usr/bin:/bin", **person.environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(
    person: Person,
    script: Path,
    *arguments: object,
    code: int = 0,
    environment: Mapping[str, str] = NOTHING_MORE,
) -> str:
    """What it said."""
    with started(person, script, *arguments, environment=environment) as process:
        output, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == code, f"{arguments}: {process.returncode}\n{output}\n{errors}"
    assert output == ""
    return errors


def test_there_and_back(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    """In three parts, with an awkward name; proven by MD5 both ways."""
    here = tmp_path / NAME
    here.write_bytes(os.urandom(2 * PART + 7))
    run(outside.ada, scripts / "upload.sh", here, f"{outside.ada.home}/")
    there = outside.ada.home / NAME
    assert there.read_bytes() == here.read_bytes()
    said = run(outside.ada, scripts / "download.sh", there, tmp_path / "back")
    assert "proven by size and MD5" in said
    assert (tmp_path / "back").read_bytes() == here.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["back", NAME])


def test_an_empty_file(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    run(outside.ada, scripts / "upload.sh", tmp_path / "empty", outside.ada.home / "empty")
    assert (outside.ada.home / "empty").read_bytes() == b""
    run(outside.ada, scripts / "download.sh", outside.ada.home / "empty", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_what_it_moves_may_stand_in_it(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "file $x'").write_bytes(b"content")
    script = tmp_path / "script"
    options = ("--url", f"{outside.url}/", "--system", SYSTEM.upper())
    given = (tmp_path / "file $x'", outside.ada.home / "from 'script'")
    script.write_text(outside.site.run("headraced", "transfer-script", "upload", *options, *given))
    run(outside.ada, script)
    assert (outside.ada.home / "from 'script'").read_bytes() == b"content"


def test_lost_parts_and_a_refused_complete(outside: Outside, scripts: Path, door: ProxyThread, tmp_path: Path) -> None:
    """Everything that fails is sent again, and what S3 put together all the same is seen."""
    here = tmp_path / "here"
    here.write_bytes(os.urandom(2 * PART))
    door.add(
        Fault(Kind.RESET, match="partNumber=1", direction=Direction.UP, after=1000),
        Fault(Kind.ANSWER, match="partNumber=2", status=403),
        Fault(Kind.ANSWER, match="POST /", status=200, body=b"<Error><Code>InternalError</Code></Error>"),
        Fault(Kind.LOSE_ANSWER, match="POST /"),
    )
    run(outside.ada, scripts / "upload.sh", here, outside.ada.home / "fought for")
    assert (outside.ada.home / "fought for").read_bytes() == here.read_bytes()


def test_an_interrupted_upload_goes_on(outside: Outside, scripts: Path, door: ProxyThread, tmp_path: Path) -> None:
    """With a folder that remembers it; no secret stays there."""
    here = tmp_path / "here"
    here.write_bytes(os.urandom(2 * PART))
    work = tmp_path / "work"
    environment = {"HEADRACE_WORK": str(work), "HEADRACE_PARALLEL": "1"}
    before = len(door.proxy.requests)
    door.add(Fault(Kind.SWALLOW, match="partNumber=2"))
    with started(
        outside.ada, scripts / "upload.sh", here, outside.ada.home / "resumed", environment=environment
    ) as process:
        until(lambda: any("partNumber=2" in request for request in door.proxy.requests[before:]))
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130
    kept = {path.name: path.read_text() for path in work.iterdir()}
    assert sorted(kept) == ["about", "etag.1", "transfer"]
    assert not any(secret in text for secret in (outside.ada.token, "X-Amz-") for text in kept.values())
    before = len(door.proxy.requests)
    run(outside.ada, scripts / "upload.sh", here, outside.ada.home / "resumed", environment=environment)
    assert (outside.ada.home / "resumed").read_bytes() == here.read_bytes()
    assert sum("partNumber=1" in request for request in door.proxy.requests[before:]) == 0


def test_an_upload_that_nobody_remembers_begins_anew(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    """Its row was purged since, and ETags of parts that are gone count for nothing."""
    here, work, target = tmp_path / "here", tmp_path / "work", outside.ada.home / "forgotten"
    here.write_bytes(b"content")
    work.mkdir()
    look = subprocess.run(["ls", "-lnL", "--", str(here)], capture_output=True, text=True, check=True)
    (work / "about").write_text(f"{outside.url} {SYSTEM} {target} {look.stdout}")
    (work / "transfer").write_text("999999999\n")
    (work / "etag.1").write_text('"0123456789abcdef0123456789abcdef"\n')
    run(outside.ada, scripts / "upload.sh", here, target, environment={"HEADRACE_WORK": str(work)})
    assert target.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [here]


def test_an_interrupted_download_goes_on(outside: Outside, scripts: Path, door: ProxyThread, tmp_path: Path) -> None:
    there = outside.ada.home / "to resume"
    there.write_bytes(os.urandom(20 * MIB))
    door.add(Fault(Kind.TRUNCATE, match="GET /", after=9 * MIB))
    run(outside.ada, scripts / "download.sh", there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == there.read_bytes()
    ranges = [request for request in door.proxy.requests if request.startswith("GET /")]
    assert len(ranges) >= 2


def test_a_damaged_download_gets_no_name(outside: Outside, scripts: Path, door: ProxyThread, tmp_path: Path) -> None:
    there = outside.ada.home / "to damage"
    there.write_bytes(os.urandom(MIB))
    door.add(Fault(Kind.FLIP, match="GET /", after=1000))
    assert "damaged" in run(outside.ada, scripts / "download.sh", there, tmp_path / "back", code=1)
    assert not (tmp_path / "back").exists()


def test_without_openssl(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    """With these programs and no others."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(require(name))
    (tmp_path / "here").write_bytes(b"x" * 1000)
    run(
        outside.ada,
        scripts / "upload.sh",
        tmp_path / "here",
        outside.ada.home / "plain",
        environment={"PATH": str(tools)},
    )
    said = run(
        outside.ada,
        scripts / "download.sh",
        outside.ada.home / "plain",
        tmp_path / "back",
        environment={"PATH": str(tools)},
    )
    assert "proven by size" in said
    assert (tmp_path / "back").read_bytes() == b"x" * 1000


def test_refusals(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_bytes(b"content")
    upload, download, ada = scripts / "upload.sh", scripts / "download.sh", outside.ada
    assert "Usage" in run(ada, upload, code=2)
    assert "no such file" in run(ada, upload, tmp_path / "absent", ada.home / "x", code=2)
    assert "HEADRACE_TOKEN" in run(ada, upload, here, ada.home / "x", code=2, environment={"HEADRACE_TOKEN": ""})
    assert "401" in run(ada, upload, here, ada.home / "x", code=2, environment={"HEADRACE_TOKEN": "wrong"})
    assert "403" in run(ada, upload, here, outside.bob.home / "x", code=2)
    assert "404" in run(ada, download, ada.home / "absent", tmp_path / "back", code=2)
    assert "line breaks" in run(ada, download, f"{ada.home}/a\nb", tmp_path / "back", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_a_transfer_that_fails_ends_with_4(outside: Outside, scripts: Path, door: ProxyThread, tmp_path: Path) -> None:
    """The target becomes a folder meanwhile."""
    here = tmp_path / "here"
    here.write_bytes(b"content")
    target = outside.ada.home / "a folder by then"
    before = len(door.proxy.requests)
    door.add(Fault(Kind.DELAY, match="partNumber=1", seconds=1.0))
    with started(outside.ada, scripts / "upload.sh", here, target) as process:
        until(lambda: any("partNumber=1" in request for request in door.proxy.requests[before:]))
        target.mkdir()
        _, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 4, errors
    assert "failed" in errors


def test_nothing_secret_in_the_arguments_of_a_program(outside: Outside, scripts: Path, tmp_path: Path) -> None:
    """Others on the same machine see those."""
    here = tmp_path / "here"
    here.write_bytes(b"content")
    tools = tmp_path / "tools"
    tools.mkdir()
    told = tmp_path / "told"
    for name in ("curl", "sed", "cat", "grep", "xargs", "openssl", "rm", "mv", "dd", "tr", "ls", "wc"):
        (tools / name).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{told}"\nPATH=/usr/bin:/bin exec {name} "$@"\n'
        )
        (tools / name).chmod(0o755)
    path = {"PATH": f"{tools}:/usr/bin:/bin"}
    run(outside.ada, scripts / "upload.sh", here, outside.ada.home / "quiet", environment=path)
    run(outside.ada, scripts / "download.sh", outside.ada.home / "quiet", tmp_path / "back", environment=path)
    arguments = told.read_text()
    assert arguments.count("curl ") > 5
    assert outside.ada.token not in arguments
    assert "X-Amz-" not in arguments


def test_shellcheck(scripts: Path) -> None:
    shellcheck = require("shellcheck")
    for script in scripts.iterdir():
        ended = subprocess.run([shellcheck, str(script)], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout
