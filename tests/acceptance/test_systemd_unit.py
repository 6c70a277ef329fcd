"""The unit file, judged by systemd's own tools."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace_queue.config import DaemonConfig
from headrace_queue.errors import TRY_AGAIN_EXIT
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "headraced.service"
INSTALLED = "/opt/headrace/.venv/bin/"
EXPOSURE = 12  # tenths: 1.2 of 10, where a small unit without any of it stands at 8


@pytest.fixture(scope="module")
def analyze() -> str:
    return require("systemd-analyze")


def settings(unit: str) -> dict[str, str]:
    lines = (line.partition("=") for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def verified(analyze: str, unit: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """systemd's verdict on a unit whose program is the one installed here."""
    here = str(Path(sys.executable).parent) + "/"
    assert INSTALLED in unit
    file = folder / "headraced.service"
    file.write_text(unit.replace(INSTALLED, here), encoding="utf-8")
    return run(analyze, "verify", "--man=no", str(file))


def test_systemd_finds_nothing_wrong(analyze: str, tmp_path: Path) -> None:
    verdict = verified(analyze, UNIT.read_text(encoding="utf-8"), tmp_path)
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_a_misspelt_setting_would_be_found(analyze: str, tmp_path: Path) -> None:
    unit = UNIT.read_text(encoding="utf-8").replace("WatchdogSec=", "WatchdogSecs=")
    assert "WatchdogSecs" in verified(analyze, unit, tmp_path).stderr


def test_the_unit_is_locked_down(analyze: str) -> None:
    verdict = run(analyze, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", str(UNIT))
    assert verdict.returncode == 0, verdict.stdout


def test_what_passes_is_tried_again_and_wrong_configuration_is_not() -> None:
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert unit["Restart"] == "on-failure"
    assert "2" in unit["RestartPreventExitStatus"].split()
    assert str(TRY_AGAIN_EXIT) not in unit["RestartPreventExitStatus"].split()


def test_the_threshold_has_teeth(analyze: str, tmp_path: Path) -> None:
    looser = tmp_path / "headraced.service"
    looser.write_text(UNIT.read_text(encoding="utf-8").replace("ProtectSystem=strict", ""), encoding="utf-8")
    assert (
        run(analyze, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", str(looser)).returncode != 0
    )


def test_the_drain_ends_before_systemd_loses_patience() -> None:
    seconds = float(settings(UNIT.read_text(encoding="utf-8"))["TimeoutStopSec"])
    assert seconds >= DaemonConfig().drain_seconds + 15


def test_wrong_configuration_is_not_tried_again() -> None:
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert (unit["Restart"], unit["RestartPreventExitStatus"], unit["Type"]) == ("on-failure", "2", "notify")
