"""What the doctor says of schedules."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.doctor.check import Check, Status
from headrace_daemon.doctor.schedules import schedule_checks
from headrace_queue.config import Config
from headrace_queue.schedules import Rule, ScheduleSpec, Standing, Trigger
from headrace_queue.store import open_store

# typer imports what click deprecates; the commands are built as the doctor builds them
pytestmark = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")


def config(tmp_path: Path, **schedules: Any) -> Config:
    datasets = {"a": {"source": "s3://b/a/", "destination": "/data/a"}}
    values = {"state_dir": tmp_path, "remotes": {}, "datasets": datasets, "schedules": schedules}
    return Config.model_validate(values)


def test_each_with_what_is_wrong_with_it(tmp_path: Path) -> None:
    noon = {"cron": "0 12 * * *", "timezone": "UTC", "command": "run a"}
    with closing(open_store(config(tmp_path).queue_url)) as store:
        every = ScheduleSpec("every", Trigger.EVERY, Rule(every=60.0), ("run", "gone"), "/")
        store.add_schedule(every)
        for name, standing in (
            ("fine", Standing(planned=0.0, due=0.0)),
            ("rests", Standing(paused=True)),
            ("failed", Standing(error="no such folder")),
        ):
            store.add_schedule(replace(every, name=name, command=("run", "a")))
            store.change_schedule(name, standing)
    checks = schedule_checks(config(tmp_path, noon=noon), None)
    assert checks == [
        Check(
            "schedule every",
            Status.FAIL,
            "dataset 'gone': config.toml has no dataset of this name",
            "There are: a.",
        ),
        Check(
            "schedule failed",
            Status.WARN,
            "its last firing failed: no such folder",
            "It works now: `headrace schedule run failed` makes up for it.",
        ),
        Check("schedule fine", Status.OK, "every 1 min 00 s; next 1970-01-01 00:00:00 +0000"),
        Check("schedule rests", Status.OK, "every 1 min 00 s; it is paused"),
        Check(
            "schedule noon",
            Status.WARN,
            "0 12 * * * (UTC): it counts from the next start of headraced on",
            "Restart headraced.",
        ),
    ]


def test_nothing_where_there_is_none(tmp_path: Path) -> None:
    assert schedule_checks(config(tmp_path), None) == []
    assert list(tmp_path.iterdir()) == []
