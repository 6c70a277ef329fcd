"""The limit of open files: a daemon lifts its own as far as it may, and says where that is too little."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.site import COMMAND_SECONDS

HEADRACED = Path(sys.executable).parent / "headraced"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("ulimit -Sn 256", ""),  # which it lifts
        ("ulimit -n 256", "may have 256 files and connections open, and needs about"),
    ],
)
def test_a_low_limit_is_lifted_or_told(tmp_path: Path, limit: str, told: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n')
    drain = ["/bin/sh", "-euc", f'{limit}; exec "$0" drain --config "$1"', str(HEADRACED), str(config)]
    ended = subprocess.run(drain, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert ended.returncode == 0
    warnings = [line for line in ended.stderr.splitlines() if "warning" in line]
    assert len(warnings) == bool(told), ended.stderr
    assert told in "".join(warnings)
    assert "LimitNOFILE=" in "".join(warnings) or not told
