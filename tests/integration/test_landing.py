"""Bytes before names before records, whatever fails on the way. Faults are real: strace answers for the kernel."""

import hashlib
import mmap
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from headrace_daemon.files import mounts
from headrace_daemon.files.direct import BLOCK, DirectIo
from headrace_daemon.files.landing import Fsync, Landing, Pending, Write
from headrace_daemon.files.large import LargeFile
from headrace_daemon.files.names import (
    AlreadyThere,
    Blocked,
    DestinationFull,
    FileError,
    FileFault,
    NameRefused,
    RootRemoved,
    is_temp_name,
    temp_name,
)
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import fan_out
from tests.support.descriptors import open_below
from tests.support.require import require

MTIME = 1_700_000_000_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    root = Root.destination(str(tmp_path / "root"))
    yield root
    root.close()


@pytest.fixture(params=["batch", "batch by fsync", "file", "off"])
def landing(request: pytest.FixtureRequest, root: Root, monkeypatch: pytest.MonkeyPatch) -> Iterator[Landing]:
    mode: Fsync = "batch" if request.param.startswith("batch") else request.param
    if request.param == "batch by fsync":  # what happens on Lustre, and wherever syncfs proves nothing
        monkeypatch.setattr(mounts, "syncfs_reports_errors", lambda *_: False)
    landing = Landing(root, 7, mode)
    yield landing
    landing.close()


def _files(root: Root) -> dict[str, bytes]:
    path = Path(root.path)
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def _pending(results: list[Pending | FileError]) -> list[Pending]:
    assert not [result for result in results if isinstance(result, FileError)]
    return [result for result in results if isinstance(result, Pending)]


def test_objects_appear_whole_and_only_when_settled(landing: Landing, root: Root) -> None:
    umask = os.umask(0o027)
    try:
        objects = [Write(f"a/b{n % 3}/f{n}", bytes([n]) * n * 1000, MTIME) for n in range(20)]
        pendings = _pending(landing.write_many(objects))
    finally:
        os.umask(umask)
    assert all(is_temp_name(Path(name).name) for name in _files(root))
    assert landing.settle(pendings) == [None] * 20
    assert _files(root) == {write.key: write.data for write in objects}
    status = root.status("a/b1/f1")
    assert (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (MTIME, 0o640)


def test_more_files_than_may_stay_open(landing: Landing, root: Root) -> None:
    before = open_below(root.path)
    pendings = _pending(landing.write_many([Write(f"f{n}", b"x", None) for n in range(400)]))
    assert open_below(root.path) - before < 200
    assert landing.settle(pendings) == [None] * 400
    assert open_below(root.path) - before < 10
    assert len(_files(root)) == 400


def test_each_object_fails_alone(landing: Landing, root: Root) -> None:
    os.makedirs(Path(root.path) / "folder" / "full")
    (Path(root.path) / "file").write_bytes(b"old")
    (Path(root.path) / "link").symlink_to("folder")
    keys = ["good", "file/below", "link/below", "../up", "marker/", "folder"]
    results = landing.write_many([Write(key, b"new", MTIME) for key in keys])
    assert [type(result) for result in results] == [Pending, Blocked, Blocked, NameRefused, NameRefused, Pending]
    assert "file is a file here" in str(results[1])
    outcomes = landing.settle([result for result in results if isinstance(result, Pending)])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Blocked)
    assert "folder/ is a folder here" in str(outcomes[1])
    assert _files(root) == {"good": b"new", "file": b"old"}


def test_a_link_of_the_same_name_is_replaced_and_its_target_left(landing: Landing, root: Root, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"old")
    (Path(root.path) / "link").symlink_to(victim)
    # and one at the temporary name, which anybody can foretell
    (Path(root.path) / temp_name(7, "link")).symlink_to(victim)
    assert landing.settle([landing.write_whole("link", b"new", MTIME)]) == [None]
    assert _files(root) == {"link": b"new"}
    assert victim.read_bytes() == b"old"
    assert not (Path(root.path) / "link").is_symlink()
    (Path(root.path) / temp_name(7, "large")).symlink_to(victim)
    large = landing.open_large("large", 3, reuse="1:1")
    large.pwrite_at(0, b"new")
    assert landing.settle([large.finish(MTIME)]) == [None]
    assert victim.read_bytes() == b"old"


@pytest.mark.parametrize("by_link", [False, True])
def test_no_clobber_never_replaces(
    landing: Landing, root: Root, monkeypatch: pytest.MonkeyPatch, by_link: bool
) -> None:
    if by_link:  # Lustre and NFS have no RENAME_NOREPLACE
        monkeypatch.setattr(mounts, "_RENAME_NOREPLACE", 1 << 20)
    (Path(root.path) / "taken").write_bytes(b"old")
    (Path(root.path) / "folder").mkdir()
    written = landing.write_many([Write(key, b"new", None) for key in ("free", "taken", "folder")], no_clobber=True)
    outcomes = landing.settle(_pending(written))
    assert [type(outcome) for outcome in outcomes] == [type(None), AlreadyThere, Blocked]
    assert _files(root) == {"free": b"new", "taken": b"old"}


def test_a_folder_that_moved_away_takes_nothing_along(landing: Landing, root: Root, tmp_path: Path) -> None:
    pending = landing.write_whole("a/f", b"new", None)
    (Path(root.path) / "a").rename(tmp_path / "elsewhere")
    (outcome,) = landing.settle([pending])
    assert isinstance(outcome, FileFault)
    assert not (tmp_path / "elsewhere" / "f").exists()
    assert landing.settle([landing.write_whole("a/f", b"new", None)]) == [None]


def test_another_workers_half_written_file_gets_no_name(landing: Landing, root: Root) -> None:
    """A worker that lost its lease without knowing, and the one that took over, use the same temporary name."""
    stale = landing.write_whole("f", b"from the old one", MTIME)
    other = Landing(root, 7, "off")
    large = other.open_large("f", 3)
    (outcome,) = landing.settle([stale])
    assert isinstance(outcome, FileFault)
    assert _files(root) == {}
    large.discard()


def test_discarded_and_swept_files_leave_nothing(landing: Landing, root: Root) -> None:
    keys = [f"d/f{n}" for n in range(5)]
    pendings = _pending(landing.write_many([Write(key, b"x", None) for key in keys]))
    landing.discard(pendings[:2])
    assert len(_files(root)) == 3
    assert landing.sweep([*keys, "none/at/all", "../x", "marker/"]) == 3
    assert _files(root) == {}
    landing.discard(pendings)


def test_deletes_and_markers(landing: Landing, root: Root) -> None:
    landing.make_directory("m/n/")
    landing.make_directory("m/n/")
    assert landing.settle(_pending(landing.write_many([Write("m/f", b"1", None), Write("g", b"2", None)]))) == [
        None,
        None,
    ]
    (Path(root.path) / "link").symlink_to("m")
    outcomes = landing.delete(["g", "gone", "no/folder/f", "link/f", "m/", "m/n/", "../root/m/f"])
    expected = [type(None), type(None), type(None), Blocked, Blocked, type(None), NameRefused]
    assert [type(outcome) for outcome in outcomes] == expected
    assert _files(root) == {"m/f": b"1"}
    with pytest.raises(Blocked, match="m/f is a file here"):
        landing.make_directory("m/f/")


# -- large files ------------------------------------------------------------------------------------------------------


def test_a_large_file_is_filled_in_any_order_by_many_threads(landing: Landing, root: Root) -> None:
    part = 64 << 10
    large = landing.open_large("a/large", 40 * part)
    assert not large.reused
    fan_out(lambda n: large.pwrite_at(n * part, memoryview(bytes([n]) * part)), [*range(39, -1, -1)])
    large.sync()
    with pytest.raises(ValueError, match="behind the end"):
        large.pwrite_at(40 * part - 1, b"xx")
    assert landing.settle([large.finish(MTIME)]) == [None]
    assert _files(root) == {"a/large": b"".join(bytes([n]) * part for n in range(40))}
    assert root.status("a/large").st_mtime_ns == MTIME


@pytest.mark.parametrize("direct_io", ["auto", "on", "off"])
@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, 5 * BLOCK + 17])
def test_past_the_cache_or_through_it_the_bytes_are_the_same(root: Root, direct_io: DirectIo, size: int) -> None:
    landing = Landing(root, 7, "batch", direct_io)
    content = mmap.mmap(-1, 8 * BLOCK)
    content[:] = os.urandom(8 * BLOCK)
    first = landing.open_large("a", size)
    half = size // 2 // BLOCK * BLOCK
    first.pwrite_at(half, memoryview(content)[half:size])
    first.sync()
    first.close()
    large = landing.open_large("a", size, reuse=first.identity or None)
    if not large.reused:
        large.pwrite_at(half, memoryview(content)[half:size])
    large.pwrite_at(0, memoryview(content)[:half])
    assert large.md5_hex() == hashlib.md5(content[:size], usedforsecurity=False).hexdigest()
    assert landing.settle([large.finish(MTIME)]) == [None]
    landing.close()
    assert _files(root) == {"a": content[:size]}


def test_buffers_and_offsets_without_alignment_go_through_the_cache(root: Root) -> None:
    landing = Landing(root, 7, "batch", "on")
    content = os.urandom(3 * BLOCK)
    large = landing.open_large("a", len(content))
    for start, end in ((0, 100), (100, BLOCK), (BLOCK, 3 * BLOCK)):
        large.pwrite_at(start, memoryview(content)[start:end])
    assert landing.settle([large.finish(MTIME)]) == [None]
    landing.close()
    assert _files(root) == {"a": content}


def test_where_it_is_wanted_aligned_blocks_go_past_the_cache(root: Root) -> None:
    top = os.open(root.path, os.O_RDONLY)
    name = mounts.file_system(top)
    os.close(top)
    if name != "ext4":
        pytest.skip(f"only ext4 is known to do it and to tell, and this is {name}")
    wanted: tuple[DirectIo, ...] = ("off", "auto", "on")
    assert [_cached_after_writing(root, each) for each in wanted] == [True, False, False]


def _cached_after_writing(root: Root, direct_io: DirectIo) -> bool:
    landing = Landing(root, 7, "off", direct_io)
    large = landing.open_large("a", 64 * BLOCK)
    large.pwrite_at(0, memoryview(mmap.mmap(-1, 64 * BLOCK)))
    with large._shared as fd:
        try:
            return os.preadv(fd, [bytearray(BLOCK)], 0, os.RWF_NOWAIT) == BLOCK
        except BlockingIOError:  # the kernel would have to ask the disk
            return False
        finally:
            large.discard()
            landing.close()


def test_a_large_file_is_gone_on_with_only_where_it_is_the_same(landing: Landing, root: Root) -> None:
    first = landing.open_large("large", 10)
    if not first.identity:
        pytest.skip("this file system tells no birth time: nothing is ever reused on it")
    first.pwrite_at(0, b"01234")
    first.sync()
    first.close()
    again = landing.open_large("large", 10, reuse=first.identity)
    assert (again.reused, again.identity) == (True, first.identity)
    again.pwrite_at(5, b"56789")
    again.close()
    other_size = landing.open_large("large", 11, reuse=first.identity)
    assert not other_size.reused
    other_size.discard()
    other = landing.open_large("large", 10)
    other.close()
    # most file systems give the number of the removed inode to the next file
    new = landing.open_large("large", 10, reuse=first.identity)
    assert not new.reused
    new.close()
    assert _files(root) == {temp_name(7, "large"): bytes(10)}
    newest = landing.open_large("large", 10)
    assert not newest.reused
    newest.discard()
    assert _files(root) == {}


def test_discarding_while_a_write_is_under_way_closes_nothing_under_it(root: Root) -> None:
    landing = Landing(root, 7, "off")
    large: LargeFile = landing.open_large("large", 1 << 20)
    with large._shared as fd:  # a write that has not come back
        large.discard()
        assert os.pwrite(fd, b"late", 0) == 4
    with pytest.raises(ValueError, match="closed"):
        large.pwrite_at(0, b"x")
    assert _files(root) == {}


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("may not mount a tmpfs here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("mode", get_args(Fsync))
def test_a_full_disk_says_so_and_keeps_no_temporary_file(small_disk: Path, mode: Fsync) -> None:
    root = Root.destination(str(small_disk))
    landing = Landing(root, 7, mode)
    results = landing.write_many([Write(f"f{n}", bytes(400_000), None) for n in range(4)])
    assert [type(result) for result in results] == [Pending, Pending, DestinationFull, DestinationFull]
    assert landing.settle([result for result in results if isinstance(result, Pending)]) == [None, None]
    with pytest.raises(DestinationFull, match="are needed"):
        landing.open_large("large", 1 << 20)
    large = landing.open_large("large", 200_000)
    assert landing.settle([landing.write_whole("f3", bytes(200_000), None)]) == [None]
    with pytest.raises(DestinationFull):
        large.pwrite_at(0, bytes(200_000))
    large.discard()
    assert sorted(_files(root)) == ["f0", "f1", "f3"]
    (small_disk / "f0").unlink()
    assert landing.settle([landing.write_whole("f2", bytes(400_000), None)]) == [None]
    landing.close()
    root.close()


# -- faults below, by strace ------------------------------------------------------------------------------------------

_CHILD = """
import sys
from headrace_daemon.files import mounts
from headrace_daemon.files.landing import Landing, Pending, Write
from headrace_daemon.files.names import FileError
from headrace_daemon.files.root import Root
path, mode, grouped, what = sys.argv[1:]
mounts.syncfs_reports_errors = lambda *_: grouped == "grouped"
root = Root.destination(path)
landing = Landing(root, 7, mode)
if what == "small":
    written = landing.write_many([Write(f"a/f{n}", b"data", 10**18) for n in range(3)])
    settled = iter(landing.settle([one for one in written if isinstance(one, Pending)]))
    outcomes = [one if isinstance(one, FileError) else next(settled) for one in written]
else:
    large = landing.open_large("a/large", 4)
    outcomes = []
    try:
        large.pwrite_at(0, b"data")
        large.sync()
        outcomes.append(None)
    except FileError as error:
        outcomes.append(error)
        try:
            large.sync()
        except FileError as again:
            outcomes.append(again)
    try:
        outcomes += landing.settle([large.finish(10**18)])
    except FileError as error:
        outcomes.append(error)
        large.discard()
print(*[type(one).__name__ for one in outcomes])
"""


class Traced:
    """What a child said, and its system calls as strace saw them."""

    def __init__(self, said: str, calls: list[str]) -> None:
        self.said = said.split()
        self.calls = calls

    def of(self, *names: str) -> list[str]:
        return [call for call in self.calls if call.startswith(tuple(f"{name}(" for name in names))]


@pytest.fixture
def traced(tmp_path: Path) -> Callable[..., Traced]:
    strace = require("strace")
    probe = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("processes may not be traced here")

    def run(mode: str, grouped: str, what: str, *options: str) -> Traced:
        log = tmp_path / "strace.log"
        child = [sys.executable, "-c", _CHILD, str(tmp_path / "root"), mode, grouped, what]
        trace = "trace=pwrite64,fsync,fdatasync,syncfs,close,renameat,renameat2,rename,ftruncate,utimensat,unlinkat"
        command = [strace, "-f", "-y", "-o", str(log), "-e", trace, *options, *child]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        lines = [re.sub(r"^\d+ +", "", line) for line in log.read_text().splitlines()]
        return Traced(done.stdout, [line for line in lines if str(tmp_path / "root") in line])

    return run


def _positions(traced: Traced, *patterns: str) -> list[int]:
    return [next(n for n, call in enumerate(traced.calls) if re.search(pattern, call)) for pattern in patterns]


@pytest.mark.parametrize(
    ("mode", "grouped", "sync"),
    [
        ("batch", "grouped", r"syncfs\(\d+<\S+/root>"),
        ("batch", "alone", r"fsync\(\d+<\S+\.part>"),
        ("file", "alone", r"fsync\(\d+<\S+\.part>"),
    ],
)
def test_the_order_is_write_time_sync_name_folders(
    traced: Callable[..., Traced], mode: str, grouped: str, sync: str
) -> None:
    run = traced(mode, grouped, "small")
    assert run.said == ["NoneType"] * 3
    first = [r"pwrite64\(\d+<\S+\.part>", r"utimensat\(\d+<\S+\.part>", sync, r"renameat\(", r"fsync\(\d+<\S+/root/a>"]
    order = _positions(run, *first)
    assert order == sorted(order), run.calls
    renames = [n for n, call in enumerate(run.calls) if call.startswith("renameat(")]
    syncs = [n for n, call in enumerate(run.calls) if re.match(sync, call)]
    folders = [n for n, call in enumerate(run.calls) if re.match(r"fsync\(\d+<\S+/root(/a)?>", call)]
    assert len(renames) == 3
    assert len(syncs) == (1 if grouped == "grouped" else 3)
    # the folder of the files, and the root for the name of the folder that was made in it, once each
    assert len([n for n in folders if n > max(renames)]) == 2
    assert max(syncs) < min(renames)


@pytest.mark.parametrize("what", ["small", "large"])
def test_off_syncs_nothing(traced: Callable[..., Traced], what: str) -> None:
    run = traced("off", "grouped", what)
    assert set(run.said) == {"NoneType"}
    below = [call for call in run.of("fsync", "fdatasync", "syncfs") if "/root" in call]
    # only the name of the root itself, which is made once
    assert [call for call in below if re.search(r"/root[/>]", call)] == []


@pytest.mark.parametrize(
    ("mode", "grouped", "call"),
    [("batch", "grouped", "syncfs"), ("batch", "alone", "fsync"), ("file", "alone", "fsync")],
)
def test_a_failed_sync_is_never_retried_and_never_named(
    traced: Callable[..., Traced], tmp_path: Path, mode: str, grouped: str, call: str
) -> None:
    (tmp_path / "root").mkdir()
    # strace counts calls by thread: the file whose fsync fails is picked by its path
    only = [] if grouped == "grouped" else ["-P", str(tmp_path / "root" / "a" / temp_name(7, "a/f1"))]
    run = traced(mode, grouped, "small", *only, "-e", f"inject={call}:error=EIO")
    lost = ["f0", "f1", "f2"] if grouped == "grouped" else ["f1"]
    assert run.said == ["DurabilityLost" if name in lost else "NoneType" for name in ("f0", "f1", "f2")]
    assert len(run.of(call)) == 1
    assert sorted(os.listdir(tmp_path / "root" / "a")) == [name for name in ("f0", "f1", "f2") if name not in lost]


def test_a_full_disk_found_at_sync_is_told_as_such(traced: Callable[..., Traced], tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert traced("batch", "grouped", "small", "-e", "inject=syncfs:error=EDQUOT").said == ["DestinationFull"] * 3
    assert os.listdir(tmp_path / "root" / "a") == []


def test_a_folder_that_cannot_be_synced_records_nothing(traced: Callable[..., Traced], tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    folder = str(tmp_path / "root" / "a")
    run = traced("batch", "grouped", "small", "-P", folder, "-e", "inject=fsync:error=EIO")
    assert run.said == ["DurabilityLost"] * 3
    assert len(run.of("fsync")) == 1


@pytest.mark.parametrize("mode", ["batch", "file"])
def test_an_error_at_close_counts(traced: Callable[..., Traced], tmp_path: Path, mode: str) -> None:
    """Lustre tells of evicted pages there; nothing else would notice."""
    temp = tmp_path / "root" / "a" / temp_name(7, "a/f1")
    run = traced(mode, "alone", "small", "-P", str(temp), "-e", "inject=close:error=EIO")
    assert run.said == ["NoneType", "DurabilityLost", "NoneType"]
    assert sorted(os.listdir(tmp_path / "root" / "a")) == ["f0", "f2"]


def test_a_large_file_is_lost_for_good_after_a_failed_sync(traced: Callable[..., Traced], tmp_path: Path) -> None:
    run = traced("batch", "grouped", "large", "-e", "inject=fdatasync:error=EIO")
    assert run.said == ["DurabilityLost"] * 3
    assert len(run.of("fdatasync")) == 1
    assert os.listdir(tmp_path / "root" / "a") == []


def test_a_large_file_is_sized_written_synced_and_named_in_order(traced: Callable[..., Traced]) -> None:
    run = traced("batch", "grouped", "large")
    assert run.said == ["NoneType", "NoneType"]
    wanted = [
        "ftruncate",
        "pwrite64",
        "fdatasync",
        "utimensat",
        r"fsync\(\d+<\S+\.part>",
        r"close\(\d+<\S+/root/a/\S+\.part>",
        "renameat",
    ]
    order = _positions(run, *wanted, r"fsync\(\d+<\S+/root/a>")
    assert order == sorted(order), run.calls


_KILLED = """
import os, sys
from headrace_daemon.files.landing import Landing, Write
from headrace_daemon.files.root import Root
landing = Landing(Root.destination(sys.argv[1]), 7)
landing.settle(landing.write_many([Write("a/done", b"done", None)]))
landing.write_many([Write(f"a/f{n}", b"data", None) for n in range(3)])
landing.open_large("b/large", 1000).pwrite_at(0, b"data")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_kill_leaves_only_temporary_names_which_sweep_removes(root: Root) -> None:
    child = subprocess.Popen([sys.executable, "-c", _KILLED, root.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    left = _files(root)
    assert left.pop("a/done") == b"done"
    assert len(left) == 4
    assert all(is_temp_name(Path(name).name) for name in left)
    landing = Landing(root, 7)
    assert landing.sweep(["a/done", "b/large", *(f"a/f{n}" for n in range(3))]) == 4
    landing.close()
    assert _files(root) == {"a/done": b"done"}


def test_an_error_seen_by_one_group_is_not_missed_by_another(root: Root) -> None:
    """The kernel tells a descriptor once: the second group must learn of it although its own call succeeds."""
    landing = Landing(root, 7)
    if landing._group is None:
        landing.close()
        pytest.skip("this file system syncs file by file")
    early = [landing.write_whole("early", b"1", None), landing.write_whole("other", b"2", None)]
    landing._group.generation += 1  # another thread's syncfs brought the error
    landing._group.last_error = OSError(5, "Input/output error")
    late = landing.write_whole("late", b"3", None)
    outcomes = landing.settle([*early, late])
    assert [type(outcome).__name__ for outcome in outcomes] == ["DurabilityLost", "DurabilityLost", "NoneType"]
    assert _files(root) == {"late": b"3"}
    landing.close()


def test_nothing_counts_as_arrived_in_a_root_that_is_not_under_its_path_any_more(
    root: Root, landing: Landing, tmp_path: Path
) -> None:
    pending = landing.write_whole("a", b"1", None)
    Path(root.path).rename(tmp_path / "elsewhere")
    Path(root.path).mkdir()
    (error,) = landing.settle([pending])
    assert isinstance(error, RootRemoved)
    assert "another directory is there now" in error.reason
