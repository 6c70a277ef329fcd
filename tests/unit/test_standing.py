"""Beneath which folder a job of a user works, and what is asked where the daemon cannot act as them."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace_daemon.files.account import Account
from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.names import AccessRefused, FileError, RootRemoved
from headrace_daemon.files.putting_aside import put_aside
from headrace_daemon.files.reading import read_whole
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.walk import Manner
from headrace_daemon.planner.listing import list_files
from headrace_daemon.standing import DAEMONS, Standing, standing_of
from headrace_queue.config_api import UserConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec, Kind, Options, Owner
from tests.support.rights import TO_ACT, made_by, reachable_folder

STRANGER = Account("stranger", os.getuid() + 54321, os.getgid() + 54321, ())


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top" / "data").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return tmp_path / "top"


# -- beneath one folder ------------------------------------------------------------------------------------------------


def test_a_path_is_seen_from_the_users_folder() -> None:
    standing = Standing(top="/scratch/alice")
    assert standing.below("/scratch/alice") == ""
    assert standing.below("/scratch/alice/a/b") == "a/b"
    assert Standing(top="/").below("/etc") == "etc"


@pytest.mark.parametrize("path", ["/scratch", "/scratch/alice2", "/", "/scratch/alice/../bob", "scratch/alice/a"])
def test_a_path_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="outside of /scratch/alice"):
        Standing(top="/scratch/alice").below(path)


def test_folders_are_made_beneath_it_and_nowhere_else(top: Path) -> None:
    with closing(Standing(top=str(top)).destination(str(top / "new" / "deep"))) as root:
        assert root.path == str(top / "new" / "deep")
        assert (top / "new" / "deep").is_dir()
    with pytest.raises(FileNotFoundError):
        Standing(top=str(top)).open(str(top / "missing"), "skip")
    with pytest.raises(UsageError, match="outside"):
        Standing(top=str(top)).destination(str(top.parent / "outside" / "new"))


@pytest.mark.parametrize("target", ["ABSOLUTE", "../outside", "data/../../outside"])
def test_a_link_that_takes_the_place_of_a_folder_is_not_followed_out(top: Path, target: str) -> None:
    """Somebody looked at it while it was a folder: what counts is what it is when it is opened."""
    standing = Standing(top=str(top))
    standing.open(str(top / "data"), "follow").close()
    (top / "data").rename(top / "data.away")
    (top / "data").symlink_to(target.replace("ABSOLUTE", str(top.parent / "outside")))
    for links in ("follow", "skip"):
        for path in ("data", "data/deeper"):
            with pytest.raises(UsageError, match="link"):
                standing.open(str(top / path), links, make=True)
    assert list((top.parent / "outside").iterdir()) == []


def test_what_was_opened_stays_that_folder_whatever_takes_its_name(top: Path) -> None:
    with closing(Standing(top=str(top)).destination(str(top / "data"))) as root:
        (top / "data").rename(top / "moved")
        (top / "data").symlink_to(top.parent / "outside")
        landing = Landing(root, 1)
        (told,) = landing.settle([landing.write_whole("folder/file", b"1", None)])
        assert isinstance(told, RootRemoved)
        landing.close()
    assert (top / "moved/folder/file").read_bytes() == b"1"
    assert list((top.parent / "outside").iterdir()) == []


def test_a_link_that_stays_inside_is_followed_at_a_source(top: Path) -> None:
    (top / "link").symlink_to("data")
    with closing(Standing(top=str(top)).open(str(top / "link"), "follow")) as root:
        assert root.identity == f"{(top / 'data').stat().st_dev}:{(top / 'data').stat().st_ino}"


def test_a_trash_is_made_beneath_it(top: Path) -> None:
    standing = Standing(top=str(top))
    (top / "data" / "old").write_bytes(b"old")
    with closing(standing.destination(str(top / "data"))) as root:
        assert put_aside(root, ["old"], str(top / "trash"), standing.destination) == ["old"]
        with pytest.raises(UsageError, match="outside"):
            put_aside(root, ["old"], str(top.parent / "outside" / "trash"), standing.destination)
    assert (top / "trash" / "old").read_bytes() == b"old"


# -- whose rights ------------------------------------------------------------------------------------------------------


def spec(owner: Owner | None, **options: object) -> JobSpec:
    return JobSpec(Kind.SYNC, "/scratch/alice/a", "s3://bucket/", Options(**options), owner=owner)  # type: ignore[arg-type]


ALICE = Owner("alice", "/scratch/alice", 54321, 54321, (54322,))


def test_a_job_of_the_command_has_the_daemons_rights_anywhere() -> None:
    assert standing_of(spec(None), {}) is DAEMONS


def test_an_owner_without_an_account_has_the_daemons_rights_beneath_their_folder() -> None:
    assert standing_of(spec(Owner("alice", "/scratch/alice")), {}) == Standing(top="/scratch/alice")


def test_without_a_section_the_account_is_the_one_that_was_enqueued() -> None:
    assert standing_of(spec(ALICE), {}).account == Account("alice", 54321, 54321, (54322,))


@pytest.mark.parametrize("section", ["alice", "*"])
def test_an_account_that_is_gone_or_another_one_now_is_refused(section: str) -> None:
    for account, why in (("no-such-account-here", "no such account"), ("root", "is 0 now")):
        with pytest.raises(UsageError, match=why):
            standing_of(spec(ALICE), {section: UserConfig(account=account)})


def test_groups_are_those_of_today() -> None:
    root = Owner("root", "/scratch/alice", 0, 0, (54322,))
    account = standing_of(spec(root), {"*": UserConfig()}).account
    assert account is not None
    assert 54322 not in account.groups


@pytest.mark.parametrize("option", ["sse_c_key_file", "source_sse_c_key_file"])
def test_no_file_of_the_host_is_named_by_a_user(option: str) -> None:
    with pytest.raises(UsageError, match="names no files"):
        standing_of(spec(ALICE, **{option: "/etc/headrace/key"}), {})


def test_every_path_of_a_job_is_looked_at() -> None:
    with pytest.raises(UsageError, match="/elsewhere"):
        standing_of(spec(ALICE, trash="/elsewhere"), {})


# -- by owner and mode -------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(top: Path) -> Iterator[Callable[[str], GuardedRoot]]:
    """A root at a folder of `top`, for somebody who is neither its owner nor of its group."""
    opened: list[GuardedRoot] = []

    def root(name: str = "") -> GuardedRoot:
        path = str(top / name)
        opened.append(GuardedRoot(path, os.open(path, os.O_RDONLY), STRANGER, links="follow"))
        return opened[-1]

    yield root
    for one in opened:
        one.close()


def test_a_file_is_read_as_its_mode_says(top: Path, guarded: Callable[[str], GuardedRoot]) -> None:
    (top / "data" / "file").write_bytes(b"content")
    for mode, readable in ((0o644, True), (0o640, False), (0o604, True)):
        (top / "data" / "file").chmod(mode)
        if readable:
            assert read_whole(guarded(""), "data/file", None, 100).data == b"content"
        else:
            with pytest.raises(AccessRefused):
                read_whole(guarded(""), "data/file", None, 100)


@pytest.mark.parametrize(
    ("mode", "listed", "passed"), [(0o755, True, True), (0o751, False, True), (0o754, False, False)]
)
def test_a_folder_is_entered_and_listed_as_its_mode_says(
    top: Path, guarded: Callable[[str], GuardedRoot], mode: int, listed: bool, passed: bool
) -> None:
    (top / "data" / "deeper").mkdir()
    (top / "data").chmod(mode)
    root = guarded("")
    assert _may(lambda: os.close(root.open_folder("data"))) is listed
    assert _may(lambda: os.close(root.open_folder("data/deeper"))) is passed


def _may(step: Callable[[], object]) -> bool:
    try:
        step()
    except PermissionError:
        return False
    return True


def write(root: Root, key: str) -> FileError | None:
    landing = Landing(root, 1)
    try:
        return landing.settle([landing.write_whole(key, b"new", None)])[0]
    except FileError as error:
        return error
    finally:
        landing.close()


def test_a_folder_is_written_to_as_its_mode_says(
    top: Path, guarded: Callable[[str], GuardedRoot], tmp_path: Path
) -> None:
    made = top / "data"
    if os.geteuid() != 0:
        made.chmod(0o777)
        assert write(guarded("data"), "file") is None
        return
    os.chown(made, 54000, 54000)  # another's, for what is the daemon's own counts as the folder around it
    os.chown(top, 54000, 54000)
    for mode, writable in ((0o755, False), (0o777, True), (0o773, False), (0o776, False)):
        made.chmod(mode)
        assert (write(guarded(""), "data/file") is None) is writable, oct(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing part: root, to give files away")
def test_what_the_daemon_made_counts_as_the_folder_around_it(top: Path, guarded: Callable[[str], GuardedRoot]) -> None:
    os.chown(top, 54000, 54000)
    top.chmod(0o777)
    assert write(guarded(""), "new/folders/file") is None
    assert write(guarded(""), "new/folders/another") is None
    with closing(guarded("").below("new/folders")) as root:
        assert write(root, "third") is None
    top.chmod(0o755)
    assert isinstance(write(guarded(""), "new/folders/fourth"), AccessRefused)
    with closing(guarded("").below("new/folders")) as root:
        assert isinstance(write(root, "fifth"), AccessRefused)
        assert isinstance(root.remove("third"), AccessRefused)
    assert (top / "new/folders/third").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="missing part: root, to give files away")
def test_in_a_sticky_folder_only_what_is_ones_own_goes(top: Path, guarded: Callable[[str], GuardedRoot]) -> None:
    os.chown(top / "data", 54000, 54000)
    (top / "data").chmod(0o1777)
    for name, uid in (("his", 54000), ("mine", STRANGER.uid)):
        (top / "data" / name).touch()
        os.chown(top / "data" / name, uid, uid)
    root = guarded("")
    assert isinstance(root.remove("data/his"), AccessRefused)
    assert isinstance(write(root, "data/his"), AccessRefused)
    with closing(Root.destination(str(top / "trash"))) as trash:
        (refused,) = put_aside(root, ["data/his"], trash.path)
    assert isinstance(refused, AccessRefused)
    assert (top / "data/his").read_bytes() == b""
    assert root.remove("data/mine") is None
    assert write(root, "data/mine") is None


def test_no_link_is_followed_for_them(top: Path, guarded: Callable[[str], GuardedRoot]) -> None:
    (top / "data" / "file").write_bytes(b"content")
    (top / "link").symlink_to("data/file")
    with pytest.raises(FileError):
        read_whole(guarded(""), "link", None, 100)
    assert guarded("").links == "skip"


def test_the_way_to_the_users_folder_is_looked_at_too() -> None:
    with reachable_folder() as folder:
        home = folder / "closed" / "home"
        home.mkdir(parents=True)
        standing = Standing(STRANGER, str(home), guarded=True)
        folder.joinpath("closed").chmod(0o711)
        standing.open_top("skip").close()
        folder.joinpath("closed").chmod(0o750)
        with pytest.raises(UsageError, match="Permission denied"):
            standing.open_top("skip")


@TO_ACT
async def test_what_is_sorted_is_the_daemons_own(tmp_path: Path) -> None:
    """The tree is read as the user, the scratch file is made where they may not go."""
    threads = FileThreads(1)
    with reachable_folder() as folder:
        for name in ("b", "a"):
            made_by(STRANGER, folder / name, b"1", 0o600)
        root = Root.source(str(folder))
        try:
            listing = list_files(
                root, threads.acting(STRANGER), manner=Manner(encoded=True), scratch=tmp_path, sort=True
            )
            found = [entry.key for page in [page async for page in listing] for entry in page.entries]
        finally:
            root.close()
            threads.close()
    assert found == ["a", "b"]
