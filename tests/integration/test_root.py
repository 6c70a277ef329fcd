"""The doorway: whatever a key or a tree holds, nothing is opened, written or removed outside the root.

Everything runs twice: with openat2, and with the walk by components that stands in for it.
"""

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from headrace_daemon.files import mounts
from headrace_daemon.files.names import (
    Blocked,
    NameRefused,
    RootLost,
    SourceChanged,
    SourceVanished,
)
from headrace_daemon.files.opening_folders import open_root
from headrace_daemon.files.reading import OpenSource, ReadFile, read_many, read_whole
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import DaemonPool, FileThreads, SharedFd, fan_out
from headrace_queue.errors import UsageError
from tests.support.descriptors import open_below

MakeRoot: TypeAlias = Callable[..., Root]
LIMIT = 1 << 20


@pytest.fixture(params=["openat2", "by components"])
def make_root(request: pytest.FixtureRequest) -> Iterator[MakeRoot]:
    """make_root(path, follow_links=…, cache=…)"""
    made: list[Root] = []

    def make(path: Path, *, follow_links: bool = False, cache: int = 256) -> Root:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        made.append(Root(str(path), fd, follow_links=follow_links, openat2=request.param == "openat2", cache=cache))
        return made[-1]

    yield make
    for root in made:
        root.close()


def _write(root: Root, key: str, data: bytes = b"new") -> None:
    fd = root.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    os.close(fd)


@pytest.fixture
def attacked(tmp_path: Path) -> Path:
    """A root whose tree has links out of it in every place, beside a folder that must stay as it is."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_bytes(b"old")
    inside = tmp_path / "root"
    (inside / "real").mkdir(parents=True)
    (inside / "real" / "file").write_bytes(b"inside")
    (inside / "out").symlink_to("../victim")
    (inside / "absolute").symlink_to(tmp_path / "victim")
    (inside / "real" / "deep").symlink_to("../../victim")
    (inside / "link-to-file").symlink_to("../victim/file")
    (inside / "magic").symlink_to("/proc/self/cwd")
    (inside / "within").symlink_to("real")
    return inside


ESCAPES = ["out/file", "absolute/file", "real/deep/file", "out/new/file", "magic/file", "within/file"]


@pytest.mark.parametrize("key", ESCAPES)
def test_no_link_is_followed_below_a_destination(attacked: Path, make_root: MakeRoot, key: str) -> None:
    root = make_root(attacked)
    for step in (
        lambda: _write(root, key),
        lambda: root.unlink(key),
        lambda: root.make_folder(key),
        lambda: root.status(key),
    ):
        with pytest.raises(Blocked, match="symbolic link"):
            step()
    assert sorted(os.listdir(attacked.parent / "victim")) == ["file"]
    assert (attacked.parent / "victim" / "file").read_bytes() == b"old"
    assert (attacked / "real" / "file").read_bytes() == b"inside"


def test_a_link_as_last_component_is_not_written_through(attacked: Path, make_root: MakeRoot) -> None:
    root = make_root(attacked)
    with pytest.raises(OSError, match="symbolic links"):
        _write(root, "link-to-file")
    root.unlink("link-to-file")
    assert (attacked.parent / "victim" / "file").read_bytes() == b"old"


@pytest.mark.parametrize("key", ["../victim/file", "/etc/hostname", "real/../../victim/file", "real//file", "a\0b"])
def test_names_that_leave_the_root_are_refused(attacked: Path, make_root: MakeRoot, key: str) -> None:
    root = make_root(attacked, follow_links=True)
    with pytest.raises(NameRefused):
        root.open(key, os.O_RDONLY)
    with pytest.raises(NameRefused):
        root.unlink(key)


def test_sources_follow_links_that_stay_inside_and_no_others(attacked: Path, make_root: MakeRoot) -> None:
    (attacked / "good").symlink_to("real/./file")
    (attacked / "real" / "up").symlink_to("../real/../good")
    (attacked / "loop").symlink_to("loop")
    root = make_root(attacked, follow_links=True)
    for key in ("good", "real/up", "within/file"):
        assert read_whole(root, key, None, LIMIT).data == b"inside", key
    for key in ("link-to-file", "out/file", "absolute/file", "real/deep/file", "loop"):
        with pytest.raises(Blocked):
            read_whole(root, key, None, LIMIT)


def test_collisions_name_both_sides(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root(tmp_path)
    _write(root, "a")
    for step in (lambda: root.make_folder("a/b/c"), lambda: root.open("a/b", os.O_CREAT | os.O_WRONLY)):
        with pytest.raises(Blocked, match=r"a is a file here, and a folder is needed"):
            step()


def test_folders_are_made_once_and_found_again_after_they_were_removed(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root(tmp_path)
    root.make_folder("a/b/c")
    _write(root, "a/b/c/one")
    (tmp_path / "a" / "b" / "c" / "one").unlink()
    (tmp_path / "a" / "b" / "c").rmdir()
    with pytest.raises(FileNotFoundError):
        _write(root, "a/b/c/two")
    (tmp_path / "a" / "b" / "c").mkdir()
    _write(root, "a/b/c/three")
    (tmp_path / "a" / "b" / "c" / "three").unlink()
    (tmp_path / "a" / "b" / "c").rmdir()
    (tmp_path / "a" / "b").rmdir()
    root.make_folder("a/b/c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_the_cache_of_folders_is_bounded(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root(tmp_path, cache=4)
    before = open_below(tmp_path)
    for n in range(30):
        root.make_folder(f"d{n}")
        _write(root, f"d{n}/f")
    assert open_below(tmp_path) - before <= 4
    assert [root.status(f"d{n}/f").st_size for n in range(30)] == [3] * 30


def test_many_threads_share_a_small_cache(make_root: MakeRoot, tmp_path: Path) -> None:
    """A folder that is dropped from the cache while another thread writes in it must not be closed under its hands."""
    root = make_root(tmp_path, cache=2)

    def work(lane: int) -> None:
        for n in range(60):
            root.make_folder(f"d{n % 7}")
            root.within(f"d{n % 7}", lambda fd, n=n: os.close(os.open(f"{lane}-{n}", os.O_CREAT, dir_fd=fd)))  # type: ignore[misc]

    fan_out(work, range(8))
    found = {f"{folder.name}/{file.name}" for folder in tmp_path.iterdir() for file in folder.iterdir()}
    assert found == {f"d{n % 7}/{lane}-{n}" for n in range(60) for lane in range(8)}


def test_a_vanished_root_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mount"
    path.mkdir()
    (path / "f").write_bytes(b"1")
    root = Root.source(str(path))
    root.check()
    (path / "f").unlink()
    path.rmdir()
    with pytest.raises(RootLost, match="gone"):
        root.check()
    with pytest.raises(RootLost):  # its files must not count as gone one by one
        read_many(root, [("f", 1)], LIMIT)
    path.mkdir()
    with pytest.raises(RootLost, match="another directory"):
        root.check()
    root.close()


def test_roots_are_opened_or_made_or_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Root.source(str(tmp_path / "none"))
    with pytest.raises(UsageError):
        Root.destination(str(tmp_path / "none"), create=False)
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(UsageError):
            Root.destination(str(tmp_path / path))
    Root.destination(str(tmp_path / "a" / "b" / "c")).close()
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_knows_the_file_system_below_it(tmp_path: Path) -> None:
    root = Root.source(str(tmp_path))
    named = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    alias = {"ext2/ext3": "ext4", "nfs": "nfs"}
    assert mounts.file_system(root.fd) == alias.get(named.strip(), named.strip())
    assert 0 < mounts.space(root.fd).free_bytes <= mounts.space(root.fd).total_bytes
    root.close()
    assert mounts.kernel_version("5.10.236-227.928.amzn2.x86_64") == (5, 10)
    assert mounts.kernel_version("6.1-rc1") == (6, 1)
    assert mounts.syncfs_reports_errors("ext4", "5.8.0")
    assert not mounts.syncfs_reports_errors("ext4", "4.14.355-276.amzn2")
    assert not mounts.syncfs_reports_errors("lustre", "6.1.0")


# -- sources ----------------------------------------------------------------------------------------------------------


def test_reads_whole_files_with_their_metadata(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    os.chmod(tmp_path / "f", 0o640)
    os.utime(tmp_path / "f", ns=(5, 1_600_000_000_000_000_007))
    root = make_root(tmp_path, follow_links=True)
    read = read_whole(root, "f", 100_000, LIMIT)
    assert (read.data, read.mtime_ns, read.mode) == (b"x" * 100_000, 1_600_000_000_000_000_007, 0o100640)
    assert read.fingerprint == read_whole(root, "f", None, LIMIT).fingerprint
    before = (tmp_path / "f").stat().st_ctime_ns
    while (tmp_path / "f").stat().st_ctime_ns == before:  # some kernels' clocks for files go in steps of milliseconds
        os.utime(tmp_path / "f", ns=(5, 1_600_000_000_000_000_007))  # only ctime differs then
    assert read.fingerprint != read_whole(root, "f", None, LIMIT).fingerprint


def test_each_file_of_a_group_has_its_own_result(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"12")
    (tmp_path / "empty").touch()
    (tmp_path / "grown").write_bytes(b"12345")
    (tmp_path / "large").write_bytes(b"x" * 2000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    root = make_root(tmp_path, follow_links=True)
    wanted = [
        ("good", 2),
        ("gone", 1),
        ("grown", 3),
        ("large", None),
        ("pipe", None),
        ("folder", None),
        ("empty", 0),
        ("../x", 1),
    ]
    results = read_many(root, wanted, 1000)
    assert [result.data if isinstance(result, ReadFile) else type(result) for result in results] == [
        b"12",
        SourceVanished,
        SourceChanged,
        SourceChanged,
        Blocked,
        Blocked,
        b"",
        NameRefused,
    ]


def test_a_small_file_that_is_written_while_it_is_read_is_told(
    make_root: MakeRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    os.utime(tmp_path / "f", (1, 1))  # two writes in one step of the kernel's clock would have one time
    root = make_root(tmp_path, follow_links=True)
    pread = os.pread

    def read_then_overwrite(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        (tmp_path / "f").write_bytes(b"9876543210")
        return data

    monkeypatch.setattr(os, "pread", read_then_overwrite)
    with pytest.raises(SourceChanged, match="while it was read"):
        read_whole(root, "f", 10, LIMIT)


def test_a_large_source_tells_when_it_was_written_to(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    os.utime(tmp_path / "f", (1, 1))  # two writes in one step of the kernel's clock would have one time
    root = make_root(tmp_path, follow_links=True)
    source = OpenSource(root, "f", 10)
    assert (source.read_at(2, 3), source.read_at(0, 10), source.size) == (b"234", b"0123456789", 10)
    source.check()
    with pytest.raises(SourceChanged, match="ended at 10"):
        source.read_at(8, 3)
    with open(tmp_path / "f", "r+b") as file:
        file.write(b"X")
    with pytest.raises(SourceChanged):
        source.check()
    source.close()
    source.close()
    with pytest.raises(SourceChanged):
        OpenSource(root, "f", 11)


_READ_AS_NOBODY = """
import os, sys
from headrace_daemon.files.root import Root
from headrace_daemon.files.reading import read_many
from headrace_daemon.files.walk import walk
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
root = Root.source(sys.argv[1])
(page,) = walk(root)
print([e.key for e in page.entries], [p[:2] for p in page.problems])
print([type(r).__name__ for r in read_many(root, [("closed-file", None), ("closed/f", None), ("open", None)], 10)])
"""


def test_what_may_not_be_read_is_told_apart() -> None:
    """Root becomes somebody else for it."""
    with tempfile.TemporaryDirectory() as path:  # not tmp_path, whose parents are closed to others
        tree = Path(path)
        tree.chmod(0o755)
        (tree / "closed").mkdir()
        (tree / "closed" / "f").touch()
        (tree / "closed").chmod(0)
        (tree / "closed-file").touch(mode=0)
        (tree / "open").touch()
        try:
            command = [sys.executable, "-c", _READ_AS_NOBODY, path]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            (tree / "closed").chmod(0o700)
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        "['closed-file', 'open'] [('closed/', 'access_denied')]",
        "['AccessRefused', 'AccessRefused', 'ReadFile']",
    ]


# -- threads ----------------------------------------------------------------------------------------------------------


async def test_a_step_runs_off_the_loop_and_brings_its_result_or_error(tmp_path: Path) -> None:
    threads = FileThreads(2)
    assert await threads.run(threading.get_ident) != threading.get_ident()
    assert await threads.run(os.path.join, "a", "b") == os.path.join("a", "b")
    with pytest.raises(FileNotFoundError):
        await threads.run(os.stat, tmp_path / "none")
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(os.getpid)


async def test_no_more_steps_run_at_once_than_there_are_threads() -> None:
    threads = FileThreads(3)
    loop, busy = asyncio.get_running_loop(), asyncio.Event()
    gate, lock = threading.Event(), threading.Lock()
    running = 0

    def step() -> int:
        nonlocal running
        with lock:
            running += 1
            seen = running
        if seen == 3:
            loop.call_soon_threadsafe(busy.set)
        gate.wait(60)
        return seen

    steps = [asyncio.create_task(threads.run(step)) for _ in range(9)]
    async with asyncio.timeout(60):
        await busy.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert running == 3
    gate.set()
    assert sorted(await asyncio.gather(*steps)) == list(range(1, 10))
    threads.close()


def test_a_stuck_thread_holds_up_neither_close_nor_the_end_of_the_process() -> None:
    """The read from an empty pipe stands for a server that never answers."""
    script = (
        "import asyncio, os\n"
        "from headrace_daemon.files.threads import FileThreads\n"
        "async def main():\n"
        "    threads = FileThreads(1)\n"
        "    read, write = os.pipe()\n"
        "    try:\n"
        "        await asyncio.wait_for(threads.run(os.read, read, 1), 0.1)\n"
        "    except TimeoutError:\n"
        "        threads.close()\n"
        "        print('closed')\n"
        "asyncio.run(main())\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=150, check=True)
    assert (run.stdout, run.stderr) == ("closed\n", "")


def test_a_shared_descriptor_is_closed_when_the_last_step_has_left(tmp_path: Path) -> None:
    shared = SharedFd(os.open(tmp_path, os.O_RDONLY))
    with shared as fd:
        shared.close()
        shared.close()
        assert os.fstat(fd)
        with pytest.raises(ValueError, match="closed"):
            shared.retain()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_fanned_out_steps_keep_their_order_and_leave_no_thread() -> None:
    before = set(threading.enumerate())
    assert fan_out(lambda n: n * n, range(100), 4) == [n * n for n in range(100)]
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_a_pool_that_is_joined_has_done_all_its_steps() -> None:
    done: list[int] = []
    pool = DaemonPool(3, "test")
    futures = [pool.submit(done.append, n) for n in range(50)]
    pool.shutdown(wait=True)
    assert sorted(done) == list(range(50))
    assert all(future.done() for future in futures)


def test_a_folder_that_lets_nobody_in_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, who may run this, is let in everywhere."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UsageError) as caught:
        open_root("/fsx/theirs")
    assert caught.value.why == "Permission denied"
    assert "let in" in caught.value.remedy
