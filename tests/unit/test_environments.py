"""Which environment of config.toml is in force, and why."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace_queue.config import Config
from headrace_queue.config_environments import EnvironmentConfig
from headrace_queue.environments import Surroundings, base_directory, environment_of
from headrace_queue.errors import UsageError


def surroundings(tmp_path: Path, **variables: str) -> Surroundings:
    """A host login3 with a command sbatch on its PATH."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "sbatch").write_text("#!/bin/sh\n")
    (tools / "sbatch").chmod(0o755)
    return Surroundings(("login3.hpc.example.org", "login3"), {"PATH": str(tools), **variables})


@pytest.mark.parametrize(
    ("conditions", "why", "why_not"),
    [
        ({"command": "sbatch"}, "sbatch is on PATH", None),
        ({"command": "qsub"}, None, "qsub is not on PATH"),
        ({"hostname": "login*"}, "host login3.hpc.example.org matches login*", None),
        ({"hostname": "login3"}, "host login3.hpc.example.org matches login3", None),
        ({"hostname": "node*"}, None, "host login3.hpc.example.org does not match node*"),
        ({"variable": "CLUSTER"}, "CLUSTER is set", None),
        ({"variable": "EMPTY"}, None, "EMPTY is not set"),
        ({"variable": "CLUSTER=owens"}, "CLUSTER is owens", None),
        ({"variable": "CLUSTER=pitzer"}, None, "CLUSTER is not pitzer"),
        ({"mount": "/"}, "a file system is mounted at /", None),
        ({"mount": "/no/such/mount"}, None, "nothing is mounted at /no/such/mount"),
        ({"command": "sbatch", "hostname": "login*"}, "sbatch is on PATH, host login3.hpc.example.org matches", None),
        ({"command": "sbatch", "hostname": "node*"}, None, "host login3.hpc.example.org does not match node*"),
        ({}, "it has no condition", None),
    ],
)
def test_all_conditions_have_to_hold(
    conditions: dict[str, Any], why: str | None, why_not: str | None, tmp_path: Path
) -> None:
    wanted = EnvironmentConfig(base_dir=Path("/data"), **conditions)
    here = surroundings(tmp_path, CLUSTER="owens", EMPTY="")
    found, passed = environment_of({"here": wanted}, here)
    if why_not is not None:
        assert (found, passed) == (None, (("here", why_not),))
    else:
        assert found is not None
        assert why is not None
        assert found.why.startswith(why)


def test_the_first_that_fits_is_in_force(tmp_path: Path) -> None:
    for name in ("cluster", "home"):
        (tmp_path / name).mkdir()
    environments = {
        "far": EnvironmentConfig(base_dir=Path("/far"), hostname="far*"),
        "hpc": EnvironmentConfig(base_dir=tmp_path / "cluster", command="sbatch"),
        "local": EnvironmentConfig(base_dir=tmp_path / "home"),
    }
    found = base_directory(environments, surroundings(tmp_path))
    assert found is not None
    assert (found.name, found.base_dir) == ("hpc", tmp_path / "cluster")
    assert found.passed == (("far", "host login3.hpc.example.org does not match far*"),)
    elsewhere = base_directory(environments, Surroundings(("laptop",), {"PATH": "/nowhere"}))
    assert elsewhere is not None
    assert elsewhere.name == "local"


def test_without_environments_there_is_no_base_directory(tmp_path: Path) -> None:
    assert base_directory({}, surroundings(tmp_path)) is None


def test_a_base_directory_has_to_be_there(tmp_path: Path) -> None:
    gone = {"hpc": EnvironmentConfig(base_dir=tmp_path / "gone", command="sbatch")}
    with pytest.raises(UsageError) as caught:
        base_directory(gone, surroundings(tmp_path))
    assert caught.value.what == f"cannot change to {tmp_path / 'gone'}"
    assert caught.value.why == "it does not exist, and it is the base directory of environment hpc (sbatch is on PATH)"
    assert caught.value.remedy == f"Create it: mkdir -p {tmp_path / 'gone'}"
    (tmp_path / "gone").write_text("")
    with pytest.raises(UsageError, match="is no directory"):
        base_directory(gone, surroundings(tmp_path))


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ({"base_dir": "data"}, "relative"),
        ({"variable": "a b"}, "no variable"),
        ({"command": " "}, "empty"),
        ({"hostname": ""}, "empty"),
        ({"mount": "fsx"}, "relative"),
        ({"unknown": "x"}, "extra"),
    ],
)
def test_what_can_never_hold_is_refused(conditions: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        EnvironmentConfig.model_validate({"base_dir": "/data", **conditions})


def test_what_would_never_be_looked_at_is_refused(tmp_path: Path) -> None:
    always, hpc = EnvironmentConfig(base_dir=tmp_path), EnvironmentConfig(base_dir=tmp_path, command="sbatch")
    Config(state_dir=tmp_path, environments={"hpc": hpc, "local": always})
    with pytest.raises(ValidationError, match=r"environments\.local has no condition, so environments\.hpc"):
        Config(state_dir=tmp_path, environments={"local": always, "hpc": hpc})
