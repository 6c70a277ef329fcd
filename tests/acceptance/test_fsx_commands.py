"""`headraced fsx plan` and its kin, by the command: every combination of type, storage, tier and size, and the examples
of the document that this began with."""

import json
import sys
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import program
from headrace_daemon.fsx.spec.model import FileSystemSpec
from headrace_daemon.fsx.spec.toml import to_toml
from tests.support.fsx_seed import REFUSED_THEN, VALID_THEN, Example
from tests.support.fsx_specs import SUBNET, plain

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon.commands import run

Headraced = Callable[..., tuple[int, Any]]


@pytest.fixture
def headraced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Headraced:
    """What the installed command does, without a process for each of hundreds: the exit code, and its JSON or its
    complaint."""

    def call(*arguments: object) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", [str(program("headraced")), *map(str, arguments), "--json"])
        code = run()
        written = capsys.readouterr()
        return code, json.loads(written.out if code == 0 else written.err)

    return call


def flags(values: dict[str, Any]) -> list[str]:
    """The values as --set takes them; blocks by dotted paths."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += [f"--set={key}.{name}={one}" for name, one in value.items()]
        elif isinstance(value, list):
            found.append(f"--set={key}={','.join(map(str, value))}")
        else:
            found.append(f"--set={key}={str(value).lower() if isinstance(value, bool) else value}")
    return found


SIZES = (600, 1200, 1800, 2400, 3600, 4800, 5000, 6000, 7200, 9000, 12000, 19200, 48000)
KINDS: dict[tuple[str, str, int | None], set[int]] = {
    ("SCRATCH_1", "SSD", None): {1200, 2400, 3600, 7200},
    ("SCRATCH_2", "SSD", None): {1200, 2400, 4800, 7200, 12000, 19200, 48000},
    **{("PERSISTENT_1", "SSD", tier): {1200, 2400, 4800, 7200, 12000, 19200, 48000} for tier in (50, 100, 200)},
    ("PERSISTENT_1", "HDD", 12): {6000, 12000, 48000},
    ("PERSISTENT_1", "HDD", 40): {1800, 3600, 7200, 9000},
    **{("PERSISTENT_2", "SSD", tier): {1200, 2400, 4800, 7200, 12000, 19200, 48000} for tier in (125, 250, 500, 1000)},
}
"""Type, storage and tier: those of SIZES that AWS makes, as its API reference lists them."""


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(headraced: Headraced, kind: tuple[str, str, int | None]) -> None:
    deployment, storage, tier = kind
    for size in SIZES:
        values = plain(deployment, storage, storage_capacity=size, per_unit_storage_throughput=tier)
        code, said = headraced("fsx", "plan", *flags(values))
        assert code == (0 if size in KINDS[kind] else 2), (kind, size, said)
        if code:
            (line,) = said["error"]["details"]
            assert line.startswith(f"storage_capacity = {size}: ")
            assert "Nearest: " in line
            assert "https://docs.aws.amazon.com/" in line


DEPLOYMENTS = ("SCRATCH_1", "SCRATCH_2", "PERSISTENT_1", "PERSISTENT_2")
TIERS = (None, 12, 40, 50, 100, 125, 200, 250, 300, 500, 1000)


@pytest.mark.parametrize(
    ("deployment", "storage", "tier"),
    list(product(DEPLOYMENTS, ("SSD", "HDD"), TIERS)),
)
def test_tiers(headraced: Headraced, deployment: str, storage: str, tier: int | None) -> None:
    there = (deployment, storage, tier) in KINDS
    home = "PERSISTENT_1" if storage == "HDD" else deployment
    size = 18000 if storage == "HDD" else 2400  # of every tier
    values = plain(home, storage, storage_capacity=size, deployment_type=deployment, per_unit_storage_throughput=tier)
    code, said = headraced("fsx", "plan", *flags(values))
    assert code == (0 if there else 2), said


@pytest.mark.parametrize("example", VALID_THEN, ids=lambda example: example.name)
def test_what_the_document_called_valid_is_so_or_names_the_rule_that_it_breaks(
    headraced: Headraced, example: Example
) -> None:
    code, said = headraced("fsx", "plan", *flags({"subnet_ids": [SUBNET], **example.values}))
    assert code == (2 if example.breaks else 0), said
    for field in example.breaks:
        assert any(line.startswith(f"{field} = ") for line in said["error"]["details"]), said


@pytest.mark.parametrize("example", REFUSED_THEN, ids=lambda example: example.name)
def test_what_the_document_refused_is_refused(headraced: Headraced, example: Example) -> None:
    code, said = headraced("fsx", "plan", *flags({"subnet_ids": [SUBNET], **example.values}))
    assert code == 2
    lines = said["error"]["details"]
    assert [line.partition(" = ")[0] for line in lines] == list(example.breaks), lines


def test_as_many_as_one_likes_beside_each_other(headraced: Headraced, tmp_path: Path) -> None:
    files: list[Path] = []
    for (deployment, storage, tier), sizes in KINDS.items():
        values = plain(deployment, storage, storage_capacity=max(sizes), per_unit_storage_throughput=tier)
        path = tmp_path / f"{len(files)}.toml"
        path.write_text(to_toml(FileSystemSpec.model_validate(values | {"name": f"n{len(files)}"})))
        files.append(path)
    chart = tmp_path / "chart.svg"
    code, said = headraced("fsx", "compare", *files, "--data", "1T", "--chart", chart)
    assert code == 0
    assert [one["name"] for one in said["specs"]] == [f"n{number}" for number in range(len(files))]
    assert all(one["data"]["fits"] for one in said["specs"])
    assert chart.read_text().startswith("<")
