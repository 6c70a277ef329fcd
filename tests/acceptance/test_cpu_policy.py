"""How a daemon shares the processors: by the policy for work that nobody waits for at a keyboard."""

import os
from pathlib import Path

import pytest

from tests.support.site import site_of

pytestmark = pytest.mark.server

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "headraced.service"


def test_no_thread_of_a_daemon_pushes_out_one_that_works(tmp_path: Path) -> None:
    with site_of(tmp_path, {}) as site:
        daemon = site.serve()
        threads = [int(name) for name in os.listdir(f"/proc/{daemon.pid}/task")]
        assert len(threads) > 1
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}


def test_the_unit_gives_what_it_does_not_let_the_daemon_ask_for() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("SystemCallFilter=~") and "@resources" in line for line in lines)
    assert "CPUSchedulingPolicy=batch" in lines
