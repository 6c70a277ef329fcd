"""The options about Lustre as they are typed, from the command line into the queue; and `status` of what FSx does."""

import json
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace_queue.errors import UsageError
from headrace_queue.jobs import Via
from headrace_queue.sqlite import SqliteStore
from headrace_queue.tasks import TaskChanges
from tests.support.queue import Clock
from tests.support.task_rows import TaskBench

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_queue.cli import app

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    (tmp_path / "fsx").mkdir()
    return tmp_path / "fsx"


@pytest.fixture
def run(mount: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    config = tmp_path / "config.toml"
    config.write_text(
        f"""state_dir = "{tmp_path}/state"
[fsx.scratch]
file_system_id = "fs-0123456789abcdef0"
mount = "{mount}"
[datasets.tiles]
source = "s3://lab/tiles"
destination = "{mount}/tiles"
""",
        encoding="utf-8",
    )
    config.chmod(0o600)

    def run(*words: object) -> dict[str, Any]:
        assert app(["--config", str(config), *map(str, words), "--json"], standalone_mode=False) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return run


def test_options_reach_the_job(run: Run, mount: Path, tmp_path: Path) -> None:
    run("sync", mount, "s3://lab/a", "--via", "dra", "--restore", "--release")
    run("sync", mount, "s3://lab/b", "--via", "stream", "--restore")
    run("copy", "s3://lab/k", mount, "--restore", "--via", "stream")
    run("run", "tiles", "--via", "dra", "--restore")
    with closing(SqliteStore(tmp_path / "state" / "queue.db")) as store:
        told = [job.spec.options for job in reversed(store.jobs())]
    assert [(options.via, options.restore, options.release) for options in told] == [
        (Via.DRA, True, True),
        (Via.STREAM, True, False),
        (Via.STREAM, True, False),
        (Via.DRA, True, False),
    ]


@pytest.mark.parametrize("command", ["sync", "run"])
def test_release_is_asked_of_both(command: str, run: Run, mount: Path) -> None:
    words = ["sync", "s3://lab/x", mount] if command == "sync" else ["run", "tiles"]
    with pytest.raises(UsageError, match=r"--release: .* a sync from a path to a bucket"):
        run(*words, "--release")


def test_status_tells_of_tasks(run: Run, mount: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = run("sync", mount, "s3://lab/a", "--via", "dra", "--release")["job"]["id"]
    assert run("status", number)["tasks"] == []
    with closing(SqliteStore(tmp_path / "state" / "queue.db")) as store:
        bench = TaskBench(store, Clock())
        first, _ = bench.tasks("fs-1", "fs-1", job=store.job(number))
        bench.move(first, "ask", "accept")
        store.move_task(first.id, "succeed", TaskChanges(total=1234, succeeded=1234))
    tasks = run("status", number)["tasks"]
    assert [(task["state"], task["task_id"], task["succeeded"]) for task in tasks] == [
        ("succeeded", "task-0123", 1234),
        ("waiting", None, 0),
    ]
    assert app(["--config", str(tmp_path / "config.toml"), "status", str(number)], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  task        export task-0123 on scratch: succeeded, 1,234 of 1,234 files" in lines
    assert "  task        export on scratch: waiting" in lines
