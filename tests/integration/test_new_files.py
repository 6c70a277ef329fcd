"""Who gets what a job makes: group and mode of new files, folders and links, on a real file system."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.files.acting import may_give_away
from headrace_daemon.files.landing import Landing, Write
from headrace_daemon.files.making import AS_ANY, Making, making_of
from headrace_daemon.files.posix import LINK, Posix
from headrace_daemon.files.root import Root
from headrace_queue.config import TransferConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind, Options, Owner
from tests.support.rights import reachable_folder

GROUP = 54322
TO_GIVE = pytest.mark.skipif(not may_give_away(), reason="missing part: the right to give files away (root)")


@contextmanager
def landing(path: Path, making: Making, process: int = 0o022) -> Iterator[Landing]:
    """One beneath a folder that it makes itself, in a process of this umask."""
    before = os.umask(process)
    try:
        root = Root.destination(str(path), making=making)
        opened = Landing(root, 7, "off")
        try:
            yield opened
        finally:
            opened.close()
            root.close()
    finally:
        os.umask(before)


def settled(landing: Landing, *writes: Write) -> None:
    pendings = landing.write_many(writes)
    assert landing.settle(pendings) == [None] * len(writes)  # type: ignore[arg-type]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize(
    ("umask", "process", "file", "folder"),
    [
        (None, 0o022, 0o644, 0o755),
        (None, 0o077, 0o600, 0o700),
        (0o007, 0o077, 0o660, 0o770),
        (0o002, 0o022, 0o664, 0o775),
        (0o077, 0o002, 0o600, 0o700),
    ],
)
def test_a_umask_goes_over_that_of_the_process(
    umask: int | None, process: int, file: int, folder: int, tmp_path: Path
) -> None:
    top = tmp_path / "above" / "top"
    with landing(top, Making(umask=umask), process) as opened:
        settled(opened, Write("a/b/small", b"x", None))
        large = opened.open_large("a/large", 3)
        assert mode(next((top / "a").glob(".*"))) == file, "before anything is in it"
        large.pwrite_at(0, b"abc")
        assert opened.settle([large.finish(None)]) == [None]
        opened.make_directory("marker/deep/")
    assert {mode(top / name) for name in ("a/b/small", "a/large")} == {file}
    folders = [tmp_path / "above", top, *(top / name for name in ("a", "a/b", "marker", "marker/deep"))]
    assert {mode(path) for path in folders} == {folder}


def test_nobody_could_ever_do_more_than_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened a file before its mode was set would go on reading."""
    at_first: list[int] = []
    give_file, give_folder = Making.give_file, Making.give_folder

    def file_was(making: Making, fd: int) -> None:
        at_first.append(stat.S_IMODE(os.fstat(fd).st_mode))
        give_file(making, fd)

    def folder_was(making: Making, name: bytes | str, dir_fd: int | None = None) -> None:
        at_first.append(stat.S_IMODE(os.stat(name, dir_fd=dir_fd).st_mode))
        give_folder(making, name, dir_fd)

    monkeypatch.setattr(Making, "give_file", file_was)
    monkeypatch.setattr(Making, "give_folder", folder_was)
    with landing(tmp_path / "top", Making(umask=0o077), 0o022) as opened:
        settled(opened, Write("a/b", b"x", None))
    assert sorted(at_first) == [0o600, 0o700, 0o700]


def test_what_metadata_says_goes_over_a_umask(tmp_path: Path) -> None:
    with landing(tmp_path / "top", Making(umask=0o007)) as opened:
        settled(
            opened, Write("said", b"x", None, Posix(mode=0o100640)), Write("not", b"x", None, Posix(uid=os.getuid()))
        )
    assert (mode(tmp_path / "top" / "said"), mode(tmp_path / "top" / "not")) == (0o640, 0o660)


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir(mode=0o700)
    with landing(tmp_path / "top", Making(umask=0o007)) as opened:
        settled(opened, Write("new/x", b"x", None))
    assert (mode(tmp_path / "top"), mode(tmp_path / "top" / "new")) == (0o700, 0o770)


@TO_GIVE
def test_a_group_is_given_to_all_that_is_made(tmp_path: Path) -> None:
    top = tmp_path / "above" / "top"
    with landing(top, Making(gid=GROUP, umask=0o007)) as opened:
        settled(opened, Write("a/b/x", b"x", None), Write("a/link", b"x", None, LINK))
        settled(opened, Write("a/owned", b"x", None, Posix(gid=GROUP + 1)))
    made = [tmp_path / "above", *sorted(path for path in (tmp_path / "above").rglob("*") if path.name != "owned")]
    assert len(made) == 6
    assert {path.lstat().st_gid for path in made} == {GROUP}
    assert (top / "a" / "owned").stat().st_gid == GROUP + 1, "--preserve says otherwise"
    assert tmp_path.stat().st_gid != GROUP


@TO_GIVE
def test_a_setgid_folder_goes_on_giving_its_group(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    os.chown(tmp_path / "team", -1, GROUP)
    (tmp_path / "team").chmod(0o2775)
    with landing(tmp_path / "team", Making(umask=0o007)) as opened:
        settled(opened, Write("new/x", b"x", None))
    assert mode(tmp_path / "team" / "new") == 0o2770
    assert {(tmp_path / "team" / name).stat().st_gid for name in ("new", "new/x")} == {GROUP}


# -- what a job asks for, and [transfer] ----------------------------------------------------------------------------


def spec(owner: Owner | None = None, **options: Any) -> JobSpec:
    return JobSpec(Kind.SYNC, "s3://b/", "/data", Options(**options), owner=owner)


def test_a_job_goes_over_the_section() -> None:
    own = str(os.getegid())
    config = TransferConfig(group=own, umask="027")
    assert making_of(spec(), TransferConfig()) == AS_ANY
    assert making_of(spec(), config) == Making(os.getegid(), 0o027)
    assert making_of(spec(umask=0), config) == Making(os.getegid(), 0)
    assert making_of(spec(owner=Owner("alice"), umask=0o007), config) == AS_ANY


def test_a_group_that_is_not_known() -> None:
    with pytest.raises(UsageError, match="this host knows no such group"):
        making_of(spec(group="no-such-group-here"), TransferConfig())


@TO_GIVE
def test_a_group_that_the_daemon_is_not_in() -> None:
    """As an ordinary user, in a process of its own, which loads what it needs before: that may lie in root's home."""
    program = f"""
import os
from headrace_daemon.files.making import making_of
from headrace_queue.config import TransferConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind, Options
os.setgroups([{GROUP}]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
def making(group):
    return making_of(JobSpec(Kind.SYNC, "s3://b/", "/data", Options(group=group)), TransferConfig())
assert making("{GROUP}").gid == {GROUP}
try:
    making("{GROUP + 7}")
except UsageError as error:
    print(error.why, error.remedy)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "user 54321, who is not in it" in ended.stdout
    assert f"usermod -aG {GROUP + 7}" in ended.stdout


@TO_GIVE
def test_two_people_fill_one_tree() -> None:
    """The second one, who is another user of the same group, writes beside and over what the first one made."""
    program = """
import os, sys
from headrace_daemon.files.landing import Landing, Write
from headrace_daemon.files.making import Making
from headrace_daemon.files.root import Root
number, umask = int(sys.argv[1]), 0o007
os.setgroups([54322]); os.setresgid(number, number, number); os.setresuid(number, number, number)
os.umask(0o077)
root = Root.destination(sys.argv[2], making=Making(54322, umask))
landing = Landing(root, number, "off")
errors = landing.settle(landing.write_many([Write(key, sys.argv[1].encode(), None) for key in sys.argv[3:]]))
assert errors == [None] * len(errors), errors
"""
    with reachable_folder() as shared:
        os.chown(shared, -1, GROUP)
        shared.chmod(0o2770)
        for number, names in ((54331, ("region/1/a", "region/both")), (54332, ("region/2/b", "region/both"))):
            words = [sys.executable, "-c", program, str(number), str(shared / "tree"), *names]
            ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
            assert ended.returncode == 0, ended.stderr
        tree = shared / "tree" / "region"
        assert [(tree / name).read_text() for name in ("1/a", "2/b", "both")] == ["54331", "54332", "54332"]
        assert {mode(path) for path in tree.rglob("*") if path.is_file()} == {0o660}
        assert {path.stat().st_gid for path in tree.rglob("*")} == {GROUP}
