"""Commands by a user who may not read and write everything, and accounts to act for."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import program
from headrace_daemon.files.account import Account
from headrace_daemon.files.acting import may_act
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


ALICE = Account("alice", 54321, 54321, (54322,))
BOB = Account("bob", 54331, 54331, ())
"""Nobody has to make them: the kernel knows accounts by their numbers alone."""

TO_ACT = pytest.mark.skipif(not may_act(), reason="missing part: the right to act as other accounts (root)")


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """One that every account may go through and list; only its owner, who runs the tests, may write to it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="headrace-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def made_by(account: Account, path: Path, content: bytes | None = None, mode: int = 0o644) -> Path:
    """A file of theirs; a folder without content, of mode 0755 unless said otherwise."""
    if content is None:
        path.mkdir()
        path.chmod(0o755 if mode == 0o644 else mode)
    else:
        path.write_bytes(content)
        path.chmod(mode)
    os.chown(path, account.uid, account.gid)
    return path
