"""The fake mount does what tasks of FSx for Lustre do, with real objects; the fake `lfs` tells of it as Lustre's."""

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.files.lustre import is_hollow
from tests.support.buckets import fresh_bucket
from tests.support.fsx_lfs import Component
from tests.support.fsx_mount import FakeMount
from tests.support.fsx_server import FakeFsx, fsx_server

IMPORT, EXPORT, RELEASE = "IMPORT_METADATA_FROM_REPOSITORY", "EXPORT_TO_REPOSITORY", "RELEASE_DATA_FROM_FILESYSTEM"
NS = 1_595_002_920_000_000_007
RELEASED, ARCHIVED, DIRTY = 0x0D, 0x09, 0x0B
pytestmark = pytest.mark.server


@dataclass
class Site:
    """A file system whose root is linked to the bucket's prefix p/."""

    fsx: FakeFsx
    mount: FakeMount
    s3: Any
    api: Any
    bucket: str
    file_system: str

    def put(self, key: str, body: bytes = b"", **metadata: str) -> None:
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=named)

    def objects(self) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"]: self.s3.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read() for one in found}

    def metadata(self, key: str) -> dict[str, str]:
        return dict(self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"])

    def start(self, kind: str, *paths: str, report: bool = False, **others: Any) -> str:
        request = {"FileSystemId": self.file_system, "Type": kind, "Paths": list(paths), **others}
        wanted: dict[str, Any] = {"Enabled": False}
        if report:
            form = {"Format": "REPORT_CSV_20191124", "Scope": "FAILED_FILES_ONLY"}
            wanted = {"Enabled": True, "Path": f"s3://{self.bucket}/p/.reports", **form}
        return str(self.api.create_data_repository_task(**request, Report=wanted)["DataRepositoryTask"]["TaskId"])

    def run(self, kind: str, *paths: str, **others: Any) -> tuple[str, int, int, int]:
        """How a task ended: lifecycle, files in all, processed, failed."""
        self.start(kind, *paths, **others)
        self.fsx.advance()
        self.fsx.advance()
        return self.ended()

    def ended(self) -> tuple[str, int, int, int]:
        told = self.fsx.tasks()[-1]
        status = told["Status"]
        return told["Lifecycle"], status["TotalCount"], status["SucceededCount"], status["FailedCount"]

    def lfs(self, *arguments: str) -> tuple[str, str, int]:
        """stdout and stderr with paths below the mount, exit code."""
        out, error, code = self.mount.lfs([argument.replace("@", str(self.mount.root)) for argument in arguments])
        return out.replace(str(self.mount.root), "@"), error.replace(str(self.mount.root), "@"), code


@pytest.fixture
def site(moto_s3: S3Server, tmp_path: Path) -> Iterator[Site]:
    bucket = fresh_bucket(moto_s3)
    with fsx_server() as fsx, FakeMount(tmp_path / "fsx", moto_s3) as mount:
        file_system = fsx.add_file_system(mount)
        fsx.add_association(file_system, "/", f"s3://{bucket}/p/")
        s3, api = moto_s3.client(), fsx.client()
        yield Site(fsx, mount, s3, api, bucket, file_system)
        s3.close()
        api.close()


@pytest.fixture
def imported(site: Site) -> Path:
    """A file of 5 bytes, released, as it is after an import; its path."""
    site.put("p/d/f", b"hello", file_mtime=f"{NS}ns")
    assert site.run(IMPORT)[0] == "SUCCEEDED"
    return site.mount.root / "d/f"


def test_an_import_makes_folders_links_and_released_files(site: Site) -> None:
    site.put("p/", file_permissions="0040700")
    site.put("p/d/", file_permissions="0040750", file_owner="7", file_group="8", file_mtime=f"{NS}ns")
    site.put("p/d/f", b"x" * 9000, file_permissions="0104640", file_owner="9", file_mtime=f"{NS}ns", file_atime="5ns")
    site.put("p/e/g", b"y", file_mtime="1595002920001")
    site.put("p/e/empty")
    site.put("p/link", b"d/f", file_permissions="0120777")
    site.put("q/outside", b"z")
    assert site.run(IMPORT) == ("SUCCEEDED", 5, 5, 0)
    root = site.mount.root
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "d",
        "d/f",
        "e",
        "e/empty",
        "e/g",
        "link",
    ]
    told = (root / "d/f").stat()
    assert is_hollow(told)
    assert (told.st_size, told.st_mode, told.st_mtime_ns, told.st_atime_ns) == (9000, 0o100640, NS, 5)
    assert ((root / "d").stat().st_mode, (root / "d").stat().st_mtime_ns) == (0o040750, NS)
    if os.geteuid() == 0:
        assert [(told.st_uid, told.st_gid), ((root / "d").stat().st_uid, (root / "d").stat().st_gid)] == [
            (9, 0),
            (7, 8),
        ]
    assert ((root / "e/g").stat().st_mode, (root / "e/g").stat().st_mtime_ns) == (0o100755, 1_595_002_920_001_000_000)
    assert os.readlink(root / "link") == "d/f"
    assert [site.mount.state(name) for name in ("d/f", "e/g", "e/empty", "d")] == [RELEASED] * 3 + [0]


def test_an_import_of_a_path_is_of_that_path(site: Site) -> None:
    for key in ("p/a/1", "p/ab/2", "p/c"):
        site.put(key, b"x")
    assert site.run(IMPORT, f"s3://{site.bucket}/p/a") == ("SUCCEEDED", 1, 1, 0)
    assert site.run(IMPORT, f"s3://{site.bucket}/p/c") == ("SUCCEEDED", 1, 1, 0)
    assert sorted(os.listdir(site.mount.root)) == ["a", "c"]
    assert site.run(IMPORT, f"s3://{site.bucket}/q/")[0] == "FAILED"


def test_a_bucket_that_cannot_be_listed_fails_the_task(site: Site) -> None:
    site.fsx.add_association(site.file_system, "/gone", f"s3://{site.bucket}-gone/")
    assert site.run(IMPORT) == ("FAILED", 0, 0, 0)
    assert "cannot be listed" in site.fsx.tasks()[-1]["FailureDetails"]["Message"]


def test_an_import_replaces_what_changed_in_the_bucket_only(site: Site, imported: Path) -> None:
    site.put("p/d/other", b"other")
    (imported.parent / "other").write_bytes(b"from here")
    site.mount.hsm.polls = 0
    site.lfs("hsm_restore", "@/d/f")
    site.lfs("hsm_state", "@/d/f")
    site.run(IMPORT)
    assert imported.read_bytes() == b"hello"
    assert site.mount.released("d/other")
    site.put("p/d/f", b"longer than before")
    site.run(IMPORT)
    assert imported.stat().st_size == 18


def test_what_cannot_be_imported_is_reported(site: Site) -> None:
    for key in ("p/x//y", "p/" + "n" * 256, "p/bad,1", "p/@bad", "p/good"):
        site.put(key, b"x")
    site.mount.fail_files("*bad*", "S3AccessDenied")
    assert site.run(IMPORT, report=True) == ("FAILED", 5, 1, 4)
    (task,) = site.fsx.tasks()
    assert task["FailureDetails"] == {"Message": "The task failed to process 4 files."}
    report = site.objects()[f"p/.reports/{task['TaskId']}/report.csv"].decode().splitlines()
    unfit = "failed,S3ObjectPathNotPosixCompliant"
    assert report == [
        '"""@bad""",failed,S3AccessDenied',
        '"bad,1",failed,S3AccessDenied',
        f"{'n' * 256},{unfit}",
        f"x//y,{unfit}",
    ]


def test_a_task_can_stop_halfway_and_be_cancelled(site: Site) -> None:
    for number in range(4):
        site.put(f"p/{number}", b"x")
    site.fsx.hold("IMPORT", after=2)
    task = site.start(IMPORT)
    for _ in range(3):
        site.fsx.advance()
    assert site.ended() == ("EXECUTING", 4, 2, 0)
    assert sorted(os.listdir(site.mount.root)) == ["0", "1"]
    site.api.cancel_data_repository_task(TaskId=task)
    site.fsx.advance()
    assert site.ended() == ("CANCELED", 4, 2, 0)


def test_an_export_makes_objects_of_what_is_new_or_changed(site: Site, imported: Path) -> None:
    root = site.mount.root
    (root / "e").mkdir(mode=0o700)
    (root / "e/new").write_bytes(b"new")
    os.utime(root / "e/new", ns=(3, NS))
    os.symlink("e/new", root / "link")
    assert site.run(EXPORT, "e", "link") == ("SUCCEEDED", 3, 3, 0)
    assert site.objects() == {"p/d/f": b"hello", "p/e/": b"", "p/e/new": b"new", "p/link": b"e/new"}
    owner = {"file-owner": str(os.geteuid()), "file-group": str((root / "e/new").stat().st_gid)}
    expected = {"file-permissions": "0100644", "file-mtime": f"{NS}ns", "file-atime": "3ns", **owner}
    assert site.metadata("p/e/new") == {**expected, "user-agent": "aws-fsx-lustre"}
    assert site.metadata("p/e/")["file-permissions"] == "0040700"
    assert site.metadata("p/link")["file-permissions"] == "0120777"
    assert site.run(EXPORT, "e") == ("SUCCEEDED", 0, 0, 0)
    (root / "e/new").write_bytes(b"newer")
    assert site.mount.state("e/new") == DIRTY
    assert site.run(EXPORT, "e") == ("SUCCEEDED", 1, 1, 0)
    assert site.objects()["p/e/new"] == b"newer"
    assert site.run(EXPORT, "gone")[0] == "FAILED"


def test_a_released_file_is_not_exported_but_one_that_was_written_is(site: Site, imported: Path) -> None:
    imported.chmod(0o600)
    assert site.run(EXPORT, "d/f") == ("SUCCEEDED", 0, 0, 0)
    imported.write_bytes(b"HELLO")
    assert site.mount.state("d/f") == DIRTY
    assert site.run(EXPORT, "d/f") == ("SUCCEEDED", 1, 1, 0)
    assert site.objects()["p/d/f"] == b"HELLO"


def test_what_cannot_be_exported_is_reported(site: Site) -> None:
    root = site.mount.root
    deep = root
    for _ in range(5):
        deep = deep / ("n" * 250)
        deep.mkdir()
    (root / os.fsdecode(b"\xff")).touch()
    os.mkfifo(root / "pipe")
    lifecycle, _, _, failed = site.run(EXPORT, report=True)
    assert (lifecycle, failed) == ("FAILED", 3)
    report = site.objects()[f"p/.reports/{site.fsx.tasks()[-1]['TaskId']}/failures.csv"].decode().splitlines()
    codes = [line.rpartition(",")[2] for line in report]
    assert sorted(codes) == ["FileTypeNotSupported", "PathNotUtf8", "PathSizeTooLong"]


def test_a_release_takes_the_data_of_what_is_exported_and_unused(site: Site) -> None:
    root = site.mount.root
    (root / "d").mkdir()
    for name in ("d/old", "d/dirty", "d/never"):
        (root / name).write_bytes(name.encode() * 1000)
    site.run(EXPORT, "d/old", "d/dirty")
    (root / "d/dirty").write_bytes(b"changed")
    before = (root / "d/old").stat()
    unused = {"DurationSinceLastAccess": {"Unit": "DAYS", "Value": 1}}
    assert site.run(RELEASE, "d", ReleaseConfiguration=unused) == ("SUCCEEDED", 0, 0, 0)
    assert site.run(RELEASE, "/") == ("SUCCEEDED", 1, 1, 0)
    after = (root / "d/old").stat()
    assert is_hollow(after)
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert [site.mount.released(name) for name in ("d/old", "d/dirty", "d/never")] == [True, False, False]


def test_a_release_minds_how_long_a_file_was_unused(moto_s3: S3Server, tmp_path: Path) -> None:
    later = tmp_path.stat().st_ctime + 3 * 86_400
    bucket = fresh_bucket(moto_s3)
    with fsx_server() as fsx, FakeMount(tmp_path / "fsx", moto_s3, clock=lambda: later) as mount:
        file_system, api = fsx.add_file_system(mount), fsx.client()
        fsx.add_association(file_system, "/", f"s3://{bucket}/")
        (mount.root / "f").write_bytes(b"x")
        site = Site(fsx, mount, None, api, bucket, file_system)
        site.run(EXPORT)
        for days, released in ((4, False), (2, True)):
            unused = {"DurationSinceLastAccess": {"Unit": "DAYS", "Value": days}}
            site.run(RELEASE, "f", ReleaseConfiguration=unused)
            assert mount.released("f") is released
        api.close()


def test_a_restore_brings_the_data_after_some_questions(site: Site, imported: Path) -> None:
    inode = imported.stat().st_ino
    site.mount.hsm.polls = 2
    assert site.lfs("hsm_restore", "@/d/f") == ("", "", 0)
    assert site.lfs("hsm_action", "@/d/f")[0] == "@/d/f: RESTORE running (0 bytes moved)\n"
    assert site.lfs("hsm_state", "@/d/f")[0] == "@/d/f: (0x0000000d) released exists archived, archive_id:1\n"
    assert is_hollow(imported.stat())
    assert site.lfs("hsm_action", "@/d/f")[0] == "@/d/f: NOOP\n"
    assert site.lfs("hsm_state", "@/d/f")[0] == "@/d/f: (0x00000009) exists archived, archive_id:1\n"
    told = imported.stat()
    assert (imported.read_bytes(), told.st_ino, told.st_mtime_ns) == (b"hello", inode, NS)
    assert site.run(EXPORT, "d/f") == ("SUCCEEDED", 0, 0, 0)


def test_a_restore_waits_for_as_long_as_it_is_told(site: Site, imported: Path) -> None:
    site.mount.hsm.polls = None
    site.lfs("hsm_restore", "@/d/f")
    assert {site.lfs("hsm_state", "@/d/f")[0] for _ in range(5)} == {
        "@/d/f: (0x0000000d) released exists archived, archive_id:1\n"
    }
    site.mount.hsm.polls = 0
    site.lfs("hsm_state", "@/d/f")
    assert imported.read_bytes() == b"hello"


@pytest.mark.parametrize("why", ["broken", "gone", "changed"])
def test_a_restore_that_fails_leaves_the_file_released(why: str, site: Site, imported: Path) -> None:
    if why == "broken":
        site.mount.break_restore("d/f")
    elif why == "gone":
        site.s3.delete_object(Bucket=site.bucket, Key="p/d/f")
    else:
        site.put("p/d/f", b"HELLO")
    site.mount.hsm.polls = 0
    site.lfs("hsm_restore", "@/d/f")
    assert site.lfs("hsm_action", "@/d/f")[0] == "@/d/f: NOOP\n"
    assert is_hollow(imported.stat())
    site.mount.lose("d/f")
    state = "@/d/f: (0x0000004d) released exists archived lost_from_hsm, archive_id:1\n"
    assert site.lfs("hsm_state", "@/d/f")[0] == state


LFS: list[tuple[Sequence[str], str, str, int]] = [
    (["hsm_state", "@/plain", "@"], "@/plain: (0x00000000)\n@: (0x00000000)\n", "", 0),
    (
        ["hsm_state", "@/plain", "@/no"],
        "@/plain: (0x00000000)\n",
        "can't get hsm state for @/no: No such file or directory\n",
        2,
    ),
    (["hsm_state", "/etc"], "", "can't get hsm state for /etc: Inappropriate ioctl for device\n", 25),
    (["hsm_state", "--", "@/plain"], "", "can't get hsm state for --: No such file or directory\n", 2),
    (["hsm_action", "@/no"], "", "can't get hsm action for @/no: No such file or directory\n", 2),
    (["hsm_action", "@/plain"], "@/plain: NOOP\n", "", 0),
    (["hsm_restore", "@/d/f", "@/no"], "", "Cannot stat @/no: No such file or directory\n", 2),
    (["hsm_restore", "@/d"], "", 'error: "@/d" is not a regular file\n', 4),
    (["hsm_restore", "--filelist", "@/no"], "", "Cannot read the file list @/no: No such file or directory\n", 2),
    (["hsm_restore", "--", "@/plain"], "", "", 0),
    (["hsm_restore"], "", "usage: hsm_restore [--filelist FILELIST] <file> ...\n", 4),
    (["hsm_release", "@/plain"], "", "Cannot send HSM request (use of @/plain): Operation not permitted\n", 1),
    (["getstripe", "-d", "@/no"], "", "lfs getstripe: cannot open '@/no': No such file or directory (2)\n", 2),
    (["df", "/"], "", "lfs df: / is no Lustre file system: Operation not supported\n", 95),
    (["migrate", "@"], "", "lfs: 'migrate' is not a valid command\n", 4),
]


def test_lfs_prints_what_lustres_own_does(site: Site, imported: Path) -> None:
    (site.mount.root / "plain").write_bytes(b"x")
    for arguments, out, error, code in LFS:
        assert site.lfs(*arguments) == (out, error, code), arguments
    assert site.mount.released("d/f")
    assert site.lfs("hsm_state", "@/d/f")[0].startswith("@/d/f: (0x0000000d)"), "nothing was asked to be restored"
    assert site.mount.lustre.calls[0][0] == "hsm_state"


def test_lfs_takes_lists_archives_and_releases(site: Site, imported: Path, tmp_path: Path) -> None:
    site.mount.hsm.polls = 0
    (tmp_path / "list").write_text(f"{imported}\n")
    assert site.lfs("hsm_restore", "--filelist", str(tmp_path / "list")) == ("", "", 0)
    site.lfs("hsm_state", "@/d/f")
    assert imported.read_bytes() == b"hello"
    (site.mount.root / "new").write_bytes(b"new")
    assert site.lfs("hsm_archive", "@/new") == ("", "", 0)
    assert site.objects()["p/new"] == b"new"
    assert site.lfs("hsm_release", "@/new", "@/d/f") == ("", "", 0)
    assert site.mount.released("new")
    assert is_hollow(imported.stat())


def test_lfs_tells_layouts_and_targets(site: Site) -> None:
    (site.mount.root / "f").touch()
    out = site.lfs("getstripe", "-d", "@")[0].splitlines()
    assert out[:3] == ["  lcm_layout_gen:    0", "  lcm_mirror_count:  1", "  lcm_entry_count:   4"]
    first = "      stripe_count:  1       stripe_size:   1048576       pattern:       raid0       stripe_offset: -1"
    assert out[8] == first
    assert site.lfs("getstripe", "-y", "-d", "@")[0].splitlines()[8:11] == [
        "    lcme_extent.e_end:   104857600",
        "    sub_layout:",
        "      stripe_count:  1",
    ]
    site.mount.lustre.layout = (Component(None, 4, 2 * 2**20),)
    plain = "stripe_count:  4       stripe_size:   2097152       pattern:       raid0       stripe_offset: -1\n"
    assert site.lfs("getstripe", "-d", "@")[0] == plain
    assert site.lfs("getstripe", "@/f")[0].splitlines()[:3] == [
        "@/f",
        "lmm_stripe_count:  4",
        "lmm_stripe_size:   2097152",
    ]
    site.mount.lustre.osts = [(1000, 950), (1000, 0)]
    assert site.lfs("df", "@")[0].splitlines() == [
        "UUID                   1K-blocks        Used   Available Use% Mounted on",
        "abcdefgh-MDT0000_UUID    34000000       10000    33990000   1% @[MDT:0]",
        "abcdefgh-OST0000_UUID        1000         950          50  95% @[OST:0]",
        "abcdefgh-OST0001_UUID        1000           0        1000   0% @[OST:1]",
        "",
        "filesystem_summary:         2000         950        1050  48% @",
    ]
    human = ["abcdefgh-OST0000_UUID", "1000.0K", "950.0K", "50.0K", "95%", "@[OST:0]"]
    assert site.lfs("df", "-h", "@")[0].splitlines()[2].split() == human


def test_the_script_hands_over_names_of_any_bytes_and_the_exit_code(site: Site, tmp_path: Path) -> None:
    command = site.mount.lfs_command(tmp_path)
    path = os.fsencode(site.mount.root) + b"/a\n\xff b"
    Path(os.fsdecode(path)).write_bytes(b"x")
    ran = subprocess.run([command, "hsm_state", path, path + b"!"], capture_output=True, check=False)
    assert ran.stdout == path + b": (0x00000000)\n"
    assert ran.stderr == b"can't get hsm state for " + path + b"!: No such file or directory\n"
    assert ran.returncode == 2


def test_an_association_is_deleted_with_its_data_or_without(site: Site) -> None:
    root = site.mount.root
    (root / "d").mkdir()
    (root / "d/f").write_bytes(b"x")
    os.symlink("d", root / "link")
    again = site.fsx.add_association(site.file_system, "/d", f"s3://{site.bucket}/d")
    first, second = (told["AssociationId"] for told in site.api.describe_data_repository_associations()["Associations"])
    assert second == again
    site.api.delete_data_repository_association(AssociationId=second)
    site.fsx.advance()
    assert (root / "d/f").exists()
    site.api.delete_data_repository_association(AssociationId=first, DeleteDataInFileSystem=True)
    site.fsx.advance()
    assert os.listdir(root) == []


def test_links_below_the_root_have_their_own_prefixes(site: Site) -> None:
    (told,) = site.api.describe_data_repository_associations()["Associations"]
    site.api.delete_data_repository_association(AssociationId=told["AssociationId"])
    site.fsx.advance()
    for name in ("a", "b"):
        site.fsx.add_association(site.file_system, f"/n/{name}", f"s3://{site.bucket}/{name}")
        site.put(f"{name}/{name}1", name.encode())
    assert site.run(IMPORT) == ("SUCCEEDED", 2, 2, 0)
    (site.mount.root / "n/b/new").write_bytes(b"new")
    (site.mount.root / "n/outside").write_bytes(b"not linked")
    assert site.run(EXPORT, "n/b") == ("SUCCEEDED", 1, 1, 0)
    assert site.run(EXPORT, "n/outside")[0] == "FAILED"
    assert site.objects() == {"a/a1": b"a", "b/b1": b"b", "b/new": b"new"}
    assert stat.S_ISDIR((site.mount.root / "n/a").stat().st_mode)
