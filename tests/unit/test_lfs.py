"""What is asked of Lustre's command and what its answers mean, after the formats of lustre/utils/lfs.c."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from headrace_daemon.files import lfs
from headrace_daemon.files.account import Account
from headrace_daemon.files.lfs import Lfs, Ran, answers, batches, lustre_of, run_command, section_of, striping_of
from headrace_daemon.files.lustre import HsmFlag, HsmState, LustreError, Striping, Target, nearly_full
from headrace_daemon.files.root import Root
from headrace_queue.config_fsx import FsxConfig

Answer = Callable[[str, list[str]], Ran]


def asked_of(answer: Answer, calls: list[list[str]]) -> Lfs:
    """An Lfs whose command answers as told."""

    def run(arguments: Sequence[bytes]) -> Ran:
        words = [os.fsdecode(word) for word in arguments]
        calls.append(words[1:])
        return answer(words[1], [word for word in words[2:] if word != "--"])

    return Lfs("lfs", run=run)


def telling(
    flags: dict[str, int], actions: dict[str, str] | None = None, *, stops: bool = True, error: int = errno.ENOTTY
) -> Answer:
    """Answers for the files that are named, in the order of the question; of another one, an error. stops: ends there,
    as it does up to 2.15; later it goes on."""

    def answer(what: str, paths: list[str]) -> Ran:
        out, code = "", 0
        for path in paths:
            if path not in flags:
                code = error if os.path.lexists(path) else errno.ENOENT
                if stops:
                    break
            elif what == "hsm_state":
                out += f"{path}: (0x{flags[path]:08x}) released exists archived, archive_id:1\n"
            else:
                out += f"{path}: {(actions or {}).get(path, 'NOOP')}\n"
        return Ran(code, out.encode("utf-8", "surrogateescape"), "can't get hsm state: Is a test\n" if code else "")

    return answer


RELEASED = HsmFlag.RELEASED | HsmFlag.EXISTS | HsmFlag.ARCHIVED


def test_states_in_the_order_of_the_question() -> None:
    calls: list[list[str]] = []
    told = telling({"/x/a": 0x0D, "/x/b": 0x09}, {"/x/a": "RESTORE running (1048576 bytes moved)"})
    states = asked_of(told, calls).states(["/x/b", "/x/a"])
    assert states == [HsmState(HsmFlag(9)), HsmState(RELEASED, "RESTORE")]
    assert states[1] is not None
    assert states[1].released
    assert [call[0] for call in calls] == ["hsm_action", "hsm_state"]  # see the comment there: not the other way


@pytest.mark.parametrize("stops", [True, False])
def test_a_file_that_is_gone_has_no_state_and_hides_none(tmp_path: Path, stops: bool) -> None:
    here = [str(tmp_path / name) for name in ("a", "b", "c")]
    for path in here:
        Path(path).touch()
    gone = [str(tmp_path / "gone-1"), str(tmp_path / "gone-2")]
    answer = telling(dict.fromkeys(here, 0x0D), stops=stops)
    states = asked_of(answer, []).states([gone[0], here[0], here[1], gone[1], here[2]])
    assert [state is not None for state in states] == [False, True, True, False, True]


@pytest.mark.parametrize("stops", [True, False])
def test_a_file_that_may_not_be_asked_about_hides_none(tmp_path: Path, stops: bool) -> None:
    paths = [str(tmp_path / name) for name in ("a", "closed", "b")]
    for path in paths:
        Path(path).touch()
    answer = telling({paths[0]: 0x0D, paths[2]: 0x0D}, stops=stops)
    assert [state is not None for state in asked_of(answer, []).states(paths)] == [True, False, True]


@pytest.mark.parametrize("number", [1, 2, 3, 50])
def test_what_refuses_every_file_is_no_lustre(tmp_path: Path, number: int) -> None:
    paths = [str(tmp_path / str(index)) for index in range(number)]
    for path in paths:
        Path(path).touch()
    calls: list[list[str]] = []
    with pytest.raises(LustreError, match=r"lfs hsm_action: can't get hsm state: Is a test\. Is it Lustre"):
        asked_of(telling({}), calls).states(paths)
    assert len(calls) == min(number, 3)  # not one call a file


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("number", [1, 5])
def test_files_that_may_not_be_looked_at_are_no_fault_of_lustre(tmp_path: Path, number: int, stops: bool) -> None:
    """A closed folder's: they must not hold up the batch that they are in."""
    *closed, last = paths = [str(tmp_path / str(index)) for index in range(number + 1)]
    for path in paths:
        Path(path).touch()
    lustre = asked_of(telling({last: 0x0D}, error=errno.EACCES, stops=stops), [])
    assert lustre.states(closed) == [None] * number
    assert [state is not None for state in lustre.states(paths)] == [False] * number + [True]


def test_files_that_are_all_gone_are_no_error() -> None:
    assert asked_of(telling({}), []).states(["/nowhere/a", "/nowhere/b"]) == [None, None]


ODD = [
    "/x/with space",
    "/x/a: b",
    "/x/line\nfeed",
    "/x/a: NOOP",
    "/x/a: (0x00000009) exists",
    "/x/a",
    "/x/ä",
    "/x/\udcff",
]


@pytest.mark.parametrize("order", [1, -1])
def test_names_may_hold_anything(order: int) -> None:
    paths = ODD[::order]
    flags = {path: 1 << index % 4 for index, path in enumerate(paths)}
    actions = dict.fromkeys(paths[::2], "RESTORE waiting (from 0 to EOF)")
    states = asked_of(telling(flags, actions), []).states(paths)
    wanted = [HsmState(HsmFlag(flags[path]), "RESTORE" if path in actions else "NOOP") for path in paths]
    assert states == wanted


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/f: (0x00000000)\n", b"0x00000000"),
        ("/f: (0x00000000),\n", b"0x00000000"),
        ("/f: (0x0000000d) released exists archived, archive_id:1\n", b"0x0000000d"),
        ("/f: (0x0000000b) exists dirty archived, archive_id: 1\n", b"0x0000000b"),
        ("/f: (0x0000004d) released exists archived lost_from_hsm, archive_id:1\n", b"0x0000004d"),
        ("a warning\n/f: (0x00000009) exists archived\n", b"0x00000009"),
        ("/f: (0x9) exists\n", None),
        ("/f: (0x00000009) exists", None),  # cut off
        ("/ff: (0x00000009) exists\n", None),
        ("", None),
    ],
)
def test_lines_of_hsm_state(line: str, told: bytes | None) -> None:
    assert answers(line.encode(), [b"/f"], lfs._STATE).get(b"/f") == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/f: NOOP\n", b"NOOP"),
        ("/f: RESTORE waiting (from 0 to EOF)\n", b"RESTORE"),
        ("/f: RESTORE running (0 bytes moved)\n", b"RESTORE"),
        ("/f: ARCHIVE done (from 0 to 4096)\n", b"ARCHIVE"),
        ("/f: noop\n", None),
    ],
)
def test_lines_of_hsm_action(line: str, told: bytes | None) -> None:
    assert answers(line.encode(), [b"/f"], lfs._ACTION).get(b"/f") == told


def test_a_request_goes_out_in_batches() -> None:
    assert [len(batch) for batch in batches([b"/f"] * 250)] == [100, 100, 50]
    assert [len(batch) for batch in batches([b"/" + b"n" * 3999] * 60)] == [24, 24, 12]  # 4001 bytes each
    assert list(batches([])) == []


def test_a_restore_leaves_out_what_went_away(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    (tmp_path / "folder").mkdir()
    here, gone, folder = (str(tmp_path / name) for name in ("here", "gone", "folder"))
    calls: list[list[str]] = []

    def answer(_: str, paths: list[str]) -> Ran:
        return Ran(0, b"", "") if paths == [here] else Ran(2, b"", f"Cannot stat {gone}: No such file\n")

    assert asked_of(answer, calls).restore([gone, here, folder]) == {}
    assert calls == [["hsm_restore", "--", gone, here, folder], ["hsm_restore", "--", here]]
    calls.clear()
    assert asked_of(answer, calls).restore([gone]) == {}  # nothing is left to ask for
    assert len(calls) == 1


@pytest.mark.parametrize("number", [1, 5])
def test_a_restore_that_no_file_is_to_blame_for_says_why(tmp_path: Path, number: int) -> None:
    paths = [str(tmp_path / str(index)) for index in range(number)]
    for path in paths:
        Path(path).touch()
    calls: list[list[str]] = []
    lustre = asked_of(lambda *_: Ran(errno.EAGAIN, b"", "\nCannot send HSM request: Try again\n"), calls)
    with pytest.raises(LustreError, match="lfs hsm_restore: Cannot send HSM request: Try again"):
        lustre.restore(paths)
    assert len(calls) == 1, "nothing is halved"


@pytest.mark.parametrize("bad", [{0}, {99}, {3, 4, 70}, set(range(50)), set(range(100))])
def test_files_that_lustre_refuses_are_found_and_the_others_asked_for(tmp_path: Path, bad: set[int]) -> None:
    paths = [str(tmp_path / str(index)) for index in range(100)]
    for path in paths:
        Path(path).touch()
    refused = {paths[index] for index in bad}
    asked: list[str] = []

    def answer(_: str, names: list[str]) -> Ran:
        if refused & set(names):
            return Ran(errno.EPERM, b"", f"Cannot send HSM request (use of {names[0]}): Operation not permitted\n")
        asked.extend(names)
        return Ran(0, b"", "")

    calls: list[list[str]] = []
    told = asked_of(answer, calls).restore(paths)
    assert told.keys() == refused
    assert all("Operation not permitted" in why for why in told.values())
    assert sorted(asked) == sorted(set(paths) - refused), "each once"
    assert len(calls) < 2 * len(paths)


@pytest.mark.parametrize("path", ["f", "-f", "", "/a\0b", "/\ud800"])
def test_only_absolute_paths_are_asked_about(path: str) -> None:
    calls: list[list[str]] = []
    lustre = asked_of(telling({}), calls)
    for ask in (lustre.states, lustre.restore):
        with pytest.raises(LustreError):
            ask([path])
    assert calls == []


PLAIN = "stripe_count:  2 stripe_size:   4194304 pattern:       raid0 stripe_offset: -1\n"
PARTS = """  lcm_layout_gen:    0
  lcm_mirror_count:  1
  lcm_entry_count:   4
    lcme_id:             N/A
    lcme_extent.e_start: 0
    lcme_extent.e_end:   104857600
      stripe_count:  1       stripe_size:   1048576       pattern:       raid0       stripe_offset: -1

    lcme_id:             N/A
    lcme_extent.e_start: 104857600
    lcme_extent.e_end:   10737418240
      stripe_count:  8       stripe_size:   4194304       pattern:       raid0       stripe_offset: -1
"""
ON_MDT = """  lcm_entry_count:   2
      stripe_count:  0       stripe_size:   65536       pattern:       mdt       stripe_offset: 0
      stripe_count:  -1       stripe_size:   2097152       pattern:       raid0,overstriped       stripe_offset: -1
"""
FILE = "lmm_stripe_count:  3\nlmm_stripe_size:   1048576\nlmm_pattern:       raid0\nlmm_stripe_offset: 0\n"


@pytest.mark.parametrize(
    ("text", "striping"),
    [
        (PLAIN, Striping(4194304, 2)),
        ("/fsx\n" + PLAIN, Striping(4194304, 2)),
        (PARTS, Striping(1048576, 1, 4)),
        (ON_MDT, Striping(2097152, -1, 2)),
        (FILE, Striping(1048576, 3)),
        ("stripe_count:  1 stripe_size:   0 pattern: raid0 stripe_offset: -1\n", None),
        ("/fsx has no stripe info\n", None),
        ("", None),
    ],
)
def test_layouts(text: str, striping: Striping | None) -> None:
    assert striping_of(text) == striping


def test_a_folder_is_not_taken_for_its_layout() -> None:
    name = "/x/stripe_size: 7"
    lustre = asked_of(lambda *_: Ran(0, f"{name}\n{PLAIN}".encode(), ""), [])
    assert lustre.striping(name) == Striping(4194304, 2)
    assert asked_of(lambda *_: Ran(25, PLAIN.encode(), "no"), []).striping("/x") is None


DF = """UUID                   1K-blocks        Used   Available Use% Mounted on
fs-MDT0000_UUID         34000000       10000    33990000   1% /f s[MDT:0]
fs-OST0000_UUID          1000000      910000       90000  91% /f s[OST:0]
fs-OST000b_UUID          2000000      100000     1900000   5% /f s[OST:11] D
OST000c             : inactive device

filesystem_summary:      3000000     1010000     1990000  34% /f s
"""


def test_targets() -> None:
    found = asked_of(lambda *_: Ran(0, DF.encode(), ""), []).targets("/f s")
    assert found == [
        Target("fs-OST0000", 0, 1_024_000_000, 931_840_000),
        Target("fs-OST000b", 11, 2_048_000_000, 102_400_000),
    ]
    with pytest.raises(LustreError, match=r"lfs df: not Lustre\."):
        asked_of(lambda *_: Ran(95, b"", "not Lustre"), []).targets("/")


@pytest.mark.parametrize(
    ("used", "told"),
    [([89, 50], ""), ([90, 50], "1 of 2 OSTs are nearly full, t0 to 90%"), ([91, 99], "2 of 2 OSTs are"), ([], "")],
)
def test_nearly_full_targets_are_named(used: list[int], told: str) -> None:
    warning = nearly_full([Target(f"t{index}", index, 100, share) for index, share in enumerate(used)])
    assert warning.startswith(told)
    assert bool(warning) == bool(told)


def section(mount: Path, **more: str) -> FsxConfig:
    return FsxConfig.model_validate({"file_system_id": "fs-0123456789abcdef0", "mount": mount, **more})


def test_the_section_whose_mount_holds_a_path(tmp_path: Path) -> None:
    (tmp_path / "fsx").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "fsx")
    other, one = section(tmp_path / "fs"), section(tmp_path / "link")
    fsx = {"other": other, "one": one}
    assert section_of(fsx, str(tmp_path / "fsx" / "f")) is one
    assert section_of(fsx, str(tmp_path / "link")) is one
    assert section_of(fsx, str(tmp_path / "fsx2")) is None
    assert section_of({}, "/") is None


def test_which_trees_are_lustre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lfs").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    named, faked = section(tmp_path), section(tmp_path, mounted_as="any")
    with closing(Root.source(str(tmp_path))) as root:
        assert [lustre_of(one, root.fd) is not None for one in (None, named, faked)] == [False, False, True]
        monkeypatch.setattr(lfs, "file_system", lambda _: "lustre")
        assert [lustre_of(one, root.fd) is not None for one in (None, named, faked)] == [True, True, True]
        monkeypatch.setenv("PATH", "/nowhere")
        assert [lustre_of(one, root.fd) is not None for one in (None, named, faked)] == [False, True, True]


def test_the_command_learns_nothing_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET_ACCESS_KEY", "geheim")
    command = tmp_path / "lfs"
    command.write_text('#!/bin/sh\nenv; pwd; printf "%s\\n" "$@"; echo problem >&2; exit 3\n')
    command.chmod(0o755)
    ran = run_command([os.fsencode(command), b"hsm_state", b"/a b", b"/$HOME;\n"])
    assert ran.code == 3
    assert ran.error == "problem\n"
    assert ran.out.endswith(b"/\nhsm_state\n/a b\n/$HOME;\n\n")
    assert b"geheim" not in ran.out
    assert b"LC_ALL=C" in ran.out


def test_a_command_that_cannot_be_run_or_does_not_answer() -> None:
    with pytest.raises(LustreError, match=r"/nowhere/lfs: cannot be run .*Set `lfs` of \[fsx\.NAME\]"):
        run_command([b"/nowhere/lfs", b"df"])
    with pytest.raises(LustreError, match=r"lfs -c: no answer for 0\.05 s"):
        run_command([os.fsencode(sys.executable), b"-c", b"import time; time.sleep(60)"], timeout=0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give its rights away")
def test_the_command_has_the_rights_of_the_account(tmp_path: Path) -> None:
    somebody = Account("somebody", 12345, 12346, (12347,))
    ran = run_command([b"/usr/bin/id"], somebody)
    assert b"uid=12345" in ran.out
    assert b"gid=12346" in ran.out
    assert b"groups=12346" in ran.out
    assert b"12347" in ran.out
    held = run_command([b"/bin/grep", b"^Cap[EPA]", b"/proc/self/status"], somebody).out.split()[1::2]
    assert {int(bits, 16) for bits in held} == {0}, "no capability of the daemon's"
