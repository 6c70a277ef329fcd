"""What `headrace run` says of a data set before it begins: where to, what is left out, what is safe."""

from pathlib import Path
from typing import Any

import pytest

from headrace_queue.config import Config
from headrace_queue.config_datasets import DatasetConfig
from headrace_queue.dataset_lines import dataset_lines
from headrace_queue.datasets import Choice, dataset_job
from headrace_queue.jobs import Rule
from headrace_queue.submit import Request

DOWNLOADS = {"exclude_folders": ["download"]}


def lines(tmp_path: Path, settings: dict[str, Any], request: Request | None = None, **choice: Any) -> list[str]:
    dataset = DatasetConfig.model_validate({"source": "s3://b/tiles", "destination": "tiles"} | settings)
    config = Config(state_dir=tmp_path, remotes={}, datasets={"tiles": dataset})
    request, chosen = request or Request(), Choice(**choice)
    spec = dataset_job(config, "tiles", request, tmp_path, chosen)
    return dataset_lines("tiles", spec, dataset, chosen.presets, request.rules)


def test_where_from_and_where_to_come_first(tmp_path: Path) -> None:
    there = f"s3://b/tiles/ -> {tmp_path}/tiles"
    assert lines(tmp_path, {}) == [f"tiles: {there}", "  existing files of the same size stay"]
    (tmp_path / "tiles").mkdir()
    pushed = lines(tmp_path, {}, push=True)
    assert pushed == [f"tiles: {tmp_path}/tiles -> s3://b/tiles/", "  existing objects of the same size stay"]


@pytest.mark.parametrize(
    ("settings", "request_", "presets", "said"),
    [
        ({}, Request(), ("skip",), "leaves out: download/ (skip)"),
        ({"exclude": ["*.tmp"]}, Request(), ("skip",), "leaves out: *.tmp, download/ (skip)"),
        ({"exclude": ["*"], "include": ["*.tif"]}, Request(), (), "leaves out: *; takes after all: *.tif"),
        ({}, Request(rules=(Rule(False, "x\x1b"),)), (), "leaves out: x\\x1b"),
        ({}, Request(rules=(Rule(False, "d/*"),)), (), "leaves out: d/*"),
        ({}, Request(select=("134_Arsuk",)), ("skip",), "only 134_Arsuk; leaves out: download/ (skip)"),
        ({"exclude": list("abcdefg")}, Request(), (), "leaves out: a, b, c, d, e and 2 more rules"),
    ],
)
def test_what_is_left_out_is_told_with_the_preset_that_does(
    tmp_path: Path, settings: dict[str, Any], request_: Request, presets: tuple[str, ...], said: str
) -> None:
    made = lines(tmp_path, settings | {"presets": {"skip": DOWNLOADS}}, request_, presets=presets)
    assert made[1] == f"  {said}"
    assert len(made) == 3


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(force_overwrite=True), "existing files stay, unless the source is newer or of another size"),
        (Request(no_clobber=True), "existing files stay"),
        (Request(delete=True), "existing files of the same size stay; what only the destination has is DELETED"),
        (Request(existing=True), "existing files of the same size stay; nothing new is sent (--existing)"),
    ],
)
def test_what_becomes_of_what_is_there_is_told(tmp_path: Path, request_: Request, said: str) -> None:
    assert lines(tmp_path, {}, request_)[-1] == f"  {said}"
