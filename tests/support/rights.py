"""Commands by a user who may not read and write everything."""

import os
import subprocess

from headrace_daemon.demo.servers import program
from tests.support.require import require
from tests.support.site import COMMAND_SECONDS, Site


def without_privilege() -> list[str]:
    """What to write before a command. Root may be such a user too, without two of its rights."""
    if os.geteuid() != 0:
        return []
    dropped = "-dac_override,-dac_read_search"
    return [require("setpriv"), f"--bounding-set={dropped}", f"--inh-caps={dropped}"]


def drain_without_privilege(site: Site, *, code: int) -> None:
    """A daemon is seldom root."""
    ended = subprocess.run(
        [*without_privilege(), program("headraced"), "drain"],
        env=site.environment(),
        cwd=site.directory,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert ended.returncode == code, ended
