"""The audit log: every line whole, nothing lost that could be kept, and nobody waits for it."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.api import audit as audit_log
from headrace_daemon.api.audit import MOST_OF_A_TEXT, Audit
from headrace_daemon.facts import Facts
from tests.support.small_disk import small_disk

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


class Told(Facts):
    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def api_problem(self, reason: str, detail: str) -> None:
        self.problems.append((reason, detail))


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="ascii")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_says_who_did_what_where(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path, now=lambda: NOON)
    audit.note(
        "upload", 201, request="r1", user="alice", by="token laptop", address="192.0.2.1", system="daint",
        path="/scratch/a", size=0, transfer=7,
    )  # fmt: skip
    audit.note("stat", 404, error="No such file or directory")
    assert not path.exists(), "nothing is written while somebody waits"
    audit.close()
    assert lines(path) == [
        {
            "time": "2026-01-01T12:00:00.000+00:00",
            "request": "r1",
            "user": "alice",
            "by": "token laptop",
            "address": "192.0.2.1",
            "action": "upload",
            "system": "daint",
            "path": "/scratch/a",
            "size": 0,
            "transfer": 7,
            "status": 201,
        },
        {
            "time": "2026-01-01T12:00:00.000+00:00",
            "action": "stat",
            "status": 404,
            "error": "No such file or directory",
        },
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_whatever_a_name_holds_stays_in_its_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    hostile = '/a\n{"user": "root"}\r\x1b[2J\x00\u2028\udcff"'
    audit.note("stat", 200, path=hostile, user="x" * 10 * MOST_OF_A_TEXT)
    audit.close()
    (line,) = lines(path)
    assert line["path"] == hostile
    assert len(line["user"]) == MOST_OF_A_TEXT
    assert path.read_bytes().count(b"\n") == 1
    assert all(32 <= byte < 127 or byte == 10 for byte in path.read_bytes())


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    audit = Audit(path)
    audit.note("one", 200)
    audit.flush()
    path.rename(moved)
    audit.note("two", 200)
    audit.flush()
    path.unlink()
    path.touch(mode=0o600)  # as logrotate does with `create`
    audit.note("three", 200)
    audit.close()
    assert [line["action"] for line in lines(moved)] == ["one"]
    assert [line["action"] for line in lines(path)] == ["three"]


async def test_it_is_written_while_the_daemon_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "WRITE_SECONDS", 0.01)
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    async with asyncio.timeout(60), asyncio.TaskGroup() as owned:
        task = owned.create_task(audit.run())
        audit.note("one", 200)
        while not path.exists() or not path.stat().st_size:  # noqa: ASYNC110 - another thread writes a file
            await asyncio.sleep(0.02)
        task.cancel()
    audit.close()
    assert [line["action"] for line in lines(path)] == ["one"]


def test_a_full_disk_is_told_once_and_what_waits_is_written_later(tmp_path: Path) -> None:
    told = Told()
    with small_disk(tmp_path / "disk", 16 * 1024) as disk:
        audit = Audit(disk / "audit.jsonl", told)
        for number in range(300):
            audit.note("upload", 201, path=f"/scratch/{number}", error="x" * 100)
            audit.flush()
        assert [reason for reason, _ in told.problems] == ["audit"]
        assert "No space left on device" in told.problems[0][1]
        # it is moved away, again and again, until all that waited had room
        kept = tmp_path / "kept"
        while (disk / "audit.jsonl").exists():
            with kept.open("ab") as file:
                file.write((disk / "audit.jsonl").read_bytes() + b"\n")
            (disk / "audit.jsonl").unlink()
            audit.flush()
        audit.close()
    # where the disk became full in the middle of a line, that line comes again
    whole = [line for line in kept.read_text().splitlines() if line.endswith("}")]
    assert [json.loads(line)["path"] for line in whole] == [f"/scratch/{number}" for number in range(300)]


def test_memory_is_bounded_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    told = Told()
    audit = Audit(tmp_path / "missing" / "audit.jsonl", told, kept=2_000)
    for number in range(200):
        audit.note("upload", 201, path=f"/scratch/{number}")
    audit.flush()
    assert "No such file or directory" in told.problems[0][1]
    lost = int(told.problems[1][1].split(" lines are lost")[0].rpartition(" ")[2])
    assert 0 < lost < 200
    (tmp_path / "missing").mkdir()
    audit.close()
    kept = lines(tmp_path / "missing" / "audit.jsonl")
    assert [line["path"] for line in kept] == [f"/scratch/{number}" for number in range(lost, 200)]


def test_after_a_crash_in_a_line_the_next_one_begins_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"action": "tor')
    path.chmod(0o600)
    audit = Audit(path)
    audit.note("one", 200)
    audit.close()
    torn, whole = path.read_text().splitlines()
    assert torn == '{"action": "tor'
    assert json.loads(whole)["action"] == "one"


def test_two_daemons_share_a_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = Audit(path), Audit(path)
    for number in range(50):
        first.note("first", 200, job=number)
        second.note("second", 200, job=number)
        first.flush()
        second.flush()
    first.close()
    second.close()
    assert len(lines(path)) == 100


@pytest.mark.parametrize("trap", ["link", "pipe", "folder"])
def test_what_somebody_laid_there_is_not_written_to(tmp_path: Path, trap: str) -> None:
    """The state directory may be writable for a group."""
    path, victim = tmp_path / "audit.jsonl", tmp_path / "victim"
    victim.write_text("untouched")
    if trap == "link":
        path.symlink_to(victim)
    elif trap == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    told = Told()
    audit = Audit(path, told)
    audit.note("one", 200)
    audit.close()
    assert [reason for reason, _ in told.problems] == ["audit"]
    assert victim.read_text() == "untouched"


def test_a_file_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("missing part: the right to give files away")
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o600)
    os.chown(path, 65534, 65534)
    told = Told()
    audit = Audit(path, told)
    audit.note("one", 200)
    audit.close()
    assert "move it away" in told.problems[0][1]
    assert path.read_bytes() == b""
