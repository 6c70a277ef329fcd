"""What a tree holds beside plain files: links, folders without files, pipes and their likes, and files that change."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace_queue.report_file import ReportEntry
from tests.support.commands import Folder, Hub, call, complaint, outcomes, sent
from tests.support.rights import drain_without_privilege
from tests.support.site import Site
from tests.support.trees import keys_of

pytestmark = pytest.mark.server


@pytest.fixture
def tree(tmp_path: Path) -> Folder:
    """A folder with a real file in it."""
    folder = Folder(tmp_path / "tree")
    folder.fill({"real": b"content of the file", "sub/inner": b"inner"})
    return folder


def by_key(lines: list[ReportEntry]) -> dict[str, ReportEntry]:
    return {line.key: line for line in lines}


# -- pipes, sockets, devices ------------------------------------------------------------------------------------------


def test_what_is_no_file_is_skipped_with_a_line(tree: Folder, hub: Hub) -> None:
    bucket = hub.prefix("weed")
    os.mkfifo(tree.path / "pipe")
    kinds = {"pipe": "a named pipe", "sock": "a socket"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree.path / "sock"))
        if os.geteuid() == 0:
            os.mknod(tree.path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
            kinds["null"] = "a character device"
        job = hub.sync(tree, bucket)
    lines = by_key(hub.lines(job))
    assert {key: line.outcome for key, line in lines.items() if key in kinds} == dict.fromkeys(kinds, "skipped")
    assert {key: lines[key].error for key in kinds} == dict.fromkeys(kinds, "special_file")
    assert all(lines[key].message.startswith(kind) for key, kind in kinds.items())
    assert (sent(job), job["counters"]["excluded"]) == ((2, 0, 0), len(kinds))
    assert set(bucket.read()) == {"real", "sub/inner"}
    assert "a named pipe" in hub.site.run("headrace", "report", job["id"])


def test_what_is_excluded_is_not_mentioned(tree: Folder, hub: Hub) -> None:
    os.mkfifo(tree.path / "pipe")
    job = hub.sync(tree, hub.prefix("weed"), "--exclude", "pipe")
    assert set(outcomes(hub.lines(job))) == {"real", "sub/inner"}


# -- symbolic links ---------------------------------------------------------------------------------------------------


def make_links(tree: Folder) -> dict[str, str]:
    """Links of all sorts; name -> where it leads."""
    links = {
        "good": "real",
        "deep": "sub/inner",
        "folder": "sub",
        "nowhere": "gone",
        "loop": "loop",
        "outside": "../elsewhere",
        "absolute": str(tree.path / "real"),
        "sub/up": "../real",
    }
    for name, target in links.items():
        (tree.path / name).symlink_to(target)
    return links


FOLLOWED = {"good": b"content of the file", "deep": b"inner", "sub/up": b"content of the file"}
FILES = {"real": b"content of the file", "sub/inner": b"inner"}


@pytest.mark.parametrize("options", [(), ("--links", "follow")])
def test_links_to_files_inside_are_followed(options: tuple[str, ...], tree: Folder, hub: Hub) -> None:
    bucket = hub.prefix("weed")
    links = make_links(tree)
    job = hub.sync(tree, bucket, *options)
    assert bucket.read() == FILES | FOLLOWED
    passed = {line.key: line.outcome for line in hub.lines(job) if line.error == "symlink"}
    assert passed == dict.fromkeys(set(links) - set(FOLLOWED), "skipped")
    assert job["counters"]["excluded"] == len(passed)


def test_a_copy_of_a_link_goes_where_a_sync_would(tree: Folder, hub: Hub) -> None:
    """The client lets pass what only the kernel can tell: this one leads out, and back in."""
    bucket = hub.prefix("weed")
    (tree.path / "inside").symlink_to("sub/inner")
    (tree.path / "around").symlink_to(f"../{tree.path.name}/real")
    assert hub.copy(f"{tree.url}/inside", f"{bucket.url}/k")["state"] == "done"
    assert bucket.read() == {"k": b"inner"}
    job = hub.copy(f"{tree.url}/around", f"{bucket.url}/k", code=4)
    why, _, remedy = job["error"].partition(" do: ")
    assert why.startswith(f"{tree.path}/around: it is a symbolic link that leads outside")
    assert remedy == f"Copy the file itself: {tree.path}/real"


def test_links_are_skipped(tree: Folder, hub: Hub) -> None:
    bucket = hub.prefix("weed")
    links = make_links(tree)
    job = hub.sync(tree, bucket, "--links", "skip")
    assert bucket.read() == FILES
    assert {line.key for line in hub.lines(job) if line.outcome == "skipped"} == set(links)


def test_links_are_stored_and_come_back(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    """As FSx for Lustre stores them: the target is the content, the type stands in file-permissions."""
    bucket, back = hub.prefix("weed"), Folder(tmp_path / "back")
    links = make_links(tree)
    assert sent(hub.sync(tree, bucket, "--links", "store")) == (len(links) + 2, 0, 0)
    assert bucket.read() == FILES | {name: target.encode() for name, target in links.items()}
    assert bucket.head("good")["Metadata"]["file-permissions"] == "0120777"
    assert sent(hub.sync(tree, bucket, "--links", "store")) == (0, len(links) + 2, 0)
    assert sent(hub.sync(tree, bucket, "--links", "store", "--compare", "checksum")) == (0, len(links) + 2, 0)
    assert sent(hub.sync(bucket, back, "--links", "store")) == (len(links) + 2, 0, 0)
    assert {name: os.readlink(back.path / name) for name in links} == links
    assert {name: (back.path / name).read_bytes() for name in FILES} == FILES
    assert sent(hub.sync(bucket, back, "--links", "store")) == (0, len(links) + 2, 0)
    for folder in (tree, back):
        said = hub.site.run("headraced", "verify", folder.url, bucket.url, "--links", "store")
        assert f"same: {len(links) + 2} objects" in said
    (back.path / "good").unlink()
    (back.path / "good").symlink_to("reel")  # as long as it was
    said = hub.site.run("headraced", "verify", back.url, bucket.url, "--links", "store", code=1)
    assert "content differs good" in said
    assert "differences: 1 content differs" in said


def test_a_link_keeps_its_time_and_owner(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), tmp_path / "back"
    (tree.path / "link").symlink_to("real")
    os.utime(tree.path / "link", (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(tree.path / "link", 12, 34, follow_symlinks=False)
    hub.sync(tree, bucket, "--links", "store", "--preserve")
    hub.sync(bucket, Folder(back), "--links", "store", "--preserve")
    before, after = (tree.path / "link").lstat(), (back / "link").lstat()
    assert int(after.st_mtime) == 1_500_000_000
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@pytest.mark.parametrize("options", [(), ("--preserve",)])
def test_without_the_option_a_stored_link_is_a_file(
    options: tuple[str, ...], tree: Folder, hub: Hub, tmp_path: Path
) -> None:
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    (tree.path / "link").symlink_to("real")
    hub.sync(tree, bucket, "--links", "store")
    hub.sync(bucket, back, *options)
    assert not (back.path / "link").is_symlink()
    assert (back.path / "link").read_bytes() == b"real"


def test_a_stored_link_leads_no_object_out_of_the_tree(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    """A link that was restored is never followed by what comes behind it."""
    bucket, back, outside = hub.prefix("moto"), tmp_path / "back", tmp_path / "outside"
    outside.mkdir()
    (tree.path / "way").symlink_to(outside)
    hub.sync(tree, bucket, "--links", "store")
    hub.sync(bucket, Folder(back), "--links", "store")
    assert (back / "way").is_symlink()
    bucket.delete("way")
    bucket.fill({"way/evil": b"evil"})
    job = hub.sync(bucket, Folder(back), "--links", "store", code=1)
    assert by_key(hub.lines(job))["way/evil"].error == "blocked"
    assert list(outside.iterdir()) == []


def test_an_existing_link_is_not_clobbered(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), tmp_path / "back"
    (tree.path / "link").symlink_to("real")
    hub.sync(tree, bucket, "--links", "store")
    back.mkdir()
    (back / "link").symlink_to("mine")
    hub.sync(bucket, Folder(back), "--links", "store", "--no-clobber")
    assert os.readlink(back / "link") == "mine"
    hub.sync(bucket, Folder(back), "--links", "store", "--compare", "checksum")
    assert os.readlink(back / "link") == "real"


def test_a_link_that_only_the_destination_has_is_deleted(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), tmp_path / "back"
    hub.sync(tree, bucket, "--links", "store")
    hub.sync(bucket, Folder(back))
    (back / "extra").symlink_to(tmp_path)
    hub.sync(bucket, Folder(back), "--delete")
    assert (back / "extra").is_symlink()  # passed over: not an object
    job = hub.sync(bucket, Folder(back), "--links", "store", "--delete")
    assert job["counters"]["deleted"] == 1
    assert not (back / "extra").is_symlink()
    assert tmp_path.is_dir()


# -- hard links, holes, empty files -----------------------------------------------------------------------------------


def test_each_name_of_a_file_is_an_object(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("weed"), Folder(tmp_path / "back")
    os.link(tree.path / "real", tree.path / "second")
    hub.sync(tree, bucket)
    assert bucket.read() == FILES | {"second": b"content of the file"}
    hub.sync(bucket, back)
    assert (back.path / "real").stat().st_nlink == 1


def test_a_file_with_holes_has_its_content(tmp_path: Path, hub: Hub) -> None:
    """One that travels whole, and one in parts."""
    tree, bucket, back = Folder(tmp_path / "tree"), hub.prefix("weed"), Folder(tmp_path / "back")
    tree.path.mkdir()
    for name, size in (("small", 2**20), ("large", 12 * 2**20)):
        with (tree.path / name).open("wb") as file:
            file.write(b"start")
            file.seek(size // 2)
            file.write(b"middle")
            file.truncate(size)
    hub.sync(tree, bucket)
    hub.sync(bucket, back)
    assert back.read() == tree.read()


@pytest.mark.parametrize("remote", ["weed", "clone"])
def test_files_without_a_byte(remote: str, tmp_path: Path, hub: Hub) -> None:
    tree, bucket, back = Folder(tmp_path / "tree"), hub.prefix(remote), Folder(tmp_path / "back")
    tree.fill({"empty": b"", "folder/empty": b""})
    assert sent(hub.sync(tree, bucket)) == (2, 0, 0)
    assert sent(hub.sync(bucket, back)) == (2, 0, 0)
    assert back.read() == tree.read()
    assert sent(hub.sync(tree, bucket, "--compare", "checksum")) == (0, 2, 0)


# -- folders ----------------------------------------------------------------------------------------------------------


def test_empty_folders_go_both_ways(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    for folder in ("empty", "sub/also", "nest/in/nest"):
        (tree.path / folder).mkdir(parents=True)
    assert sent(hub.sync(tree, bucket, "--empty-dirs")) == (5, 0, 0)
    assert sent(hub.sync(tree, bucket, "--empty-dirs")) == (0, 5, 0)
    assert sent(hub.sync(bucket, back)) == (5, 0, 0)
    assert back.folders() == tree.folders()
    assert sent(hub.sync(bucket, back)) == (0, 5, 0)
    assert sent(hub.sync(tree, bucket, "--delete")) == (0, 2, 0)  # markers are no objects that a tree could lack
    with bucket.client() as client:
        found = client.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix)["Contents"]
    markers = {one["Key"].removeprefix(bucket.prefix) for one in found if one["Key"].endswith("/")}
    assert markers == {"empty/", "sub/also/", "nest/in/nest/"}


def test_empty_folders_stay_at_home_unless_asked_for(tree: Folder, hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    (tree.path / "empty").mkdir()
    assert sent(hub.sync(tree, bucket)) == (2, 0, 0)
    hub.sync(bucket, back)
    assert back.folders() == {"sub"}


def test_a_marker_with_content_fails_and_is_not_lost(hub: Hub, tmp_path: Path) -> None:
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    bucket.fill({"folder/": b"content of a marker", "folder/file": b"file"})
    for _ in range(2):  # the second time the folder is there already
        job = hub.sync(bucket, back, code=1)
        line = by_key(hub.lines(job))["folder/"]
        assert (line.outcome, line.error) == ("failed", "name")
        assert "stands for a folder" in line.message
    assert back.read() == {"folder/file": b"file"}


def test_a_file_and_a_folder_of_one_name_are_told_by_both_names(hub: Hub, tmp_path: Path) -> None:
    """The same one arrives every time."""
    bucket, back = hub.prefix("moto"), Folder(tmp_path / "back")
    bucket.fill({"a": b"file", "a-b": b"beside", "a/inner": b"1", "a/inner/most": b"2", "b": b"other"})
    for _ in range(2):
        job = hub.sync(bucket, back, code=1)
        failed = {line.key: line for line in hub.lines(job) if line.outcome == "failed"}
        assert {key: line.error for key, line in failed.items()} == dict.fromkeys(
            ["a/inner", "a/inner/most"], "blocked"
        )
        assert failed["a/inner"].message.startswith("a is an object too")
        assert back.read() == {"a": b"file", "a-b": b"beside", "b": b"other"}


# -- files that change, vanish or cannot be read ----------------------------------------------------------------------


@contextmanager
def always_written(path: Path) -> Iterator[None]:
    """Somebody goes on writing a file as long as the block lasts: what was read is never what it is then."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            os.utime(path)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_a_file_that_never_stands_still_fails_and_one_that_vanished_does_not(tree: Folder, hub: Hub) -> None:
    bucket, busy = hub.prefix("weed"), tree.path / "busy"
    busy.write_bytes(b"x" * 6 * 2**20)
    with always_written(busy):
        job = hub.sync(tree, bucket, "--bandwidth", "6MiB/s", code=1)
    line = by_key(hub.lines(job))["busy"]
    assert (line.outcome, line.error, sent(job)) == ("failed", "source_unstable", (2, 0, 1))
    assert bucket.read() == FILES
    busy.unlink()
    hub.site.headrace("retry", job["id"])
    assert hub.site.finish(job["id"]).counters.vanished == 1
    assert hub.site.report(job["id"])["busy"].outcome == "vanished"


def test_what_cannot_be_read_fails_until_it_can(tree: Folder, hub: Hub, quiet: Site) -> None:
    """A retry sends the file. What is in the folder nobody knows before it is listed anew."""
    bucket, secret, shut = hub.prefix("weed"), tree.path / "secret", tree.path / "shut"
    tree.fill({"secret": b"secret", "shut/inner": b"inner"})
    secret.chmod(0)
    shut.chmod(0)
    job = quiet.enqueue(tree.url, bucket.url)
    drain_without_privilege(quiet, code=1)
    lines = quiet.report(job)
    failed = {key: (line.error, line.attempts) for key, line in lines.items() if line.failed}
    assert failed == {"secret": ("access_denied", 1), "shut/": ("access_denied", 0)}
    assert bucket.read() == FILES

    secret.chmod(0o600)
    shut.chmod(0o700)
    quiet.run("headrace", "retry", job)
    quiet.run("headraced", "drain", code=1)
    assert [line.key for line in quiet.report(job).values() if line.failed] == ["shut/"]
    assert bucket.read() == FILES | {"secret": b"secret"}
    assert bucket.prefix + "shut/" not in set(keys_of(bucket.server, bucket.name, bucket.prefix))
    hub.sync(tree, bucket)
    assert bucket.read() == tree.read()


# -- wrong use --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "options", "named"),
    [
        ("weed://a/x", "weed://b/y", ("--links", "store"), "--links store"),
        ("weed://a/x", "weed://b/y", ("--encode-names",), "--encode-names"),
        ("weed://a/x", "weed://b/y", ("--empty-dirs",), "--empty-dirs"),
        ("weed://a/x", "down", ("--empty-dirs",), "--empty-dirs"),
        ("weed://a/x", "down", ("--dirs",), "--dirs"),
        ("weed://a/x", "down", ("--links", "follow"), "--links follow"),
        ("weed://a/x", "down", ("--links", "skip"), "--links skip"),
    ],
)
def test_options_without_effect_are_refused(
    source: str, destination: str, options: tuple[str, ...], named: str, hub: Hub
) -> None:
    what, _, _ = complaint(hub.site, "headrace", "sync", source, destination, *options)
    assert what == named


def test_links_are_none_of_two_buckets_when_they_are_compared(hub: Hub, tree: Folder) -> None:
    bucket = hub.prefix("weed")
    for places in ((bucket.url, hub.prefix("weed").url), (tree.path / "real", f"{bucket.url}/real")):
        said = complaint(hub.site, "headraced", "verify", *places, "--links", "store")
        assert (said[0], said[2]) == ("--links store", "Leave out --links store.")


def test_a_policy_nobody_knows(hub: Hub) -> None:
    assert "follow" in call(hub.site, "headrace", "sync", ".", "weed://a/x", "--links", "jump", code=2).errors
