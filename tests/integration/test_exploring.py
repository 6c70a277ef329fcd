"""What `headrace ls`, `du` and `stat` show of buckets, files and remotes: in this process, with real services."""

import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from headrace_daemon.demo.servers import RcloneS3, S3Server, SeaweedFS
from headrace_daemon.exploring.names import Names, names_at
from headrace_daemon.exploring.run import run_look
from headrace_daemon.s3.looking import Looking
from headrace_queue.config import Config, load_config
from headrace_queue.errors import UsageError
from headrace_queue.looking_request import LookRequest, check_place, place_of
from tests.support.buckets import fresh_bucket
from tests.support.commands import Bucket, Folder, Place, remote_of
from tests.support.site import Site

pytestmark = pytest.mark.server

TREE = {
    "sentinel2/134_Arsuk/a.tif": b"x" * 2048,
    "sentinel2/134_Arsuk/download/raw.tif": b"x" * 4096,
    "sentinel2/001_Alison/b.tif": b"x" * 1024,
    "sentinel2.txt": b"notes",
    "z.txt": b"",
}


class Shown(NamedTuple):
    """The exit code, and what was written to the two streams."""

    code: int
    out: list[str]
    errors: list[str]

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]


Look: TypeAlias = Callable[..., Awaitable[Shown]]


@pytest.fixture
def servers(rclone_s3: RcloneS3, seaweed: SeaweedFS, moto_s3: S3Server) -> dict[str, S3Server]:
    return {"clone": rclone_s3, "weed": seaweed, "moto": moto_s3}


@pytest.fixture
def config(servers: dict[str, S3Server], tmp_path: Path) -> Config:
    return load_config(Site(tmp_path / "site", {name: remote_of(one) for name, one in servers.items()}).config, {})


@pytest.fixture
def look(config: Config, capsys: pytest.CaptureFixture[str]) -> Look:
    """Looks at a place as a command would."""

    async def look_at(what: Any, place: object, **options: Any) -> Shown:
        request = LookRequest(look=what, place=place_of(str(place)) if place else "", **options)
        check_place(request)
        code = await run_look(config, LookRequest.from_text(request.to_text()))
        out, errors = capsys.readouterr()
        return Shown(code, out.splitlines(), errors.splitlines())

    return look_at


def bucket_in(servers: dict[str, S3Server], name: str) -> Bucket:
    return Bucket(servers[name], name, fresh_bucket(servers[name]))


@pytest.mark.parametrize("kind", ["weed", "clone", "files"])
async def test_what_is_there_in_the_order_of_keys(
    kind: str, servers: dict[str, S3Server], look: Look, tmp_path: Path
) -> None:
    """SeaweedFS lists folder by folder; in the order of keys `sentinel2.txt` comes before `sentinel2/`."""
    place: Place = Folder(tmp_path / "files") if kind == "files" else bucket_in(servers, kind)
    place.fill(TREE)
    assert (await look("ls", place.url)).out == ["sentinel2.txt", "sentinel2/", "z.txt"]
    below = ["001_Alison/b.tif", "134_Arsuk/a.tif", "134_Arsuk/download/raw.tif"]
    assert (await look("ls", f"{place.url}/sentinel2", recursive=True)).out == below
    limited = await look("ls", place.url, limit=1)
    assert (limited.out, limited.errors) == (["sentinel2.txt"], ["there is more: --limit 1 is reached"])
    (one,) = (await look("ls", f"{place.url}/z.txt", as_json=True)).told
    assert (one["name"], one["location"], one["size"]) == ("z.txt", f"{place.url}/z.txt", 0)

    unit = "file" if kind == "files" else "object"
    counted = await look("du", f"{place.url}/sentinel2", depth=1)
    assert [" ".join(line.split()) for line in counted.out] == [
        f"1.0 KiB 1 {unit} 001_Alison/",
        f"6.0 KiB 2 {unit}s 134_Arsuk/",
        f"7.0 KiB 3 {unit}s {place.url}/sentinel2",
    ]
    deeper = (await look("du", f"{place.url}/sentinel2", depth=2, as_json=True)).told
    names = ["001_Alison/", "134_Arsuk/download/", "134_Arsuk/"]
    assert [line["name"] for line in deeper if line["kind"] == "folder"] == names
    assert {"kind": "total", "objects": 3, "bytes": 7168}.items() <= deeper[-1].items()
    assert (await look("du", f"{place.url}/sentinel2.txt", human=False)).out[0].split()[:3] == ["5", "1", unit]


async def test_long_lines_name_size_class_and_etag(servers: dict[str, S3Server], look: Look) -> None:
    bucket = bucket_in(servers, "clone")
    bucket.fill({"a/b": b"", "c.txt": b"x" * 1536})
    folder, file = (await look("ls", bucket.url, long=True)).out
    assert folder.strip() == "a/"
    assert file.split()[:2] == ["1.5", "KiB"]
    assert file.split()[4:] == ["STANDARD", bucket.head("c.txt")["ETag"].strip('"'), "c.txt"]
    assert (await look("ls", f"{bucket.url}/c.txt", long=True, human=False)).out[0].split()[0] == "1536"


@pytest.mark.parametrize("what", ["ls", "du", "stat"])
async def test_nothing_there_is_told_apart_from_a_failure(
    what: str, servers: dict[str, S3Server], look: Look, tmp_path: Path
) -> None:
    bucket = bucket_in(servers, "clone")
    assert await look(what, f"{bucket.url}/none") == Shown(1, [], [f"nothing is at {bucket.url}/none"])
    missing = await look(what, "clone://no-such-bucket/x")
    assert (missing.code, missing.out) == (4, [])
    assert "NoSuchBucket" in missing.errors[1]
    with pytest.raises(UsageError, match="no such file or folder"):
        await look(what, tmp_path / "none")


@pytest.mark.parametrize(
    ("what", "place", "options"),
    [
        ("du", "clone://", {}),
        ("stat", "clone://", {}),
        ("ls", "/tmp", {"versions": True}),
        ("du", "/tmp", {"by_class": True}),
        ("ls", "clone://", {"requester_pays": True}),
        ("ls", "", {"recursive": True}),
        ("ls", "clone://", {"recursive": True}),
        ("ls", "nonsense://b", {}),
    ],
)
async def test_what_means_nothing_there_is_refused(what: str, place: str, options: Any, look: Look) -> None:
    with pytest.raises(UsageError):
        await look(what, place, **options)


async def test_remotes_and_buckets(servers: dict[str, S3Server], look: Look) -> None:
    bucket = bucket_in(servers, "clone")
    assert (await look("ls", "")).out == ["clone://", "moto://", "s3://", "weed://"]
    assert f"clone://{bucket.name}" in (await look("ls", "clone://")).out
    told = {one["name"]: one for one in (await look("ls", "clone://", as_json=True)).told}
    assert told[bucket.name]["location"] == f"clone://{bucket.name}/"
    assert told[bucket.name]["kind"] == "bucket"


async def test_all_that_is_known_of_an_object_and_its_bucket(servers: dict[str, S3Server], look: Look) -> None:
    """moto answers what S3 answers, versions and locks among it."""
    name = f"{fresh_bucket(servers['moto'])}-locked"
    bucket = Bucket(servers["moto"], "moto", name)
    with bucket.client() as client:
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z"}
        plain = {"Bucket": name, "Key": "a/b.txt", "Metadata": {"who": "me"}, "ChecksumAlgorithm": "CRC32"}
        first = client.put_object(
            **plain, **lock, Body=b"one", Tagging="project=ice%20sheet", ServerSideEncryption="AES256"
        )["VersionId"]
        client.put_object(**plain, Body=b"two!")
        client.delete_object(Bucket=name, Key="a/b.txt")
    (told,) = (await look("stat", f"{bucket.url}/a/b.txt", version=first, as_json=True)).told
    wanted = {
        "kind": "object",
        "size": 3,
        "metadata": {"who": "me"},
        "tags": {"project": "ice sheet"},
        "encryption": "AES256",
        "object_lock": "GOVERNANCE",
        "version": first,
        "storage_class": "STANDARD",
        "retained_until": 4070908800.0,
    }
    assert wanted.items() <= told.items()
    (of_bucket,) = (await look("stat", bucket.url, as_json=True)).told
    assert {
        "kind": "bucket",
        "versioning": "on",
        "object_lock": "on, no default retention",
    }.items() <= of_bucket.items()
    assert set(of_bucket["refused"]) == {"pays"}  # moto takes that question for a listing
    versions = [line.partition("  ")[2] for line in (await look("ls", f"{bucket.url}/a", versions=True)).out]
    assert sorted(versions) == ["b.txt", "b.txt", "b.txt  (deleted)"]
    exact = (await look("ls", f"{bucket.url}/a/b.txt", versions=True, as_json=True)).told
    assert [(one["kind"], one["location"]) for one in exact][:1] == [("delete marker", f"{bucket.url}/a/b.txt")]
    assert (await look("stat", f"{bucket.url}/a/b.txt")).code == 1


async def test_prefixes_and_classes(servers: dict[str, S3Server], look: Look) -> None:
    bucket = bucket_in(servers, "moto")
    with bucket.client() as client:
        client.put_object(Bucket=bucket.name, Key="deep/x", Body=b"1")
        client.put_object(Bucket=bucket.name, Key="deep/er/y", Body=b"22", StorageClass="GLACIER")
    (prefix,) = (await look("stat", f"{bucket.url}/deep", as_json=True)).told
    assert (prefix["kind"], prefix["objects"], prefix["folders"]) == ("prefix", 1, 1)
    total = (await look("du", bucket.url, by_class=True, as_json=True)).told[-1]
    assert total["classes"] == {"GLACIER": {"objects": 1, "bytes": 2}, "STANDARD": {"objects": 1, "bytes": 1}}
    archived = (await look("stat", f"{bucket.url}/deep/er/y")).out
    assert any(line.startswith("restore") and "archived" in line for line in archived)


async def test_files_links_and_names_that_are_no_text(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    Folder(path).fill({"file": b"x" * 3000})
    (path / "link").symlink_to("file")
    (path / "nowhere").symlink_to("gone")
    with socket.socket(socket.AF_UNIX) as server:
        os.close(os.open(os.fsencode(path) + b"/bad\xff\x1b[2J", os.O_CREAT))
        server.bind(str(path / "s"))
        shown = await look("ls", path)
    assert shown.out == ["bad\\udcff\\x1b[2J", "file", "link -> file", "nowhere -> gone", "s"]
    (told,) = (await look("stat", path / "file", as_json=True)).told
    mode = f"{(path / 'file').stat().st_mode & 0o7777:04o}"
    assert (told["kind"], told["size"], told["mode"]) == ("file", 3000, mode)
    (link,) = (await look("stat", path / "link", as_json=True)).told
    assert (link["kind"], link["target"]) == ("link", "file")
    assert "nothing is there" in "".join((await look("stat", path / "nowhere")).out)
    assert (await look("stat", path, as_json=True)).told[0]["kind"] == "folder"
    # a link counts where the file lies that it leads to; what cannot be moved is counted by nobody, and said
    counted = await look("du", path, human=False)
    assert counted.out[0].split()[:3] == ["3000", "1", "file"]
    assert [line.split(":")[0] for line in counted.errors] == ["not counted", "not counted"]
    assert not any("link" in line for line in counted.errors)


async def test_more_than_a_page_holds(
    servers: dict[str, S3Server], config: Config, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed page by page; completion is told what begins as it was asked, and all of what fits on a page."""
    defaults = Looking.look_page.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "limit", 10)  # in place of 1,000, which take long to write
    bucket = bucket_in(servers, "moto")
    keys = [f"many/{number:02d}/x" if number % 2 else f"many/{number:02d}" for number in range(25)]
    bucket.fill(dict.fromkeys(["one/x", "two", *keys], b""))
    shown = [key.removesuffix("x") for key in keys]
    assert (await look("ls", f"{bucket.url}/many")).out == [key.removeprefix("many/") for key in shown]
    assert f"{bucket.url}/" in (await names_at(config, "moto://", 60)).names
    whole = [f"{bucket.url}/{name}" for name in ("many/", "one/", "two")]
    assert await names_at(config, f"{bucket.url}/t", 60) == Names(True, whole)
    narrow = [f"{bucket.url}/{key}" for key in shown if key.startswith("many/2")]
    assert await names_at(config, f"{bucket.url}/many/2", 60) == Names(False, narrow)


async def test_all_that_is_in_a_folder_is_shown_with_and_without_r(look: Look, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub" / "none").mkdir(parents=True)
    (tree / "sub" / "x").touch()
    (tree / "gone").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    odd = tree / os.fsdecode(b"bad\xff")
    odd.touch()
    assert (await look("ls", tree)).out == ["bad\\udcff", "gone -> nowhere", "pipe", "sub/"]
    below = await look("ls", tree, recursive=True)
    assert (below.out, below.errors) == (["bad\\udcff", "gone -> nowhere", "pipe", "sub/none/", "sub/x"], [])
    assert (await look("stat", odd)).code == 0


@pytest.mark.parametrize("what", ["ls", "du", "stat"])
async def test_a_path_that_cannot_be_read_is_told_in_three_lines(what: str, look: Look, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    found = await look(what, tmp_path / "loop" / "x")
    assert (found.code, found.out) == (4, [])
    assert [line.split(":")[0].strip() for line in found.errors][1:] == ["why", "do"]
    assert found.errors[1] == "  why: Too many levels of symbolic links"
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="there is no such file or folder"):
        await look(what, tmp_path / "file" / "x")


async def test_no_other_version_is_shown_than_was_asked_for(servers: dict[str, S3Server], look: Look) -> None:
    bucket = bucket_in(servers, "clone")
    bucket.fill({"a": b"x"})
    found = await look("stat", f"{bucket.url}/a", version="v1")
    assert (found.code, found.out) == (4, [])
    assert found.errors[-1] == "  do:  Leave out --version-id, or look at a service that keeps versions."
    assert "Leave out --versions," in (await look("ls", bucket.url, versions=True)).errors[-1]
    kept = bucket_in(servers, "moto")
    kept.fill({"a": b"x"})
    missing = await look("stat", f"{kept.url}/a", version="00000000-0000-0000-0000-000000000000")
    assert (missing.code, missing.out) == (1, [])
    assert "there is no version 0" in missing.errors[0]
