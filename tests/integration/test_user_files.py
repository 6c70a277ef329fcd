"""Files of users, beneath their roots: with whose rights, how much fits, and that nothing half done stays."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.places import Place
from headrace_daemon.api.user_files import BLOCK, UserFiles, etag_of
from headrace_daemon.api.who import Limits, Permission, User
from headrace_daemon.files.account import Account
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_queue.config_api import ApiConfig
from headrace_queue.free_space import Reserve
from tests.support.rights import ALICE, BOB, TO_ACT, reachable_folder
from tests.support.site import until
from tests.support.small_disk import small_disk

MOST = 4 * BLOCK


@pytest.fixture
def files() -> Iterator[UserFiles]:
    threads = FileThreads(2)
    yield UserFiles(threads, Room(Reserve(0.0, 0)), ApiConfig(tokens=Path("/none"), max_small=MOST))
    threads.close()


@pytest.fixture
def home() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made


def user(account: Account | None = None) -> User:
    return User("ada", account, {}, frozenset(Permission), frozenset(), Limits(None, 1, 1.0, 1), "test")


def place(home: Path, relative: str = "") -> Place:
    return Place("cluster", str(home), relative)


async def chunks(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def refused(work: Any, status: int) -> str:
    with pytest.raises(ApiError) as caught:
        await work
    assert caught.value.status == status, caught.value
    return caught.value.message


async def test_a_file_is_there_whole_or_not_at_all(files: UserFiles, home: Path) -> None:
    await files.write(user(), place(home), "f", chunks(b"a" * BLOCK, b"b", b"c" * BLOCK))
    assert (home / "f").read_bytes() == b"a" * BLOCK + b"b" + b"c" * BLOCK
    await refused(files.write(user(), place(home), "f", chunks(*[b"x" * BLOCK] * 5)), 413)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * BLOCK
        raise ConnectionError

    with pytest.raises(ApiError):
        await files.write(user(), place(home), "f", broken())
    assert (home / "f").stat().st_size == 2 * BLOCK + 1
    assert os.listdir(home) == ["f"]


async def test_who_goes_away_leaves_nothing(files: UserFiles, home: Path) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * BLOCK
        begun.set()
        await never.wait()

    writing = asyncio.create_task(files.write(user(), place(home), "f", endless()))
    await begun.wait()
    assert [name for name in os.listdir(home) if name.startswith(".headrace-")]
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert os.listdir(home) == []


async def test_an_opening_that_nobody_waits_for_leaves_no_descriptor(files: UserFiles, home: Path) -> None:
    (home / "f").write_bytes(b"x")
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        opening = asyncio.create_task(files.open(user(), place(home, "f")))
        writing = asyncio.create_task(files.write(user(), place(home), "g", chunks(b"x")))
        await asyncio.sleep(0)
        for task in (opening, writing):
            task.cancel()
        await asyncio.gather(opening, writing, return_exceptions=True)
    await asyncio.to_thread(
        until, lambda: len(os.listdir("/proc/self/fd")) <= open_before and len(os.listdir(home)) <= 2
    )


async def test_what_cannot_be_written_is_told(files: UserFiles, home: Path) -> None:
    (home / "folder").mkdir()
    (home / "file").write_bytes(b"x")
    (home / "link").symlink_to("folder")
    assert "No such file" in await refused(files.write(user(), place(home, "none"), "f", chunks(b"x")), 404)
    await refused(files.write(user(), place(home), "folder", chunks(b"x")), 400)
    await refused(files.write(user(), place(home, "file"), "f", chunks(b"x")), 400)
    await refused(files.write(user(), place(home, "link"), "f", chunks(b"x")), 400)
    await refused(files.write(user(), place(home / "gone"), "f", chunks(b"x")), 404)
    assert sorted(os.listdir(home)) == ["file", "folder", "link"]


async def test_before_an_upload_everything_is_asked_and_nothing_changes(files: UserFiles, home: Path) -> None:
    (home / "folder").mkdir()
    (home / "there").write_bytes(b"x")
    (home / "link").symlink_to("folder")
    before = os.stat(home).st_mtime_ns

    async def check(name: str, size: int = 10, *, no_clobber: bool = False) -> None:
        await files.check_upload(user(), place(home, name), size, no_clobber=no_clobber)

    await check("new")
    await check("there")
    await refused(check("there", no_clobber=True), 409)
    await refused(check("folder"), 400)
    await refused(check(""), 400)
    await refused(check("none/new"), 404)
    await refused(check("there/new"), 400)
    await refused(check("link/new"), 400)
    assert "needed" in await refused(check("new", 2**60), 413)
    assert os.stat(home).st_mtime_ns == before


async def test_before_a_download(files: UserFiles, home: Path) -> None:
    (home / "f").write_bytes(b"12345")
    size, version = await files.check_download(user(), place(home, "f"), archive=False)
    assert size == 5
    assert await files.check_download(user(), place(home, "f"), archive=False) == (size, version)
    (home / "f").write_bytes(b"54321")
    assert (await files.check_download(user(), place(home, "f"), archive=False))[1] != version
    await refused(files.check_download(user(), place(home, "none"), archive=False), 404)
    await refused(files.check_download(user(), place(home), archive=False), 400)
    await refused(files.check_download(user(), place(home, "f"), archive=True), 400)
    first, second = [await files.check_download(user(), place(home), archive=True) for _ in range(2)]
    assert first != second, "nobody knows whether anything in it changed"


async def test_a_pipe_does_not_hold_anybody_up(files: UserFiles, home: Path) -> None:
    os.mkfifo(home / "pipe")
    await refused(files.read(user(), place(home, "pipe"), size=1), 400)


async def test_reading_by_parts(files: UserFiles, home: Path) -> None:
    content = bytes(range(256)) * (BLOCK * 3 // 256) + b"end"
    (home / "f").write_bytes(content)
    assert await files.read(user(), place(home, "f"), offset=BLOCK - 1, size=2) == content[BLOCK - 1 : BLOCK + 1]
    assert await files.read(user(), place(home, "f"), size=2**40) == content
    size, blocks = await files.stream(user(), place(home, "f"), start=BLOCK, end=None)
    assert size == len(content)
    assert b"".join([block async for block in blocks]) == content[BLOCK:]
    async with files.opened(user(), place(home, "f")) as file:
        assert file.etag == etag_of((home / "f").stat())
        (home / "f").write_bytes(b"n" * len(content))
        with pytest.raises(ApiError) as caught:
            _ = [block async for block in file.blocks(0, file.size)]
    assert caught.value.status == 409


async def test_a_folder_by_pages(files: UserFiles, home: Path) -> None:
    for name in ("b", "a", "c", f".headrace-0-{'0' * 32}.part", "é"):
        (home / name).touch()
    (home / "d").mkdir()
    (home / "e").symlink_to("/etc/passwd")
    first = await files.list(user(), place(home), "", 3)
    assert [(entry.name, entry.type) for entry in first] == [("a", "file"), ("b", "file"), ("c", "file")]
    rest = await files.list(user(), place(home), "c", 100)
    assert [(entry.name, entry.type) for entry in rest] == [("d", "folder"), ("e", "link"), ("é", "file")]


async def test_a_full_disk_is_told_as_one(files: UserFiles, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * BLOCK) as disk:
        said = await refused(files.write(user(), place(disk), "f", chunks(*[b"x" * BLOCK] * 3)), 507)
        assert "No space left" in said
        assert os.listdir(disk) == []
        await refused(files.check_upload(user(), place(disk, "f"), 3 * BLOCK, no_clobber=False), 413)


# -- whose rights ------------------------------------------------------------------------------------------------------


def alices(home: Path) -> Path:
    """A folder of hers, with a secret and with something for everybody."""
    folder = home / "alice"
    folder.mkdir(mode=0o755)
    for name, mode in (("secret", 0o600), ("public", 0o644)):
        (folder / name).write_bytes(name.encode())
        os.chown(folder / name, ALICE.uid, ALICE.gid)
        (folder / name).chmod(mode)
    os.chown(folder, ALICE.uid, ALICE.gid)
    return folder


@pytest.fixture(params=["acting", "asking"])
def rights(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to keep users apart: with their own rights, and by looking at owner and mode."""
    if request.param == "asking":
        for module in ("files.threads", "api.looking"):
            monkeypatch.setattr(f"headrace_daemon.{module}.may_act", lambda: False)
        monkeypatch.setattr("headrace_daemon.files.threads.os.geteuid", lambda: 1000)
    return str(request.param)


@TO_ACT
async def test_the_file_system_decides_as_for_the_user(files: UserFiles, home: Path, rights: str) -> None:
    alices(home)
    alice, bob = user(ALICE), user(BOB)
    assert await files.read(alice, place(home, "alice/secret"), size=99) == b"secret"
    assert await files.read(bob, place(home, "alice/public"), size=99) == b"public"
    for work in (
        files.read(bob, place(home, "alice/secret"), size=99),
        files.check_download(bob, place(home, "alice/secret"), archive=False),
        files.write(bob, place(home, "alice"), "planted", chunks(b"x")),
        files.check_upload(bob, place(home, "alice/planted"), 1, no_clobber=False),
        files.check_upload(bob, place(home, "alice/public"), 1, no_clobber=False),
    ):
        assert "Permission denied" in await refused(work, 403)
    await files.check_upload(alice, place(home, "alice/new"), 1, no_clobber=False)
    await files.write(alice, place(home, "alice"), "new", chunks(b"hers"))
    made = (home / "alice" / "new").stat()
    if rights == "acting":
        assert (made.st_uid, made.st_gid) == (ALICE.uid, ALICE.gid)
    (home / "alice").chmod(0o700)
    await refused(files.read(bob, place(home, "alice/public"), size=99), 403)
    await refused(files.list(bob, place(home, "alice"), "", 10), 403)
    assert sorted(os.listdir(home / "alice")) == ["new", "public", "secret"]
