"""What the doctor says of where it is: the configuration, the environment in force, groups."""

import os
from pathlib import Path

from headrace_daemon.doctor.check import Status
from headrace_daemon.doctor.folders import data_folders
from headrace_daemon.doctor.whereabouts import configuration, environment_checks, group_checks
from headrace_queue.config import Config, TransferConfig
from headrace_queue.config_datasets import DatasetConfig
from headrace_queue.config_environments import EnvironmentConfig
from headrace_queue.config_source import Source, read_source
from headrace_queue.environments import Surroundings

LAPTOP = Surroundings(("laptop",), {"PATH": "/nowhere"})


def test_how_the_configuration_was_found(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("")
    environ = {"HOME": str(tmp_path), "HEADRACE_STATE_DIR": "/data"}
    told = configuration(read_source(file, environ)).detail
    assert told == f"{file} (named by --config); from the environment: HEADRACE_STATE_DIR"
    looked = configuration(Source({}, None, passed=("/a/headrace.toml (next to /a/headrace)",))).detail
    assert looked == "no file found: defaults; not there: /a/headrace.toml (next to /a/headrace)"


def test_the_environment_in_force_and_why_not_the_others(tmp_path: Path) -> None:
    hpc = EnvironmentConfig(base_dir=Path("/fs"), command="sbatch")
    local = EnvironmentConfig(base_dir=tmp_path)
    assert environment_checks(Config(state_dir=tmp_path), LAPTOP) == []
    (check,) = environment_checks(Config(state_dir=tmp_path, environments={"hpc": hpc, "local": local}), LAPTOP)
    assert (check.name, check.status) == ("environment local", Status.OK)
    assert check.detail == f"base directory {tmp_path}: it has no condition; not hpc: sbatch is not on PATH"
    (none,) = environment_checks(Config(state_dir=tmp_path, environments={"hpc": hpc}), LAPTOP)
    assert (none.status, none.detail) == (Status.WARN, "none fits this host; not hpc: sbatch is not on PATH")
    gone = EnvironmentConfig(base_dir=tmp_path / "gone")
    (missing,) = environment_checks(Config(state_dir=tmp_path, environments={"gone": gone}), LAPTOP)
    assert (missing.status, missing.remedy) == (Status.FAIL, f"Create it: mkdir -p {tmp_path / 'gone'}")


def test_groups_are_tried_once_each(tmp_path: Path) -> None:
    own = str(os.getegid())
    dataset = DatasetConfig(source="s3://b", destination="/d", group=own)
    other = DatasetConfig(source="s3://b", destination="/e", group="no-such-group-here")
    transfer = TransferConfig(group=own)
    checks = group_checks(Config(state_dir=tmp_path, transfer=transfer, datasets={"one": dataset, "two": other}))
    assert [(check.name, check.status) for check in checks] == [
        ("transfer.group", Status.OK),
        ("datasets.two.group", Status.FAIL),
    ]


def test_folders_of_datasets_count_from_the_base_directory(tmp_path: Path) -> None:
    dataset = DatasetConfig(source="s3://b/x", destination="tiles")
    base = EnvironmentConfig(base_dir=tmp_path)
    config = Config(state_dir=tmp_path, datasets={"tiles": dataset}, environments={"here": base})
    assert [check.name for check in data_folders(config)] == [f"destination {tmp_path / 'tiles'}"]
    gone = EnvironmentConfig(base_dir=tmp_path / "gone")
    assert data_folders(config.model_copy(update={"environments": {"gone": gone}})) == [], "that is said once"
