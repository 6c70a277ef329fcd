"""What is said to be Lustre and is not mounted is neither read nor written."""

from pathlib import Path

import pytest

from headrace_daemon.files.names import RootLost
from headrace_daemon.opening import check_mounted
from headrace_daemon.transfer.judge import passing_reason
from headrace_queue.config_fsx import FsxConfig

ID = "fs-0123456789abcdef0"


def test_a_mount_point_where_nothing_is_mounted_is_waited_for(tmp_path: Path) -> None:
    fsx = {"scratch": FsxConfig(file_system_id=ID, mount=tmp_path)}
    for path in (tmp_path, tmp_path / "in/deep"):
        with pytest.raises(RootLost, match=f"no Lustre file system is mounted at {tmp_path}") as lost:
            check_mounted(path, fsx)
        assert "not there" in (passing_reason(lost.value) or "")
    with pytest.raises(RootLost):
        check_mounted(tmp_path / "gone/x", {"scratch": FsxConfig(file_system_id=ID, mount=tmp_path / "gone")})


def test_other_places_and_what_is_reached_in_another_way_are_taken_as_they_are(tmp_path: Path) -> None:
    check_mounted(tmp_path, {})
    check_mounted(tmp_path / "beside", {"scratch": FsxConfig(file_system_id=ID, mount=tmp_path / "fsx")})
    check_mounted(tmp_path / "fsx", {"any": FsxConfig(file_system_id=ID, mount=tmp_path / "fsx", mounted_as="any")})
