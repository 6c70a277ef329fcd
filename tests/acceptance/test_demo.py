"""`headraced demo` as a newcomer runs it: it proves what it says, and leaves nothing."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.support.require import require

pytestmark = pytest.mark.server


def environment(tmp_path: Path) -> dict[str, str]:
    """A temporary directory of its own, and settings of the user's that must not reach the demo."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return {**os.environ, "TMPDIR": str(temporary), "HEADRACE_STATE_DIR": str(tmp_path / "not-this-one")}


def processes_with(text: str) -> list[psutil.Process]:
    """Those that name the text in their command line."""
    every = psutil.process_iter(["cmdline", "name"])  # all at once: a client may be gone in the next moment
    return [one for one in every if any(text in part for part in one.info["cmdline"] or [])]


def sockets_of(processes: list[psutil.Process]) -> list[Path]:
    """Files that the servers put into /tmp, by the ports they were given."""
    command_lines = " ".join(part for process in processes for part in process.info["cmdline"])
    ports = re.findall(r"\.grpc=(\d+)", command_lines)
    assert ports
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


def test_the_demo_proves_every_direction_and_leaves_nothing(tmp_path: Path) -> None:
    require("weed")
    surroundings = environment(tmp_path)
    ran = subprocess.run(
        [require("headraced"), "demo"], env=surroundings, capture_output=True, text=True, timeout=370, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for title in ("files -> lake", "lake -> vault", "vault -> files"):
        (line,) = (line for line in ran.stdout.splitlines() if line.startswith(title) and "headrace sync" not in line)
        assert re.search(r"3,004 +\d+\.\d +[\d.]+ +[\d.]+ +\d+ .*crc64nvme 3,004", line), line
    assert re.search(r"endpoint http://127.0.0.1:\d+ of the lake is killed\n.*is back\n", ran.stdout)
    assert "lake B was killed in the middle, came back" in ran.stdout
    assert "PROVEN: 3,004 files" in ran.stdout
    assert os.listdir(tmp_path / "tmp") == []
    assert not (tmp_path / "not-this-one").exists()
    assert processes_with(str(tmp_path / "tmp")) == []


def test_sigterm_in_the_middle_ends_everything(tmp_path: Path) -> None:
    require("weed")
    with subprocess.Popen(
        [require("headraced"), "demo"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        assert any("headrace sync" in line for line in demo.stdout)
        started = processes_with(str(tmp_path / "tmp"))
        assert {"weed", "headraced"} <= {process.info["name"] for process in started}
        sockets = sockets_of(started)
        assert sockets
        demo.send_signal(signal.SIGTERM)
        _, errors = demo.communicate(timeout=150)
    assert demo.returncode == 130, errors
    assert "interrupted" in errors
    assert os.listdir(tmp_path / "tmp") == []
    assert processes_with(str(tmp_path / "tmp")) == []
    assert [socket for socket in sockets if socket.exists()] == []


def test_kill_9_of_the_demo_takes_its_processes_along(tmp_path: Path) -> None:
    require("weed")
    with subprocess.Popen(
        [require("headraced"), "demo"], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert any("headrace sync" in line for line in demo.stdout)
        sockets = sockets_of(processes_with(str(tmp_path / "tmp")))
        demo.kill()
    deadline = time.monotonic() + 150
    while left := processes_with(str(tmp_path / "tmp")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    for socket in sockets:  # nobody is left who could
        socket.unlink(missing_ok=True)


def test_a_directory_that_holds_something_is_not_used(tmp_path: Path) -> None:
    require("weed")
    (tmp_path / "mine").touch()
    ran = subprocess.run(
        [require("headraced"), "demo", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 2
    assert "not empty" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
