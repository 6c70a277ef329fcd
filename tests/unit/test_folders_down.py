"""What folders get of their markers while several batches land files in them, on a real tree and a scripted service."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.posix import Posix, to_metadata
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.s3.errors import AccessDenied, NoSuchBucket, NotFound, S3Error, Throttled
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, Work
from headrace_daemon.transfer.folders import Folders, folders_above
from headrace_daemon.transfer.judge import JobFailed, Pause
from headrace_queue.jobs import Options
from tests.support.rights import ALICE

T = 10**18 + 123_456_789
READ_ONLY = to_metadata(Posix(mode=0o040555, mtime_ns=T, atime_ns=T + 1))


@pytest.mark.parametrize(
    ("key", "folders"),
    [("", []), ("a", []), ("a/", ["a/"]), ("a/b", ["a/"]), ("a/b/", ["a/", "a/b/"]), ("a/b/c", ["a/", "a/b/"])],
)
def test_the_folders_of_a_key(key: str, folders: list[str]) -> None:
    assert folders_above(key) == folders


class Service:
    """Markers, and what happens when one is asked for."""

    def __init__(self) -> None:
        self.markers: dict[str, dict[str, str]] = {}
        self.errors: dict[str, S3Error] = {}
        self.asked: list[str] = []

    async def head(self, bucket: str, key: str, *, version: str = "") -> Any:
        self.asked.append(key)
        await asyncio.sleep(0)
        if key in self.errors:
            raise self.errors[key]
        if key not in self.markers:
            raise NotFound("NoSuchKey", key, 404)
        return SimpleNamespace(metadata=self.markers[key], size=0)


class Scene:
    """A service, a tree, and the folders of one job between them."""

    def __init__(self, path: Path, *, preserve: bool = True, guarded: bool = False) -> None:
        self.path = path
        self.service = Service()
        self.threads = FileThreads(2)
        self.events: list[str] = []
        self.root = Root.destination(str(path))
        if guarded:
            self.root = GuardedRoot(str(path), self.root.fd, ALICE, links="skip")
        target = FilesEnd(self.root, "", Landing(self.root, 1, "off"))
        job = SimpleNamespace(id=1, spec=SimpleNamespace(options=Options(preserve=preserve)))
        facts = SimpleNamespace(job_event=lambda job_id, event, detail: self.events.append(detail))
        config = SimpleNamespace(fsync="batch")
        work = cast(Work, SimpleNamespace(job=job, facts=facts, config=config, threads=self.threads))
        self.folders = Folders(work, BucketEnd(cast(Any, self.service), "b", "p/"), target)

    def told(self, folder: str) -> tuple[int, int]:
        status = (self.path / folder).stat()
        return stat.S_IMODE(status.st_mode), status.st_mtime_ns - T


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path / "tree")
    yield scene
    scene.root.close()
    scene.threads.close()


async def test_a_folder_is_closed_by_the_last_batch_that_uses_it(scene: Scene) -> None:
    """Whoever comes first, and whichever of them has the marker."""
    scene.service.markers["p/shut/"] = READ_ONLY
    folder = scene.path / "shut"
    folder.mkdir()
    first, second = scene.folders.use(), scene.folders.use()
    await first.enter(["shut/"])
    await second.enter(["shut/b", "shut/c", "beside"])
    assert await first.give({"shut/"}) == {}
    assert scene.told("shut") == (0o755, 0)
    (folder / "b").touch()
    assert await second.give(()) == {}
    assert scene.told("shut") == (0o555, 0)
    assert scene.service.asked == ["p/shut/"]

    later = scene.folders.use()
    await later.enter(["shut/d"])
    assert await later.let_in("shut/d")
    assert scene.told("shut") == (0o755, 0)
    (folder / "d").touch()
    assert await later.give(()) == {}
    assert scene.told("shut") == (0o555, 0)


async def test_a_batch_that_ended_without_a_word_holds_no_folder_open(scene: Scene) -> None:
    scene.service.markers["p/shut/"] = READ_ONLY
    (scene.path / "shut").mkdir()
    lost, other = scene.folders.use(), scene.folders.use()
    await lost.enter(["shut/a"])
    await other.enter(["shut/"])
    del lost
    await other.give({"shut/"})
    assert scene.told("shut") == (0o555, 0)


async def test_a_marker_is_asked_once_by_many(scene: Scene) -> None:
    scene.service.markers["p/a/"] = READ_ONLY
    uses = [scene.folders.use() for _ in range(4)]
    await asyncio.gather(*(use.enter(["a/b/c", "a/b/d", "a/e"]) for use in uses))
    assert sorted(scene.service.asked) == ["p/a/", "p/a/b/"]
    assert [use.said["a/"].mtime_ns for use in uses] == [T] * 4


@pytest.mark.parametrize("options", [{"preserve": False}, {"guarded": True}])
async def test_nothing_is_asked_where_nothing_is_given(tmp_path: Path, options: dict[str, bool]) -> None:
    """Also where all folders are the daemon's own, whoever they were made for."""
    scene = Scene(tmp_path / "tree", **options)
    use = scene.folders.use()
    await use.enter(["a/b"])
    await use.learn("a/")
    assert (await use.let_in("a/b"), await use.give({"a/"}), scene.service.asked) == (False, {}, [])
    scene.root.close()
    scene.threads.close()


async def test_what_is_in_the_way_of_a_folder_concerns_its_marker_alone(scene: Scene) -> None:
    for marker in ("file", "gone", "link"):
        scene.service.markers[f"p/{marker}/"] = READ_ONLY
    (scene.path / "file").touch()
    outside = scene.path.parent / "outside"
    outside.mkdir()
    (scene.path / "link").symlink_to(outside)
    before = outside.stat()
    use = scene.folders.use()
    await use.enter(["file/x", "gone/x", "link/x", "../x"])
    errors = await use.give({"file/", "gone/", "link/"})
    assert {name: error.code for name, error in errors.items()} == {"file/": "blocked", "link/": "blocked"}
    assert (outside.stat().st_mode, outside.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not await use.let_in("link/x")


async def test_a_marker_that_may_not_be_looked_at_says_nothing(scene: Scene) -> None:
    scene.service.errors["p/a/"] = AccessDenied("AccessDenied", "no", 403)
    use = scene.folders.use()
    await use.enter(["a/b"])
    assert "a/" in scene.events[0]
    assert await use.give(()) == {}
    with pytest.raises(AccessDenied):
        await use.learn("a/")  # of an object of its own the report tells


@pytest.mark.parametrize(
    ("error", "raised"),
    [(Throttled("SlowDown", "slow", 503), Pause), (NoSuchBucket("NoSuchBucket", "gone", 404), JobFailed)],
)
async def test_what_concerns_the_job_is_not_passed_over(scene: Scene, error: S3Error, raised: type[Exception]) -> None:
    scene.service.errors["p/a/"] = error
    with pytest.raises(raised):
        await scene.folders.use().enter(["a/b"])
