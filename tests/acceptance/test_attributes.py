"""What an object keeps from bucket to bucket besides its bytes, and how it is told what it does not keep.

Sources are written and results are read by botocore.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import THRESHOLD, Bucket, Folder, Hub, complaint, noise, outcomes
from tests.support.site import Site

pytestmark = pytest.mark.server

SYSTEM = {
    "ContentType": "application/x-netcdf",
    "CacheControl": "max-age=60, no-transform",
    "ContentDisposition": 'attachment; filename="a b.nc"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ExpiresString": "Wed, 21 Oct 2037 07:28:00 GMT",
}
USER = {"project": "glacier", "note": "=?UTF-8?B?R3LDtm5sYW5k?="}  # S3 shows what is no ASCII by RFC 2047
TAGS = {"stage": "final", "cost centre": "a/b+c=d:e@f_g.h-i", "empty": ""}
REDIRECT = "/elsewhere.html"

SMALL, LARGE = "small.nc", "large.nc"


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    return {SMALL: b"small", LARGE: noise(THRESHOLD + 1)}


def put(place: Bucket, key: str, body: bytes, tags: Mapping[str, str] = TAGS, **more: Any) -> None:
    """An object with everything that it can have."""
    system = {("Expires" if name == "ExpiresString" else name): value for name, value in SYSTEM.items()}
    encoded = "&".join(f"{name}={value}".replace(" ", "%20").replace("+", "%2B") for name, value in tags.items())
    tagging = {"Tagging": encoded} if tags else {}
    with place.client() as client:
        where = {"Bucket": place.name, "Key": place.prefix + key}
        client.put_object(**where, Body=body, Metadata=USER, **system, **tagging, **more)


def seen(place: Bucket, key: str) -> dict[str, Any]:
    """What a person sees of it: system headers, user metadata, redirect."""
    head = place.head(key)
    found: dict[str, Any] = {name: head.get(name) for name in SYSTEM}
    found["redirect"] = head.get("WebsiteRedirectLocation")
    found["metadata"] = {name.lower(): value for name, value in head["Metadata"].items() if name.lower() in USER}
    return found


def tags_of(place: Bucket, key: str) -> dict[str, str]:
    with place.client() as client:
        answer = client.get_object_tagging(Bucket=place.name, Key=place.prefix + key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def told(site: Site, job: Any) -> dict[str, str]:
    """Word -> why, of what the daemons say this job did not carry; each word once."""
    found = [event["detail"].split(": ", 1) for event in site.events("job_not_carried") if event["job"] == job["id"]]
    words = dict(found)
    assert len(words) == len(found), found
    return words


# -- what is kept --------------------------------------------------------------------------------------------------

# docs/sync.md says the same: what a service does not store
LACKS = {"moto": set(), "weed": {"website_redirect"}, "clone": {"tags", "expires"}}
ATTRIBUTE = {"website_redirect": "redirect", "expires": "ExpiresString"}
WAYS = [
    ("moto", "moto", "stream"),
    ("moto", "moto", "auto"),
    ("weed", "weed", "auto"),
    ("moto", "weed", "auto"),
    ("moto", "clone", "auto"),
    ("clone", "moto", "auto"),
]


@pytest.mark.parametrize(("start", "end", "via"), WAYS)
def test_everything_is_kept_that_both_services_store(
    hub: Hub, bodies: dict[str, bytes], start: str, end: str, via: str
) -> None:
    source, target = hub.prefix(start), hub.prefix(end)
    for key, body in bodies.items():
        put(source, key, body, WebsiteRedirectLocation=REDIRECT)
    job = hub.sync(source, target, "--via", via)
    assert target.read() == bodies
    lacks = LACKS[start] | LACKS[end]
    for key in bodies:
        gone = {ATTRIBUTE[word]: None for word in lacks - {"tags"}}
        assert seen(target, key) == {**SYSTEM, "metadata": USER, "redirect": REDIRECT, **gone}
        if end != "clone":  # which answers questions for tags with 500
            assert tags_of(target, key) == ({} if "tags" in lacks else TAGS)
    lost = LACKS[end] - LACKS[start]  # what the source does not store was never there
    assert told(hub.site, job).keys() == lost
    assert {line.key: line.lost for line in hub.lines(job)} == dict.fromkeys(bodies, ",".join(sorted(lost)))


# -- what a person says of it --------------------------------------------------------------------------------------


def readers_of(place: Bucket, key: str) -> set[str]:
    """The groups that may read it."""
    with place.client() as client:
        grants = client.get_object_acl(Bucket=place.name, Key=place.prefix + key)["Grants"]
    return {grant["Grantee"]["URI"].rpartition("/")[2] for grant in grants if "URI" in grant["Grantee"]}


@pytest.mark.parametrize("way", ["upload", "stream", "auto"])
def test_acl_class_and_encryption_are_given_to_whatever_is_written(
    hub: Hub, tmp_path: Path, bodies: dict[str, bytes], way: str
) -> None:
    source, target = Folder(tmp_path) if way == "upload" else hub.prefix("moto"), hub.prefix("moto")
    source.fill(bodies)
    via = () if way == "upload" else ("--via", way)
    said = ("--acl", "public-read", "--sse", "AES256", "--storage-class", "STANDARD_IA")
    job = hub.sync(source, target, *via, *said)
    assert target.read() == bodies
    assert told(hub.site, job) == {}
    for key in bodies:
        assert readers_of(target, key) == {"AllUsers"}
        head = target.head(key)
        assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")


def test_a_service_that_ignores_acls_is_found_out(hub: Hub, tmp_path: Path) -> None:
    """SeaweedFS takes one with every object and gives it to none."""
    files, target = Folder(tmp_path), hub.prefix("weed")
    files.fill({"a": b"1"})
    job = hub.sync(files, target, "--acl", "public-read")
    assert told(hub.site, job) == {"acl": "weed took it, and does not show it with the object"}
    assert [line.lost for line in hub.lines(job)] == ["acl"]


REFUSED = [
    (("sync", "moto://a/b", "moto://c/d", "--acl", "public_raed"), "no canned ACL of this name", "mean public-read?"),
    (("sync", "moto://a/b", "moto://c/d", "--version-id", "1"), "--version-id", "--help"),
]


@pytest.mark.parametrize(("words", "why", "remedy"), REFUSED)
def test_what_cannot_be_meant_is_refused(hub: Hub, words: tuple[str, ...], why: str, remedy: str) -> None:
    _, because, do = complaint(hub.site, "headrace", *words)
    assert why in because
    assert remedy in do


# -- versions ------------------------------------------------------------------------------------------------------


def versions_of(place: Bucket, *bodies: bytes) -> list[str]:
    """Version ids of the key `k`, the oldest first; then it is deleted, which leaves a marker, whose id is the last."""
    with place.client() as client:
        client.put_bucket_versioning(Bucket=place.name, VersioningConfiguration={"Status": "Enabled"})
        ids = [client.put_object(Bucket=place.name, Key="k", Body=body)["VersionId"] for body in bodies]
        return [*ids, client.delete_object(Bucket=place.name, Key="k")["VersionId"]]


@pytest.mark.parametrize("remote", ["moto", "weed"])
def test_one_version_is_copied_whatever_came_after_it(hub: Hub, tmp_path: Path, remote: str) -> None:
    small, large = b"first", noise(2 * THRESHOLD)
    source, target, files = hub.bucket(remote), hub.prefix(remote), Folder(tmp_path)
    first, second, *_ = versions_of(source, small, large, noise(2 * THRESHOLD))
    for version, key, via in ((first, "copied", "auto"), (second, "streamed", "stream")):
        hub.copy(f"{source.url}/k", f"{target.url}/{key}", "--version-id", version, "--via", via)
        hub.copy(f"{source.url}/k", f"{files.path}/{key}", "--version-id", version)
    assert target.read() == files.read() == {"copied": small, "streamed": large}


def test_a_version_that_holds_nothing_is_told(hub: Hub, tmp_path: Path) -> None:
    source = hub.bucket("moto")
    _, marker = versions_of(source, b"old")
    gone = hub.copy(f"{source.url}/k", f"{tmp_path}/gone", "--version-id", marker, code=4)
    assert "is a delete marker" in gone["error"]
    missing = hub.copy(f"{source.url}/k", f"{tmp_path}/gone", "--version-id", "0" * 32, code=4)
    assert f"there is no such object in version {'0' * 32}" in missing["error"]
    assert not (tmp_path / "gone").exists()


def test_a_sync_takes_the_current_versions(hub: Hub, tmp_path: Path) -> None:
    """What was deleted is not there, though a bucket may still hold its versions."""
    source, files = hub.bucket("moto"), Folder(tmp_path / "new")
    versions_of(source, b"old")
    source.fill({"other": b"1"})
    source.fill({"other": b"22"})
    job = hub.sync(source, files)
    assert outcomes(hub.lines(job)) == {"other": "transferred"}
    assert files.read() == {"other": b"22"}


def test_a_service_without_versions_is_not_believed(hub: Hub, tmp_path: Path) -> None:
    """rclone gives the current object, whatever version was asked for."""
    source = hub.prefix("clone")
    source.fill({"k": b"1"})
    job = hub.copy(f"{source.url}/k", f"{tmp_path}/k", "--version-id", "1", code=4)
    assert "version 1 was asked for, none was given" in job["error"]
    assert not (tmp_path / "k").exists()
