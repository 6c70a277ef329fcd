"""A tree on Lustre with released files: a sync from it, the commands about it, and what the doctor says of it; with a
fake `lfs` that is a program, as the real one."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.doctor.check import Status
from headrace_daemon.doctor.lustre import client_checks, mount_checks
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.room import Room
from headrace_daemon.files.root import Root
from headrace_daemon.opening import on_lustre
from headrace_daemon.standing import DAEMONS
from headrace_daemon.transfer.ends import FilesEnd
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.free_space import Reserve
from headrace_queue.jobs import Options
from tests.support.buckets import fresh_bucket
from tests.support.commands import PART, TRANSFER, remote_of
from tests.support.fsx_lfs import Component
from tests.support.fsx_mount import FakeMount
from tests.support.fsx_server import fsx_server
from tests.support.site import Site

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon.commands import run as run_command

MIB = 2**20


class Tree:
    """A mount beneath which released files are made at will."""

    def __init__(self, directory: Path, mount: FakeMount, server: S3Server, url: str) -> None:
        """url: of the fake FSx."""
        self.directory = directory
        self.mount = mount
        self.server = server
        self.bucket = fresh_bucket(server)
        self.url = url
        self.lfs = mount.lfs_command(directory)
        self.section = FsxConfig.model_validate(
            {
                "file_system_id": "fs-0123456789abcdef0",
                "mount": mount.root,
                "mounted_as": "any",
                "lfs": str(self.lfs),
                "poll": "20ms",
            }
        )

    @property
    def lines(self) -> list[str]:
        """The section as config.toml holds it."""
        one = self.section
        return [
            "[fsx.scratch]",
            f'file_system_id = "{one.file_system_id}"',
            f'mount = "{one.mount}"',
            'mounted_as = "any"',
            f'lfs = "{one.lfs}"',
            'poll = "20ms"',
            'via = "stream"',
            f'endpoint_url = "{self.url}"',
        ]

    def write(self, name: str, body: bytes) -> str:
        path = self.mount.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return str(path)

    def release(self, name: str, body: bytes) -> str:
        """A file whose data is in the bucket alone."""
        path, key = self.write(name, body), f"archived/{quote(name)}"  # moto takes no line feed
        with closing(self.server.client()) as client:
            etag = client.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"]
        self.mount.hsm.remember(path, self.bucket, key, etag)
        assert self.mount.hsm.release(path)
        return path

    def asked(self, what: str) -> list[list[str]]:
        """The files of each call of `lfs WHAT`, below the mount, and forgets them."""
        calls = [call for call in self.mount.lustre.calls if call[0] == what]
        self.mount.lustre.calls.clear()
        start = f"{self.mount.root}/"
        return [sorted(word.removeprefix(start) for word in call[1:] if word != "--") for call in calls]

    def objects(self, prefix: str) -> dict[str, bytes]:
        with closing(self.server.client()) as client:
            listed = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
            keys = [one["Key"] for one in listed]
            return {
                key.removeprefix(prefix): client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys
            }


@pytest.fixture
def tree(moto_s3: S3Server, tmp_path: Path) -> Iterator[Tree]:
    with fsx_server() as fsx, FakeMount(tmp_path / "fsx", moto_s3) as mount:
        fsx.add_file_system(mount)
        yield Tree(tmp_path, mount, moto_s3, fsx.url)


# -- jobs ---------------------------------------------------------------------------------------------------------


def test_a_sync_reads_no_released_file_before_it_is_restored(tree: Tree) -> None:
    big = os.urandom(PART + 1)
    bodies = {f"d/{number}": b"data %d" % number for number in range(4)} | {"big": big}
    for name, body in bodies.items():
        tree.release(name, body)
    tree.write("here", b"here")
    os.truncate(tree.write("sparse", b""), 100)
    tree.release("lost", b"lost")
    tree.mount.hsm.lose(str(tree.mount.root / "lost"))
    tree.release("broken", b"broken")
    tree.mount.break_restore("broken")
    site = Site(tree.directory / "site", {"s3": remote_of(tree.server)}, transfer=TRANSFER, more=tree.lines)
    target = f"s3://{tree.bucket}/copy"

    job_id = site.enqueue(tree.mount.root, target)
    site.run("headraced", "drain", code=1)
    failed = {key for key, entry in site.report(job_id).items() if entry.error == "released"}
    assert failed == {*bodies, "lost", "broken"}
    assert "--restore" in str(site.report(job_id)["big"].message)
    whole = {"here": b"here", "sparse": bytes(100)}
    assert tree.objects("copy/") == whole
    assert tree.asked("hsm_restore") == []
    assert all(tree.mount.released(name) for name in failed)

    job_id = site.enqueue(tree.mount.root, target, "--restore")
    site.run("headraced", "drain", code=1)
    report = site.report(job_id)
    assert {key: entry.error for key, entry in report.items() if entry.outcome == "failed"} == {
        "lost": "restore_failed",
        "broken": "restore_failed",
    }
    assert tree.objects("copy/") == whole | bodies
    asked = tree.asked("hsm_restore")
    assert max(len(names) for names in asked) > 1, "many at a time"
    assert sorted(name for names in asked for name in names) == sorted([*bodies, "broken", "broken"]), "broken twice"


def test_a_sync_to_released_files_counts_what_is_really_back(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is removed while it comes, and one makes Lustre refuse every request that names it."""
    bodies = {f"{number}.nc": b"data %d" % number for number in range(5)}
    for name, body in bodies.items():
        tree.release(name, body)
    gone, bad = str(tree.mount.root / "1.nc"), str(tree.mount.root / "2.nc")
    bring, run = tree.mount.hsm.restore, tree.mount.lfs

    def restore(path: str) -> None:
        bring(path)
        if path == gone:
            os.unlink(path)

    def lfs(arguments: Sequence[str]) -> tuple[str, str, int]:
        if arguments[0] == "hsm_restore" and bad in arguments:
            tree.mount.lustre.calls.append(list(arguments))
            return "", f"Cannot send HSM request (use of {gone}): Operation not permitted\n", 1
        return run(arguments)

    monkeypatch.setattr(tree.mount, "lfs", lfs)
    monkeypatch.setattr(type(tree.mount.hsm), "restore", lambda _, path: restore(path))
    site = Site(tree.directory / "site", {"s3": remote_of(tree.server)}, transfer=TRANSFER, more=tree.lines)
    job_id = site.enqueue(f"s3://{tree.bucket}/archived/", tree.mount.root, "--restore", "--compare", "size")
    site.run("headraced", "drain")
    outcomes = {key: entry.outcome for key, entry in site.report(job_id).items()}
    assert outcomes == dict.fromkeys(bodies, "restored") | {"1.nc": "transferred", "2.nc": "transferred"}
    assert {name: (tree.mount.root / name).read_bytes() for name in bodies} == bodies
    assert site.job(job_id).counters.done == len(bodies)
    asked = tree.asked("hsm_restore")
    assert ["2.nc"] in asked, "alone at last"
    assert len(asked) < 10


def test_what_lustre_tells_of_a_destination(tree: Tree) -> None:
    fsx = {"scratch": tree.section}
    tree.mount.lustre.layout = (Component(None, 4, 3 * MIB),)
    tree.mount.lustre.osts = [(1000, 100), (1000, 950)]
    path = str(tree.mount.root)
    with closing(Root.destination(path)) as root:
        landing = Landing(root, 1, "off", "off", Room(Reserve()))
        source, none = on_lustre(FilesEnd(root, ""), fsx, Options(), DAEMONS)
        target, warning = on_lustre(FilesEnd(root, "", landing), fsx, Options(restore=True), DAEMONS)
        assert (source.stripe, target.stripe) == (3 * MIB, 3 * MIB)
        assert none == "", "nothing is written there"
        assert "1 of 2 OSTs are nearly full" in warning
        assert "OST0001 to 95%" in warning
        assert [end.restoring.wanted for end in (source, target) if end.restoring] == [False, True]
        # a command that is not there keeps no job from working
        silent = FsxConfig.model_validate(tree.section.model_dump() | {"lfs": "/nowhere/lfs"})
        end, said = on_lustre(FilesEnd(root, "", landing), {"scratch": silent}, Options(), DAEMONS)
        assert end.lustre is not None
        assert "/nowhere/lfs: cannot be run" in said
        plain = FilesEnd(root, "")
        assert on_lustre(plain, {}, Options(), DAEMONS) == (plain, "")


# -- commands -----------------------------------------------------------------------------------------------------

Call = Callable[..., tuple[str, str]]


@pytest.fixture
def call(tree: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `headraced fsx …`, or `headraced verify`, to its end: what it wrote to stdout and to stderr."""
    config = tree.directory / "config.toml"
    server, keys = tree.server, tree.server.keys
    monkeypatch.setenv("THERE_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("THERE_SECRET_ACCESS_KEY", keys.secret_key)
    remote = [
        "[remotes.s3]",
        f"endpoint_urls = {json.dumps(list(server.endpoint_urls))}",
        f'region = "{server.region}"',
        'credentials = { env = "THERE" }',
    ]
    state = f'state_dir = "{tree.directory / "state"}"'
    config.write_text("\n".join([state, *remote, *tree.lines, ""]))

    def called(*words: object, code: int = 0) -> tuple[str, str]:
        group = [] if words[0] == "verify" else ["fsx"]
        monkeypatch.setattr(sys, "argv", ["headraced", "--config", str(config), *group, *map(str, words)])
        assert run_command() == code
        said = capsys.readouterr()
        return said.out, said.err

    return called


def test_the_commands_count_and_restore(tree: Tree, call: Call) -> None:
    root = tree.mount.root
    for name in ("a", "d/b", "d/with\nfeed", "d/ä: x"):
        tree.release(name, b"x" * 1000)
    tree.write("here", b"here")
    assert call("released", root)[0] == "4 files (3.9 KiB) released\n"
    assert json.loads(call("released", root / "d", "--json")[0]) == {
        "path": str(root / "d"),
        "released": 3,
        "released_bytes": 3000,
        "coming_back": 0,
        "not_looked_at": 0,
    }
    tree.mount.hsm.polls = None
    assert call("restore", root / "a")[0] == "1 file (1000 B) released\n1 on their way\n"
    assert call("released", root)[0] == "4 files (3.9 KiB) released; 1 of them on their way back\n"
    tree.mount.hsm.polls = 1
    tree.mount.break_restore("d/b")
    out, progress = call("restore", root, "--wait", code=1)
    assert out.splitlines()[:3] == ["3 files (2.9 KiB) released", "2 files (2.0 KiB) came back", "1 file failed"]
    assert f"  {root}/d/b: it was asked for twice" in out
    assert "on their way" in progress
    assert (root / "d" / "with\nfeed").read_bytes() == b"x" * 1000
    told = json.loads(call("restore", root / "here", root / "d", "--wait", "--json", code=1)[0])
    assert (told["released"], told["came_back"], told["failed"]) == (1, 0, 1)
    assert [failure["path"] for failure in told["failures"]] == [f"{root}/d/b"]


def test_the_command_shows_how_full_targets_are(tree: Tree, call: Call) -> None:
    tree.mount.lustre.osts = [(2**20, 2**18), (2**20, 2**20)]
    out, warning = call("osts", tree.mount.root)
    assert [line.split()[0] for line in out.splitlines()] == ["OST", "abcdefgh-OST0000", "abcdefgh-OST0001"]
    assert out.splitlines()[1].endswith("25%")
    assert "1 of 2 OSTs are nearly full" in warning
    rows: list[dict[str, Any]] = json.loads(call("osts", tree.mount.root, "--json")[0])["osts"]
    assert rows[1] == {"name": "abcdefgh-OST0001", "index": 1, "size": 2**30, "used": 2**30}


def test_the_commands_want_lustre(tree: Tree, call: Call) -> None:
    assert "it is not on Lustre" in call("released", tree.directory, code=2)[1]
    assert "it cannot be opened" in call("osts", tree.mount.root / "nowhere", code=2)[1]
    tree.release("a", b"x")
    assert "it is not on Lustre" in call("restore", tree.mount.root, tree.directory, code=2)[1]
    assert tree.asked("hsm_restore") == [], "all or nothing"


def test_verify_reads_no_released_file(tree: Tree, call: Call) -> None:
    """In the fake, reading one gives zeros: a difference in content would show that it was read."""
    for name in ("a", "b"):
        tree.release(name, b"x" * 1000)
    tree.write("here", b"x" * 1000)
    with closing(tree.server.client()) as client:
        client.put_object(Bucket=tree.bucket, Key="archived/here", Body=b"x" * 1000)
    out, _ = call("verify", tree.mount.root, f"s3://{tree.bucket}/archived", "--json", code=1)
    lines = [json.loads(line) for line in out.splitlines()]
    differences = {line["key"]: (line["kind"], line["message"]) for line in lines if line["event"] == "difference"}
    assert set(differences) == {"a", "b"}
    assert all(kind == "error" and "released to its bucket" in why for kind, why in differences.values())


# -- the doctor ---------------------------------------------------------------------------------------------------


def test_the_doctor_looks_at_a_mount(tree: Tree) -> None:
    checks = {check.name: check for check in mount_checks("x", tree.section)}
    assert {name: check.status for name, check in checks.items()} == {
        "fsx x": Status.OK,
        "fsx x targets": Status.OK,
        "fsx x stripes": Status.OK,
    }
    assert checks["fsx x stripes"].detail == "stripes of 1.0 MiB across 1, 4 components"
    tree.mount.lustre.osts = [(100, 99)]
    full = mount_checks("x", tree.section)[1]
    assert full.status is Status.WARN
    assert full.remedy == f"Look at them: headraced fsx osts {tree.mount.root}"


@pytest.mark.parametrize(
    ("kind", "more", "status", "detail"),
    [
        ("ext4", {"mounted_as": "lustre"}, Status.FAIL, "is not on Lustre, it is ext4"),
        ("lustre", {"mounted_as": "lustre", "lfs": "/nowhere/lfs"}, Status.WARN, "there is no `/nowhere/lfs`"),
        ("lustre", {"mount": "/nowhere"}, Status.FAIL, "/nowhere: No such file or directory"),
        ("lustre", {"lfs": "/bin/false"}, Status.OK, "is mounted (lustre); /bin/false"),
    ],
)
def test_the_doctor_says_what_is_wrong_with_a_mount(
    kind: str, more: dict[str, str], status: Status, detail: str, tmp_path: Path
) -> None:
    section = {"file_system_id": "fs-0123456789abcdef0", "mount": str(tmp_path), "mounted_as": "any", **more}
    first, *others = mount_checks("x", FsxConfig.model_validate(section), lambda _: kind)
    assert first.status is status
    assert detail in first.detail
    assert [other.status for other in others] == ([Status.WARN] if status is Status.OK else [])
    assert bool(first.remedy) == (status is not Status.OK)


def test_the_doctor_looks_at_the_client(tmp_path: Path) -> None:
    def put(kind: str, target: str, name: str, value: str) -> None:
        file = tmp_path / kind / target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)

    assert client_checks((tmp_path,)) == []
    put("osc", "fs-OST0000-osc-ff", "max_rpcs_in_flight", "32\n")
    put("osc", "fs-OST0001-osc-ff", "max_rpcs_in_flight", "8\n")
    put("mdc", "fs-MDT0000-mdc-ff", "max_rpcs_in_flight", "64\n")
    slow, good = client_checks((tmp_path, tmp_path / "nowhere"))
    assert (slow.status, slow.detail.split(":")[0]) == (Status.WARN, "8, AWS advises 32")
    assert slow.remedy.endswith("lctl set_param osc.*OST*.max_rpcs_in_flight=32")
    assert (good.name, good.status, good.detail) == ("lustre mdc.max_rpcs_in_flight", Status.OK, "64")
