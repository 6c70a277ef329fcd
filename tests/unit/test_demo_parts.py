"""The parts of the demo that decide: what is made, what counts as the same, when the endpoint dies, what is proven."""

import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace_daemon.demo.compare import Comparison, compare_trees
from headrace_daemon.demo.outage import Outage, OutageState, next_state
from headrace_daemon.demo.run import what_stays
from headrace_daemon.demo.sample import AWKWARD_NAMES, Sample, make_sample
from headrace_daemon.demo.table import Row, print_table
from headrace_daemon.demo.verdict import problems
from headrace_queue.report_file import ReportEntry, summarise


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    sample = make_sample(tmp_path / "a", 220, 7, (1,))
    assert make_sample(tmp_path / "b", 220, 7, (1,)) == sample
    make_sample(tmp_path / "c", 220, 8, (1,))
    first, second, other = (all_files(tmp_path / name) for name in "abc")
    assert first == second != other
    assert (len(first), sum(map(len, first.values()))) == (sample.files, sample.bytes) == (221, sample.bytes)


def test_what_is_kept_can_be_looked_at() -> None:
    assert what_stays(None) == ""
    assert "the servers are stopped. `headrace jobs --config /d/kept/config.toml`" in what_stays(Path("/d/kept"))


def test_the_sample_holds_what_is_awkward(tmp_path: Path) -> None:
    make_sample(tmp_path / "a", 220, 7, (1,))
    files = all_files(tmp_path / "a")
    assert set(AWKWARD_NAMES) <= set(files)
    assert {"trap/test/foo.txt", "trap/test-123.txt", "trap/test.txt"} <= set(files)
    assert len(files["large/1 MiB.bin"]) == 1 << 20
    assert [name for name, content in files.items() if not content] != []
    assert max(len(os.path.basename(name).encode()) for name in files) == 200


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("left", "right"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "folder" / "file").write_bytes(b"x" * 2_000_000)
        (tmp_path / name / "empty").write_bytes(b"")
        (tmp_path / name / "only a folder").mkdir()
    return tmp_path / "left", tmp_path / "right"


def test_equal_trees_are_equal(trees: tuple[Path, Path]) -> None:
    assert compare_trees(*trees) == Comparison(2, 2_000_000, [])
    assert compare_trees(*trees).equal


def test_two_trees_without_files_prove_nothing(tmp_path: Path) -> None:
    assert not compare_trees(tmp_path, tmp_path).equal
    assert not compare_trees(tmp_path / "not", tmp_path / "there").equal


def test_one_bit_is_found(trees: tuple[Path, Path]) -> None:
    with (trees[1] / "folder" / "file").open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"y")
    assert compare_trees(*trees).differences == ["differs after 1,500,000 bytes: 'folder/file'"]


def test_a_shorter_file_is_found(trees: tuple[Path, Path]) -> None:
    os.truncate(trees[1] / "folder" / "file", 1_999_999)
    assert compare_trees(*trees).differences == ["differs after 1,999,999 bytes: 'folder/file'"]


def test_missing_and_left_over_files_are_found(trees: tuple[Path, Path]) -> None:
    (trees[1] / "empty").unlink()
    (trees[1] / ".headrace-temporary").write_bytes(b"")
    assert compare_trees(*trees).differences == ["only in left: 'empty'", "only in right: '.headrace-temporary'"]


def test_a_link_is_no_copy(trees: tuple[Path, Path]) -> None:
    (trees[1] / "empty").unlink()
    (trees[1] / "empty").symlink_to(trees[0] / "empty")
    assert compare_trees(*trees).differences == ["not a regular file: 'empty'"]


@pytest.mark.parametrize(
    ("state", "share", "then"),
    [
        (OutageState.BEFORE, 0.24, OutageState.BEFORE),
        (OutageState.BEFORE, 0.25, OutageState.DOWN),
        (OutageState.BEFORE, 1.0, OutageState.DOWN),
        (OutageState.DOWN, 0.34, OutageState.DOWN),
        (OutageState.DOWN, 0.35, OutageState.BACK),
        (OutageState.BACK, 0.0, OutageState.BACK),
        (OutageState.BACK, 1.0, OutageState.BACK),
    ],
)
def test_when_the_endpoint_dies_and_returns(state: OutageState, share: float, then: OutageState) -> None:
    assert next_state(state, share) is then


def test_the_outage_happens_once_and_in_order() -> None:
    seen: list[str] = []
    outage = Outage(lambda: seen.append("stop"), lambda: seen.append("start"), clock=lambda: 42.0)
    for done in (0, 10, 30, 30, 50, 60, 100):
        outage.look(done, 100)
    assert seen == ["stop", "start"]
    assert (outage.state, outage.came_back) == (OutageState.BACK, 42.0)


SAMPLE = Sample(files=2, bytes=30)
ENTRIES = [
    ReportEntry("a", "transferred", 10, source_endpoint="http://a", destination_endpoint="http://v", proof="crc64nvme"),
    ReportEntry(
        "b", "transferred", 20, source_endpoint="http://a,http://b", destination_endpoint="http://v", proof="md5"
    ),
]


def row(title: str = "step", **changes: Any) -> Row:
    counters = {"done": 2, "done_bytes": 30, "failed": 0, "retries": 3}
    job = {"id": 1, "state": "done", "exit_code": 0, "error": None, "seconds": 2.0, "counters": counters}
    return Row(title, job | changes, summarise(ENTRIES))


def test_what_is_proven_has_no_problems() -> None:
    assert problems([row()], SAMPLE, Comparison(2, 30), OutageState.BACK) == []


@pytest.mark.parametrize(
    ("one", "comparison", "outage", "words"),
    [
        (row(exit_code=1, state="incomplete"), Comparison(2, 30), OutageState.BACK, "the job is incomplete"),
        (row(exit_code=4, state="failed", error="no bucket"), Comparison(2, 30), OutageState.BACK, "no bucket"),
        (
            row(counters={"done": 1, "done_bytes": 10, "failed": 0}),
            Comparison(2, 30),
            OutageState.BACK,
            "1 objects with 10 bytes",
        ),
        (
            replace(row(), summary=summarise([ENTRIES[0], replace(ENTRIES[1], proof="")])),
            Comparison(2, 30),
            OutageState.BACK,
            "a proof for 1 of 2",
        ),
        (row(), Comparison(2, 30), OutageState.DOWN, "did not die and come back"),
        (row(), Comparison(2, 30, ["only in left: 'c'"]), OutageState.BACK, "only in left"),
        (row(), Comparison(2, 30, ["x"] * 12), OutageState.BACK, "2 more differences"),
        (row(), Comparison(1, 30), OutageState.BACK, "1 files with 30 bytes"),
        (row(), Comparison(2, 29), OutageState.BACK, "2 files with 29 bytes"),
    ],
)
def test_whatever_is_wrong_is_told(one: Row, comparison: Comparison, outage: OutageState, words: str) -> None:
    assert any(words in problem for problem in problems([one], SAMPLE, comparison, outage))


def test_the_table() -> None:
    out = StringIO()
    print_table([row()], {"http://a": "lake A", "http://b": "lake B", "http://v": "vault"}, Console(file=out, width=80))
    text = " ".join(out.getvalue().split())
    assert "step 2 0.0 2.0 0.0 3 lake A 75 % crc64nvme 1 lake B 25 % md5 1 vault 100 %" in text


def test_the_table_of_the_real_demo_fits_into_80_columns() -> None:
    out = StringIO()
    counters = {"done": 3004, "done_bytes": 200_412_317, "failed": 0, "retries": 29}
    large = row("vault -> files", counters=counters, seconds=12.5)
    large.summary.proofs.update(crc64nvme=3004)
    large.summary.destination_endpoints.clear()
    print_table([large], {"http://a": "lake A", "http://b": "lake B"}, Console(file=out, width=80))
    assert "…" not in out.getvalue()
    assert "crc64nvme 3,004" in out.getvalue()
