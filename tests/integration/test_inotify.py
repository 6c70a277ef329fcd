"""A folder that is watched by the kernel's own events, and by walks: what is fired, and that nothing is missed."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from headrace_daemon.files.mounts import file_system
from headrace_daemon.schedules.firing import Firing
from headrace_daemon.watching import run as running
from headrace_daemon.watching import tree as trees
from headrace_daemon.watching.inotify import IN_CREATE, IN_ISDIR, Inotify, parse
from headrace_daemon.watching.memory import Memory, Sent, forget_others
from headrace_daemon.watching.run import Watched, run_watch
from headrace_daemon.watching.settling import Seen
from headrace_daemon.watching.tree import OWN, Unwatchable
from tests.support.tree_writer import Writer, files_below

SETTLE = 0.05
SECONDS = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LINGER", 0.001)
    monkeypatch.setattr(running, "ROOT_LOOK", 0.05)
    monkeypatch.setattr(running, "WALK", 0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    try:
        kind = file_system(fd)
    finally:
        os.close(fd)
    if kind not in OWN:
        pytest.skip(f"the temporary folder is on {kind}, where no events are relied on")
    return folder


class Uploads:
    """In the place of jobs: what was fired is read at once. busy: how often it says first that it cannot now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.firings: list[Firing] = []
        self.there: dict[str, bytes] = {}
        self.told: list[tuple[str, str]] = []
        self.waits: list[str | None] = []
        self.busy = 0
        self.at: float | None = None

    async def fire(self, firing: Firing) -> bool:
        if self.busy:
            self.busy -= 1
            return False
        self.firings.append(firing)
        self.at = time.time()
        for name in self._all(firing) if firing.names is None else firing.names:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self.there[name] = (self.root / name).read_bytes()
        return True

    def _all(self, firing: Firing) -> list[str]:
        assert firing.newest_ns is not None
        found = []
        for name in files_below(self.root):
            with suppress(FileNotFoundError):
                if (self.root / name).stat().st_mtime_ns <= firing.newest_ns:
                    found.append(name)
        return [name for name in found if name not in self.there or self._differs(name)]

    def _differs(self, name: str) -> bool:
        """By size alone, as a plain sync: a file of the same size has to come by its name."""
        return (self.root / name).stat().st_size != len(self.there[name])

    def tell(self, event: str, detail: str) -> None:
        self.told.append((event, detail))

    async def wait(self, why: str | None) -> None:
        self.waits.append(why)

    def named(self) -> set[str]:
        return {name for firing in self.firings for name in firing.names or ()}

    def complete(self) -> bool:
        with suppress(OSError):
            return all(self.there.get(name) == (self.root / name).read_bytes() for name in files_below(self.root))
        return False


def memory_of(uploads: Uploads) -> Memory:
    return Memory(uploads.root.parent / "watches" / "sent.json", ("here", "there"))


def remembered(uploads: Uploads) -> set[str]:
    sent = memory_of(uploads).load()
    return set() if sent is None else set(sent.files)


@asynccontextmanager
async def watched(uploads: Uploads, settle: float = SETTLE, rescan: float = 3600.0) -> AsyncIterator[None]:
    memory = memory_of(uploads)
    what = Watched(str(uploads.root), settle, rescan, since=uploads.at, memory=memory)
    task = asyncio.create_task(run_watch(what, uploads.fire, uploads.tell, waits=uploads.wait))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(holds: Callable[[], object], what: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for is in files, and not in this loop
            await asyncio.sleep(0.005)
    assert holds(), what()


def test_a_block_of_events_is_read() -> None:
    raw = bytes.fromhex("01000000 00010040 00000000 10000000".replace(" ", "")) + b"caf\xe9".ljust(16, b"\0")
    (event, second) = parse(raw * 2)
    assert event == second == (1, IN_CREATE | IN_ISDIR, b"caf\xe9")


async def test_it_begins_with_everything_and_goes_on_with_names(root: Path) -> None:
    uploads = Uploads(root)
    (root / "old").write_bytes(b"1")
    os.utime(root / "old", (1, 1))
    async with watched(uploads):
        await until(lambda: uploads.there.get("old") == b"1", lambda: uploads.firings)
        assert uploads.firings[0].names is None
        (root / "a").mkdir()
        (root / "a" / "new").write_bytes(b"2")
        (root / "caf\udce9").write_bytes(b"no key has this name")
        (root / "future").write_bytes(b"3")
        os.utime(root / "future", (4e9, 4e9))
        (root / ".headrace-1-00000000000000000000000000000000.part").write_bytes(b"ours")
        await until(lambda: uploads.named() >= {"a/new", "future"}, lambda: uploads.firings)
        os.rename(root / "a", root / "b")
        await until(lambda: "b/new" in uploads.there, lambda: uploads.firings)
        (root / "b" / "new").write_bytes(b"4")
        await until(lambda: uploads.there["b/new"] == b"4", lambda: uploads.firings)
    assert uploads.named() <= {"old", "a/new", "future", "b/new"}
    assert uploads.told == []


async def test_what_cannot_be_fired_now_is_fired_later(root: Path) -> None:
    uploads = Uploads(root)
    uploads.busy = 3
    async with watched(uploads):
        (root / "a").write_bytes(b"1")
        await until(uploads.firings.__len__, lambda: uploads.firings)
        uploads.busy = 3
        (root / "b").write_bytes(b"1")
        await until(uploads.complete, lambda: uploads.firings)


async def test_a_file_that_never_rests_does_not_keep_the_others(root: Path) -> None:
    uploads = Uploads(root)
    async with watched(uploads, settle=0.4):
        await until(uploads.firings.__len__, lambda: uploads.firings)
        (root / "quiet").write_bytes(b"1")
        with (root / "log").open("ab", buffering=0) as log:

            def write_on() -> bool:
                log.write(b".")
                return "quiet" in uploads.there

            await until(write_on, lambda: uploads.firings)
            assert "log" not in uploads.named()
        await until(uploads.complete, lambda: uploads.firings)


async def test_a_root_that_moves_away_and_comes_back_is_watched_again(root: Path) -> None:
    uploads = Uploads(root)
    async with watched(uploads):
        await until(uploads.firings.__len__, lambda: uploads.firings)
        os.rename(root, root.with_name("away"))
        await until(lambda: uploads.told, lambda: uploads.told)
        os.mkdir(root)
        (root / "new").write_bytes(b"1")
        await until(lambda: "new" in uploads.there, lambda: uploads.told)
    assert {event for event, _ in uploads.told} == {"waits"}
    assert [why is None for why in uploads.waits[-3:]] == [True, False, True]


async def test_the_limit_of_watches_ends_in_walks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Inotify.add

    def limited(inotify: Inotify, folder: bytes, *, follow: bool = False) -> int:
        if folder.endswith(b"deep/"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return add(inotify, folder, follow=follow)

    monkeypatch.setattr(Inotify, "add", limited)
    uploads = Uploads(root)
    async with watched(uploads):
        await until(uploads.firings.__len__, lambda: uploads.firings)
        (root / "deep").mkdir()
        (root / "deep" / "a").write_bytes(b"1")
        await until(uploads.complete, lambda: uploads.told)
        (root / "deep" / "a").write_bytes(b"2")
        await until(uploads.complete, lambda: uploads.firings)
    assert [event for event, _ in uploads.told] == ["scans"]
    assert "fs.inotify.max_user_watches" in uploads.told[0][1]


async def test_a_foreign_file_system_below_the_root_ends_in_walks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "mount").mkdir()
    watch = trees.Tree._watch

    def refuse(tree: trees.Tree, fd: int, name: str, path: str) -> None:
        if name == "mount/" and tree._inotify is not None:
            raise Unwatchable("it is on nfs")
        watch(tree, fd, name, path)

    monkeypatch.setattr(trees.Tree, "_watch", refuse)
    uploads = Uploads(root)
    async with watched(uploads):
        (root / "mount" / "a").write_bytes(b"1")
        await until(uploads.complete, lambda: uploads.told)
    assert [event for event, _ in uploads.told] == ["scans"]


# -- nothing is missed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_events", [True, False])
async def test_a_busy_tree_is_complete_in_the_end_also_after_restarts(
    root: Path, by_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch is ended in the middle, and begun anew by what the queue knows: the time of the last firing."""
    if not by_events:
        monkeypatch.setattr(running, "foreign", lambda root: "nfs")
    uploads, writer = Uploads(root), Writer(root, 6)
    for _ in range(4):
        async with watched(uploads):
            for _ in range(60):
                writer.step()
                await asyncio.sleep(0)
            fired = len(uploads.firings)
            await until(lambda before=fired: len(uploads.firings) > before, lambda: uploads.firings)  # type: ignore[misc]
        for _ in range(20):
            writer.step()  # while nobody watches
    async with watched(uploads):
        await until(uploads.complete, lambda: uploads.firings)


@pytest.mark.parametrize("by_events", [True, False])
async def test_what_was_sent_is_not_sent_again_after_a_restart(
    root: Path, by_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what the first sync of everything covered. What changed meanwhile is, also in the same size and time."""
    if not by_events:
        monkeypatch.setattr(running, "foreign", lambda root: "nfs")
    monkeypatch.setattr(running, "TICK", 0.0)
    uploads = Uploads(root)
    (root / "before").write_bytes(b"1")
    ctime = (root / "before").stat().st_ctime
    await until(lambda: time.time() - ctime > 2 * SETTLE, lambda: "the clock")
    async with watched(uploads):
        await until(lambda: "before" in uploads.there, lambda: uploads.firings)
        for name in ("left", "changed", "caf\udce9"):
            (root / name).write_bytes(b"1")
        await until(lambda: {"left", "changed"} <= uploads.named(), lambda: uploads.firings)
        # what is fired and not remembered yet is sent again, as after any kill
        await until(lambda: {"left", "changed"} <= remembered(uploads), lambda: remembered(uploads))
    assert ("before" in uploads.named()) is not by_events  # by the clock of another host it may be young
    status = (root / "changed").stat()
    (root / "changed").write_bytes(b"2")
    os.utime(root / "changed", ns=(status.st_mtime_ns, status.st_mtime_ns))
    (root / "new").write_bytes(b"1")
    for changed in ({"changed", "new"}, set()):
        first = len(uploads.firings)
        async with watched(uploads):
            await until(lambda first=first: any(one.names is None for one in uploads.firings[first:]), uploads.named)  # type: ignore[misc]
            await until(uploads.complete, lambda: uploads.firings)
        again = {name for one in uploads.firings[first:] for name in one.names or ()}
        assert again == changed


def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "watches" / "a.json"
    sent = Sent(12.5, {"a": Seen(1, 2, 3, 4), "caf\udce9": Seen(5, 6, 7, 8)})
    Memory(file, ("a", "b")).save(sent)
    assert Memory(file, ("a", "b")).load() == sent
    assert file.stat().st_mode & 0o777 == 0o600
    assert Memory(file, ("a", "c")).load() is None
    for text in ("", "[]", "{}", '{"about": ["a", "b"], "until": 1, "files": {"a": [1]}}', "\xff"):
        file.write_bytes(text.encode("latin-1"))
        assert Memory(file, ("a", "b")).load() is None
    (file.parent / "b.json").touch()
    forget_others(tmp_path, {"b"})
    assert [one.name for one in file.parent.iterdir()] == ["b.json"]


def most_queued() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


async def test_a_burst_over_what_the_kernel_keeps_is_complete_in_the_end(root: Path) -> None:
    uploads = Uploads(root)
    most = most_queued()
    (root / "folder").mkdir()
    (root / "folder" / "file").write_bytes(b"1")
    async with watched(uploads):
        await until(uploads.complete, lambda: uploads.firings)
        # in one go, so that nobody reads an event
        with (root / "a").open("wb", buffering=0) as one, (root / "b").open("wb", buffering=0) as other:
            for _ in range(most // 2 + 1):
                one.write(b"a")
                other.write(b"b")
        (root / "late").write_bytes(b"2")
        os.rename(root / "folder", root / "renamed")
        await until(uploads.complete, lambda: uploads.firings)
        # what was in the folder left no trace but in events that are lost: at the start and now all was looked at
        assert sum(firing.names is None for firing in uploads.firings) == 2, uploads.firings
