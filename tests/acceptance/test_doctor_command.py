"""`headraced doctor` as it is installed: what it says of a host and its services, and how it ends."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server, SeaweedFS
from headrace_daemon.doctor.identity import who_at_aws
from headrace_daemon.s3.signing import Credentials
from tests.support.buckets import fresh_bucket
from tests.support.commands import call, complaint, remote_of
from tests.support.site import RemoteTable, Site, site_of
from tests.support.trees import fill_bucket, read_bucket

pytestmark = pytest.mark.server

ALONE = {"AWS_EC2_METADATA_DISABLED": "true", "HEADRACE_DAEMON__LISTEN": "127.0.0.1:1"}
"""No instance role is asked for, and nobody listens on port 1."""


def doctor(site: Site, *words: object, code: int = 0) -> dict[str, Any]:
    """Every check by its name; `headraced doctor --json` ended with `code`."""
    answer = json.loads(call(site, "headraced", "doctor", *words, "--json", code=code, environment=ALONE).out)
    assert answer["exit_code"] == code
    rows = {row["name"]: row for row in answer["checks"]}
    assert len(rows) == len(answer["checks"]), "every check has a name of its own"
    for row in rows.values():
        assert set(row) == {"name", "status", "detail", "remedy"}
        assert bool(row["remedy"]) == (row["status"] != "ok"), row
    return rows


def test_a_host_where_all_is_well(tmp_path: Path, seaweed: SeaweedFS, seaweed_tls: SeaweedFS) -> None:
    remotes = {"weed": remote_of(seaweed), "weedtls": remote_of(seaweed_tls)}
    with site_of(tmp_path, remotes) as site:
        rows = doctor(site)
        text = call(site, "headraced", "doctor", environment=ALONE).out
        assert not site.state.exists(), "it makes nothing"
    key = seaweed.keys.access_key
    assert f"key {key[:4]}…{key[-4:]}" in rows["credentials of weed"]["detail"]
    for url in seaweed.endpoint_urls:
        assert rows[f"endpoint {url} of weed"]["status"] == "ok"
        assert f"certificate {url} of weed" not in rows
    (url,) = seaweed_tls.endpoint_urls
    assert "TLSv1.3, it holds until " in rows[f"certificate {url} of weedtls"]["detail"]
    assert "profile s3: ListObjectsV2" in rows["capabilities of weed"]["detail"]
    for name in ("user", "state directory", "SQLite", "queue", "file limit", "other limits", "memory", "kernel"):
        assert name in rows
    for secret in (key, seaweed.keys.secret_key):
        assert secret not in text + json.dumps(rows)
    failed = [line for line in text.splitlines() if line.startswith("fail")]
    assert failed == []


def test_a_location_is_tried_and_left_as_it_was(tmp_path: Path, seaweed: SeaweedFS) -> None:
    bucket, folder = fresh_bucket(seaweed), tmp_path / "folder"
    tree = {"p/a": b"a", "p/b/c": b"c", "q": b"q"}
    fill_bucket(seaweed, bucket, tree)
    with closing(seaweed.client()) as client:
        client.create_multipart_upload(Bucket=bucket, Key="p/half")
        client.create_multipart_upload(Bucket=bucket, Key="elsewhere")
    folder.mkdir()
    (folder / "x").touch()
    with site_of(tmp_path, {"weed": remote_of(seaweed)}) as site:
        rows = doctor(site, f"weed://{bucket}/p", folder, "--write")
        only_read = doctor(site, f"weed://{bucket}/none", tmp_path / "folder")
    read = rows[f"read weed://{bucket}/p"]
    assert "it can be listed (ListObjectsV2), 2 objects; unfinished uploads: 1" in read["detail"]
    written = rows[f"write weed://{bucket}/p"]["detail"]
    assert "an object was written, read again and deleted" in written
    assert "crc64nvme is stored: yes" in written
    assert "ListParts: yes" in written
    assert rows[f"source {folder}"]["status"] == rows[f"destination {folder}"]["status"] == "ok"
    assert "nothing is there" in only_read[f"read weed://{bucket}/none"]["detail"]
    assert not [name for name in only_read if name.startswith(("write ", "destination "))]
    assert read_bucket(seaweed, bucket) == tree
    assert [path.name for path in folder.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rclone_s3", "crc64nvme is stored: no, ListParts: yes, conditional writes: no"),
        ("moto_s3", "crc64nvme is stored: no, ListParts: yes, conditional writes: yes"),
    ],
)
def test_other_services_are_tried_as_they_are(
    name: str, found: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = fresh_bucket(server)
    with site_of(tmp_path, {"other": remote_of(server)}) as site:
        rows = doctor(site, f"other://{bucket}/p", "--write")
    assert rows[f"write other://{bucket}/p"]["detail"].endswith(found)
    assert read_bucket(server, bucket) == {}


def test_http_to_a_door_that_wants_https_is_told_by_doctor_and_by_jobs(tmp_path: Path, seaweed_tls: SeaweedFS) -> None:
    bucket = fresh_bucket(seaweed_tls)
    url = seaweed_tls.endpoint_urls[0].replace("https:", "http:")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a")
    with site_of(tmp_path / "site", {"weed": RemoteTable.of(seaweed_tls, [url])}) as site:
        row = doctor(site, code=1)[f"endpoint {url} of weed"]
        assert (row["status"], "TLS only" in row["detail"], "https://" in row["remedy"]) == ("fail", True, True)
        for words in ((f"weed://{bucket}/", tmp_path / "out"), (tmp_path / "files", f"weed://{bucket}/")):
            told = call(site, "headrace", "sync", *words, "--here", code=4).out
            assert "what answers there speaks TLS only" in told
            assert "do:  Write https:// in endpoint_urls of the remote" in told


def test_what_is_wrong_is_told_with_a_remedy_and_exit_code_1(tmp_path: Path, seaweed: SeaweedFS) -> None:
    with site_of(tmp_path, {"weed": remote_of(seaweed)}) as site:
        missing = tmp_path / "missing"
        rows = doctor(site, "weed://no-such-bucket/p", missing, code=1)
        bucket = rows["read weed://no-such-bucket/p"]
        assert (bucket["status"], "NoSuchBucket" in bucket["detail"]) == ("fail", True)
        assert "Create the bucket" in bucket["remedy"]
        assert "JOB" not in bucket["remedy"]
        assert rows[f"source {missing}"]["status"] == "fail"
        with site.config.open("a", encoding="utf-8") as config:
            config.write('[datasets.x]\nsource = "weed://b/"\ndestination = "/proc/x"\n')
        assert doctor(site, code=1)["destination /proc/x"]["status"] == "fail"
        text = call(site, "headraced", "doctor", code=1, environment=ALONE).out
        line = next(number for number, line in enumerate(text.splitlines()) if "/proc/x" in line)
        assert text.splitlines()[line + 1].strip().startswith("do: ")


def test_wrong_use_of_the_doctor(tmp_path: Path, seaweed: SeaweedFS) -> None:
    with site_of(tmp_path, {"weed": remote_of(seaweed)}) as site:
        assert complaint(site, "headraced", "doctor", "wed://b")[2] == "Did you mean weed?"
        assert complaint(site, "headraced", "doctor", "weed://")[1] == "it names no bucket"
        assert complaint(site, "headraced", "doctor", "--write")[0] == "doctor --write"
        site.config.write_text("no TOML")
        call(site, "headraced", "doctor", code=2, environment=ALONE)


async def test_aws_says_whose_the_key_is(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """GetCallerIdentity, from moto in place of STS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_s3.endpoint_urls[0])
    keys = Credentials(moto_s3.keys.access_key, moto_s3.keys.secret_key)
    assert (await who_at_aws(keys, "us-east-1")).startswith("arn:aws:")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert (await who_at_aws(keys, "us-east-1")).startswith("STS did not answer")
