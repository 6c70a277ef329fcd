"""What an uploaded object is besides its bytes, and that bytes are never unpacked on any way.

Sources are written and results are read by botocore, which shows headers as they come and unpacks nothing.
"""

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import THRESHOLD, Bucket, Folder, Hub, call, complaint, noise, remote_of, sent
from tests.support.faults import Fault, Kind
from tests.support.proxy_thread import ProxyThread
from tests.support.site import site_of

pytestmark = pytest.mark.server

SERVERS = ["moto", "weed", "clone"]
GIVEN = {
    "--content-type": "text/plain; charset=utf-8",
    "--cache-control": "max-age=60, no-transform",
    "--content-disposition": 'attachment; filename="a b.nc"',
    "--content-encoding": "gzip",
    "--content-language": "de, en",
    "--expires": "2037-10-21T07:28:00Z",
    "--metadata": "Project=glacier",
}
FIELDS = {
    "ContentType": "text/plain; charset=utf-8",
    "CacheControl": "max-age=60, no-transform",
    "ContentDisposition": 'attachment; filename="a b.nc"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ExpiresString": "Wed, 21 Oct 2037 07:28:00 GMT",
}
GIVEN_OPTIONS = [word for pair in GIVEN.items() for word in pair]
SMALL, LARGE = "small.nc", "large.nc"


def heads(place: Bucket, *keys: str) -> list[dict[str, Any]]:
    """What botocore says of these objects, in their order."""
    with place.client() as client:
        return [client.head_object(Bucket=place.name, Key=place.prefix + key) for key in keys]


def fields(place: Bucket, *keys: str) -> list[dict[str, Any]]:
    """Of each object the system headers that a person may set, those that it has."""
    return [{name: head[name] for name in FIELDS if name in head} for head in heads(place, *keys)]


def metadata(place: Bucket, *keys: str) -> list[dict[str, str]]:
    """Of each object the user metadata, without the mark of a large upload."""
    found = [{name.lower(): value for name, value in head["Metadata"].items()} for head in heads(place, *keys)]
    return [{name: value for name, value in one.items() if name != "headrace-write"} for one in found]


def told(hub: Hub, job: Any) -> list[str]:
    """What the daemon says that this job's objects did not keep, one word an event."""
    events = hub.site.events("job_not_carried")
    return sorted(event["detail"].split(":")[0] for event in events if event["job"] == job["id"])


# -- the guess -----------------------------------------------------------------------------------------------------

GUESSED = {
    "station.nc": "application/x-netcdf",
    "forecast.GRIB2": "application/grib",
    "cube.zarr/.zattrs": "application/json",
    "cube.zarr/0.0.0": "application/octet-stream",
    "scene.tif": "image/tiff",
    "station.nc.gz": "application/gzip",
    "README": "application/octet-stream",
}


@pytest.mark.parametrize("remote", SERVERS)
def test_an_upload_gets_the_type_that_its_name_says(remote: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path), hub.prefix(remote)
    files.fill(dict.fromkeys(GUESSED, b"few bytes") | {LARGE: noise(THRESHOLD + 1)})
    job = hub.sync(files, bucket)
    expected = GUESSED | {LARGE: "application/x-netcdf"}
    assert fields(bucket, *expected) == [{"ContentType": media_type} for media_type in expected.values()]
    assert told(hub, job) == []


def test_the_type_of_a_copy_is_that_of_its_new_name(hub: Hub, tmp_path: Path) -> None:
    bucket = hub.prefix("moto")
    (tmp_path / "a.nc").write_bytes(b"few bytes")
    hub.copy(str(tmp_path / "a.nc"), f"{bucket.url}/b.txt")
    assert fields(bucket, "b.txt") == [{"ContentType": "text/plain"}]


def test_a_stored_link_has_no_type_of_its_name(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path), hub.prefix("moto")
    files.fill({"real.nc": b"few bytes"})
    (tmp_path / "latest.nc").symlink_to("real.nc")
    hub.sync(files, bucket, "--links", "store")
    assert fields(bucket, "latest.nc") == [{"ContentType": "application/octet-stream"}]
    assert metadata(bucket, "latest.nc") == [{"file-permissions": "0120777"}]


# -- what a person says of the objects -----------------------------------------------------------------------------

# docs/sync.md says the same: what a service does not show again
LACKS = {"moto": set[str](), "weed": set[str](), "clone": {"expires"}}
FIELD_OF = {"expires": "ExpiresString"}


@pytest.mark.parametrize("remote", SERVERS)
def test_what_is_said_of_objects_is_kept(remote: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path), hub.prefix(remote)
    tree = {SMALL: b"few bytes", "other.nc": b"more bytes", LARGE: noise(THRESHOLD + 1)}
    files.fill(tree)
    job = hub.sync(files, bucket, *GIVEN_OPTIONS)
    gone = {FIELD_OF[word] for word in LACKS[remote]}
    kept = {name: value for name, value in FIELDS.items() if name not in gone}
    assert fields(bucket, *tree) == [kept] * len(tree)
    assert metadata(bucket, *tree) == [{"project": "glacier"}] * len(tree)
    assert bucket.read() == tree
    assert told(hub, job) == sorted(LACKS[remote])
    assert {line.lost for line in hub.lines(job)} == {",".join(LACKS[remote])}


@pytest.mark.parametrize("remote", SERVERS)
def test_metadata_stands_beside_that_of_preserve(remote: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path), hub.prefix(remote)
    files.fill({SMALL: b"few bytes"})
    hub.sync(files, bucket, "--preserve", "--metadata", "project=glacier", "--metadata", "stage=a=b c")
    posix = {"file-permissions", "file-owner", "file-group", "file-mtime", "file-atime"}
    (found,) = metadata(bucket, SMALL)
    assert found.keys() == posix | {"project", "stage"}
    assert (found["project"], found["stage"]) == ("glacier", "a=b c")


def test_a_dataset_is_described_as_a_sync_is(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("moto")
    files.fill({SMALL: b"few bytes"})
    with site_of(tmp_path, {"moto": remote_of(bucket.server)}) as site:
        with site.config.open("a") as config:
            config.write(f'[datasets.up]\nsource = "{files.url}"\ndestination = "{bucket.url}"\n')
        site.run("headrace", "run", "up", "--content-language", "en", "--metadata", "a=b")
        site.run("headraced", "drain")
    assert fields(bucket, SMALL) == [{"ContentType": "application/x-netcdf", "ContentLanguage": "en"}]
    assert metadata(bucket, SMALL) == [{"a": "b"}]


def test_the_first_object_is_looked_at_and_none_for_a_guess(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({f"{number}.nc": b"few bytes" for number in range(40)})
    jobs = {"guess": [], "preserve": ["--preserve"], "type": ["--content-type", "a/b"]}
    with (
        ProxyThread(bucket.server.endpoint_urls[0]) as door,
        site_of(tmp_path, {"weed": remote_of(bucket.server, [door.url])}) as site,
    ):
        door.add(Fault(Kind.DELAY, match=f"HEAD /{bucket.name}/{bucket.prefix}", times=100))
        for folder, options in jobs.items():
            site.run("headrace", "sync", files.url, f"{bucket.url}/{folder}", *options)
        site.run("headraced", "drain")
        looks = [sum(f"/{folder}/" in hit for hit in door.proxy.hits) for folder in jobs]
    assert looks == [0, 1, 1]


def test_who_may_only_write_is_told_that_nobody_looked(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({SMALL: b"few bytes"})
    where = f"/{bucket.name}/{bucket.prefix}{SMALL}"
    with (
        ProxyThread(bucket.server.endpoint_urls[0]) as door,
        site_of(tmp_path, {"weed": remote_of(bucket.server, [door.url])}) as site,
    ):
        door.add(
            *(
                Fault(Kind.ANSWER, match=f"{method} {where}", times=9, status=403, body=b"")
                for method in ("HEAD", "GET")
            )
        )
        site.run("headrace", "sync", files.url, bucket.url, "--cache-control", "no-cache")
        said = call(site, "headraced", "drain")
        (line,) = site.report_lines(1)
    assert (line.outcome, line.lost) == ("transferred", "")
    assert "may not be looked at" in said.out
    assert fields(bucket, SMALL) == [{"ContentType": "application/x-netcdf", "CacheControl": "no-cache"}]


@pytest.mark.parametrize(("start", "end"), [("moto", "moto"), ("weed", "weed"), ("moto", "weed")])
def test_between_buckets_what_is_named_is_replaced_and_the_rest_stays(start: str, end: str, hub: Hub) -> None:
    source, target = hub.prefix(start), hub.prefix(end)
    tree = {SMALL: b"few bytes", LARGE: noise(THRESHOLD + 1)}
    with source.client() as client:
        for key, body in tree.items():
            client.put_object(
                Bucket=source.name,
                Key=f"{source.prefix}{key}",
                Body=body,
                ContentType="text/csv",
                ContentLanguage="de",
                Metadata={"project": "other", "note": "stays"},
                Tagging="stage=final",
            )
    options = ["--cache-control", "no-cache", "--content-language", "en", "--metadata", "project=glacier"]
    job = hub.sync(source, target, *options)
    assert {line.outcome for line in hub.lines(job)} == {"copied" if start == end else "transferred"}
    named = {"ContentType": "text/csv", "CacheControl": "no-cache", "ContentLanguage": "en"}
    assert fields(target, *tree) == [named] * 2
    assert metadata(target, *tree) == [{"project": "glacier", "note": "stays"}] * 2
    shown = [head["ResponseMetadata"]["HTTPHeaders"] for head in heads(target, *tree)]
    assert [headers.get("x-amz-tagging-count") for headers in shown] == ["1"] * 2
    assert target.read() == tree


def test_a_sync_does_not_look_at_them(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path), hub.prefix("moto")
    files.fill({SMALL: b"few bytes"})
    hub.sync(files, bucket)
    for compare in ("size", "checksum"):
        job = hub.sync(files, bucket, "--compare", compare, "--content-type", "text/plain", "--metadata", "a=b")
        assert sent(job) == (0, 1, 0)
    assert fields(bucket, SMALL) == [{"ContentType": "application/x-netcdf"}]
    hub.copy(str(tmp_path / SMALL), f"{bucket.url}/{SMALL}", "--content-type", "text/plain")
    assert fields(bucket, SMALL) == [{"ContentType": "text/plain"}]


# -- bytes stay what they are --------------------------------------------------------------------------------------

# a segment `..` in the path goes through the other HTTP engine
PACKED = {"small.json": 5_000, "large.json": THRESHOLD + 1, "a/../small.json": 5_000}


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """Whole gzip files; those of noise do not shrink."""
    return {key: gzip.compress(noise(size), compresslevel=1) for key, size in PACKED.items()}


def fill_packed(place: Bucket, packed: dict[str, bytes]) -> None:
    with place.client() as client:
        for key, body in packed.items():
            where = {"Bucket": place.name, "Key": place.prefix + key}
            client.put_object(**where, Body=body, ContentEncoding="gzip", ContentType="application/json")


def without_dots(packed: dict[str, bytes]) -> dict[str, bytes]:
    """SeaweedFS and rclone keep keys as paths, where `..` means the folder above."""
    return {key: body for key, body in packed.items() if ".." not in key}


@pytest.mark.parametrize("remote", SERVERS)
def test_a_packed_object_comes_down_as_it_is(remote: str, hub: Hub, tmp_path: Path, packed: dict[str, bytes]) -> None:
    tree = packed if remote == "moto" else without_dots(packed)
    bucket, files = hub.prefix(remote), Folder(tmp_path / "down")
    fill_packed(bucket, tree)
    job = hub.sync(bucket, files, "--encode-names")
    assert files.read() == {key.replace("..", "%x2E%x2E"): body for key, body in tree.items()}
    assert {line.key: line.bytes for line in hub.lines(job)} == {key: len(body) for key, body in tree.items()}


@pytest.mark.parametrize(("start", "end"), [("moto", "weed"), ("weed", "clone"), ("clone", "moto"), ("moto", "moto")])
def test_a_packed_object_is_relayed_as_it_is(start: str, end: str, hub: Hub, packed: dict[str, bytes]) -> None:
    tree = packed if (start, end) == ("moto", "moto") else without_dots(packed)
    source, target = hub.prefix(start), hub.prefix(end)
    fill_packed(source, tree)
    hub.sync(source, target, "--via", "stream")
    assert target.read() == tree
    assert {found.get("ContentEncoding") for found in fields(target, *tree)} == {"gzip"}


@pytest.mark.parametrize("remote", SERVERS)
def test_a_packed_file_goes_up_as_it_is(remote: str, hub: Hub, tmp_path: Path, packed: dict[str, bytes]) -> None:
    tree = without_dots(packed)
    files, bucket = Folder(tmp_path), hub.prefix(remote)
    files.fill(tree)
    hub.sync(files, bucket, "--content-encoding", "gzip")
    assert bucket.read() == tree
    assert {found.get("ContentEncoding") for found in fields(bucket, *tree)} == {"gzip"}


# -- wrong use -----------------------------------------------------------------------------------------------------


def test_a_value_that_would_be_another_header_is_refused_at_once(hub: Hub, tmp_path: Path) -> None:
    before = hub.site.headrace("jobs")["jobs"][:1]
    for option, text in (("--content-type", "text/plain\r\nx-amz-acl: public-read"), ("--metadata", "a=b\nc: d")):
        what, why, _ = complaint(hub.site, "headrace", "sync", tmp_path, "moto://bucket/p", option, text)
        assert what.startswith(f"{option} ")
        assert "line break" in why
    assert hub.site.headrace("jobs")["jobs"][:1] == before


@pytest.mark.parametrize("option", ["--cache-control", "--metadata"])
def test_files_are_not_described(option: str, hub: Hub, tmp_path: Path) -> None:
    what, why, _ = complaint(hub.site, "headrace", "sync", "moto://bucket/p", tmp_path, option, GIVEN[option])
    assert what == f"{option} with destination {tmp_path}"
    assert "files have nothing like it" in why
