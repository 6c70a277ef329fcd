"""Released files: what is decided about them, how they come back in bulk, and that nothing reads them meanwhile."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.files.archive import Layout, fill
from headrace_daemon.files.bringing_back import (
    GROUP,
    WINDOW,
    HollowFile,
    Tally,
    ask_for_all,
    bring_all_back,
    count_released,
    hollow_below,
)
from headrace_daemon.files.lustre import HsmFlag, HsmState, LustreError, Striping, Target
from headrace_daemon.files.names import FileError
from headrace_daemon.files.reading import OpenSource, ReadFile, read_many, read_whole
from headrace_daemon.files.released import (
    MAX_TROUBLES,
    Hollow,
    Progress,
    Released,
    RestoreFailed,
    Restoring,
    decide,
)
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.tree import Selected, walk_tree
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.transfer.archive import Filling
from headrace_daemon.transfer.ends import FilesEnd, Work
from headrace_daemon.transfer.judge import Failed, Pause, judge
from headrace_daemon.transfer.parts import MIB, choose_part_size
from headrace_daemon.transfer.released import ReleasedFiles, absolute

HERE = HsmState(HsmFlag.EXISTS | HsmFlag.ARCHIVED)
GONE = HsmState(HERE.flags | HsmFlag.RELEASED)
COMING = HsmState(GONE.flags, "RESTORE")
LOST = HsmState(GONE.flags | HsmFlag.LOST)


class ScriptedLustre:
    """Every file that is asked for is on its way for `rounds` looks, then here; those that are `broken` never are, and
    those that are `refused` cannot even be asked for. Other files than those it knows it tells nothing of."""

    def __init__(self, released: Sequence[str] = (), rounds: int = 1) -> None:
        self.flags = dict.fromkeys(released, GONE.flags)
        self.rounds = rounds
        self.coming: dict[str, int] = {}
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        self.asked: list[list[str]] = []
        self.looks: list[int] = []

    def states(self, paths: Sequence[str]) -> list[HsmState | None]:
        self.looks.append(len(paths))
        return [self._state(path) for path in paths]

    def _state(self, path: str) -> HsmState | None:
        flags = self.flags.get(path)
        left = self.coming.pop(path, None)
        if flags is None or left is None:
            return None if flags is None else HsmState(flags)
        if left:
            self.coming[path] = left - 1
            return HsmState(flags, "RESTORE")
        if path not in self.broken:
            self.flags[path] = HERE.flags
        return HsmState(self.flags[path])

    def restore(self, paths: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(paths))
        self.coming |= dict.fromkeys((path for path in paths if path not in self.refused), self.rounds)
        return {path: "not this one" for path in paths if path in self.refused}

    def striping(self, path: str) -> Striping | None:
        raise NotImplementedError

    def targets(self, mount: str) -> list[Target]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("state", "asked", "where", "asks"),
    [
        (None, 0, "unknown", False),  # whoever reads it finds out; nobody else may take it for here
        (None, 2, "unknown", False),
        (HERE, 0, "here", False),
        (HERE, 2, "here", False),
        (HsmState(HsmFlag(0)), 0, "here", False),
        (GONE, 0, "waiting", True),
        (GONE, 1, "waiting", True),
        (GONE, 2, "failed", False),
        (COMING, 0, "waiting", False),  # somebody else asked for it
        (COMING, 2, "waiting", False),
        (LOST, 0, "failed", False),
        (HsmState(LOST.flags, "RESTORE"), 0, "failed", False),
        (HsmState(HERE.flags | HsmFlag.LOST), 0, "here", False),  # its copy is lost, its data is not
    ],
)
def test_what_is_decided_about_a_file(state: HsmState | None, asked: int, where: str, asks: bool) -> None:
    progress, to_ask = decide(["/f"], [state], {hash("/f"): asked})
    found = {
        "here": progress.here,
        "unknown": progress.unknown,
        "waiting": progress.waiting,
        "failed": list(progress.failed),
    }
    assert {name for name, paths in found.items() if paths} == {where}
    assert to_ask == (["/f"] if asks else [])


def test_a_file_that_never_comes_is_asked_for_twice() -> None:
    lustre = ScriptedLustre(["/a", "/b"])
    lustre.broken = {"/a"}
    restoring = Restoring(lustre, wanted=True)
    seen = []
    paths = ["/a", "/b"]
    while paths:
        progress = restoring.look(paths)
        seen.append((progress.here, progress.waiting, list(progress.failed)))
        paths = progress.waiting
    assert lustre.asked == [["/a", "/b"], ["/a"]]  # all in one request
    assert [here for here, _, _ in seen] == [[], [], ["/b"], [], []]
    assert seen[-1] == ([], [], ["/a"])
    # what ended is forgotten: a later retry begins anew
    assert restoring.look(["/a"]).waiting == ["/a"]


def test_a_file_that_lustre_refuses_to_restore_fails_with_its_reason_and_holds_up_no_other() -> None:
    lustre = ScriptedLustre(["/a", "/bad"], rounds=0)
    lustre.refused = {"/bad"}
    restoring = Restoring(lustre, wanted=True)
    assert restoring.look(["/a", "/bad"]) == Progress(waiting=["/a", "/bad"])
    assert restoring.look(["/a", "/bad"]) == Progress(here=["/a"], failed={"/bad": "not this one"})
    assert lustre.asked == [["/a", "/bad"], ["/bad"]]
    assert restoring.look(["/bad"]).waiting == ["/bad"]  # what ended is forgotten


async def test_where_lfs_fails_time_after_time_files_are_given_up() -> None:
    lustre = ScriptedLustre(["/a", "/b"])
    restoring = Restoring(lustre, wanted=True)
    broken = Restoring(BrokenLustre(), wanted=True)
    with closing(FileThreads(1)) as threads:
        for _ in range(2):  # what ended is forgotten
            for _ in range(MAX_TROUBLES - 1):
                with pytest.raises(LustreError):
                    await broken.ask(threads, ["/a", "/b"])
            progress = await broken.ask(threads, ["/a", "/b"])
            assert list(progress.failed) == ["/a", "/b"]
            assert "no answer for 60 s" in progress.failed["/a"]
        # an answer between them begins anew
        real, lustre_fails = lustre.states, True

        def states(paths: Sequence[str]) -> list[HsmState | None]:
            if lustre_fails:
                raise LustreError("not now")
            return real(paths)

        lustre.states = states  # type: ignore[method-assign]
        for lustre_fails in [*[True] * (MAX_TROUBLES - 1), False, *[True] * (MAX_TROUBLES - 1)]:
            if lustre_fails:
                with pytest.raises(LustreError):
                    await restoring.ask(threads, ["/a"])
            else:
                assert (await restoring.ask(threads, ["/a"])).waiting == ["/a"]


def test_looking_alone_asks_for_nothing() -> None:
    lustre = ScriptedLustre(["/a"])
    lustre.flags["/b"] = HERE.flags
    progress = Restoring(lustre, wanted=False).only_look(["/a", "/b", "/unknown"])
    assert (progress.here, progress.unknown) == (["/b"], ["/unknown"])
    assert list(progress.failed) == ["/a"]
    assert "--restore" in progress.failed["/a"]
    assert lustre.asked == []


# -- all below a path ---------------------------------------------------------------------------------------------


def hollow(path: Path, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)
    return path


def nothing_refused(error: OSError) -> None:
    raise error


def test_hollow_files_below_a_path(tmp_path: Path) -> None:
    wanted = {str(hollow(tmp_path / name, size)): size for name, size in (("a", 1), ("d/e/b", 2**40), ("d/\n", 7))}
    (tmp_path / "d" / "full").write_bytes(b"x" * 10_000)
    (tmp_path / "d" / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "folder").symlink_to(tmp_path / "d")
    os.mkfifo(tmp_path / "pipe")
    assert dict(hollow_below(str(tmp_path), nothing_refused)) == wanted
    assert list(hollow_below(str(tmp_path / "a"), nothing_refused)) == [HollowFile(str(tmp_path / "a"), 1)]
    assert list(hollow_below(str(tmp_path / "d" / "full"), nothing_refused)) == []


def test_what_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hollow(tmp_path / "closed" / "f")
    hollow(tmp_path / "open" / "f")
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused: list[OSError] = []
    assert [file.path for file in hollow_below(str(tmp_path), refused.append)] == [str(tmp_path / "open" / "f")]
    assert [error.filename for error in refused] == [str(tmp_path / "closed")]


def many(number: int) -> list[HollowFile]:
    return [HollowFile(f"/{index}", index) for index in range(number)]


def test_released_files_are_counted() -> None:
    lustre = ScriptedLustre(["/0", "/2", "/3"])
    lustre.flags["/1"] = HERE.flags
    lustre.coming["/3"] = 5
    tally = count_released(lustre, many(GROUP + 1))
    assert (tally.released, tally.released_bytes, tally.waiting) == (3, 5, 1)
    assert lustre.looks == [GROUP, 1]
    assert lustre.asked == []


def test_asking_waits_for_nothing() -> None:
    lustre = ScriptedLustre([f"/{index}" for index in range(1, GROUP + 5)])
    lustre.flags["/1"] = LOST.flags
    tally = ask_for_all(lustre, many(GROUP + 5))
    assert [len(paths) for paths in lustre.asked] == [GROUP - 2, 5]
    assert (tally.released, tally.waiting, tally.failed, tally.here) == (GROUP + 4, GROUP + 3, 1, 0)


def test_asking_once_tells_of_files_that_are_refused_or_may_not_be_asked_about(tmp_path: Path) -> None:
    closed, gone = str(hollow(tmp_path / "closed")), str(tmp_path / "gone")
    lustre = ScriptedLustre(["/0", "/1"])
    lustre.refused = {"/1"}
    tally = ask_for_all(lustre, [*many(2), HollowFile(closed, 1000), HollowFile(gone, 1000)])
    assert (tally.released, tally.waiting, tally.failed) == (2, 1, 2)
    assert [path for path, _ in tally.failures] == [closed, "/1"]


def test_what_goes_away_did_not_come_back() -> None:
    lustre = ScriptedLustre(["/0", "/1"], rounds=0)

    def sleep(_: float) -> None:
        lustre.flags.pop("/1", None)

    tally = bring_all_back(lustre, many(2), 0.0, sleep, lambda _: None)
    assert (tally.released, tally.here, tally.failed, tally.waiting) == (2, 1, 1, 0)
    assert tally.failures[0][0] == "/1"


def test_all_of_them_are_brought_back_a_window_at_a_time() -> None:
    number = WINDOW + 3 * GROUP
    lustre = ScriptedLustre([f"/{index}" for index in range(number)], rounds=0)
    lustre.broken = {"/5", "/7"}
    slept: list[float] = []
    told: list[int] = []
    tally = bring_all_back(lustre, many(number), 30.0, slept.append, lambda tally: told.append(tally.waiting))
    assert (tally.released, tally.here, tally.failed, tally.waiting) == (number, number - 2, 2, 0)
    assert tally.here_bytes == sum(range(number)) - 12
    assert [path for path, _ in tally.failures] == ["/5", "/7"]
    assert max(lustre.looks) <= WINDOW
    assert set(slept) == {30.0}
    assert told


def test_a_second_run_goes_on_with_what_is_left() -> None:
    lustre = ScriptedLustre(["/1"])
    lustre.coming["/1"] = 2  # asked for by the run before
    tally = bring_all_back(lustre, many(3), 0.0, lambda _: None, lambda _: None)
    assert (tally.released, tally.here, lustre.asked) == (1, 1, [])


def test_only_the_first_failures_are_kept() -> None:
    one = Tally(failed=8, failures=[(f"/{index}", "why") for index in range(8)])
    one.add(one)
    assert (one.failed, len(one.failures)) == (16, 10)


# -- reading ------------------------------------------------------------------------------------------------------


def kind(result: ReadFile | FileError) -> str:
    return type(result).__name__


def test_hollow_files_are_read_only_where_that_is_meant(tmp_path: Path) -> None:
    hollow(tmp_path / "hollow")
    (tmp_path / "full").write_bytes(b"x")
    (tmp_path / "empty").touch()
    wanted: list[tuple[str, int | None]] = [("hollow", None), ("full", None), ("empty", None)]
    with closing(Root.source(str(tmp_path))) as root:
        guarded = read_many(root, wanted, 10_000, not_hollow=True)
        assert [kind(result) for result in guarded] == ["Hollow", "ReadFile", "ReadFile"]
        assert {kind(result) for result in read_many(root, wanted, 10_000)} == {"ReadFile"}
        with pytest.raises(Hollow):
            read_whole(root, "hollow", None, 10, not_hollow=True)  # before anything else is said of it
        for name in ("hollow", "full", "empty"):
            with closing(OpenSource(root, name)) as source:
                assert source.hollow == (name == "hollow")


def test_a_stored_link_is_never_hollow(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("somewhere")
    with closing(Root.source(str(tmp_path), links="store")) as root:
        assert kind(read_many(root, [("link", None)], 100, not_hollow=True)[0]) == "ReadFile"
        with closing(OpenSource(root, "link")) as source:
            assert not source.hollow


def test_lustre_is_asked_about_the_file_that_a_followed_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "link").symlink_to("f")
    with closing(Root.source(str(tmp_path))) as root:
        assert absolute(root, ["link", "f"]) == [str(tmp_path / "f")] * 2
    with closing(Root.source(str(tmp_path), links="skip")) as root:
        assert absolute(root, ["link", "f"]) == [str(tmp_path / "link"), str(tmp_path / "f")]


class BrokenLustre(ScriptedLustre):
    def states(self, paths: Sequence[str]) -> list[HsmState | None]:
        raise LustreError("lfs hsm_action: no answer for 60 s. Look at the mount.")


@pytest.mark.parametrize("wanted", [True, False])
async def test_files_of_a_batch(tmp_path: Path, wanted: bool) -> None:
    lustre = ScriptedLustre([str(tmp_path / name) for name in ("gone", "lost", "d/gone")])
    lustre.flags[str(tmp_path / "lost")] = LOST.flags
    keys = ["gone", "sparse", "lost", "d/gone"]
    with closing(FileThreads(2)) as threads, closing(Root.source(str(tmp_path))) as root:
        work, end = cast("Work", SimpleNamespace(threads=threads)), FilesEnd(root, "")
        released = ReleasedFiles(work, end, Restoring(lustre, wanted=wanted, poll=7.0))
        # groups of a batch ask at the same time
        found = await asyncio.gather(*(released.verdicts([key]) for key in keys))
        verdicts = {key: type(error) for one in found for key, error in one.items()}
        none = type(None)
        if wanted:
            assert verdicts == {"sparse": none, "lost": RestoreFailed}
            assert sum(len(paths) for paths in lustre.asked) == 2
            with pytest.raises(Pause, match=r"^Lustre brings the data of 2 released files back$") as pause:
                released.wait()
            assert pause.value.seconds == 7.0
        else:
            assert verdicts == {"gone": Released, "sparse": none, "lost": Released, "d/gone": Released}
            assert lustre.asked == []
            released.wait()
        assert len(lustre.looks) < len(keys), "together"


@pytest.mark.parametrize("wanted", [True, False])
async def test_where_lustre_does_not_answer_files_wait_if_they_are_to_come_back(tmp_path: Path, wanted: bool) -> None:
    with closing(FileThreads(2)) as threads, closing(Root.source(str(tmp_path))) as root:
        work, restoring = cast("Work", SimpleNamespace(threads=threads)), Restoring(BrokenLustre(), wanted=wanted)
        released = ReleasedFiles(work, FilesEnd(root, ""), restoring)
        verdicts = await released.verdicts(["a"])
        if wanted:
            assert verdicts == {}
            with pytest.raises(Pause, match="1 released file back: lfs hsm_action: no answer"):
                released.wait()
        else:
            assert isinstance(verdicts["a"], LustreError)
            assert judge(verdicts["a"]) == Failed("lustre")


@pytest.mark.parametrize(("error", "word"), [(Released("a"), "released"), (RestoreFailed("a", "w"), "restore_failed")])
def test_what_a_report_says_of_them(error: FileError, word: str) -> None:
    assert judge(error) == Failed(word)
    assert error.code == word


def laid_out(root: Root) -> tuple[Layout, bytes]:
    """A tree as a tar, and the bytes it has to become."""
    layout = Layout("top", TemporaryFile())  # noqa: SIM115 - the layout's, who closes it
    for page in walk_tree(root, Selected(lambda _: True, lambda _: True)):
        layout.add(page.members)
    whole = bytearray(layout.size)
    assert fill(root, layout, 0, memoryview(whole)) == []
    return layout, bytes(whole)


@pytest.mark.parametrize("released", [set(), {"b"}])
@pytest.mark.parametrize("wanted", [False, True])
async def test_an_archive_reads_no_released_file(tmp_path: Path, released: set[str], wanted: bool) -> None:
    for name in ("a", "b", "c"):
        hollow(tmp_path / name, 700)
    (tmp_path / "full").write_bytes(b"full")
    lustre = ScriptedLustre([str(tmp_path / name) for name in released])
    with closing(FileThreads(2)) as threads, closing(Root.source(str(tmp_path))) as root:
        layout, whole = laid_out(root)
        with closing(layout):
            assert fill(root, layout, 0, memoryview(bytearray(layout.size)), {"b"}) == ["a", "c"]
            filling = Filling(cast("Work", SimpleNamespace(threads=threads)), root, Restoring(lustre, wanted=wanted))
            found = bytearray(layout.size)
            if released and not wanted:
                with pytest.raises(Released, match=r"^b: its data is not in the file system"):
                    await filling.fill(layout, 0, memoryview(found))
                return
            for _ in range(2):
                await filling.fill(layout, 0, memoryview(found))
                assert bytes(found) == whole
            assert lustre.looks == ([] if wanted else [3]), "in bulk, and once"


# -- whole stripes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "wanted", "stripe", "part"),
    [
        (100 * MIB, 16 * MIB, 0, 16 * MIB),
        (100 * MIB, 16 * MIB, MIB, 16 * MIB),
        (100 * MIB, 16 * MIB, 16 * MIB, 16 * MIB),
        (100 * MIB, 16 * MIB, 6 * MIB, 12 * MIB),
        (100 * MIB, 7 * MIB, 4 * MIB, 8 * MIB),  # 4 MiB are less than the service takes
        (100 * MIB, 16 * MIB, 64 * MIB, 16 * MIB),  # a part lies within one stripe
        (100 * MIB, 16_000_000, 2**20, 15 * MIB),
        (10_000 * 17 * MIB, 16 * MIB, 4 * MIB, 20 * MIB),  # 16 MiB would make too many parts
        (10_000 * 5000 * MIB, 16 * MIB, 4 * MIB, 5000 * MIB),
    ],
)
def test_parts_are_whole_stripes(size: int, wanted: int, stripe: int, part: int) -> None:
    assert choose_part_size(size, wanted, PROFILES["aws"], stripe) == part


@given(
    st.sampled_from(list(PROFILES.values())),
    st.integers(4096, 5 * 2**30),
    st.integers(0, 50 * 10**12),
    st.integers(1, 2**33),
)
def test_stripes_break_no_limit(profile: object, wanted: int, size: int, stripe: int) -> None:
    assert isinstance(profile, type(PROFILES["aws"]))
    size = min(size, profile.max_object)
    plain, part = choose_part_size(size, wanted, profile), choose_part_size(size, wanted, profile, stripe)
    assert profile.min_part <= part <= profile.max_part
    assert -(-size // part) <= profile.max_parts
    assert part == plain or part % stripe == 0
    assert part < 2 * plain
