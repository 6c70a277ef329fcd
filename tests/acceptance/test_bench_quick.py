"""`make bench` in its quick form: every row by every program that can do it. What the figures are is not asked."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contenders import Contender, Headrace, JuiceFS, S5cmd
from benchmarks.measure import RunFailed, Usage, run_measured
from benchmarks.scenarios import QUICK, Kind, Scenario, check_done, scenarios
from benchmarks.server import Counts
from benchmarks.table import Row, page, ratio

ROOT = Path(__file__).resolve().parents[2]
FIGURE = re.compile(r"\d+(\.\d+)?")
CONTENDERS: list[Contender] = [Headrace(), S5cmd(), JuiceFS()]
NOTHING = Counts(0, 0, 0, 0, 0)


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.bench", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=370)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def cells(markdown: str) -> dict[tuple[str, str], list[str]]:
    """The figures of the big table by row and program."""
    lines = [line for line in markdown.split("## All rows")[1].splitlines() if line.startswith("| ")][1:]
    split = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    return {(row, program): figures for row, program, *figures in split}


def test_the_table_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "bench.md"
    folder = tmp_path / "bench"
    ended = run_bench("--quick", "--date", "2000-01-31", "--output", str(output), "--folder", str(folder))
    assert output.exists(), ended.stdout + ended.stderr
    markdown = output.read_text(encoding="utf-8")
    assert ended.returncode == 0, ended.stderr
    wanted = {
        (scenario.title, contender.name)
        for scenario in scenarios(QUICK)
        for contender in CONTENDERS
        if contender.can(scenario.kind)
    }
    found = cells(markdown)
    assert set(found) == wanted
    assert [
        place for place, (wall, cpu, _, peak, *_) in found.items() if not all(map(FIGURE.fullmatch, (wall, cpu, peak)))
    ] == []
    assert "- date: 2000-01-31" in markdown
    assert "not measured" not in markdown
    assert list(folder.iterdir()) == []  # gigabytes, in the long form


def test_a_run_that_fails_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="sh ended with 3") as failure:
        run_measured(["/bin/sh", "-c", "echo so it goes; exit 3"], {}, tmp_path, tmp_path / "log")
    assert failure.value.output == "so it goes\n"


def test_what_children_use_is_counted(tmp_path: Path) -> None:
    # the parent sleeps; what burns and what holds 64 MiB is its grandchild
    burn = "import time; b = bytearray(64 << 20); e = time.process_time() + 0.3\nwhile time.process_time() < e: pass"
    usage = run_measured(["/bin/sh", "-c", f"'{sys.executable}' -c '{burn}'; true"], {}, tmp_path, tmp_path / "log")
    assert usage.cpu >= 0.3
    assert 64 << 20 < usage.peak < 512 << 20


@pytest.mark.parametrize("kind", [Kind.UPLOAD, Kind.RELAY, Kind.COPY, Kind.DOWNLOAD, Kind.NO_OP])
def test_work_that_was_not_done_is_no_figure(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(RunFailed):
        check_done(Scenario(kind, 2, 10, tls=False), NOTHING, NOTHING, tmp_path)


def test_an_upload_of_too_few_bytes_is_no_figure(tmp_path: Path) -> None:
    scenario = Scenario(Kind.UPLOAD, 2, 10, tls=False)
    check_done(scenario, Counts(3, 2, 20, 0, 0), NOTHING, tmp_path)
    with pytest.raises(RunFailed, match="every byte received"):
        check_done(scenario, Counts(3, 2, 19, 0, 0), NOTHING, tmp_path)


def test_ratios_are_of_medians_and_of_the_best_other() -> None:
    row = Row(Scenario(Kind.UPLOAD, 1000, 1024, tls=False))
    row.usages = {
        "headrace": [Usage(wall, 0.5, 1 << 20) for wall in (9.0, 1.0, 2.0)],
        "s5cmd": [Usage(4.0, 1.0, 1 << 20)],
        "juicefs sync": [Usage(8.0, 0.25, 1 << 20)],
    }
    assert (ratio(row, "wall"), ratio(row, "cpu")) == (0.5, 2.0)
    markdown = page([row], {"date": "x"}, 3)
    assert cells(markdown)[row.scenario.title, "headrace"] == ["2.00", "0.50", "0.50", "1", "0.50", "2.00"]
    assert "| CPU-ms for a small object | 0.3 | 0.50: upload, 1,000 x 1 KiB, plain | no |" in markdown


def test_a_failed_program_is_named() -> None:
    row = Row(Scenario(Kind.UPLOAD, 1000, 1024, tls=False))
    row.failed = {"headrace": "headraced ended with 1"}
    assert "1 KiB, plain, headrace: headraced ended with 1" in page([row], {}, 1)
