"""`headrace`, loaded once for many calls: to a test each call is one of the installed command."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from headrace_daemon.demo.servers import program
from tests.support.loaded import Ended, LoadedCommand
from tests.support.site import until

SECONDS = 150.0
CANCELLED = 3


class Home:
    """Calls of one person, from one folder, with a queue of their own."""

    def __init__(self, loaded: LoadedCommand, folder: Path) -> None:
        self.loaded, self.folder = loaded, folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HEADRACE_STATE_DIR": str(folder / "q")}

    def call(self, *arguments: str, seconds: float = SECONDS) -> Ended:
        return self.loaded.run(arguments, self.environment, self.folder, seconds)

    def call_installed(self, *arguments: str) -> Ended:
        command = [program("headrace"), *arguments]
        ran = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def home(loaded: LoadedCommand, tmp_path: Path) -> Home:
    return Home(loaded, tmp_path)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("jobs --json", 0),
        ("sync --help", 0),
        ("frobnicate", 2),
        ("jobs --limit many", 2),
        ("status 7 --json", 2),
        ("du .", 1),  # which becomes another program
    ],
)
def test_it_says_and_returns_what_the_installed_command_does(line: str, code: int, home: Home) -> None:
    ended = home.call(*line.split())
    assert ended == home.call_installed(*line.split())
    assert ended.code == code


def test_a_call_has_the_environment_and_the_folder_that_it_is_given(home: Home) -> None:
    job = json.loads(home.call("sync", "s3://bucket/p/", "here", "--json").output)["job"]
    assert job["destination"] == str(home.folder / "here")
    assert [one["id"] for one in json.loads(home.call_installed("jobs", "--json").output)["jobs"]] == [job["id"]]


def test_calls_go_on_beside_each_other(home: Home) -> None:
    home.call("sync", "s3://bucket/p/", "here")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(home.call, "wait", "1")
        assert home.call("cancel", "1").code == 0
        assert waiting.result().code == CANCELLED


def test_a_call_that_takes_too_long_is_ended(home: Home) -> None:
    home.call("sync", "s3://bucket/p/", "here")
    with pytest.raises(TimeoutError):
        home.call("wait", "1", seconds=0.1)
    until(lambda: not psutil.Process(home.loaded.pid).children(recursive=True))


def test_it_ends_with_who_loaded_it() -> None:
    load = "from tests.support.loaded import LoadedCommand; print(LoadedCommand().pid, flush=True)"
    owned = f"{load}; import signal; signal.pause()"
    with subprocess.Popen([sys.executable, "-c", owned], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline()) != owner.pid
        owner.kill()
        assert owner.stdout.read() == b"", "both have it open, so its end is that of both"
