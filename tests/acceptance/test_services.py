"""Kinds of services as config.toml names them: AWS and its error codes, devices, certificates, credentials."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from headrace_daemon.demo.servers import Keys, S3Server, SeaweedFS, Tls
from headrace_queue.states import JobState
from tests.support.commands import THRESHOLD, TRANSFER, Bucket, Folder, Hub, call, noise, outcomes, remote_of
from tests.support.site import RemoteTable, Site, site_of
from tests.support.snow import FakeSnow
from tests.support.trees import Tree, open_uploads

pytestmark = pytest.mark.server

TREE = {"small": b"small", "empty": b"", "test/foo.txt": b"1", "test-123.txt": b"22", "test.txt": b"333"}


@pytest.fixture(scope="module")
def tree() -> Tree:
    return {**TREE, "large": noise(2 * THRESHOLD)}


def done(site: Site, source: str, destination: str, *options: object, code: int = 0) -> Any:
    """A job at its end; a daemon runs."""
    return site.headrace("sync", source, destination, "--wait", *options, code=code)["job"]


def drained(site: Site, source: str, destination: str, *, code: int) -> Any:
    """A job that is worked on at once, with the failures of its objects; no daemon runs."""
    job = site.enqueue(source, destination)
    site.run("headraced", "drain", code=code)
    return site.status(job)


def counts(job: Any) -> tuple[int, int, int]:
    return job["counters"]["done"], job["counters"]["unchanged"], job["counters"]["failed"]


# -- AWS -----------------------------------------------------------------------------------------------------------


def test_the_profile_of_aws_does_everything(hub: Hub, tmp_path: Path, tree: Tree) -> None:
    files, up, relayed, copied = Folder(tmp_path / "files"), *(hub.prefix("moto") for _ in range(3))
    back = Folder(tmp_path / "back")
    files.fill(tree)
    with site_of(tmp_path, {"moto": remote_of(up.server, (), 'profile = "aws"')}, TRANSFER) as site:
        site.serve()
        jobs = [
            done(site, files.url, up.url),
            done(site, up.url, relayed.url, "--via", "stream"),
            done(site, relayed.url, copied.url),
            done(site, copied.url, back.url),
        ]
        again = done(site, files.url, copied.url)
    assert [counts(job) for job in jobs] == [(len(tree), 0, 0)] * 4
    assert counts(again) == (0, len(tree), 0)
    assert up.read() == relayed.read() == copied.read() == back.read() == tree
    assert open_uploads(up.server, up.name) == []


def test_an_archived_object_is_a_failure_of_its_own(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("moto"), Folder(tmp_path / "target")
    bucket.fill({"good": b"good"})
    with bucket.client() as client:
        client.put_object(Bucket=bucket.name, Key=bucket.prefix + "old", Body=b"old", StorageClass="GLACIER")
    job = hub.sync(bucket, target, code=1)
    lines = {line.key: line for line in hub.lines(job)}
    assert outcomes(list(lines.values())) == {"good": "transferred", "old": "failed"}
    assert lines["old"].error == "archived"
    assert target.read() == {"good": b"good"}


@contextmanager
def checked_rights(server: S3Server) -> Iterator[None]:
    """moto looks at what an identity may do, until the end of the block."""

    def allow(requests: str) -> None:
        url = f"{server.endpoint_urls[0]}/moto-api/reset-auth"
        headers = {"Content-Type": "text/plain"}
        with urllib.request.urlopen(urllib.request.Request(url, requests.encode(), headers)) as answer:
            assert answer.status == 200

    allow("0")
    try:
        yield
    finally:
        allow("inf")


def identity(server: S3Server, name: str, *actions: str) -> Keys:
    """Keys of a new user who may do these things in S3 and nothing else."""
    made = botocore.session.Session().create_client(
        "iam",
        region_name=server.region,
        endpoint_url=server.endpoint_urls[0],
        aws_access_key_id=server.keys.access_key,
        aws_secret_access_key=server.keys.secret_key,
    )
    allowed = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    with closing(made) as client:
        client.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        client.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = client.create_access_key(UserName=name)["AccessKey"]
    return Keys(key["AccessKeyId"], key["SecretAccessKey"])


def table_for(server: S3Server, keys: Keys) -> RemoteTable:
    return replace(remote_of(server, (), 'profile = "aws"'), keys=keys)


def test_what_may_not_be_written_fails_object_by_object(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("moto")
    files.fill({"a": b"a", "b": b"b"})
    reader = identity(bucket.server, "reader", "s3:ListBucket", "s3:GetObject")
    with site_of(tmp_path, {"moto": table_for(bucket.server, reader)}) as site:
        with checked_rights(bucket.server):
            job = drained(site, files.url, bucket.url, code=1)
        assert (job["state"], counts(job)) == ("incomplete", (0, 0, 2))
        assert {failure["error"] for failure in job["failures"]} == {"access_denied"}
        assert site.headrace("retry", job["id"])["state"] == "queued"
        site.run("headraced", "drain")  # the right was given meanwhile
        assert site.status(job["id"])["state"] == "done"
    assert bucket.read() == files.read()


def test_what_may_not_be_listed_fails_the_job(hub: Hub, tmp_path: Path) -> None:
    bucket = hub.prefix("moto")
    writer = identity(bucket.server, "writer", "s3:PutObject")
    with site_of(tmp_path, {"moto": table_for(bucket.server, writer)}) as site, checked_rights(bucket.server):
        job = drained(site, bucket.url, str(tmp_path / "target"), code=4)
    assert "AccessDenied" in job["error"]
    assert f"moto://{bucket.name}" in job["error"]


def test_an_unknown_key_fails_the_job_with_a_remedy(hub: Hub, tmp_path: Path) -> None:
    bucket = hub.prefix("moto")
    bucket.fill({"a": b"a"})
    with site_of(tmp_path, {"moto": table_for(bucket.server, Keys("AKIANOBODY000001", "secret"))}) as site:
        with checked_rights(bucket.server):
            job_id = site.enqueue(bucket.url, tmp_path / "target")
            site.serve()
            failed = site.until_job(job_id, lambda job: job.state is JobState.FAILED)
        assert "InvalidAccessKeyId" in str(failed.error)
        assert "do: Correct the credentials" in str(failed.error)
        site.headrace("retry", job_id)
        assert site.finish(job_id).counters.done == 1  # the service knows the key by now


# -- a device ------------------------------------------------------------------------------------------------------


@pytest.fixture
def snow(device_tls: Tls) -> Iterator[FakeSnow]:
    """Two URLs, over TLS with the certificate that the device made itself."""
    with FakeSnow(Keys("SNOWKEY00000001", "snow+secret/0001"), endpoints=2, tls=device_tls) as device:
        device.make_bucket("box")
        yield device


def test_a_device_is_filled_and_emptied(hub: Hub, tmp_path: Path, snow: FakeSnow, tree: Tree) -> None:
    files, source, copied, back = (
        Folder(tmp_path / "files"),
        hub.prefix("clone"),
        hub.prefix("weed"),
        Folder(tmp_path / "back"),
    )
    files.fill(tree)
    source.fill(tree)
    remotes = {name: remote_of(hub.servers[name]) for name in ("clone", "weed")}
    remotes["snow"] = remote_of(snow, (), 'profile = "snowball"')
    routes = [
        (files.url, "snow://box/up"),
        (source.url, "snow://box/relayed"),
        ("snow://box/up", "snow://box/within"),
        ("snow://box/within", copied.url),
        ("snow://box/relayed", back.url),
    ]
    with site_of(tmp_path, remotes, TRANSFER) as site:
        site.serve()
        assert [counts(done(site, *route)) for route in routes] == [(len(tree), 0, 0)] * len(routes)
        assert [counts(done(site, *route)) for route in routes] == [(0, len(tree), 0)] * len(routes)
        files.delete("small", "large")
        job = done(site, files.url, "snow://box/up", "--delete")
        assert job["counters"]["deleted"] == 2
        doors = {url for line in site.report_lines(1) for url in line.destination_endpoint.split(",")}
        assert doors == set(snow.endpoint_urls)
    assert copied.read() == back.read() == tree
    assert {key: stored.body for key, stored in snow.buckets["box"].items() if key.startswith("up/")} == {
        f"up/{key}": body for key, body in files.read().items()
    }
    assert snow.uploads == {}


# -- certificates --------------------------------------------------------------------------------------------------


def test_nobody_is_trusted_unasked(hub: Hub, tmp_path: Path, seaweed_tls: SeaweedFS) -> None:
    """A certificate that ca_file does not vouch for: the remote counts as away, nothing is sent, the job says why."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weedtls")
    files.fill({"a": b"a"})
    with site_of(tmp_path, {"weedtls": RemoteTable.of(seaweed_tls)}) as site:
        job_id = site.enqueue(files.url, bucket.url)
        site.serve()
        job = site.until_job(job_id, lambda job: job.waiting is not None)
        assert "no endpoint answers" in str(job.waiting)
        assert "certificate" in str(job.waiting).lower()
        site.run("headrace", "cancel", job_id)
        site.run("headrace", "wait", job_id, code=3)
    assert bucket.read() == {}


# -- credentials ---------------------------------------------------------------------------------------------------


def with_credentials(directory: Path, bucket: Bucket, line: str) -> Path:
    """A configuration whose only remote takes its credentials from there."""
    file = directory / "own.toml"
    urls = json.dumps(list(bucket.server.endpoint_urls))
    file.write_text(
        f'state_dir = "{directory / "own-state"}"\n[remotes.{bucket.remote}]\nendpoint_urls = {urls}\n'
        f"credentials = {line}\n"
    )
    return file


@pytest.mark.parametrize("source", ["env", "profile of a file", "profile of the user", "systemd", "default chain"])
def test_credentials_come_from_where_they_are_said_to(source: str, hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({"a": b"a"})
    keys = bucket.server.keys
    ini = tmp_path / "keys.ini"
    ini.touch(mode=0o600)
    ini.write_text(f"[own]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n")
    lines: dict[str, tuple[str, dict[str, str]]] = {
        "env": ('{ env = "LAKE" }', {"LAKE_ACCESS_KEY_ID": keys.access_key, "LAKE_SECRET_ACCESS_KEY": keys.secret_key}),
        "profile of a file": (f'{{ file = "{ini}", profile = "own" }}', {}),
        "profile of the user": ('{ profile = "own" }', {"AWS_SHARED_CREDENTIALS_FILE": str(ini)}),
        "systemd": ('{ systemd = "keys.ini", profile = "own" }', {"CREDENTIALS_DIRECTORY": str(tmp_path)}),
        "default chain": ("{}", {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}),
    }
    line, environment = lines[source]
    own = with_credentials(tmp_path, bucket, line)
    call(hub.site, "headrace", "sync", bucket.url, target.url, "--config", own)
    said = call(hub.site, "headraced", "drain", "--config", own, environment=environment)
    assert target.read() == {"a": b"a"}
    assert keys.secret_key not in said.out + said.errors


def test_a_public_bucket_needs_none(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("moto"), Folder(tmp_path / "target")
    bucket.fill({"a": b"a"})
    with bucket.client() as client:
        client.put_bucket_acl(Bucket=bucket.name, ACL="public-read")
        client.put_object_acl(Bucket=bucket.name, Key=bucket.prefix + "a", ACL="public-read")
    own = with_credentials(tmp_path, bucket, "{ anonymous = true }")
    call(hub.site, "headrace", "sync", bucket.url, target.url, "--config", own)
    call(hub.site, "headraced", "drain", "--config", own)
    assert target.read() == {"a": b"a"}


# -- several services ----------------------------------------------------------------------------------------------


def test_the_environment_goes_over_the_file(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({"a": b"a"})
    right = ",".join(bucket.server.endpoint_urls)
    lost = replace(remote_of(bucket.server), urls=("http://127.0.0.1:9",))
    with site_of(tmp_path, {"weed": lost}) as site:
        site.enqueue(bucket.url, target.url)
        call(site, "headraced", "drain", environment={"HEADRACE_REMOTES__WEED__ENDPOINT_URLS": right})
    assert target.read() == {"a": b"a"}


def test_a_service_that_lists_by_folder_may_be_named_so(hub: Hub, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill(TREE)
    with site_of(tmp_path, {"weed": remote_of(bucket.server, (), 'profile = "seaweedfs"')}) as site:
        site.serve()
        assert counts(done(site, bucket.url, target.url)) == (len(TREE), 0, 0)
        assert counts(done(site, target.url, bucket.url)) == (0, len(TREE), 0)
    assert target.read() == TREE
