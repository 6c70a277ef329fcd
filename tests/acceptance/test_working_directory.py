"""What lies where a command is typed is data, never a part of the program: others may write there."""

from pathlib import Path

import pytest

from headrace_daemon.demo.servers import SeaweedFS
from tests.support.buckets import fresh_bucket
from tests.support.commands import call
from tests.support.site import RemoteTable, site_of

pytestmark = pytest.mark.server

PLANTED = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nraise RuntimeError\n"


def test_no_file_of_the_working_directory_is_run(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed)
    with site_of(tmp_path, {"lake": RemoteTable.of(seaweed)}) as site:
        for name in ("html", "types", "json", "asyncio", "headrace_daemon", "uvloop"):
            (site.directory / f"{name}.py").write_text(PLANTED)
        (site.directory / "src").mkdir()
        (site.directory / "src" / "a").write_text("a")
        for command in (
            ("sync", "--dry-run", "src", f"lake://{bucket}/"),
            ("sync", "--here", "src", f"lake://{bucket}/"),
            ("ls", f"lake://{bucket}/"),
            ("match", "src"),
            ("_complete", "zsh", "--", "headrace", "ls", f"lake://{bucket}/"),
        ):
            assert "a" in call(site, "headrace", *command).out, command
        assert list(site.directory.glob("**/*.ran")) == []
