"""A few trials of `make chaos`: each direction, with kills, an orderly stop and lost endpoints among them."""

from pathlib import Path

import pytest

from benchmarks.chaos import draw, run_trial
from headrace_daemon.demo.servers import SeaweedFS

pytestmark = pytest.mark.server


@pytest.mark.parametrize("seed", [4, 20, 13])
def test_everything_arrives_whatever_happens(seed: int, tmp_path: Path, seaweed: SeaweedFS) -> None:
    verdict = run_trial(draw(seed), seaweed, tmp_path)
    assert verdict.faults == []
    assert verdict.struck["kill"] >= 1


def test_a_seed_names_one_trial() -> None:
    assert draw(11) == draw(11)
    assert draw(11) != draw(12)
    assert {draw(seed).direction for seed in (4, 20, 13)} == {"upload", "relay", "download"}
