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
USERS = ROOT / "systemd" / "headraced-users.conf"
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


# -- the drop-in that lets the daemon act as the users of the API ------------------------------------------------------

ACTING = {"setfsuid", "setfsgid", "setgroups", "setresuid", "setresgid", "capget", "capset", "quotactl_fd"}


def with_users(folder: Path, drop_in: str) -> Path:
    """The unit with the drop-in, as they are installed."""
    unit = folder / "headraced.service"
    unit.write_text(
        UNIT.read_text(encoding="utf-8").replace(INSTALLED, str(Path(sys.executable).parent) + "/"), encoding="utf-8"
    )
    (folder / "headraced.service.d").mkdir()
    (folder / "headraced.service.d" / "users.conf").write_text(drop_in, encoding="utf-8")
    return unit


def allowed_calls(analyze: str, *units: str) -> set[str]:
    """What is left of all filters, in their order (systemd.exec(5), SystemCallFilter=)."""

    def calls(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        lines = run(analyze, "syscall-filter", name).stdout.splitlines()[1:]
        names = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        return set[str]().union(*map(calls, names))

    allowed: set[str] = set()
    for line in "\n".join(units).splitlines():
        if line.startswith("SystemCallFilter="):
            value = line.partition("=")[2]
            named = set[str]().union(*map(calls, value.removeprefix("~").split()))
            allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def test_the_unit_alone_has_no_capability() -> None:
    unit = settings(UNIT.read_text(encoding="utf-8"))
    assert (unit["CapabilityBoundingSet"], unit["AmbientCapabilities"]) == ("", "")


def test_systemd_finds_nothing_wrong_with_the_drop_in(analyze: str, tmp_path: Path) -> None:
    verdict = run(analyze, "verify", "--man=no", str(with_users(tmp_path, USERS.read_text(encoding="utf-8"))))
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_a_misspelt_setting_of_the_drop_in_would_be_found(analyze: str, tmp_path: Path) -> None:
    wrong = USERS.read_text(encoding="utf-8").replace("PrivateUsers=", "PrivateUser=")
    assert "PrivateUser" in run(analyze, "verify", "--man=no", str(with_users(tmp_path, wrong))).stderr


def test_the_drop_in_gives_what_acting_needs_and_no_more(analyze: str) -> None:
    drop_in = settings(USERS.read_text(encoding="utf-8"))
    assert drop_in["CapabilityBoundingSet"] == drop_in["AmbientCapabilities"] == "CAP_SETUID CAP_SETGID"
    assert drop_in["PrivateUsers"] == "no"
    unit, users = UNIT.read_text(encoding="utf-8"), USERS.read_text(encoding="utf-8")
    alone = allowed_calls(analyze, unit)
    assert "openat2" in alone
    assert not {"setfsuid", "setgroups", "setresuid", "capset"} & alone
    assert allowed_calls(analyze, unit, users) - alone == ACTING - alone
    assert allowed_calls(analyze, unit, users) >= ACTING


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
